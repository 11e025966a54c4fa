"""One conversation with pictures, answered in turn by a model of words and by models that take the pixels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from PIL import Image

from mmchat.chat.session import ChatSession, SessionSettings, UserInput
from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec, PromptReady, ReplyEnded
from mmchat.engines.base import LanguageModel
from mmchat.engines.registry import load_engine
from mmchat.engines.scripted import ScriptedImageReader
from mmchat.weights.store import WeightsStore
from tests.contract import tiny_gguf, tiny_models
from tests.fakes import Bench


@pytest.fixture
def models(tmp_path: Path, weights_dir: Path) -> Iterator[dict[str, LanguageModel]]:
    words = WeightsStore(weights_dir).prepared(load_models_file()["smollm2-135m"], "llamacpp")
    eyes = tiny_gguf.folder_with_eyes(tmp_path / "gguf", "smolvlm")
    specs = {
        "words": EngineSpec("smollm2-135m", "llamacpp", words, device="cpu"),
        "gguf": EngineSpec("tiny-gguf", "llamacpp", eyes, device="cpu", threads=1),
        "transformers": EngineSpec(
            "tiny", "transformers", tiny_models.vision(tmp_path / "hf", "qwen2.5-vl"), dtype="float32"
        ),
    }
    loaded: dict[str, LanguageModel] = {name: load_engine("lm", spec) for name, spec in specs.items()}
    yield loaded
    for model in loaded.values():
        model.close()


def said(session: ChatSession, text: str, *files: Path) -> tuple[PromptReady, ReplyEnded]:
    events = list(session.reply(UserInput(text, files), Event()))
    end = events[-1]
    assert isinstance(end, ReplyEnded)
    return next(event for event in events if isinstance(event, PromptReady)), end


@pytest.mark.weights
def test_models_change_in_the_middle_of_a_conversation(models: dict[str, LanguageModel], tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings=SessionSettings(options={"max_new_tokens": 8, "seed": 1}))
    session = bench.session()
    files = {}
    for colour in ("red", "blue", "green"):
        files[colour] = tmp_path / f"{colour}.png"
        Image.new("RGB", (40, 40), ScriptedImageReader.COLOURS[colour]).save(files[colour])
    steps = [
        ("words", "What is this?", ("red",)),
        ("gguf", "Compare these two.", ("blue", "green")),
        ("words", "What was in the first photo I showed you?", ()),
        ("transformers", "And now?", ()),
        ("gguf", "And what was in the second?", ()),
        ("words", "Thanks.", ()),
    ]
    shown: list[list[int]] = []
    for name, text, colours in steps:
        bench.engines.lm = models[name]  # type: ignore[assignment]
        prompt, end = said(session, text, *(files[colour] for colour in colours))
        shown.append([len(message.image_paths) for message in prompt.messages if message.role == "user"])
        assert end.turn.text
        assert end.turn.model == models[name].name
        assert end.turn.usage is not None
        assert abs(end.turn.usage.prompt_tokens - prompt.window.tokens) <= 1
        assert prompt.window.turns_out == 0
        users = [message.text for message in prompt.messages if message.role == "user"]
        if name == "words":
            assert users[0] == "I am showing you a photo of a red. What is this?"
        else:
            assert users[0] == "What is this?"
    told = [message.text for message in prompt.messages if message.role == "user"]
    assert told[1].startswith("I am showing you two photos. The first photo shows a blue. The second photo shows")
    assert told[2].startswith("In the first photo I showed you there is a red.")
    # What a model of words was told of again, one that sees is shown again.
    assert shown == [[0], [1, 2], [0, 0, 0], [1, 2, 1, 0], [1, 2, 1, 0, 0], [0] * 6]
    bench.close()
