"""Slash commands about the microphone, speech and speaking back."""

from __future__ import annotations

from mmchat.tui.action_base import ActionGroup


class VoiceActions(ActionGroup):
    """`do_<name>` for each; takes the argument."""

    async def do_voice(self, argument: str) -> None:
        """Start or end a recording."""
        self._hint("")
        self._chat.watch_models()
        self._chat.voice.toggle()
