"""What fed a reply: the turns in view, pins, the summary, notes and files, each with where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmchat.domain import Attachment, PartKind, Passage, Recalled, Summary, Turn
from mmchat.errors import UsageError
from mmchat.memory.summaries import find_summary

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore


NOTHING_KNOWN = "Nothing is known of what this reply was drawn from: it was imported, or broke off."


@dataclass(frozen=True, slots=True)
class Source:
    """One thing that the model was shown."""

    kind: PartKind
    text: str
    """As it was said; what was seen in a file is in `attachment`."""
    role: str = "user"
    session_id: str = ""
    turn_id: str = ""
    """Where to look for it; empty for what stands in no turn."""
    title: str = ""
    """Of its conversation, where that is another one."""
    created_at: str = ""
    score: float | None = None
    attachment: Attachment | None = None
    passage: Passage | None = None
    """Of a document."""
    count: int = 1
    """How many turns it is the first of."""


@dataclass(frozen=True, slots=True)
class Why:
    """A reply, and what it was drawn from."""

    reply: Turn
    sources: tuple[Source, ...]
    summary: Summary | None = None
    question: Turn | None = None
    """What it answers."""
    instructions: str = ""
    """What a role had the model do with that."""


def explain(store: MemoryStore, turns: Sequence[Turn], turn_id: str = "") -> Why:
    """What fed a reply.

    Args:
        store: where everything is kept.
        turns: the conversation, oldest first.
        turn_id: the reply; empty for the last one.

    Raises:
        UsageError: there is no such reply.
    """
    replies = [turn for turn in turns if turn.role == "assistant" and (not turn_id or turn.id == turn_id)]
    if not replies:
        raise UsageError("There is no reply to explain yet." if not turn_id else f"Turn '{turn_id}' is no reply here.")
    reply = replies[-1]
    window = reply.window
    places = {turn.id: index for index, turn in enumerate(turns)}
    question = next((turn for turn in turns if turn.id == reply.parent_id), None)
    sources: list[Source] = []
    summary = None
    if window is not None:
        summary = find_summary(store, window.summary_id) if window.summary_id else None
        if summary is not None:
            sources.append(Source("summary", summary.text, created_at=summary.created_at))
        for pinned in window.pins:
            if pinned in places:
                sources.append(_of_turn("pinned", turns[places[pinned]]))
        kept = turns[places.get(window.first_turn_id or "", len(turns)) : places.get(reply.parent_id or "", 0)]
        if kept:
            sources.append(_of_turn("kept", kept[0], len(kept)))
    here = reply.session_id
    sources += [_of_note(store, note, here) for note in reply.recalled]
    if question is not None:
        for attachment in question.attachments:
            sources.append(
                Source(
                    "senses", attachment.name, "user", here, question.id, "", question.created_at, attachment=attachment
                )
            )
        sources.append(_of_turn("newest", question))
    return Why(reply, tuple(sources), summary, question)


def _of_turn(kind: PartKind, turn: Turn, count: int = 1) -> Source:
    return Source(kind, turn.text, turn.role, turn.session_id, turn.id, created_at=turn.created_at, count=count)


def _of_note(store: MemoryStore, note: Recalled, here: str) -> Source:
    if note.passage is not None:
        return Source("documents", note.text, title=note.passage.source, score=note.score, passage=note.passage)
    title = ""
    if note.session and note.session != here:
        try:
            title = store.get_session(note.session).title or "Untitled"
        except UsageError:  # deleted since the note was read
            title = "a deleted conversation"
    return Source(
        "facts" if note.fact else "recalled",
        note.exchange,
        note.role,
        note.session,
        note.turn,
        title,
        note.created_at,
        None if note.fact else note.score,
        note.attachment,
    )
