"""A turn that another variant took the place of."""

from __future__ import annotations

from mmchat.memory import tree
from mmchat.memory.store import MemoryStore


def retire(store: MemoryStore, turn_id: str) -> None:
    """Take a turn out of view with what hangs on it, as a new variant in its place does."""
    with store.file.write() as db:
        tree.retire(db, turn_id)
