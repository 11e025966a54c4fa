"""Has the model read what stands in the input box, so that its reply begins sooner."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from mmchat.errors import MmchatError
from mmchat.tui.threads import in_daemon_thread

if TYPE_CHECKING:
    from textual.timer import Timer

    from mmchat.chat.session import ChatSession
    from mmchat.tui.drafts import Draft
    from mmchat.tui.screens.chat import ChatScreen

log = logging.getLogger(__name__)

PAUSE_S = 0.3
"""So long after the last key the draft is read: about what passes between two words of a slow typist."""
LONGEST_S = 2.0
"""So long after the first key since it was read last, however fast one types: a few words are left to read then."""
_AT_ONCE_S = 0.01


@dataclass(slots=True)
class _Reading:
    """What one thread has the model read."""

    session: ChatSession
    words: str
    """Empty: the conversation alone."""
    cancel: Event = field(default_factory=Event)


class AheadKeeper:
    """Has the conversation read with the first key of a message, and the draft in each pause, or every two seconds.

    One thread at a time. A key ends the reading of a draft, which it makes old; the conversation stays as it is, so
    the reading of it goes on.
    """

    def __init__(self, screen: ChatScreen) -> None:
        self._screen = screen
        self._timer: Timer | None = None
        self._running: _Reading | None = None
        self._next: _Reading | None = None
        self._unread_since: float | None = None
        """When the first key came that is not read."""
        self._begun: ChatSession | None = None
        """The conversation that was read, or is being read, for the message in the box."""

    def touched(self) -> None:
        """The box changed, or a reply has ended."""
        self._stop_timer()
        self._next = None
        screen, running = self._screen, self._running
        if running is not None and (running.words or running.session is not screen.session):
            running.cancel.set()
        draft = screen.composer.draft
        if draft.is_empty:
            self._begun = self._unread_since = None
        if not self._is_readable(draft):
            return
        if self._begun is not screen.session:
            self._begun = screen.session
            self._read(_Reading(screen.session, ""))
        now = time.monotonic()
        self._unread_since = self._unread_since or now
        left_s = self._unread_since + LONGEST_S - now
        self._timer = screen.set_timer(max(_AT_ONCE_S, min(PAUSE_S, left_s)), partial(self._read_draft, draft))

    def stop(self) -> None:
        """Something else wants the model, or the app ends."""
        self._stop_timer()
        self._next = self._begun = self._unread_since = None
        if self._running is not None:
            self._running.cancel.set()

    def _is_readable(self, draft: Draft) -> bool:
        """Whether it is words for the model that go to the end of the conversation, and nothing else is under way.

        Files would have to be looked at first, an edit has another history, and a command is none of the model's.
        """
        screen = self._screen
        is_plain = not (draft.is_empty or draft.files or draft.instead_of or draft.text.lstrip().startswith("/"))
        return is_plain and screen.session.ahead.is_on and not screen.flow.is_busy and screen.voice.state == "off"

    def _read_draft(self, draft: Draft) -> None:
        self._unread_since = None
        draft = draft.with_typed_files(Path.cwd())
        if self._is_readable(draft):
            self._read(_Reading(self._screen.session, draft.words))

    def _read(self, reading: _Reading) -> None:
        self._next = reading
        if self._running is None:
            self._screen.run_worker(self._work(), group="ahead", exit_on_error=False)

    async def _work(self) -> None:
        while self._next is not None:
            self._running, self._next = self._next, None
            try:
                await in_daemon_thread(partial(_read, self._running), "read-ahead")
            finally:
                self._running = None

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None


def _read(reading: _Reading) -> None:
    try:
        reading.session.ahead.read(reading.words, reading.cancel)
    except MmchatError as error:  # the message itself will meet the same, and say so
        log.info("not read ahead: %s", error.message)
