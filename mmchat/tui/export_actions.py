"""The slash command that writes the conversation to a file."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mmchat.tui.action_base import ActionGroup
from mmchat.tui.text import one_line


class ExportActions(ActionGroup):
    """What takes a conversation out of the app."""

    async def do_export(self, argument: str) -> None:
        """Write this conversation to a file, by its ending; one that is there only after a yes."""
        from mmchat.tui.screens.dialogs import ConfirmScreen

        export = self._chat.session.export
        path = await self._branch(lambda: export.path_for(argument, Path.cwd()))
        if path is None:
            return
        if path.exists():
            question = f"Replace {one_line(path.name)}?"
            if not await self._app.push_screen_wait(ConfirmScreen(question, f"It is in {path.parent}.", "Replace")):
                self._hint("Nothing was written.")
                return
        self._hint("Writing…")
        self._hint(one_line(await asyncio.to_thread(export.write, path)))
