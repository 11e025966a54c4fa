"""Work in the background gives way to replies."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Event

from mmchat.errors import MmchatError

log = logging.getLogger(__name__)

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

    def afterwards(self, job: Callable[[], None]) -> None:
        """Do what a reply leaves to be done: here, at once."""
        job()


class Backstage(Quiet):
    """Does what replies leave to be done in a thread of its own, so that the next message need not wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self._jobs: deque[Callable[[], None]] = deque()
        self._is_at_work = False

    def afterwards(self, job: Callable[[], None]) -> None:
        """Do it once it is quiet, in order; what goes wrong is logged."""
        with self._changed:
            self._jobs.append(job)
            if self._is_at_work:
                return
            self._is_at_work = True
        # Leaving the program does not wait for it but in `finish`.
        threading.Thread(target=self._work, name="after-replies", daemon=True).start()

    def finish(self, timeout_s: float) -> bool:
        """Wait until all is done, unless a reply holds it up; False where something is left undone."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._is_at_work or self._replies > 0, timeout_s) and (
                not self._is_at_work
            )

    def _work(self) -> None:
        never = Event()
        while True:
            self.wait(never)
            with self._changed:
                if not self._jobs:
                    self._is_at_work = False
                    self._changed.notify_all()
                    return
                job = self._jobs.popleft()
            try:
                job()
            except MmchatError:
                log.warning("left undone after a reply", exc_info=True)
