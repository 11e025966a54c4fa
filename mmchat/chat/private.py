"""Conversations that are neither kept nor recalled, and from which nothing is learnt."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore

STORED_ONLY = frozenset(("fork", "tag", "archive", "unarchive", "delete"))
"""Commands that mean nothing in a private conversation."""


class PrivateStore(Protocol):
    """A store that goes when it is left; `memory.temporary.TemporaryStore` is one."""

    store: MemoryStore

    def discard(self) -> None:
        """Remove all that was in it, while a reply that was stopped may still hold it open."""
        ...

    def close(self) -> None:
        """Close it; nobody uses it any more."""
        ...


class PrivateRoom:
    """At most one private conversation at a time. Safe from any thread."""

    def __init__(self, make_store: Callable[[], PrivateStore]) -> None:
        self._make_store = make_store
        self._current: PrivateStore | None = None
        self._left: list[PrivateStore] = []
        """Discarded, but not closed: the thread of a stopped reply may be in the middle of a statement."""
        self._lock = Lock()

    def enter(self) -> MemoryStore:
        """An empty store for a conversation; what was said in the one before is gone. Raises MemoryStoreError."""
        self.leave()
        with self._lock:
            self._current = self._make_store()
            return self._current.store

    def leave(self) -> None:
        """Remove what was said; harmless where nothing was."""
        with self._lock:
            current, self._current = self._current, None
            if current is not None:
                current.discard()
                self._left.append(current)

    def close(self) -> None:
        """Leave, and close what was left: the program ends, and no reply is being written."""
        self.leave()
        with self._lock:
            left, self._left = self._left, []
        for each in left:
            each.close()
