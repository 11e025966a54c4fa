"""Keeps what stands in the input box, and what waits to be sent, so that it is there again after a crash."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from mmchat.chat.masked import NOTHING, Masking
from mmchat.tui.drafts import Draft, drafts_from_text, drafts_to_text, masked_drafts

if TYPE_CHECKING:
    from textual.timer import Timer

    from mmchat.chat.session import ChatSession
    from mmchat.tui.screens.chat import ChatScreen

log = logging.getLogger(__name__)

SAVE_AFTER_S = 1.0
"""From the first key to saving: the most that a kill takes with it."""
RESTORED = "What you had not sent is back in the box."


class DraftKeeper:
    """Saves the drafts of the conversation on the screen. Private conversations have none that are kept.

    What is masked in a conversation is masked in what is kept of its drafts; the box itself holds what was typed.
    """

    def __init__(self, screen: ChatScreen) -> None:
        self._screen = screen
        self._timer: Timer | None = None
        self._writing = Lock()
        self._count = 0
        self._written: dict[str | None, int] = {}
        self._saved: dict[str | None, str] = {}
        """What is stored, or about to be, by conversation."""
        self._session: ChatSession | None = None
        self._key: str | None = None
        self._masking: Masking = NOTHING
        """That of the conversation whose changes were asked for last."""

    # --- saving ---------------------------------------------------------------------------------

    def touched(self) -> None:
        """The box or the queue changed: save within a second, however fast it goes on changing."""
        if self._timer is None:
            self._timer = self._screen.set_timer(SAVE_AFTER_S, self.save_soon)

    def save_soon(self) -> None:
        """Save now, in a thread: the store may be busy."""
        self._stop_timer()
        if changes := self._changes(self._unsent()):
            write = partial(self._write, changes, self._next(), self._masking)
            self._screen.run_worker(asyncio.to_thread(write), group="draft", exit_on_error=False)

    def save_last(self) -> None:
        """Save before the program ends; the only save on the thread that calls."""
        self._stop_timer()
        self._write(self._changes(self._unsent()), self._next(), self._masking)

    async def leave(self, *, has_box: bool = True) -> None:
        """Another conversation comes on the screen.

        Args:
            has_box: what stands in the box stays behind; otherwise it goes along.
        """
        if self._session is None:
            return
        self._stop_timer()
        changes = self._changes(self._unsent(has_box=has_box))
        if has_box:
            self._screen.composer.clear_draft()
        self._session = None
        await asyncio.to_thread(self._write, changes, self._next(), self._masking)

    def _unsent(self, *, has_box: bool = True) -> list[Draft]:
        """The message that is on its way to the store, those that wait, and the box."""
        flow = self._screen.flow
        under_way = [flow.run.draft] if flow.run is not None and flow.run.draft and flow.run.stored is None else []
        box = [self._screen.composer.unsent] if has_box else []
        return [draft for draft in (*under_way, *flow.queue, *box) if not draft.is_empty]

    def _changes(self, drafts: list[Draft]) -> dict[str | None, str]:
        """What is to be stored where; a conversation that has begun takes over what was kept without it."""
        session = self._session
        if session is None or session.is_private:
            return {}
        self._masking = session.masking
        key = session.info.id if session.info is not None else None
        changes = {key: drafts_to_text(drafts)}
        if key != self._key:
            changes[self._key] = ""
            self._key = key
        changes = {at: content for at, content in changes.items() if self._saved.get(at, "") != content}
        self._saved |= changes
        return changes

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _write(self, changes: dict[str | None, str], number: int, masking: Masking) -> None:
        with self._writing:
            for key, content in changes.items():
                if number > self._written.get(key, 0):  # a thread that was overtaken knows less
                    self._written[key] = number
                    self._screen.desk.drafts.keep(key, masked_drafts(content, masking.words))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    # --- bringing back --------------------------------------------------------------------------

    async def show(self, session: ChatSession) -> None:
        """Put what was left in this conversation back into the box, before what was typed since."""
        if self._session is session:
            return
        self._session = session
        self._key = session.info.id if session.info is not None else None
        if session.is_private:
            return
        kept = await asyncio.to_thread(self._screen.desk.drafts.find, self._key)
        if not kept or self._session is not session:
            return
        self._saved[self._key] = kept
        try:
            drafts = drafts_from_text(kept)
        except (ValueError, KeyError, TypeError):
            log.warning("a draft of another mmchat cannot be read", exc_info=True)
            return
        for draft in reversed(drafts):
            self._screen.restore_draft(draft)
        self._screen.activity.set_hint(RESTORED, about=self._screen.composer.text)
