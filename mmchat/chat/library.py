"""All conversations as the front ends see them: listed, searched, named, tagged, put away, thrown away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmchat.domain import Session, Turn
from mmchat.memory import shelves, trash
from mmchat.memory.previews import preview
from mmchat.memory.shelves import Shelf
from mmchat.memory.trash import KEPT_DAYS
from mmchat.memory.turn_search import SearchHit, search_turns

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore

__all__ = ["KEPT_DAYS", "Library", "SearchHit", "Shelf", "in_words_and_tags"]


class Library:
    """The conversations on their shelves. Any thread may call; ids may be shortened to a unique beginning."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def list(
        self, query: str = "", *, shelf: Shelf = "listed", tags: Sequence[str] = (), limit: int = 200
    ) -> tuple[Session, ...]:
        """Newest first; with a query, those whose title or turns hold all its words; with tags, those that have all."""
        return self._store.list_sessions(limit=limit, query=query, shelf=shelf, tags=tags)

    def search(self, query: str, *, limit: int = 50, each: int | None = None) -> tuple[SearchHit, ...]:
        """Titles and turns that hold all words of a query, the last of which may be unfinished; not in the trash.

        With `each`, at most so many turns of a conversation, and how many more it has.
        """
        return search_turns(self._store, query, limit=limit, each=each)

    def preview(self, session_id: str, around: str = "") -> tuple[Turn, ...]:
        """A few turns of a conversation: its last, or those about one of them."""
        return preview(self._store, session_id, around=around)

    def rename(self, session_id: str, title: str) -> Session:
        """Give a conversation a title of the user's."""
        return self._store.rename_session(session_id, title)

    def delete(self, session_id: str) -> Session:
        """Move a conversation to the trash; `restore` brings it back."""
        return trash.move_to_trash(self._store, session_id)

    def restore(self, session_id: str) -> Session:
        """Bring a conversation back from the trash."""
        return trash.restore(self._store, session_id)

    def delete_for_good(self, session_id: str) -> None:
        """Delete a conversation with its turns and the files no other turn needs. The caller has asked."""
        self._store.delete_session(session_id)

    def archive(self, session_id: str, is_archived: bool = True) -> Session:
        """Put a conversation away, or take it out again."""
        return shelves.set_archived(self._store, session_id, is_archived)

    def tag(self, session_id: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> Session:
        """Give tags to a conversation and take tags from it.

        Raises:
            UsageError: a word cannot be a tag; nothing was changed.
        """
        return shelves.change_tags(self._store, session_id, add, remove)


def in_words_and_tags(text: str) -> tuple[str, tuple[str, ...]]:
    """What was typed to find conversations: the words, and the tags among them (`#work`)."""
    tags = tuple(word[1:] for word in text.split() if word.startswith("#") and len(word) > 1)
    if not tags and "#" not in text:
        return text, ()
    return " ".join(word for word in text.split() if not word.startswith("#")), tags
