"""Slash commands on conversations: finding, naming, branching, deleting."""

from __future__ import annotations

from mmchat.tui.action_base import ActionGroup
from mmchat.tui.text import one_line, plural


class SessionActions(ActionGroup):
    """What can be done with this conversation and with the others."""

    async def do_new(self, argument: str) -> None:
        """A new conversation; a running reply is stopped and kept."""
        await self._chat.start_new()

    async def do_sessions(self, argument: str) -> None:
        """Choose among the conversations."""
        from mmchat.tui.screens.sessions import SessionsScreen

        info = self._chat.session.info
        chosen = await self._app.push_screen_wait(SessionsScreen(self._app.desk, self._chat.session, argument))
        if chosen is None:
            return
        if chosen.gone_current:
            await self._chat.start_new()
        if chosen.open_id and (chosen.open_id != (info.id if info else "") or chosen.gone_current):
            self._chat.open(chosen.open_id)
        elif chosen.open_id or chosen.renamed_current:
            self._chat.show_title()

    async def do_rename(self, argument: str) -> None:
        """Give the conversation a title."""
        from mmchat.tui.screens.dialogs import AskScreen

        info = self._chat.session.info
        if info is None:
            self._chat.activity.set_hint("Nothing to rename yet: this conversation is empty.")
            return
        title = argument or await self._app.push_screen_wait(AskScreen("Title of this conversation", info.title))
        if title.strip():
            self._chat.session.rename(one_line(title))
            self._chat.show_title()

    async def do_delete(self, argument: str) -> None:
        """Delete the conversation, once confirmed."""
        from mmchat.tui.screens.dialogs import ConfirmScreen

        info = self._chat.session.info
        if info is None:
            self._chat.activity.set_hint("Nothing to delete: this conversation is empty.")
            return
        question = f"Delete “{one_line(info.title) or 'Untitled'}” with {plural(self._chat.turn_count, 'turn')}?"
        if await self._app.push_screen_wait(ConfirmScreen(question, "It cannot be brought back.", "Delete")):
            await self._chat.start_new()
            self._app.desk.delete_session(info.id)
            self._chat.activity.set_hint("Deleted.")
