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
        export = self._chat.session.export
        path = await self._branch(lambda: export.path_for(argument, Path.cwd()))
        if path is None or not await self._may_write(path):
            return
        self._hint("Writing…")
        self._hint(one_line(await asyncio.to_thread(export.write, path)))
