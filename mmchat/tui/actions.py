"""What the slash commands do. Imported with the first command, and screens with the first that needs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mmchat.chat.attachments import find_files, find_missing, kind_of
from mmchat.chat.private import STORED_ONLY
from mmchat.errors import MmchatError, UsageError
from mmchat.tui.docs_actions import DocsActions
from mmchat.tui.drafts import Draft
from mmchat.tui.export_actions import ExportActions
from mmchat.tui.memory_actions import MemoryActions
from mmchat.tui.picture_actions import PictureActions
from mmchat.tui.session_actions import SessionActions
from mmchat.tui.support_actions import SupportActions
from mmchat.tui.text import clean, one_line
from mmchat.tui.voice_actions import VoiceActions
from mmchat.tui.widgets.turns import ErrorView
from mmchat.tui.window_actions import WindowActions

if TYPE_CHECKING:
    from mmchat.chat.session import ChatSession
    from mmchat.domain import Turn


class Actions(
    SessionActions,
    WindowActions,
    MemoryActions,
    DocsActions,
    PictureActions,
    ExportActions,
    SupportActions,
    VoiceActions,
):
    """One method per command, `do_<name>`; each takes the argument."""

    async def run(self, name: str, argument: str, draft: Draft | None) -> None:
        """Carry out a command; an error is shown in the transcript."""
        try:
            if self._chat.session.is_private and name in STORED_ONLY:
                raise UsageError("This conversation is not stored.", hint="/new starts one that is.")
            if draft is not None and name == "better":
                argument = "".join(draft.words.split(maxsplit=1)[1:])  # a folded paste in full
            if name in ("image", "audio", "attach"):
                await self._attach(name, argument, draft)
            elif name in ("recall", "docs"):
                await getattr(self, f"do_{name}")(argument, draft)
            else:
                await getattr(self, f"do_{name}")(argument)
        except MmchatError as error:
            await self._chat.transcript.add(ErrorView(error.message, next_step=error.hint))
            self._chat.transcript.scroll_to_end()

    async def do_help(self, argument: str) -> None:
        """Keys and commands."""
        from mmchat.tui.screens.help import HelpScreen

        self._app.push_screen(HelpScreen(self._app.keys))

    async def do_regen(self, argument: str) -> None:
        """Draw the last reply anew."""
        if self._chat.flow.is_busy:
            self._chat.activity.set_hint("A reply is running. Esc stops it.")
        elif self._chat.turn_count == 0:
            self._chat.activity.set_hint("No message to regenerate.")
        else:
            self._chat.watch_models()
            await self._chat.flow.regenerate()

    async def do_good(self, argument: str) -> None:
        """Mark the last reply as good."""
        self._rate(lambda session: session.ratings.rate("good"))

    async def do_bad(self, argument: str) -> None:
        """Mark the last reply as bad."""
        self._rate(lambda session: session.ratings.rate("bad"))

    async def do_unrate(self, argument: str) -> None:
        """Take the rating back."""
        self._rate(lambda session: session.ratings.unrate())

    async def do_better(self, argument: str) -> None:
        """Keep a better text beside the last reply; without one, open the reply in the box to be mended."""
        await self._chat.transcript.show_end()
        view = self._chat.transcript.last_reply()
        if argument or self._chat.flow.is_busy or view is None or not view.text.strip():
            self._rate(lambda session: session.ratings.improve(argument))
            return
        begun = view.rating.better if view.rating is not None and view.rating.better else view.text.strip()
        if not self._chat.composer.draft.is_empty:
            self._chat.composer.remember(self._chat.composer.draft)
        self._chat.composer.draft = Draft(f"/better {clean(begun)}")
        self._chat.composer.focus()
        hint = "Mend the words; Enter keeps them as the better reply."
        self._chat.activity.set_hint(hint, about=self._chat.composer.text)

    def _rate(self, change: Callable[[ChatSession], Turn]) -> None:
        if self._chat.flow.is_busy:
            self._chat.activity.set_hint("A reply is running. Rate it when it has ended.")
            return
        try:
            reply = change(self._chat.session)
        except UsageError as error:  # nothing to rate, or no way to: an answer, no failure
            self._chat.activity.set_hint(f"{error.message} {error.hint}".rstrip())
            return
        self._chat.transcript.show_rating(reply)
        if reply.rating is None:
            self._chat.activity.set_hint("The reply is not rated any more.")
        else:
            self._chat.activity.set_hint("Kept for finetuning: mmchat sessions export --rated")

    async def do_stop(self, argument: str) -> None:
        """Stop the reply."""
        if not await self._chat.stop_reply():
            self._chat.activity.set_hint("No reply is running.")

    async def do_model(self, argument: str) -> None:
        """Show the models, or switch."""
        models = self._app.desk.language_models()
        if not argument:
            current = self._chat.status.standing.model
            lines = ["Language models (/model NAME switches):"]
            for model in models:
                mark = "●" if model.name == current else " "
                here = "" if model.is_installed else "  not on this machine yet"
                lines.append(f" {mark} {model.name}  {model.description}{here}".rstrip())
            await self._chat.say("\n".join(lines))
            return
        self._app.desk.use_language_model(argument)
        self._chat.status.set(model=argument, engine="", device="", window=None, tokens_per_s=0.0)
        self._chat.watch_models()
        self._chat.activity.set_hint(f"The next reply comes from {one_line(argument)}.")
        if self._chat.turn_count:
            await self._chat.refresh_view()  # it may read more or less than the one before

    async def do_copy(self, argument: str) -> None:
        """Copy the last reply, or all of it."""
        if argument == "all":
            turns = self._chat.session.turns()
            text = "\n\n".join(f"{'You' if turn.role == 'user' else 'Reply'}: {turn.text}" for turn in turns)
            what = "conversation"
        else:
            await self._chat.transcript.show_end()
            view = self._chat.transcript.last_reply()
            text, what = (view.text if view else ""), "last reply"
        if text.strip():
            self._app.copy(clean(text), what)
        else:
            self._chat.activity.set_hint("Nothing to copy yet.")

    async def do_theme(self, argument: str) -> None:
        """Show or switch the colours."""
        names = sorted(self._app.available_themes)
        if argument in names:
            self._app.choose_theme(argument)
        elif argument in ("light", "dark"):
            self._app.choose_theme(f"mmchat-{argument}")
        elif argument:
            raise UsageError(f"No theme is called '{argument}'.", hint=f"There are {', '.join(names)}.")
        else:
            await self._chat.say(f"Colours now: {self._app.theme}. /theme NAME switches to one of {', '.join(names)}.")

    async def do_quit(self, argument: str) -> None:
        """Leave."""
        self._app.exit()

    async def _attach(self, name: str, argument: str, draft: Draft | None) -> None:
        if draft is not None and draft.files:
            # The path was dropped, so it is a chip already.
            self._chat.composer.draft = Draft(" ".join(chip.label for chip in draft.chips) + " ", draft.chips)
            return
        if not argument:
            from mmchat.tui.screens.dialogs import AttachScreen

            argument = await self._app.push_screen_wait(AttachScreen())
            if not argument:
                return
        found = find_files(argument, cwd=Path.cwd())
        path = Path(argument).expanduser()
        if not found and path.is_file() and (kind := kind_of(path)):
            self._chat.composer.attach(path.absolute(), kind)
            return
        if not found:
            problems = find_missing(argument, cwd=Path.cwd())
            raise UsageError(
                clean(str(problems[0])) if problems else f"No such file: {one_line(argument)}",
                hint="Type /attach for a prompt that completes paths.",
            )
        for file in found:
            self._chat.composer.attach(file.path, file.kind)
