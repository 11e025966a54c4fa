"""Slash commands on what was said, shown and heard before, and on kept files."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmchat.chat.attachments import kind_of
from mmchat.chat.citing import last_citing, source_index
from mmchat.errors import MmchatError, UsageError
from mmchat.tui.action_base import ActionGroup
from mmchat.tui.text import one_line

if TYPE_CHECKING:
    from mmchat.domain import Attachment, Passage, Turn
    from mmchat.tui.drafts import Draft


class RecallActions(ActionGroup):
    """Finding turns, and opening the files that came with them."""

    async def do_recall(self, argument: str, draft: Draft | None = None) -> None:
        """Look for earlier turns, in words or with the picture in the box."""
        from mmchat.tui.screens.recall import RecallScreen

        picture = _picture(draft)
        query = "" if picture is not None else argument
        chosen = await self._app.push_screen_wait(RecallScreen(self._app.desk, query, picture))
        if chosen is None:
            return
        info = self._chat.session.info
        if info is None or info.id != chosen.session_id:
            self._chat.open(chosen.session_id, chosen.turn_id)
        elif self._chat.flow.is_busy:
            self._chat.activity.set_hint("A reply is running; then /recall goes there.")
        else:
            self._chat.reload(chosen.turn_id)

    async def do_view(self, argument: str) -> None:
        """Open a picture or sound of this conversation, or one that was recalled in it: the newest, or by its name."""
        files = await self._files()
        wanted = argument.casefold()
        fitting = [each for each in files.values() if wanted in each.name.casefold()]
        if not fitting:
            raise UsageError(
                f"No file here is called '{one_line(argument)}'." if files and argument else "No file came up here.",
                hint="/recall finds files of all conversations.",
            )
        await self._open(fitting[-1])

    async def open_chip(self, attachment_id: str) -> None:
        """Open the file of a chip that was clicked."""
        files = await self._files()
        if attachment_id not in files:
            self._chat.activity.set_hint("That file is not kept any more.")
            return
        try:
            await self._open(files[attachment_id])
        except MmchatError as error:  # no viewer here: an answer, no failure
            self._chat.activity.set_hint(f"{error.message} {error.hint}".rstrip())

    async def do_sources(self, argument: str) -> None:
        """Show the passages that the last reply with any cites, from the first or the N-th on."""
        turns = await self._turns()
        citing = await self._branch(lambda: last_citing(turns))
        if citing is not None:
            at = source_index(citing.turn, argument.strip() or "1")
            await self._show_passages(_passages(citing.turn), at, citing.note)

    async def show_source(self, turn_id: str, at: int) -> None:
        """Show what a reply cites, beginning with one of its passages."""
        turn = next((turn for turn in await self._turns() if turn.id == turn_id), None)
        if turn is not None and at < len(turn.cited):
            await self._show_passages(_passages(turn), at)

    async def _show_passages(self, passages: Sequence[Passage], at: int, note: str = "") -> None:
        from mmchat.tui.screens.passage import PassageScreen

        await self._app.push_screen_wait(PassageScreen(self._app.desk, passages, at, note))

    async def _files(self) -> dict[str, Attachment]:
        """What came with the turns of this conversation, or was recalled in it, oldest first, by id."""
        files: dict[str, Attachment] = {}
        for turn in await asyncio.to_thread(self._chat.session.turns):
            recalled = [note.attachment for note in turn.recalled if note.attachment is not None]
            files |= {each.id: each for each in (*recalled, *turn.attachments)}
        return files

    async def _open(self, attachment: Attachment) -> None:
        await asyncio.to_thread(self._app.desk.finder.open_file, attachment)
        self._chat.activity.set_hint(f"Opened {one_line(attachment.name)}.")


def _passages(turn: Turn) -> list[Passage]:
    return [note.passage for note in turn.cited if note.passage is not None]


def _picture(draft: Draft | None) -> Path | None:
    return next((path for path in draft.files if kind_of(path) == "image"), None) if draft is not None else None
