"""Naming a conversation."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmchat.chat.title import make_title
from mmchat.domain import Attachment, Heard, Seen, Tag, Turn


def turn(text: str, *attachments: Attachment) -> Turn:
    return Turn("t", "s", None, "user", text, "complete", "", attachments=attachments)


def attachment(**senses: Heard | Seen) -> Attachment:
    kind = "audio" if "heard" in senses else "image"
    return Attachment("a", "t", kind, "IMG_1.jpg", "", "", 0, Path(), **senses)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("How do I prune a tree? It is old.", "How do I prune a tree?"),
        ("Hello! What is the capital of Italy?", "Hello! What is the capital of Italy?"),
        ("Hi.", "Hi."),
        ("one\n\n  two   three four five", "one two three four five"),
        ("今天天气怎么样？我想去公园。", "今天天气怎么样？"),
        ("word " * 30, "word word word word word word word word word…"),
        ("字" * 30, "字" * 24 + "…"),
    ],
)
def test_words(said: str, title: str) -> None:
    assert make_title(turn(said)) == title


def test_what_was_heard_then_seen_then_the_file_name() -> None:
    heard = attachment(heard=Heard("Please book a table for two.", "en", 2.0))
    seen = attachment(seen=Seen((Tag("dog", 0.9), Tag("grass", 0.5), Tag("ball", 0.1))))
    assert make_title(turn("", heard)) == "Please book a table for two."
    assert make_title(turn("", seen)) == "Photo: dog, grass"
    assert make_title(turn("", attachment())) == "IMG_1.jpg"
    assert make_title(turn("")) == "Untitled"
