"""Follow-up questions about pictures of the same conversation, and models that take turns at answering them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from PIL import Image

from mmchat.chat.session import ChatSession, UserInput
from mmchat.domain import Message, Notice, PromptReady
from mmchat.engines.scripted import ScriptedImageReader, ScriptedLanguageModel
from mmchat.errors import ModelNotFound
from mmchat.memory.recall import Recall
from tests.fakes import Bench, FakeEngines


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.recall = Recall(made.store, made.engines.embedder, lambda may_load: made.engines.vision)
    yield made
    made.close()


def picture(folder: Path, colour: str) -> Path:
    path = folder / f"{colour}.png"
    Image.new("RGB", (24, 24), ScriptedImageReader.COLOURS[colour]).save(path)
    return path


def said(session: ChatSession, text: str, *files: Path) -> PromptReady:
    events = list(session.reply(UserInput(text, files), Event()))
    return next(event for event in events if isinstance(event, PromptReady))


def chatted(session: ChatSession, exchanges: int) -> None:
    for number in range(exchanges):
        said(session, f"Something else, number {number}, that has nothing to do with it.")


def test_a_picture_ten_turns_back_is_told_next_to_the_question(bench: Bench, tmp_path: Path) -> None:
    session = bench.session()
    said(session, "Look at my door.", picture(tmp_path, "red"))
    said(session, "And at the lake.", picture(tmp_path, "blue"))
    chatted(session, 10)
    prompt = said(session, "What was in the first photo I showed you?")
    told = prompt.messages[-1].text
    assert told == "In the first photo I showed you there is a red. What was in the first photo I showed you?"
    assert [note.attachment.name for note in prompt.recalled if note.attachment] == ["red.png"]
    # What is asked next without counting is about the same picture.
    assert (
        said(session, "And in that picture, is there a zebra?")
        .messages[-1]
        .text.startswith("In the photo I showed you there is a red.")
    )
    assert said(session, "Thank you! What is the capital of Peru?").recalled == ()


def test_a_picture_out_of_view_comes_back(bench: Bench, tmp_path: Path) -> None:
    bench.settings = replace(bench.settings, window_tokens=160)
    session = bench.session()
    said(session, "Look at my door.", picture(tmp_path, "red"))
    chatted(session, 12)
    prompt = said(session, "What was in that photo?")
    assert prompt.window.turns_out > 0
    assert not any("Look at my door" in message.text for message in prompt.messages)
    assert prompt.messages[-1].text.startswith("In the photo I showed you there is a red.")


def test_the_second_of_two_pictures_is_kept_apart_after_opening_the_conversation_again(
    bench: Bench, tmp_path: Path
) -> None:
    session = bench.session()
    said(session, "Compare these.", picture(tmp_path, "red"), picture(tmp_path, "blue"))
    asked = said(session, "What is in the second picture?")
    assert asked.messages[-1].text.startswith("In the second photo I showed you there is a blue.")
    later = said(bench.session(session.info), "Go on about something else entirely.")
    assert later.messages[: len(asked.messages)] == asked.messages  # byte for byte what was told before
    again = bench.store.turns(session.info.id if session.info else "")[3].recalled
    assert [(note.place, note.attachment.name) for note in again if note.attachment] == [(2, "blue.png")]


def test_a_new_picture_is_this_one_unless_the_message_looks_back(bench: Bench, tmp_path: Path) -> None:
    session = bench.session()
    said(session, "My door.", picture(tmp_path, "red"))
    assert said(session, "What is in this picture?", picture(tmp_path, "blue")).recalled == ()
    prompt = said(session, "Is it like the first photo I showed you?", picture(tmp_path, "green"))
    assert prompt.messages[-1].text.startswith("In the first photo I showed you there is a red. I am showing you")


def test_pixels_are_shown_again_only_where_they_are_out_of_view(bench: Bench, tmp_path: Path) -> None:
    bench.engines.lm = ScriptedLanguageModel(accepts_images=True, context_tokens=400)
    bench.settings = replace(bench.settings, window_tokens=160)
    session = bench.session()
    said(session, "Look at my door.", picture(tmp_path, "red"))
    assert said(session, "Which colour is it in that picture?").messages[-1].image_paths == ()
    chatted(session, 12)
    prompt = said(session, "What was in the first photo I showed you?")
    assert prompt.window.turns_out > 0
    last = prompt.messages[-1]
    assert last.text.startswith("This is the first photo that I showed you before.")
    assert [path.read_bytes() for path in last.image_paths] == [(tmp_path / "red.png").read_bytes()]


def test_a_picture_that_leaves_the_view_with_this_very_question_is_shown_again(bench: Bench, tmp_path: Path) -> None:
    session = bench.session()
    said(session, "Look at my door.", picture(tmp_path, "red"))
    chatted(session, 12)
    bench.engines.lm = ScriptedLanguageModel(name="seer", accepts_images=True, context_tokens=200)
    prompt = said(session, "What was in the first photo I showed you?")
    assert prompt.window.turns_out > 0
    assert len(prompt.messages[-1].image_paths) == 1
    assert prompt.recalled[0].place == 1


def test_models_of_words_and_of_pixels_take_turns(bench: Bench, tmp_path: Path) -> None:
    session = bench.session()
    words = said(session, "Look at my door.", picture(tmp_path, "red"))
    assert words.messages[-1].image_paths == ()
    assert "a photo of a red" in words.messages[-1].text
    bench.engines.lm = ScriptedLanguageModel(name="seer", accepts_images=True)
    pixels = said(session, "And at the lake.", picture(tmp_path, "blue"))
    shown = [len(message.image_paths) for message in pixels.messages if message.role == "user"]
    assert shown == [1, 1]
    assert not any("photo of" in message.text for message in pixels.messages if message.role == "user")
    bench.engines.lm = ScriptedLanguageModel(name="reader")
    words = said(session, "Which of them do you like better?")
    assert all(message.image_paths == () for message in words.messages)
    assert "a photo of a red" in words.messages[0].text
    assert "a photo of a blue" in words.messages[2].text
    assert words.window.turns_out == 0


class Seer(ScriptedLanguageModel):
    """A model to which every picture is 100 tokens."""

    def __init__(self) -> None:
        super().__init__(name="seer", accepts_images=True, context_tokens=600)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return super().count_tokens(messages) + 100 * sum(len(message.image_paths) for message in messages)


def test_pictures_that_there_is_no_room_for_are_told_in_words(bench: Bench, tmp_path: Path) -> None:
    bench.engines.lm = Seer()
    bench.settings = replace(bench.settings, options={"max_new_tokens": 100})
    session = bench.session()
    colours = ("red", "blue", "green", "yellow", "white")
    files = tuple(picture(tmp_path, colour) for colour in colours)
    events = list(session.reply(UserInput("Compare them.", files), Event()))
    prompt = next(event for event in events if isinstance(event, PromptReady))
    last = prompt.messages[-1]
    assert len(last.image_paths) == 3
    assert last.text == "The fourth photo shows a yellow. The fifth photo shows a white. Compare them."
    assert prompt.window.tokens <= prompt.window.budget
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert notices == ["There is no room for all pictures of your message: the last 2 are told to the model in words."]
    later = said(session, "Thanks.")
    assert later.messages[0] == last


def test_older_pictures_leave_the_view_with_their_turns(bench: Bench, tmp_path: Path) -> None:
    bench.engines.lm = Seer()
    bench.settings = replace(bench.settings, options={"max_new_tokens": 100})
    session = bench.session()
    for colour in ("red", "blue", "green", "yellow", "white", "black"):
        prompt = said(session, f"Look, {colour}!", picture(tmp_path, colour))
        assert prompt.window.tokens <= prompt.window.budget == 500
        assert prompt.messages[-1].image_paths
    assert prompt.window.turns_out > 0
    assert 1 <= sum(len(message.image_paths) for message in prompt.messages) <= 4


class Blindfolded(FakeEngines):
    """Engines without a picture model on this machine."""

    def image_reader(self) -> ScriptedImageReader:
        raise ModelNotFound("The weights of 'lite2-minilm' are not on this machine.")


def test_a_model_that_sees_needs_no_second_pair_of_eyes(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Blindfolded(ScriptedLanguageModel(accepts_images=True)))
    session = bench.session()
    events = list(session.reply(UserInput("What is this?", (picture(tmp_path, "red"),)), Event()))
    prompt = next(event for event in events if isinstance(event, PromptReady))
    assert prompt.messages[-1].image_paths
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert len(notices) == 1
    assert notices[0].startswith("The model sees red.png itself, but recall will not find it: The weights of")
    bench.engines.lm = ScriptedLanguageModel()
    with pytest.raises(ModelNotFound):
        list(session.reply(UserInput("And this?", (picture(tmp_path, "blue"),)), Event()))
    bench.close()
