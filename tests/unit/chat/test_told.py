"""What an evaluation shows a model is what a conversation shows it."""

from __future__ import annotations

import wave
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from PIL import Image

from mmchat.chat.session import SessionSettings, UserInput
from mmchat.chat.told import Listener, told_history
from mmchat.domain import Heard, Message, Seen, Tag
from mmchat.engines.scripted import ScriptedLanguageModel
from mmchat.rows.values import RowMessage, RowPart
from tests.fakes import Bench, FakeEngines


class Senses:
    """The scripted senses of `FakeEngines`, counted."""

    def __init__(self, engines: FakeEngines) -> None:
        self._engines = engines
        self.looks: list[Path] = []

    def seen(self, path: Path) -> Seen:
        self.looks.append(path)
        with Image.open(path) as image:
            return Seen(self._engines.vision.tag(image.convert("RGB")))

    def heard(self, path: Path) -> Heard:
        return Heard("hello from the recording", "en", 1.0)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "wall.png")
    return tmp_path / "wall.png"


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    with wave.open(str(tmp_path / "note.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(32000))
    return tmp_path / "note.wav"


def message(role: Any, text: str = "", *files: tuple[Any, Path]) -> RowMessage:
    parts = [RowPart(kind, path=path) for kind, path in files]
    return RowMessage(role, (*parts, *([RowPart("text", text)] if text else [])))


@pytest.mark.parametrize("accepts_images", [False, True])
@pytest.mark.parametrize("context_tokens", [4096, 110])
def test_a_model_is_shown_what_talk_would_show_it(
    accepts_images: bool, context_tokens: int, tmp_path: Path, picture: Path, sound: Path
) -> None:
    said: list[tuple[str, tuple[Path, ...]]] = [
        ("what do you see?", (picture,)),
        ("", (sound,)),
        ("and what did I play?", (sound,)),
        ("一共几种颜色？", (picture,)),
        ("thank you very much indeed", ()),
    ]
    replies = ["a wall", "hello too", "a greeting", "一种颜色", "at your service"]
    model = ScriptedLanguageModel(replies, context_tokens=context_tokens, accepts_images=accepts_images)
    engines = FakeEngines(lm=model)
    settings = SessionSettings(options={"max_new_tokens": 8}, system="Be kind.", should_recall=False)
    bench = Bench(tmp_path / "home", engines, settings)
    session = bench.session()
    history: list[RowMessage] = []
    senses = Senses(engines)
    for (text, files), reply in zip(said, replies, strict=True):
        list(session.reply(UserInput(text, files), Event()))
        kinds = [("image" if path == picture else "audio", path) for path in files]
        history.append(message("user", text, *kinds))
        told = told_history(history, "Be kind.", Listener(model, "spoken"), senses, room=8)
        shown = model.calls[-1]
        assert [(each.role, each.text) for each in told] == [(each.role, each.text) for each in shown]
        # The chat passes its own copies of the pictures.
        assert [len(each.image_paths) for each in told] == [len(each.image_paths) for each in shown]
        history.append(message("assistant", reply))
    bench.close()
    assert bool(senses.looks) is not accepts_images


def test_persona_and_system_messages_become_the_system_text(picture: Path) -> None:
    model = ScriptedLanguageModel()
    history = [
        message("system", "Be brief."),
        message("assistant", "Welcome!", ("image", picture)),
        message("user", " hello "),
    ]
    senses = Senses(FakeEngines())
    told = told_history(history, "You are Ann.", Listener(model, "spoken"), senses, room=8)
    assert told == (
        Message("system", "You are Ann.\n\nBe brief."),
        Message("user", "Hello."),  # what an assistant that speaks first is taken to have heard
        Message("assistant", "Welcome!"),
        Message("user", "hello"),
    )
    assert senses.looks == []
    assert told_history(history[2:], "", Listener(model, "spoken"), senses, room=8) == (Message("user", "hello"),)


def test_the_style_of_the_model_is_kept(picture: Path) -> None:
    senses = Senses(FakeEngines())
    history = [message("user", "what is it?", ("image", picture))]
    told = {
        style: told_history(history, "", Listener(ScriptedLanguageModel(), style), senses, room=8)
        for style in ("spoken", "witness", "bracket")
    }
    seen = Seen((Tag("red", 1.0),))
    assert told["spoken"][0].text.startswith("I am showing you a photo of")
    assert [each.role for each in told["witness"]] == ["user", "assistant", "user"]
    assert told["bracket"][0].text.startswith("[")
    assert seen.tags[0].label in told["spoken"][0].text
