"""Work in the background gives way to replies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Event

_LOOK_EVERY_S = 0.2


class Quiet:
    """Knows whether a reply is being worked on, and lets others wait until none is. Safe from any thread."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._replies = 0

    @contextmanager
    def broken(self) -> Iterator[None]:
        """It is not quiet in here; may be entered from several threads at once."""
        with self._changed:
            self._replies += 1
        try:
            yield
        finally:
            with self._changed:
                self._replies -= 1
                self._changed.notify_all()

    def wait(self, cancel: Event) -> bool:
        """Wait until it is quiet; False when cancelled first."""
        with self._changed:
            while self._replies and not cancel.is_set():
                self._changed.wait(_LOOK_EVERY_S)
        return not cancel.is_set()
