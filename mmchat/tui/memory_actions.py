"""Slash commands on what mmchat knows of the user."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmchat.chat.forgetting import UNDO
from mmchat.errors import UsageError
from mmchat.tui.action_base import ActionGroup
from mmchat.tui.text import one_line

if TYPE_CHECKING:
    from mmchat.domain import Fact


class MemoryActions(ActionGroup):
    """Facts, and conversations that leave none."""

    async def do_memory(self, argument: str) -> None:
        """Look through what is remembered."""
        from mmchat.tui.screens.memory import MemoryScreen

        chosen = await self._app.push_screen_wait(MemoryScreen(self._app.desk, argument))
        if chosen is None:
            return
        info = self._chat.session.info
        if info is not None and info.id == chosen.session:
            if not self._chat.flow.is_busy:
                self._chat.reload(chosen.turn)
        else:
            self._chat.open(chosen.session, chosen.turn)

    async def do_remember(self, argument: str) -> None:
        """Remember what the user says outright."""
        if self._chat.session.is_private:
            raise UsageError("Nothing is remembered in a private conversation.", hint="/new leaves it.")
        if not argument.strip():
            raise UsageError("There is nothing to remember.", hint="For example: /remember I'm allergic to peanuts")
        desk = self._app.desk
        fact = await asyncio.to_thread(desk.facts.remember, argument)
        desk.forgetting.learnt((fact,))
        self._chat.activity.set_hint(f"Remembered: {one_line(fact.text)} · /forget takes it back")

    async def do_forget(self, argument: str) -> None:
        """Forget a fact: the one remembered last, or the one that holds the words."""
        forgetting = self._app.desk.forgetting
        if argument.strip().casefold() == UNDO:
            restored = await asyncio.to_thread(forgetting.undo)
            self._chat.activity.set_hint(f"Remembered again: {_named(restored)}")
            return
        meant = await asyncio.to_thread(forgetting.meant, argument)
        if argument and not meant:
            self._chat.activity.set_hint("No fact holds these words. /memory lists them all.")
        elif not meant or (argument and len(meant) > 1):
            await self.do_memory(argument)
        else:
            await asyncio.to_thread(forgetting.forget, meant)
            self._chat.activity.set_hint(f"Forgotten: {_named(meant)} · /forget undo brings it back")

    async def do_private(self, argument: str) -> None:
        """Begin a conversation that leaves nothing behind, or leave it."""
        session = self._chat.session
        if session.is_private:
            await self._chat.start_new()
            if self._chat.session.is_private:
                self._chat.activity.set_hint("With --no-log every conversation is private. This is a new one.")
            else:
                self._chat.activity.set_hint("The private conversation is gone. What you say now is stored.")
            return
        await self._chat.start_private()
        self._chat.activity.set_hint("Private: not stored, not recalled. /private or /new leaves it for good.")


def _named(facts: Sequence[Fact]) -> str:
    return "; ".join(one_line(fact.text) for fact in facts)
