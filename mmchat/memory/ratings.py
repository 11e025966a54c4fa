"""What the user thinks of replies, whether they still stand in their conversation or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmchat.domain import Rating, Session, Turn
from mmchat.memory.branches import path_to
from mmchat.memory.statements import write_rating
from mmchat.memory.store import MemoryStore


@dataclass(frozen=True, slots=True)
class RatedReply:
    """A reply with a rating, and what it answers."""

    session: Session
    history: tuple[Turn, ...]
    """The conversation up to and including what is answered, oldest first."""
    reply: Turn
    is_variant: bool
    """Whether another reply has taken its place."""


def rate_reply(store: MemoryStore, turn_id: str, rating: Rating | None) -> Turn:
    """Keep a rating in the place of the one before; None takes it back."""
    with store.file.write() as db:
        write_rating(db, turn_id, rating)
    return store.get_turn(turn_id)


def rated_replies(store: MemoryStore, sessions: Sequence[Session]) -> tuple[RatedReply, ...]:
    """All rated replies of these conversations, variants included, in the order in which they were said."""
    ids: dict[str, list[str]] = {}
    for row in store.file.rows(
        "SELECT t.id, t.session_id FROM turns t JOIN ratings r ON r.turn_id = t.id"
        " WHERE t.role = 'assistant' ORDER BY t.position"
    ):
        ids.setdefault(row["session_id"], []).append(row["id"])
    found = []
    for session in sessions:
        if session.id in ids:
            turns = store.turns(session.id)
            standing = {turn.id for turn in turns}
            for turn_id in ids[session.id]:
                reply = store.get_turn(turn_id)
                history = _history(turns, reply) or path_to(store, reply.id)[:-1]
                found.append(RatedReply(session, history, reply, reply.id not in standing))
    return tuple(found)


def _history(turns: Sequence[Turn], reply: Turn) -> tuple[Turn, ...]:
    """Where the question stands in the conversation; empty where it has left it too."""
    ids = [turn.id for turn in turns]
    return tuple(turns[: ids.index(reply.parent_id) + 1]) if reply.parent_id in ids else ()
