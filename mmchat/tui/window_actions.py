"""Slash commands on what the model sees."""

from __future__ import annotations

from mmchat.tui.action_base import ActionGroup


class WindowActions(ActionGroup):
    """The window, its pins and its summaries."""

    async def do_context(self, argument: str) -> None:
        """Show what the model was shown."""
        from mmchat.tui.screens.context import ContextScreen

        flow = self._chat.flow
        if flow.last_prompt is None and flow.last_reply is None:
            self._chat.activity.set_hint("The model was shown nothing yet.")
        else:
            self._app.push_screen(ContextScreen(flow.last_prompt, flow.last_reply))
