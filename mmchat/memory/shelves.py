"""Where a conversation lies (listed, archived, in the trash), and its tags."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from mmchat.domain import Session
from mmchat.errors import UsageError
from mmchat.memory.ids import now_text
from mmchat.memory.text_search import storable

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore

Shelf = Literal["kept", "listed", "archived", "trash"]
"""`kept` is all that is not in the trash: what is listed and what is archived."""

MAX_TAG_CHARACTERS = 40

ON_SHELF: dict[Shelf, str] = {
    "kept": "s.deleted_at IS NULL",
    "listed": "s.deleted_at IS NULL AND s.archived_at IS NULL",
    "archived": "s.deleted_at IS NULL AND s.archived_at IS NOT NULL",
    "trash": "s.deleted_at IS NOT NULL",
}
"""Conditions on `sessions s`."""
HAS_TAG = "s.id IN (SELECT session_id FROM session_tags WHERE tag = ?)"
TAGS = "(SELECT group_concat(g.tag, char(10)) FROM session_tags g WHERE g.session_id = s.id)"
"""The tags of `sessions s`, one a line."""


def set_archived(store: MemoryStore, session_id: str, is_archived: bool) -> Session:
    """Put a conversation away or take it out again; it is found by search and recall either way.

    Raises:
        UsageError: no such conversation.
    """
    session = store.get_session(session_id)
    if is_archived != (session.archived_at is not None):
        with store.file.write() as db:
            when = now_text() if is_archived else None
            db.execute("UPDATE sessions SET archived_at = ? WHERE id = ?", [when, session.id])
    return store.get_session(session.id)


def change_tags(store: MemoryStore, session_id: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> Session:
    """Give tags to a conversation and take tags from it.

    Raises:
        UsageError: no such conversation, or a tag that cannot be one; nothing was changed.
    """
    session = store.get_session(session_id)
    added, removed = [as_tag(each) for each in add], [as_tag(each) for each in remove]
    with store.file.write() as db:
        for tag in removed:
            db.execute("DELETE FROM session_tags WHERE session_id = ? AND tag = ?", [session.id, tag])
        for tag in added:
            db.execute("INSERT OR IGNORE INTO session_tags (session_id, tag) VALUES (?, ?)", [session.id, tag])
    return store.get_session(session.id)


def as_tag(text: str) -> str:
    """A tag as it is kept: without its #, small letters, single spaces.

    Raises:
        UsageError: nothing is left, or it is too long.
    """
    plain = " ".join(unicodedata.normalize("NFKC", storable(text)).strip().removeprefix("#").split()).casefold()
    plain = "".join(character for character in plain if character.isprintable())
    if not plain or len(plain) > MAX_TAG_CHARACTERS:
        raise UsageError(
            f"'{text.strip()}' cannot be a tag.", hint=f"A tag is one to {MAX_TAG_CHARACTERS} characters: work, 旅行."
        )
    return plain
