"""Ends of replies that could not be stored when they came, e.g. on a full disk: kept here and tried again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock

from mmchat.errors import MemoryStoreError

log = logging.getLogger(__name__)


class LateEnds:
    """What is still to be stored, by reply. It is tried again with the next message and when the store is closed."""

    def __init__(self) -> None:
        self._acts: dict[str, Callable[[], object]] = {}
        self._lock = Lock()

    def remember(self, turn_id: str, act: Callable[[], object]) -> None:
        """Keep an act for later."""
        with self._lock:
            self._acts[turn_id] = act

    def retry(self) -> None:
        """Store what can be stored now; the rest is kept."""
        with self._lock:
            waiting = dict(self._acts)
        for turn_id, act in waiting.items():
            try:
                act()
            except MemoryStoreError as error:
                if error.__cause__ is not None:
                    continue
                log.warning("the end of a reply is lost: %s", error.message)
            with self._lock:
                self._acts.pop(turn_id, None)
