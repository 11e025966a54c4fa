"""Slash commands on conversations: finding, naming, branching, putting away, deleting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from mmchat.chat.library import Shelf
from mmchat.errors import UsageError
from mmchat.tui.action_base import BUSY, ActionGroup
from mmchat.tui.drafts import Draft
from mmchat.tui.text import elide, one_line

if TYPE_CHECKING:
    from mmchat.domain import Session, Turn

NEAR_THE_END = 2
"""A turn among so many at the end is seen without going to it."""


class SessionActions(ActionGroup):
    """What can be done with this conversation and with the others."""

    async def do_new(self, argument: str) -> None:
        """A new conversation; a running reply is stopped and kept."""
        await self._chat.start_new()

    async def do_persona(self, argument: str) -> None:
        """Show the roles, or begin a conversation with one."""
        if not argument:
            roles = await asyncio.to_thread(self._app.desk.roles)
            playing = self._chat.session.persona
            lines = ["Roles (/persona ROLE begins a conversation with one, /persona off with nobody):"]
            for role in roles:
                mark = "●" if playing is not None and playing.role.name == role.name else " "
                lines.append(f" {mark} {role.name}  {role.description} ({' '.join(role.languages)})")
            await self._chat.say("\n".join(lines))
            return
        session = await asyncio.to_thread(self._app.desk.play, argument)
        self._chat.watch_models()
        await self._chat.start_new(session)

    async def do_sessions(self, argument: str) -> None:
        """Choose among the conversations."""
        await self._choose(argument)

    async def do_search(self, argument: str) -> None:
        """Find words in all conversations."""
        await self._choose(argument)

    async def _choose(self, query: str, shelf: Shelf = "listed") -> None:
        from mmchat.tui.screens.sessions import SessionsScreen

        chosen = await self._app.push_screen_wait(SessionsScreen(self._app.desk, self._chat.session, query, shelf))
        if chosen is None:
            return
        info = self._chat.session.info
        is_current = info is not None and chosen.open_id == info.id
        if chosen.gone_current:
            await self._chat.start_new()
        if not chosen.open_id:
            self._chat.show_title()
        elif not is_current or chosen.gone_current:
            self._chat.open(chosen.open_id, chosen.at_turn)
        elif chosen.at_turn and not self._chat.flow.is_busy:
            self._chat.reload(chosen.at_turn)
        else:
            self._chat.show_title()

    async def do_rename(self, argument: str) -> None:
        """Give the conversation a title."""
        from mmchat.tui.screens.dialogs import AskScreen

        info = self._info("Nothing to rename yet: this conversation is empty.")
        if info is None:
            return
        title = argument or await self._app.push_screen_wait(AskScreen("Title of this conversation", info.title))
        if title.strip():
            self._chat.session.rename(one_line(title))
            self._chat.show_title()

    # --- shelves --------------------------------------------------------------------------------

    async def do_tag(self, argument: str) -> None:
        """Add tags, take off those with a minus; without a name, show them."""
        info = self._info("Nothing to tag yet: this conversation is empty.")
        if info is None:
            return
        library, words = self._app.desk.library, argument.split()
        add = [word.removeprefix("+") for word in words if not word.startswith("-")]
        remove = [word[1:] for word in words if word.startswith("-")]
        tagged = await asyncio.to_thread(library.tag, info.id, add, remove)
        shown = ", ".join(one_line(tag) for tag in tagged.tags)
        self._hint(f"Tags: {shown}." if shown else "No tags. /tag NAME adds one.")

    async def do_archive(self, argument: str) -> None:
        """Put the conversation away."""
        info = self._info("Nothing to archive yet: this conversation is empty.")
        if info is not None:
            await asyncio.to_thread(self._app.desk.library.archive, info.id)
            self._hint("Archived: not listed any more, still found. /unarchive undoes it.")

    async def do_unarchive(self, argument: str) -> None:
        """List the conversation again."""
        info = self._info("Nothing to unarchive: this conversation is empty.")
        if info is not None:
            await asyncio.to_thread(self._app.desk.library.archive, info.id, False)
            self._hint("Listed again.")

    async def do_delete(self, argument: str) -> None:
        """Move the conversation to the trash."""
        info = self._info("Nothing to delete: this conversation is empty.")
        if info is None:
            return
        await self._chat.start_new()
        await asyncio.to_thread(self._app.desk.library.delete, info.id)
        self._app.last_deleted = info.id
        title, key = elide(one_line(info.title) or "Untitled", 24), self._app.keys.label("restore")
        self._hint(f"“{title}” is in the trash. {key} or /restore brings it back.")

    async def do_restore(self, argument: str) -> None:
        """Bring back what was deleted last; else show the trash."""
        deleted, self._app.last_deleted = self._app.last_deleted, ""
        if not deleted:
            await self._choose("", "trash")
            return
        await asyncio.to_thread(self._app.desk.library.restore, deleted)
        self._chat.open(deleted)
        self._hint("Brought back from the trash.")

    # --- branches -------------------------------------------------------------------------------

    async def do_variant(self, argument: str) -> None:
        """Show another variant of the last turn that has some, or of a chosen one."""
        word = argument.strip().lower()
        if word == "pick":
            turns = [turn for turn in await self._turns() if turn.variants > 1]
            if not turns:
                self._hint("No message has variants yet. /regen and /edit make them.")
            elif picked := await self._pick("Flip which?", turns, "next variant"):
                await self.flip(picked.id, 1)
        elif word in ("prev", "previous", "-"):
            await self.flip("", -1)
        elif word in ("next", "+"):
            await self.flip("", 1)
        elif word.isdecimal():
            place = int(word)
            await self._flip("", lambda turn_id: self._chat.session.branches.show(turn_id, place))
        elif word:
            raise UsageError(f"'{one_line(argument)}' is no variant.", hint="/variant 2, /variant prev, /variant pick")
        else:
            turn = await asyncio.to_thread(self._chat.session.branches.flippable)
            if turn is None:
                self._hint("No message has variants yet. /regen and /edit make them.")
            else:
                what = "reply" if turn.role == "assistant" else "message"
                self._hint(f"The {what} shown is variant {turn.variant} of {turn.variants}. /variant N shows another.")

    async def flip(self, turn_id: str, step: int) -> None:
        """Show the variant so many further of a turn, or of the last turn that has some."""
        await self._flip(turn_id, lambda wanted: self._chat.session.branches.step(wanted, step))

    async def _flip(self, turn_id: str, show: Callable[[str], Turn]) -> None:
        if self._chat.flow.is_busy:
            self._hint(BUSY)
            return
        if not turn_id:
            last = await asyncio.to_thread(self._chat.session.branches.flippable)
            if last is None:
                self._hint("No message has variants yet. /regen and /edit make them.")
                return
            turn_id = last.id
        shown = await self._branch(lambda: show(turn_id))
        if shown is not None:
            ids = [turn.id for turn in await self._turns()]
            self._chat.reload("" if shown.id in ids[-NEAR_THE_END:] else shown.id)
            self._hint("")

    async def do_edit(self, argument: str) -> None:
        """Open an earlier message in the box."""
        if self._chat.flow.is_busy:
            self._hint(BUSY)
            return
        said = [turn for turn in await self._turns() if turn.role == "user"]
        if not said:
            self._hint("There is no message to edit yet.")
            return
        word = argument.strip().lower()
        if word == "pick":
            turn = await self._pick("Edit which message?", said, "edit")
            if turn is None:
                return
        elif word and not (word.isdecimal() and 1 <= int(word) <= len(said)):
            raise UsageError(
                f"'{one_line(argument)}' is no message of yours.",
                hint=f"/edit 1 is the last, /edit {len(said)} the first; /edit pick shows them.",
            )
        else:
            turn = said[-int(word or 1)]
        if not self._chat.composer.draft.is_empty:
            self._chat.composer.remember(self._chat.composer.draft)
        self._chat.composer.draft = Draft.of_turn(turn)
        self._chat.composer.focus()

    async def do_undo(self, argument: str) -> None:
        """Take the last exchange out of view."""
        if self._chat.flow.is_busy:
            self._hint(BUSY)
            return
        taken = await self._branch(self._chat.session.branches.take_back)
        if taken is not None:
            self._chat.reload()
            self._hint(f"Out of view: “{elide(one_line(taken.text), 30)}”. /redo brings it back.")

    async def do_redo(self, argument: str) -> None:
        """Bring back what was taken out of view last."""
        if self._chat.flow.is_busy:
            self._hint(BUSY)
            return
        if await self._branch(self._chat.session.branches.bring_back) is not None:
            self._chat.reload()
            self._hint("")

    async def do_fork(self, argument: str) -> None:
        """Go on in a copy of the conversation."""
        if self._chat.flow.is_busy:
            self._hint(BUSY)
            return
        at_turn, word = "", argument.strip().lower()
        if word == "pick":
            picked = await self._pick("Copy up to and including which turn?", await self._turns(), "copy up to here")
            if picked is None:
                return
            at_turn = picked.id
        elif word:
            raise UsageError(f"/fork {one_line(argument)}: there is only /fork and /fork pick.")
        fork = await self._branch(lambda: self._chat.session.branches.fork(at_turn))
        if fork is not None:
            self._chat.open(fork.id)
            self._hint(f"This is a copy; {self._app.keys.label('sessions')} finds the original.")

    # --- within ---------------------------------------------------------------------------------

    def _info(self, otherwise: str) -> Session | None:
        info = self._chat.session.info
        if info is None:
            self._hint(otherwise)
        return info
