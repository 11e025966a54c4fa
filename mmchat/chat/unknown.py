"""What is said where the documents do not tell: that it is not known, and what can be had instead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmchat.chat.role_actions import language_spoken
from mmchat.domain import Recalled, Turn
from mmchat.memory.contents import headings
from mmchat.script import is_mostly_chinese

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore
    from mmchat.role_values import Persona

MAX_TOPICS = 3
"""Offered; more is a table of contents."""
MAX_TOPIC_CHARS = 60
"""A longer heading is a sentence."""
UNKNOWN = {
    "en": "I am sorry, I do not know that: my documents do not tell. Shall I pass your question on to a person?",
    "zh": "很抱歉，这个我不知道，我的资料里没有提到。要不要把您的问题转给人工？",
}
"""Where a role has no words of its own for it."""
OFFER = {
    "en": "What I can tell you about: {}.",
    "zh": "我可以告诉您的有：{}。",
}


def unknown_reply(
    store: MemoryStore, persona: Persona | None, question: Turn, shelves: Sequence[str], near: Sequence[Recalled]
) -> str:
    """That it is not known, what the documents do tell of, and that the question can be passed on.

    Args:
        store: where the documents are.
        persona: who says it.
        question: the message.
        shelves: whose documents.
        near: what came nearest to the question, best first.
    """
    language = language_spoken(persona, (question,))
    own = persona.role.text(language).unknown if persona is not None else ""
    if own:
        return own  # it says itself what it can do
    language = language if language in UNKNOWN else "en"
    said = UNKNOWN[language]
    topics = _topics(store, shelves, near, is_chinese=language == "zh")
    if not topics:
        return said
    is_chinese = language == "zh"
    offer = OFFER[language].format(("、" if is_chinese else ", ").join(topics))
    return f"{said}{offer}" if is_chinese else f"{said} {offer}"


def _topics(
    store: MemoryStore, shelves: Sequence[str], near: Sequence[Recalled], *, is_chinese: bool
) -> tuple[str, ...]:
    """Headings of passages near to a question, in its language; then, of the others, one of each file."""
    found = [_topic(note.passage.heading or Path(note.passage.name).stem) for note in near if note.passage is not None]
    if len(found) < MAX_TOPICS:
        found += [_topic(heading.partition(" › ")[0]) for heading in headings(store, shelves)]
    fitting = [each for each in found if each and is_mostly_chinese(each) == is_chinese]
    return tuple(dict.fromkeys(fitting))[:MAX_TOPICS]


def _topic(heading: str) -> str:
    """The innermost heading, as it can stand in a list."""
    last = " ".join(heading.rpartition(" › ")[2].split()).rstrip(".?!:。？！：")
    return last if len(last) <= MAX_TOPIC_CHARS else ""
