"""What people were told of conversations that were handed over to them, kept with the conversation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mmchat.domain import HandOver
from mmchat.memory.ids import new_id, now_text
from mmchat.memory.text_search import storable

if TYPE_CHECKING:
    from sqlite_utils import Database

    from mmchat.memory.database import Row
    from mmchat.memory.store import MemoryStore


def add_hand_over(store: MemoryStore, session_id: str, *, reason: str, text: str) -> HandOver:
    """Keep a summary. It goes with its conversation."""
    made = HandOver(new_id(), session_id, reason, storable(text), now_text())
    with store.file.write() as db:
        insert_hand_over(db, made)
    return made


def keep_hand_over(store: MemoryStore, made: HandOver) -> HandOver:
    """Keep a summary; where the last one of its conversation was for the same reason, in the place of that.

    So a conversation that is looked at and saved three times was handed over once.
    """
    kept = hand_overs(store, made.session_id)
    if not kept or kept[-1].reason != made.reason:
        return add_hand_over(store, made.session_id, reason=made.reason, text=made.text)
    text = storable(made.text)
    if kept[-1].text == text:
        return kept[-1]
    newer = replace(kept[-1], text=text, created_at=now_text())
    with store.file.write() as db:
        db.execute(
            "UPDATE hand_overs SET text = ?, created_at = ? WHERE id = ?", [newer.text, newer.created_at, newer.id]
        )
    return newer


def insert_hand_over(db: Database, made: HandOver) -> None:
    """Write one within the caller's transaction."""
    db.execute(
        "INSERT INTO hand_overs (id, session_id, reason, text, created_at) VALUES (?, ?, ?, ?, ?)",
        [made.id, made.session_id, made.reason, storable(made.text), made.created_at],
    )


def hand_overs(store: MemoryStore, session_id: str) -> tuple[HandOver, ...]:
    """The summaries of a conversation, oldest first."""
    rows = store.file.rows("SELECT * FROM hand_overs WHERE session_id = ? ORDER BY number", (session_id,))
    return tuple(map(_from_row, rows))


def _from_row(row: Row) -> HandOver:
    return HandOver(row["id"], row["session_id"], row["reason"], row["text"], row["created_at"])
