"""Replies whose words are not drawn from the model: an intent's own, a refusal, the documents' own words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmchat.domain import PreparedKind, Recalled, ReplyDelta, ReplyEnded, ReplyStarted, Turn

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore

ENGINE = "role"
"""What stands in the place of an engine's name in such a reply's row."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is said instead of the model, and why."""

    kind: PreparedKind
    text: str
    recalled: tuple[Recalled, ...] = ()
    """What it cites."""


def say_prepared(
    store: MemoryStore, question: Turn, said: Prepared
) -> Iterator[ReplyStarted | ReplyDelta | ReplyEnded]:
    """Store such a reply and tell it, as `chat.reply.stream_reply` does with one that is drawn."""
    row = store.start_reply(question.session_id, parent_id=question.id, model="", engine=ENGINE, text=said.text)
    turn = store.finish_reply(row.id, said.text, status="complete", recalled=said.recalled, prepared=said.kind)
    yield ReplyStarted(turn.id)
    yield ReplyDelta(said.text)
    yield ReplyEnded(turn)
