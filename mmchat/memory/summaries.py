"""Summaries that stand for the older turns of a conversation.

The rows of a conversation, in the order of their numbers, are a stack with a mark in it: the active one is
in force; undoing goes one down, redoing one up, and a new one discards those above the mark, as in an editor.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlite_utils import Database

from mmchat.domain import Summary
from mmchat.errors import UsageError
from mmchat.memory.database import Row
from mmchat.memory.ids import new_id, now_text
from mmchat.memory.text_search import storable
from mmchat.moments import utc_text

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore

_TO_MARK = "(SELECT coalesce(max(number), 0) FROM summaries WHERE session_id = :session AND is_active)"
_BELOW = f"SELECT * FROM summaries WHERE session_id = :session AND number <= {_TO_MARK}"
_IN_FORCE = f"""
{_BELOW} AND EXISTS
    (SELECT 1 FROM turns t WHERE t.id = last_turn_id AND t.session_id = :session AND NOT t.is_retired)
ORDER BY number DESC LIMIT 1
"""
"""Of the summaries up to the mark, the newest whose last turn is in view: a branch may have left it."""


def active_summary(store: MemoryStore, session_id: str) -> Summary | None:
    """The summary in force."""
    with store.file.read() as db:
        found = _in_force(db, session_id)
    return None if found is None else _from_row(found)


def find_summary(store: MemoryStore, summary_id: str) -> Summary | None:
    """A summary, in force or not; None for one that was discarded."""
    found = store.file.rows("SELECT * FROM summaries WHERE id = ?", (summary_id,))
    return _from_row(found[0]) if found else None


def add_summary(
    store: MemoryStore, session_id: str, *, last_turn_id: str, text: str, writer: str, is_edited: bool = False
) -> Summary:
    """Put a summary in force, in the place of the one before."""
    summary_id, now = new_id(), now_text()
    with store.file.write() as db:
        db.execute(
            f"DELETE FROM summaries WHERE session_id = :session AND number > {_TO_MARK}", {"session": session_id}
        )
        db.execute("UPDATE summaries SET is_active = 0 WHERE session_id = ?", [session_id])
        db.execute(
            "INSERT INTO summaries (id, session_id, last_turn_id, text, model, is_active, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, 1, ?, ?)",
            [
                summary_id,
                session_id,
                last_turn_id,
                storable(text),
                storable(writer),
                now,
                _after(now) if is_edited else now,
            ],
        )
    return _get(store, summary_id)


def edit_summary(store: MemoryStore, summary_id: str, text: str) -> Summary:
    """Change the words of a summary.

    Raises:
        UsageError: it was undone and discarded meanwhile.
    """
    now = now_text()
    with store.file.write() as db:
        created = db.execute("SELECT created_at FROM summaries WHERE id = ?", [summary_id]).fetchone()
        if created is None:
            raise UsageError("This summary is gone.", hint="/compact writes a new one.")
        updated_at = now if now > created[0] else _after(created[0])
        db.execute(
            "UPDATE summaries SET text = ?, updated_at = ? WHERE id = ?", [storable(text), updated_at, summary_id]
        )
    return _get(store, summary_id)


def undo_summary(store: MemoryStore, session_id: str) -> Summary | None:
    """Go back to what was in force before; returns it, None where that was none.

    Raises:
        UsageError: none is in force.
    """
    with store.file.write() as db:
        active = _in_force(db, session_id)
        if active is None:
            raise UsageError("No summary is in force, so there is nothing to undo.")
        _move_mark(db, session_id, "number < ? ORDER BY number DESC", active["number"])
    return active_summary(store, session_id)


def redo_summary(store: MemoryStore, session_id: str) -> Summary:
    """Bring back what was undone last.

    Raises:
        UsageError: nothing was undone.
    """
    with store.file.write() as db:
        active = _in_force(db, session_id)
        mark = active["number"] if active else 0
        if not _move_mark(db, session_id, "number > ? ORDER BY number", mark):
            raise UsageError("No summary was undone, so there is none to bring back.")
    restored = active_summary(store, session_id)
    if restored is None:
        raise UsageError("The turns that this summary stood for are gone.", hint="/compact writes a new one.")
    return restored


def copy_summaries(db: Database, source_id: str, fork_id: str, copies: Mapping[str, str]) -> dict[str, str]:
    """Copy into a fork the newest summary, of that in force and those below it, whose turns are all there.

    Returns:
        Its id, with that of its copy.
    """
    below = db.query(f"{_BELOW} ORDER BY number DESC", {"session": source_id})
    active = next((row for row in below if row["last_turn_id"] in copies), None)
    if active is None:
        return {}
    copy_id = new_id()
    db.execute(
        "INSERT INTO summaries (id, session_id, last_turn_id, text, model, is_active, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, 1, ?, ?)",
        [
            copy_id,
            fork_id,
            copies[active["last_turn_id"]],
            active["text"],
            active["model"],
            active["created_at"],
            active["updated_at"],
        ],
    )
    return {active["id"]: copy_id}


def _in_force(db: Database, session_id: str) -> Row | None:
    return next(iter(db.query(_IN_FORCE, {"session": session_id})), None)


def _move_mark(db: Database, session_id: str, where: str, number: int) -> bool:
    db.execute("UPDATE summaries SET is_active = 0 WHERE session_id = ?", [session_id])
    changed = db.execute(
        "UPDATE summaries SET is_active = 1 WHERE number ="
        f" (SELECT number FROM summaries WHERE session_id = ? AND {where} LIMIT 1)",
        [session_id, number],
    )
    return bool(changed.rowcount)


def _get(store: MemoryStore, summary_id: str) -> Summary:
    summary = find_summary(store, summary_id)
    if summary is None:
        raise UsageError("This summary is gone.", hint="/compact writes a new one.")
    return summary


def _from_row(row: Row) -> Summary:
    return Summary(
        id=row["id"],
        session_id=row["session_id"],
        last_turn_id=row["last_turn_id"],
        text=row["text"],
        writer=row["model"],
        created_at=row["created_at"],
        is_edited=row["updated_at"] != row["created_at"],
    )


def _after(iso: str) -> str:
    """The least later time: a summary whose two times differ was edited."""
    moment = datetime.fromisoformat(iso) + timedelta(microseconds=1)
    return utc_text(moment)
