"""A few turns of a conversation, to see what it is about before it is opened."""

from __future__ import annotations

from mmchat.domain import Turn
from mmchat.memory.store import MemoryStore

_IN_VIEW = "SELECT id FROM turns WHERE session_id = ? AND NOT is_retired"


def preview(store: MemoryStore, session_id: str, *, around: str = "", count: int = 12) -> tuple[Turn, ...]:
    """The last turns in view, or those about one of them, oldest first; quick for a conversation of any length.

    Args:
        store: of the conversations.
        session_id: a whole id.
        around: a turn in the middle; the end for one that is not there.
        count: how many turns at most.
    """
    found = store.file.rows("SELECT position FROM turns WHERE id = ? AND session_id = ?", (around, session_id))
    if not found:
        rows = store.file.rows(f"{_IN_VIEW} ORDER BY position DESC LIMIT ?", (session_id, count))
    else:
        at = found[0]["position"]
        # From the turn on first: it must not be crowded out by what came before.
        rows = [
            *store.file.rows(f"{_IN_VIEW} AND position < ? ORDER BY position DESC LIMIT 2", (session_id, at)),
            *store.file.rows(f"{_IN_VIEW} AND position >= ? ORDER BY position LIMIT ?", (session_id, at, count - 2)),
        ]
    return store.turns_with_ids([row["id"] for row in rows])
