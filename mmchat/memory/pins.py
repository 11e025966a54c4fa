"""Pinned turns: they stay in the model's view however long the conversation grows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sqlite_utils import Database

from mmchat.errors import UsageError
from mmchat.memory.ids import now_text

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore


def pinned_ids(store: MemoryStore, session_id: str) -> tuple[str, ...]:
    """Pinned turns that stand in a conversation, oldest turn first."""
    found = store.file.rows(
        "SELECT p.turn_id FROM pins p JOIN turns t ON t.id = p.turn_id"
        " WHERE t.session_id = ? AND NOT t.is_retired ORDER BY t.position",
        (session_id,),
    )
    return tuple(row["turn_id"] for row in found)


def pin_turn(store: MemoryStore, turn_id: str) -> None:
    """Pin a turn; one that is pinned stays so.

    Raises:
        UsageError: no such turn.
    """
    with store.file.write() as db:
        if db.execute("SELECT 1 FROM turns WHERE id = ?", [turn_id]).fetchone() is None:
            raise UsageError(f"No turn '{turn_id}'.", hint="It may have been deleted with its conversation.")
        db.execute("INSERT OR IGNORE INTO pins (turn_id, created_at) VALUES (?, ?)", [turn_id, now_text()])


def unpin_turn(store: MemoryStore, turn_id: str) -> bool:
    """Take a pin away; False where there was none."""
    with store.file.write() as db:
        return bool(db.execute("DELETE FROM pins WHERE turn_id = ?", [turn_id]).rowcount)


def copy_pins(db: Database, copies: Mapping[str, str]) -> None:
    """Pin the copies of pinned turns. `copies`: the copied turns' ids, each with its copy's."""
    for turn_id, copy_id in copies.items():
        db.execute(
            "INSERT OR IGNORE INTO pins (turn_id, created_at) SELECT ?, created_at FROM pins WHERE turn_id = ?",
            [copy_id, turn_id],
        )
