"""Slash commands about pictures."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from mmchat.chat.attachments import kind_of
from mmchat.errors import MmchatError, UsageError
from mmchat.tui.picture_cells import PreviewChoice
from mmchat.tui.recall_actions import RecallActions
from mmchat.tui.text import one_line
from mmchat.tui.widgets.pictures import Shown, shown_pictures


class PictureActions(RecallActions):
    """`do_<name>` for each; takes the argument."""

    async def do_pictures(self, argument: str) -> None:
        """Look at the pictures in the box, or else at those of this conversation, the newest first."""
        from mmchat.tui.screens.pictures import PicturesScreen

        drafted = [Shown(path, one_line(path.name)) for path in self._chat.composer.draft.files if _is_picture(path)]
        pictures = drafted or shown_pictures(tuple(reversed((await self._files()).values())))
        wanted = argument.casefold()
        at = next((index for index, each in enumerate(pictures) if wanted in each.name.casefold()), None)
        if at is None:
            raise UsageError(
                f"No picture here is called '{one_line(argument)}'." if pictures else "There is no picture here yet.",
                hint="Drop one in, or /paste one; /recall finds those of all conversations.",
            )
        self._app.push_screen(PicturesScreen(pictures, at))

    async def do_previews(self, argument: str) -> None:
        """Show pictures in the conversation, or not; without a word, the other than now."""
        choices: tuple[PreviewChoice, ...] = get_args(PreviewChoice)
        word = argument.strip().lower() or ("auto" if self._app.previews == "off" else "off")
        chosen = next((each for each in choices if each == word), None)
        if chosen is None:
            raise UsageError(
                f"/previews {one_line(argument)}: there is no such thing.", hint="Say auto, blocks or off."
            )
        self._app.choose_previews(chosen)
        how = {"auto": "as well as this terminal can show them", "blocks": "with half blocks", "off": ""}[chosen]
        self._hint(f"Pictures are shown {how}." if how else "Pictures are not shown; /pictures looks at them.")

    async def do_paste(self, argument: str) -> None:
        """Attach the picture on the clipboard; with "or text", paste the text that was copied here if there is none."""
        try:
            self._chat.composer.attach(await self._app.pasted_picture(), "image")
        except MmchatError as error:  # nothing to paste, or no way to: an answer, no failure
            if argument != "or text" or not self._chat.composer.paste_text():
                self._hint(f"{error.message} {error.hint}".rstrip())


def _is_picture(path: Path) -> bool:
    return kind_of(path) == "image"
