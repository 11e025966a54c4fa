"""The slash commands on handing over to a person."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from mmchat.chat.hand_over import write_summary
from mmchat.tui.action_base import ActionGroup
from mmchat.tui.text import clean, one_line

if TYPE_CHECKING:
    from mmchat.domain import HandOver


class SupportActions(ActionGroup):
    """A conversation for the person who takes it over."""

    async def do_handover(self, argument: str) -> None:
        """Sum the conversation up, show it, and copy or save it."""
        from mmchat.tui.screens.hand_over import HandOverScreen

        if self._chat.flow.is_busy:
            self._chat.flow.wait(f"/handover {argument}".rstrip())
            return
        made = await self._branch(self._chat.session.hand_over.prepare)
        if made is None:
            return
        if argument:
            await self._save_hand_over(made, argument)
            return
        match await self._app.push_screen_wait(HandOverScreen(made)):
            case "copy":
                self._app.copy(clean(made.text), "summary")
                await self._branch(lambda: self._chat.session.hand_over.keep(made))
            case "save":
                await self._save_hand_over(made, "")

    async def _save_hand_over(self, made: HandOver, argument: str) -> None:
        path = await self._branch(lambda: self._chat.session.hand_over.path_for(argument, Path.cwd()))
        if path is None or not await self._may_write(path):
            return
        await asyncio.to_thread(write_summary, made.text, path)
        await self._branch(lambda: self._chat.session.hand_over.keep(made))
        self._hint(one_line(f"The summary was written to {path}."))
