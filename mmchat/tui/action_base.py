"""What every group of slash commands is given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mmchat.errors import UsageError
from mmchat.tui.text import one_line

if TYPE_CHECKING:
    from mmchat.domain import Turn
    from mmchat.tui.app import MmchatApp
    from mmchat.tui.screens.chat import ChatScreen

T = TypeVar("T")

BUSY = "A reply is running. Esc stops it; then try again."


class ActionGroup:
    """Commands that belong together, one method each: `do_<name>`, which takes the argument."""

    def __init__(self, app: MmchatApp, chat: ChatScreen) -> None:
        self._app = app
        self._chat = chat

    async def _branch(self, change: Callable[[], T]) -> T | None:
        """Carry out a change off the interface thread; what cannot be done is a sentence, no failure."""
        try:
            return await asyncio.to_thread(change)
        except UsageError as error:
            self._hint(f"{error.message} {error.hint}".rstrip())
            return None

    async def _may_write(self, path: Path) -> bool:
        """Whether a file may be written; one that is there only after a yes."""
        from mmchat.tui.screens.dialogs import ConfirmScreen

        if not path.exists():
            return True
        question = f"Replace {one_line(path.name)}?"
        if await self._app.push_screen_wait(ConfirmScreen(question, f"It is in {path.parent}.", "Replace")):
            return True
        self._hint("Nothing was written.")
        return False

    async def _turns(self) -> tuple[Turn, ...]:
        return await asyncio.to_thread(self._chat.session.turns)

    async def _pick(self, question: str, turns: list[Turn] | tuple[Turn, ...], verb: str) -> Turn | None:
        from mmchat.tui.screens.pick import PickTurnScreen

        picked = await self._app.push_screen_wait(PickTurnScreen(question, turns, verb))
        return next((turn for turn in turns if turn.id == picked), None)

    def _hint(self, text: str) -> None:
        self._chat.activity.set_hint(text)
