"""Slash commands about the microphone, speech and speaking back."""

from __future__ import annotations

import asyncio

from mmchat.errors import UsageError
from mmchat.tui.action_base import ActionGroup
from mmchat.tui.text import one_line


class VoiceActions(ActionGroup):
    """`do_<name>` for each; takes the argument."""

    async def do_voice(self, argument: str) -> None:
        """Start or end a recording."""
        self._hint("")
        self._chat.watch_models()
        self._chat.voice.toggle()

    async def do_speak(self, argument: str) -> None:
        """Speak replies, or not; without a word, the other than now."""
        speaker = self._app.desk.speaker
        match argument.strip().lower():
            case "on" | "off" as word:
                should_speak = word == "on"
            case "":
                should_speak = not speaker.is_on
            case _:
                raise UsageError(f"/speak {one_line(argument)}: there is no such thing.", hint="Say on or off.")
        if should_speak:
            await asyncio.to_thread(speaker.turn_on)
            self._hint(f"Replies are spoken by {speaker.program}. Any key stops it; /speak off ends it.")
        else:
            speaker.turn_off()
            self._hint("Replies are not spoken.")
