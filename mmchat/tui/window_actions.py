"""Slash commands on what the model sees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from mmchat.chat.compact import Writer
from mmchat.domain import Passage
from mmchat.errors import UsageError
from mmchat.tui.action_base import BUSY, ActionGroup
from mmchat.tui.text import elide, one_line, plural

if TYPE_CHECKING:
    from mmchat.chat.window import SessionWindow
    from mmchat.domain import Turn

SHOWN = 40
"""Columns of a turn that a hint quotes."""


class WindowActions(ActionGroup):
    """The window, its pins and its summaries."""

    @property
    def _window(self) -> SessionWindow:
        return self._chat.session.window

    async def do_context(self, argument: str) -> None:
        """Show what the model sees now."""
        from mmchat.tui.screens.context import ContextScreen

        self._app.push_screen(ContextScreen(self._chat.session, self._chat.status.standing.window))

    async def do_why(self, argument: str) -> None:
        """Show what fed the last reply."""
        from mmchat.tui.screens.why import WhyScreen

        why = await self._branch(self._window.why)
        if why is None:
            return
        wanted = await self._app.push_screen_wait(WhyScreen(why))
        if isinstance(wanted, Passage):
            from mmchat.tui.screens.passage import PassageScreen

            await self._app.push_screen_wait(PassageScreen(self._app.desk, [wanted]))
        elif wanted is not None:
            self._go_to(wanted.session_id, wanted.turn_id)

    def _go_to(self, session_id: str, turn_id: str) -> None:
        info = self._chat.session.info
        if info is None or session_id != info.id:
            self._chat.open(session_id, turn_id)
        elif self._chat.flow.is_busy:
            self._hint(BUSY)
        else:
            self._chat.reload(turn_id)

    # --- pins -----------------------------------------------------------------------------------

    async def do_pin(self, argument: str) -> None:
        """Keep a turn in view for good."""
        turns = await self._turns()
        turn = await self._turn_meant(argument, turns, "Keep which turn in view?", "pin")
        if turn is not None and await self._changed(lambda: self._window.pin(turn)):
            self._hint(f"Pinned: “{elide(one_line(turn.text), SHOWN)}”. It never drops out of the model's view.")

    async def do_unpin(self, argument: str) -> None:
        """Let a pinned turn drop out of view again."""
        pinned = await self._pinned()
        if not pinned:
            self._hint("No turn is pinned. /pin pins the last one.")
            return
        if not argument and len(pinned) > 1:
            argument = "pick"
        turn = await self._turn_meant(argument, pinned, "Unpin which turn?", "unpin")
        if turn is not None and await self._changed(lambda: self._window.unpin(turn.id)):
            self._hint(f"Not pinned any more: “{elide(one_line(turn.text), SHOWN)}”.")

    async def do_pins(self, argument: str) -> None:
        """List the pinned turns, and go to one."""
        pinned = await self._pinned()
        if not pinned:
            self._hint("No turn is pinned. /pin pins the last one, /pin pick lets you choose.")
            return
        turn = await self._pick(f"{plural(len(pinned), 'pinned turn')}; /unpin takes one off", pinned, "go there")
        if turn is not None:
            self._go_to(turn.session_id, turn.id)

    async def _pinned(self) -> list[Turn]:
        def read() -> list[Turn]:
            pins = set(self._window.pinned())
            return [turn for turn in self._chat.session.turns() if turn.id in pins]

        return await asyncio.to_thread(read)

    async def _turn_meant(
        self, argument: str, turns: list[Turn] | tuple[Turn, ...], question: str, verb: str
    ) -> Turn | None:
        """The last turn, the N-th from the end, or the one that the user picks."""
        word = argument.strip().lower()
        if not turns:
            self._hint("Nothing was said yet.")
            return None
        if word == "pick":
            return await self._pick(question, turns, verb)
        if word and not (word.isdecimal() and 1 <= int(word) <= len(turns)):
            raise UsageError(
                f"'{one_line(argument)}' is no turn here.",
                hint=f"/{verb} 1 is the last, /{verb} {len(turns)} the first; /{verb} pick shows them.",
            )
        return turns[-int(word or 1)]

    async def _changed(self, change: Callable[[], object]) -> bool:
        """Change the window off the interface thread, and show it as it is then."""

        def run() -> bool:
            change()
            return True

        is_done = bool(await self._branch(run))
        if is_done:
            await self._chat.refresh_view()
        return is_done

    # --- summaries ------------------------------------------------------------------------------

    async def do_compact(self, argument: str) -> None:
        """Put a summary in the place of older turns; change it, undo it, bring it back."""
        if self._chat.flow.is_busy:
            self._hint(BUSY)
            return
        compaction = self._chat.session.compaction
        match argument.strip().lower():
            case "undo":
                if await self._changed(compaction.undo):
                    left = await asyncio.to_thread(self._window.summary)
                    what = "the summary before it is in force" if left else "the turns speak for themselves"
                    self._hint(f"Undone: {what} again. /compact redo brings it back.")
            case "redo":
                if await self._changed(compaction.redo):
                    self._hint("The summary is in force again.")
            case "edit":
                await self._edit_summary()
            case "" | "model" | "sentences" as word:
                await self._write_summary("model" if word == "model" else "sentences" if word else None)
            case _:
                raise UsageError(
                    f"/compact {one_line(argument)}: there is no such thing.",
                    hint="/compact writes a summary; edit, undo, redo change it; model or sentences say who writes.",
                )

    async def _write_summary(self, writer: Writer | None) -> None:
        from mmchat.tui.screens.compact import CompactScreen

        session = self._chat.session
        old = await self._branch(session.compaction.old_turns)
        if old is None:
            return
        agreed = await self._app.push_screen_wait(CompactScreen(session, writer or session.compaction.usual_writer))
        if agreed is None:
            self._hint("Nothing was changed.")
            return
        draft, text = agreed.draft, agreed.text
        if draft is not None and await self._changed(lambda: session.compaction.accept(draft, text)):
            self._hint(f"The summary stands for {plural(draft.turn_count, 'turn')}. /compact edit, /compact undo.")

    async def _edit_summary(self) -> None:
        from mmchat.tui.screens.compact import CompactScreen

        session = self._chat.session
        summary = await asyncio.to_thread(self._window.summary)
        if summary is None:
            self._hint("No summary is in force. /compact writes one.")
            return
        agreed = await self._app.push_screen_wait(CompactScreen(session, session.compaction.usual_writer, summary))
        if agreed is not None and await self._changed(lambda: session.compaction.edit(agreed.text)):
            self._hint("Kept. The model reads it so from now on.")
