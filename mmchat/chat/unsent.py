"""Drafts that outlive the program: what stands in the input box and was not sent."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mmchat.errors import MmchatError
from mmchat.memory.drafts import find_draft, keep_draft

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore

log = logging.getLogger(__name__)


class UnsentDrafts:
    """One draft of each conversation. Any thread may call. Where nothing can be written, drafts are only not kept."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def keep(self, session_id: str | None, content: str) -> None:
        """Keep a draft, None for a conversation that has not begun; an empty one takes it away."""
        try:
            keep_draft(self._store, session_id, content)
        except MmchatError:
            log.warning("a draft was not kept", exc_info=True)

    def find(self, session_id: str | None) -> str:
        """What was kept, or empty."""
        try:
            return find_draft(self._store, session_id)
        except MmchatError:
            log.warning("drafts cannot be read", exc_info=True)
            return ""
