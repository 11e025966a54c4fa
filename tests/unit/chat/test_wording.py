"""How a model is told what was seen, heard and remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmchat.chat.wording import MAX_NOTE_CHARS, STYLES, describe, turn_messages
from mmchat.domain import Attachment, Heard, Message, Recalled, Seen, Tag, Turn


def turn(text: str, *attachments: Attachment) -> Turn:
    return Turn("t", "s", None, "user", text, "complete", "", attachments=attachments)


def photo(*tags: tuple[str, float], text: str = "") -> Attachment:
    seen = Seen(tuple(Tag(label, score) for label, score in tags), text=text)
    return Attachment("a", "t", "image", "dog.jpg", "", "", 0, Path("kept.jpg"), seen=seen)


def sound(text: str) -> Attachment:
    return Attachment("b", "t", "audio", "x.wav", "", "", 0, Path("kept.wav"), heard=Heard(text, "en", 2.0))


def recalled(text: str, role: str = "user") -> Recalled:
    return Recalled("s0", "t0", role, text, "2026-01-01T00:00:00Z", 1.0)  # type: ignore[arg-type]


def words(messages: tuple[Message, ...]) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in messages]


@pytest.mark.parametrize(
    ("tags", "phrase"),
    [
        ([("elephant", 0.9)], "an elephant"),
        ([("dog", 0.9), ("grass", 0.4), ("frisbee", 0.2)], "a dog, grass and a frisbee"),
        ([("dog", 0.9), ("cat", 0.05)], "a dog"),
        ([("dog", 0.1)], "a dog"),
        ([("dog", 0.01)], ""),
        ([], ""),
    ],
)
def test_a_picture_as_a_phrase(tags: list[tuple[str, float]], phrase: str) -> None:
    assert describe(Seen(tuple(Tag(label, score) for label, score in tags))) == phrase


def test_a_picture_is_told_before_the_question() -> None:
    messages = turn_messages(turn("What is it?", photo(("dog", 0.9), text="BEWARE")), style="spoken")
    said = 'I am showing you a photo of a dog. The photo has this text in it: "BEWARE". What is it?'
    assert words(messages) == [("user", said)]


def test_chinese_is_told_in_chinese_and_without_blanks() -> None:
    messages = turn_messages(turn("这是什么？", photo(("dog", 0.9), ("grass", 0.5))), style="spoken")
    assert words(messages) == [("user", "我给你看一张照片，上面有dog、grass。这是什么？")]


def test_the_witness_answers_before_the_question() -> None:
    messages = turn_messages(turn("What is it?", photo(("dog", 0.9))), style="witness")
    assert [role for role, _ in words(messages)] == ["user", "assistant", "user"]
    assert messages[1].text == "I can see a dog in your photo."
    assert messages[2].text == "What is it?"


def test_speech_alone_is_the_user_speaking() -> None:
    assert words(turn_messages(turn("", sound("What time is it?")))) == [("user", "What time is it?")]


def test_a_sound_with_a_question_is_a_recording() -> None:
    messages = turn_messages(turn("Who says this?", sound("To be or not to be.")), style="spoken")
    assert words(messages) == [("user", 'I am playing you a recording. It says: "To be or not to be.". Who says this?')]


def test_what_is_remembered_says_who_said_it() -> None:
    notes = [recalled("I live in Porto."), recalled("Porto is lovely.", "assistant")]
    messages = turn_messages(turn("Where do I live?"), notes, style="spoken")
    said = 'Earlier I told you: "I live in Porto.". Earlier you told me: "Porto is lovely.". Where do I live?'
    assert words(messages) == [("user", said)]


def test_a_long_memory_is_cut() -> None:
    (message,) = turn_messages(turn("And?"), [recalled("word " * 200)], style="plain")
    assert len(message.text) <= MAX_NOTE_CHARS + len(" And?")
    assert "…" in message.text


def test_pixels_go_to_models_that_take_them() -> None:
    (message,) = turn_messages(turn("What is it?", photo(("dog", 0.9))), has_pixels=True)
    assert message == Message("user", "What is it?", (Path("kept.jpg"),))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("text", ["What is it?", "这是什么？"])
def test_every_style_tells_everything_and_ends_with_the_question(style: str, text: str) -> None:
    full = turn(text, photo(("dog", 0.9), text="BEWARE"), sound("woof woof"))
    messages = turn_messages(full, [recalled("I live in Porto.")], style=style)
    told = " ".join(message.text for message in messages)
    for fact in ("dog", "BEWARE", "woof woof", "I live in Porto."):
        assert fact in told
    assert messages[-1].text.endswith(text)
    assert turn_messages(full, [recalled("I live in Porto.")], style=style) == messages


def test_an_empty_reply_says_nothing() -> None:
    assert turn_messages(Turn("t", "s", "q", "assistant", "", "stopped", "")) == ()
