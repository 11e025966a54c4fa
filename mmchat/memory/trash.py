"""The trash: deleted conversations, until they are brought back or go for good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mmchat.domain import Session
from mmchat.memory.ids import now_text
from mmchat.memory.statements import blobs_of_session
from mmchat.moments import utc_text

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore

KEPT_DAYS = 30
"""How long the trash keeps a conversation, counted from its deletion."""


def move_to_trash(store: MemoryStore, session_id: str) -> Session:
    """Take a conversation out of lists, search and recall; nothing of it is removed.

    Raises:
        UsageError: no such conversation.
    """
    session = store.get_session(session_id)
    with store.file.write() as db:
        db.execute("UPDATE sessions SET deleted_at = ? WHERE id = ? AND deleted_at IS NULL", [now_text(), session.id])
    return store.get_session(session.id)


def is_in_trash(store: MemoryStore, session_id: str) -> bool:
    """Whether a conversation was deleted, perhaps by another program; False for one that is gone for good."""
    return bool(store.file.rows("SELECT 1 FROM sessions WHERE id = ? AND deleted_at IS NOT NULL", (session_id,)))


def restore(store: MemoryStore, session_id: str) -> Session:
    """Bring a conversation back from the trash, as it was.

    Raises:
        UsageError: no such conversation.
    """
    session = store.get_session(session_id)
    with store.file.write() as db:
        db.execute("UPDATE sessions SET deleted_at = NULL WHERE id = ?", [session.id])
    return store.get_session(session.id)


def purge(store: MemoryStore, older_than_days: float = KEPT_DAYS, *, should_remove: bool = True) -> tuple[Session, ...]:
    """Delete for good what was put into the trash so many days ago.

    Args:
        store: of the conversations.
        older_than_days: 0 empties the trash.
        should_remove: False only tells which conversations it would be.

    Returns:
        The conversations that are gone.
    """
    before = utc_text(datetime.now(UTC) - timedelta(days=older_than_days))
    in_trash = store.list_sessions(shelf="trash", limit=-1)
    due = tuple(each for each in in_trash if each.deleted_at is not None and each.deleted_at <= before)
    if not should_remove:
        return due
    return tuple(each for each in due if delete_for_good(store, each.id, if_in_trash_since=each.deleted_at))


def delete_for_good(store: MemoryStore, session_id: str, *, if_in_trash_since: str | None = None) -> bool:
    """Delete a conversation with its turns, vectors and the files no other turn needs.

    Args:
        store: of the conversations.
        session_id: a whole id.
        if_in_trash_since: only if it still lies in the trash since then; another program may bring it back.

    Returns:
        Whether there was anything to delete.
    """
    with store.file.write() as db:
        candidates = blobs_of_session(db, session_id)
        gone = db.execute(
            "DELETE FROM sessions WHERE id = :id AND (:since IS NULL OR deleted_at = :since)",
            {"id": session_id, "since": if_in_trash_since},
        ).rowcount
    if not gone:
        return False
    # Files go after the commit, under the write lock again: a turn that another process is
    # storing with the same bytes either has its row by now, or copies the file anew afterwards.
    with store.file.write() as db:
        for sha256, file in candidates:
            removed = db.execute(
                "DELETE FROM blobs WHERE sha256 = ? AND NOT EXISTS"
                " (SELECT 1 FROM attachments WHERE attachments.sha256 = blobs.sha256)",
                [sha256],
            )
            if removed.rowcount:
                store.blobs.remove(file)
    return True
