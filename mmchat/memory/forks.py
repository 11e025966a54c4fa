"""Copies of conversations up to a turn, to go on from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmchat.domain import Session
from mmchat.errors import UsageError
from mmchat.memory.ids import new_id, now_text
from mmchat.memory.statements import copy_turns, index_title

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore


def fork(store: MemoryStore, session_id: str, at_turn: str | None = None) -> Session:
    """A copy of what is in view of a conversation, with its tags, up to and including a turn.

    Raises:
        UsageError: no such conversation, or the turn is not in view in it.
    """
    source = store.get_session(session_id)
    kept = store.turns(source.id)
    if at_turn is not None:
        ids = [turn.id for turn in kept]
        if at_turn not in ids:
            raise UsageError(
                f"Turn '{at_turn}' is not in conversation {source.id}.",
                hint=f"`mmchat sessions show {source.id} --json` lists its turns.",
            )
        kept = kept[: ids.index(at_turn) + 1]
    fork_id, now = new_id(), now_text()
    with store.file.write() as db:
        db.execute(
            "INSERT INTO sessions (id, title, model, persona, role, memory_scope, forked_from, created_at,"
            " updated_at) SELECT ?, title, model, persona, role, memory_scope, id, ?, ? FROM sessions WHERE id = ?",
            [fork_id, now, now, source.id],
        )
        db.execute(
            "INSERT INTO session_tags (session_id, tag) SELECT ?, tag FROM session_tags WHERE session_id = ?",
            [fork_id, source.id],
        )
        index_title(db, fork_id)
        copy_turns(db, kept, fork_id)
    return store.get_session(fork_id)
