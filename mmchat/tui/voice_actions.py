"""Slash commands about the microphone, speech and speaking back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmchat.chat.listening import language_words
from mmchat.chat.mic import auto_stop_seconds
from mmchat.errors import UsageError
from mmchat.speech_languages import name_of
from mmchat.tui.action_base import ActionGroup
from mmchat.tui.text import clean, one_line

if TYPE_CHECKING:
    from mmchat.chat.mic import Device

DEFAULT_DEVICE = "the system's default microphone"
NO_MICROPHONE = "Plug one in; over SSH it is on the other machine, and a sound file can be attached instead."


class VoiceActions(ActionGroup):
    """`do_<name>` for each; takes the argument."""

    async def do_voice(self, argument: str) -> None:
        """Start or end a recording."""
        self._hint("")
        self._chat.watch_models()
        self._chat.voice.toggle()

    async def do_handsfree(self, argument: str) -> None:
        """Listen by itself from now on, or not any more."""
        hands_free = self._chat.hands_free
        if _is_wanted("handsfree", argument, is_on=hands_free.is_on):
            self._hint("")
            hands_free.begin()
        else:
            hands_free.leave("Hands-free is over.")

    async def do_retranscribe(self, argument: str) -> None:
        """Turn the last recording into words with the chosen model, or with another one."""
        if self._chat.voice.state != "off" or self._chat.hands_free.is_on:
            self._hint("The microphone is in use. Esc cancels; then try again.")
            return
        self._hint("")
        self._chat.watch_models()
        self._chat.voice.retranscribe(argument.strip())

    async def do_mic(self, argument: str) -> None:
        """List the microphones plugged in now, or choose one."""
        mic = self._app.desk.mic
        name = argument.strip()
        if not name or name.lower() == "pick":
            self._hint("Looking for microphones…")
            devices = await asyncio.to_thread(mic.devices)
            self._hint("")
            if not devices:
                raise UsageError("No microphone was found on this machine.", hint=NO_MICROPHONE)
            if not name:
                await self._chat.say(_device_list(devices, mic.device))
                return
            name = await self._pick_device(devices, mic.device)
            if not name:
                return
        label = await asyncio.to_thread(mic.choose, name)
        self._hint(f"Recordings come from {one_line(label) or DEFAULT_DEVICE} from now on.")

    async def _pick_device(self, devices: Sequence[Device], chosen: str) -> str:
        from mmchat.tui.screens.choose import ChooseScreen

        lines = [(DEFAULT_DEVICE, "")] + [(device.label, device.about) for device in devices]
        current = next((at for at, device in enumerate(devices, 1) if device.is_chosen), 0 if not chosen else -1)
        at = await self._app.push_screen_wait(ChooseScreen("Which microphone?", lines, current))
        return "" if at is None else "default" if at == 0 else devices[at - 1].label

    async def do_language(self, argument: str) -> None:
        """Say which language is heard in this conversation, or choose it."""
        listening = self._chat.session.listening
        if argument:
            chosen = listening.choose(argument)
            told = f"This conversation is heard as {name_of(chosen)}." if chosen else "What you speak is detected."
            self._hint(told)
        else:
            self._hint(language_words(listening))

    async def do_autostop(self, argument: str) -> None:
        """End recordings after a pause, or only when they are ended."""
        mic = self._app.desk.mic
        seconds = auto_stop_seconds(argument, mic.auto_stop_s)
        await asyncio.to_thread(mic.set_auto_stop, seconds)
        pause = f"A recording ends by itself {seconds:g} s after you stop speaking."
        self._hint(pause if seconds else "A recording ends when you end it.")

    async def do_speak(self, argument: str) -> None:
        """Speak replies, or not; without a word, the other than now."""
        speaker = self._app.desk.speaker
        if _is_wanted("speak", argument, is_on=speaker.is_on):
            await asyncio.to_thread(speaker.turn_on)
            self._hint(f"Replies are spoken by {speaker.program}. Any key stops it; /speak off ends it.")
        else:
            speaker.turn_off()
            self._hint("Replies are not spoken.")


def _is_wanted(command: str, argument: str, *, is_on: bool) -> bool:
    """What a switch is set to: on, off, or without a word the other than now."""
    word = argument.strip().lower()
    if word not in ("", "on", "off"):
        raise UsageError(f"/{command} {one_line(argument)}: there is no such thing.", hint="Say on or off.")
    return word == "on" or (not word and not is_on)


def _device_list(devices: Sequence[Device], chosen: str) -> str:
    lines = ["Microphones plugged in now (/mic NAME or /mic pick switches, /mic default goes back):"]
    lines.append(f" {'●' if not chosen else ' '} {DEFAULT_DEVICE}")
    lines += [f" {'●' if device.is_chosen else ' '} {clean(device.label)}  {device.about}" for device in devices]
    if chosen and not any(device.is_chosen for device in devices):
        lines.append(f"Chosen is {clean(chosen)}, which is not among them.")
    return "\n".join(lines)
