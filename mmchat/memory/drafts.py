"""What was typed and not sent: one draft of each conversation, and one of a conversation that has not begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmchat.memory.ids import now_text
from mmchat.memory.text_search import storable

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore

_OWN = "(session_id = ? OR (? IS NULL AND session_id IS NULL AND writer = ?))"


def keep_draft(store: MemoryStore, session_id: str | None, content: str) -> None:
    """Put a draft in the place of the one before; an empty one takes it away.

    Args:
        store: where; a conversation that is gone keeps none.
        session_id: whose draft; None for a conversation that has not begun, of which each program has one.
        content: as the interface spells it.

    Raises:
        MemoryStoreError: nothing can be written.
    """
    writer = store.own_writer() if session_id is None else ""
    with store.file.write() as db:
        db.execute(f"DELETE FROM drafts WHERE {_OWN}", [session_id, session_id, writer])
        if content:
            db.execute(
                "INSERT INTO drafts (session_id, writer, content, updated_at) SELECT ?, ?, ?, ?"
                " WHERE ? IS NULL OR EXISTS (SELECT 1 FROM sessions WHERE id = ?)",
                [session_id, writer, storable(content), now_text(), session_id, session_id],
            )


def find_draft(store: MemoryStore, session_id: str | None) -> str:
    """The draft of a conversation, or empty; of one that has not begun, the newest whose program has ended.

    That one is this program's from now on, so that two programs do not both take it.

    Raises:
        MemoryStoreError: nothing can be read.
    """
    if session_id is not None:
        found = store.file.rows("SELECT content FROM drafts WHERE session_id = ?", (session_id,))
        return str(found[0]["content"]) if found else ""
    left = "SELECT number, writer, content FROM drafts WHERE session_id IS NULL ORDER BY updated_at DESC, number DESC"
    if not store.file.rows(left) or store.file.is_read_only:
        return ""
    own = store.own_writer()
    with store.file.write() as db:
        rows = db.execute(left).fetchall()
        free = [row for row in rows if row[1] == own] or [row for row in rows if not store.is_writing(row[1])]
        if not free:
            return ""
        number, _, content = free[0]
        db.execute("UPDATE drafts SET writer = ? WHERE number = ?", [own, number])
    return str(content)
