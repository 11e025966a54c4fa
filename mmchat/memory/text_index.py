"""The full-text index as a whole: made anew from the conversations and the passages of documents."""

from __future__ import annotations

from collections.abc import Callable

from sqlite_utils import Database

from mmchat.memory.documents import index_passages
from mmchat.memory.statements import index_title, index_turn

INDEXES = ("turns_fts", "sessions_fts", "passages_fts")
_EVERY = 5_000


def rebuild_index(db: Database, on_progress: Callable[[str], None] = lambda text: None) -> None:
    """Drop the full-text index and write it anew, inside the caller's transaction.

    A reply that is being written has no row in it until it ends.
    """
    for name in INDEXES:
        (sql,) = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", [name]).fetchone()
        db.execute(f"DROP TABLE {name}")
        db.execute(sql)
    fill_index(db, on_progress)


def fill_index(db: Database, on_progress: Callable[[str], None] = lambda text: None) -> None:
    """Write the index of all turns, titles and passages; it is empty before."""
    turns = [row[0] for row in db.execute("SELECT id FROM turns WHERE status <> 'streaming'")]
    for done, turn_id in enumerate(turns):
        if done % _EVERY == 0:
            on_progress(f"indexing {done:,} of {len(turns):,} turns")
        index_turn(db, turn_id)
    for (session_id,) in list(db.execute("SELECT id FROM sessions")):
        index_title(db, session_id)
    for (document_id,) in list(db.execute("SELECT id FROM documents")):
        index_passages(db, document_id)
