"""Pictures in a conversation: recalled when they are asked for, or when one like them is shown again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from PIL import Image

from mmchat.chat.note_styles import STYLES
from mmchat.chat.session import ChatSession, UserInput
from mmchat.chat.wording import turn_messages
from mmchat.domain import Attachment, PromptReady, Recalled, Seen, Tag, Turn
from mmchat.engines.scripted import ScriptedImageReader
from mmchat.memory.recall import Recall
from tests.fakes import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.recall = Recall(made.store, made.engines.embedder, lambda may_load: made.engines.vision)
    yield made
    made.close()


def picture(folder: Path, colour: str, name: str = "") -> Path:
    path = folder / f"{name or colour}.png"
    Image.new("RGB", (24, 24), ScriptedImageReader.COLOURS[colour]).save(path)
    return path


def said(session: ChatSession, text: str, *files: Path) -> PromptReady:
    events = list(session.reply(UserInput(text, files), Event()))
    return next(event for event in events if isinstance(event, PromptReady))


def test_a_photo_of_another_conversation_is_told_when_it_is_asked_for(bench: Bench, tmp_path: Path) -> None:
    said(bench.session(), "What is this?", picture(tmp_path, "red"))
    said(bench.session(), "", picture(tmp_path, "blue"))
    prompt = said(bench.session(), "Where is that photo of something red?")
    assert prompt.recalled[0].attachment is not None
    assert prompt.recalled[0].attachment.name == "red.png"
    assert "I showed you a photo of a red" in prompt.messages[-1].text


def test_no_picture_is_told_to_a_question_that_is_about_none(bench: Bench, tmp_path: Path) -> None:
    said(bench.session(), "", picture(tmp_path, "red"))
    assert said(bench.session(), "How do I renew my passport in winter?").recalled == ()


def test_a_picture_that_was_shown_before_brings_the_earlier_turn_to_mind(bench: Bench, tmp_path: Path) -> None:
    said(bench.session(), "This is our new front door", picture(tmp_path, "red"))
    said(bench.session(), "", picture(tmp_path, "blue"))
    prompt = said(bench.session(), "Have I shown you this before?", picture(tmp_path, "red", "again"))
    assert prompt.recalled[0].text == "This is our new front door"
    assert 'Earlier I told you: "This is our new front door".' in prompt.messages[-1].text


def test_the_picture_of_the_message_itself_is_not_its_own_memory(bench: Bench, tmp_path: Path) -> None:
    session = bench.session()
    assert said(session, "What do you see in this picture?", picture(tmp_path, "red")).recalled == ()
    assert said(session, "and in this one?", picture(tmp_path, "red", "copy")).recalled == ()  # in view already


def note(text: str) -> Recalled:
    seen = Seen((Tag("dog", 0.9), Tag("grass", 0.6)), caption="A dog; probably grass.")
    attachment = Attachment("a1", "t1", "image", "dog.jpg", "0" * 64, "image/jpeg", 10, Path("dog.jpg"), seen=seen)
    return Recalled("s1", "t1", "user", text, "2020-05-03T10:00:00+00:00", 1.0, attachment)


def asked(text: str) -> Turn:
    return Turn("t2", "s2", None, "user", text, "complete", "2020-05-04T10:00:00+00:00")


@pytest.mark.parametrize("style", sorted(STYLES))
@pytest.mark.parametrize(("question", "seen"), [("Which dog?", "a dog and grass"), ("哪只狗？", "狗、草")])
def test_every_style_tells_what_was_in_a_recalled_picture_once(style: str, question: str, seen: str) -> None:
    told = "\n".join(
        m.text for m in turn_messages(asked(question), [note("A dog; probably grass.\ndog, grass")], style=style)
    )
    assert told.count(seen) == 1
    assert "probably" not in told
    with_words = "\n".join(m.text for m in turn_messages(asked(question), [note("Rex at the lake")], style=style))
    assert "Rex at the lake" in with_words
    assert with_words.count(seen) == 1
