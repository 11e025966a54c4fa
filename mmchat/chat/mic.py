"""The microphone of a desk: which one, how a recording is watched while it runs, and what is kept of the last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, Literal, Protocol

from mmchat.chat.ports import Recorder
from mmchat.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mmchat.engines.input_devices import InputDevice

Ending = Literal["asked", "paused", "nothing said", "limit", "failed"]
"""Why a recording ends: somebody asked for it, stopped speaking or never began, it is full, or the device went away."""

AUTO_STOP_S = 1.5
"""Thinking pauses of 0.7 s are common when one dictates; 0.8 s cut there and 1.2 s did not."""
MIN_PAUSE_S, MAX_PAUSE_S = 0.5, 10.0
NOTHING_SAID_S = 10.0
HANDS_FREE_NOTHING_SAID_S = 60.0
_LOOK_EVERY_S = 0.1
_STALLED_LOOKS = 100
"""Looks in a row, ten seconds, without any new sound: a hanging server does not say that it is gone."""


def auto_stop_seconds(words: str, current_s: float) -> float:
    """What `/autostop` means: on, off, a number of seconds, or without a word the other than now; 0 for off.

    Raises:
        UsageError: none of these.
    """
    word = words.strip().lower()
    if word == "on" or (not word and not current_s):
        return AUTO_STOP_S
    if word in ("", "off"):
        return 0.0
    number = word.removesuffix("s").strip()
    is_number = number.replace(".", "", 1).isascii() and number.replace(".", "", 1).isdigit()
    if not is_number or not MIN_PAUSE_S <= float(number) <= MAX_PAUSE_S:
        raise UsageError(
            f"'{words.strip()}' is no pause.", hint=f"Say on, off, or {MIN_PAUSE_S:g} to {MAX_PAUSE_S:g} seconds."
        )
    return float(number)


class SpeechWatch(Protocol):
    """Hears when speech begins and stops; `engines.speech_end.SpeechEnd` is one."""

    @property
    def has_speech(self) -> bool: ...

    @property
    def silence_s(self) -> float: ...

    def add(self, pcm: NDArray[np.float32]) -> None: ...


@dataclass(frozen=True, slots=True)
class Device:
    """A microphone that can be chosen."""

    label: str
    """Its name and host API: what is remembered."""
    about: str
    is_default: bool = False
    is_chosen: bool = False


@dataclass(frozen=True, slots=True)
class MicSettings:
    """What the user chose."""

    device: str = ""
    """Empty: the system's default."""
    auto_stop_s: float = 0.0
    """A recording ends after so long a silence; 0: only when it is asked to."""
    has_live_text: bool = True
    """Show words while one speaks."""
    should_keep: bool = True
    """Keep the last recording."""
    recording_path: Path | None = None
    """Where it is kept; None: only in memory, until the program ends."""


def _no_devices() -> tuple[InputDevice, ...]:
    return ()


class Microphone:
    """Opens recorders and watches them. Methods marked slow belong in a worker.

    Args:
        make_recorder: a recorder for a device's name.
        settings: what was chosen.
        list_devices: slow; the devices plugged in now.
        save: keeps a setting: its name and value.
        make_speech_watch: slow at first; hears when speech begins and stops.
    """

    def __init__(
        self,
        make_recorder: Callable[[str], Recorder],
        settings: MicSettings = MicSettings(),
        *,
        list_devices: Callable[[], tuple[InputDevice, ...]] = _no_devices,
        save: Callable[[str, str | float], None] = lambda key, value: None,
        make_speech_watch: Callable[[], SpeechWatch] | None = None,
    ) -> None:
        self._make_recorder = make_recorder
        self._settings = settings
        self._list_devices = list_devices
        self._save = save
        self._make_speech_watch = make_speech_watch
        self._lock = Lock()
        self.device = settings.device
        """The chosen device's label, or part of it; empty for the system's default."""
        self.auto_stop_s = settings.auto_stop_s
        self.has_live_text = settings.has_live_text
        self._in_memory: NDArray[np.float32] | None = None

    # --- which one ------------------------------------------------------------------------------

    def devices(self) -> tuple[Device, ...]:
        """Slow. The microphones plugged in now, the sound server's own first.

        Raises:
            AudioError: PortAudio is missing, or the sound system hangs.
        """
        chosen = self.device.casefold()
        return tuple(
            Device(
                label := f"{device.name}, {device.host_api}",
                f"{device.rate_hz / 1000:.3g} kHz" + (", the system's default" if device.is_default else ""),
                device.is_default,
                bool(chosen) and chosen in (label.casefold(), device.name.casefold()),
            )
            for device in self._list_devices()
        )

    def choose(self, name: str) -> str:
        """Slow. Use the microphone of that name from now on; "default" means the system's.

        Returns:
            The label of the chosen one; empty for the system's default.

        Raises:
            AudioError: the microphones cannot be listed.
            UsageError: none of that name, or several.
        """
        label = "" if name.strip().casefold() == "default" else self._label_of(name.strip())
        self._save("microphone", label)
        self.device = label
        return label

    def _label_of(self, name: str) -> str:
        labels = list(dict.fromkeys(device.label for device in self.devices()))
        wanted = name.casefold()
        exact = [label for label in labels if wanted in (label.casefold(), label.rpartition(", ")[0].casefold())]
        fitting = exact or [label for label in labels if wanted in label.casefold()]
        if not labels:
            raise UsageError("No microphone was found on this machine.", hint="Plug one in; /mic lists them.")
        if not fitting:
            raise UsageError(f"No microphone is called '{name}'.", hint=f"There are: {'; '.join(labels)}.")
        if len(fitting) > 1 and not exact:
            raise UsageError(f"Several microphones are called '{name}'.", hint=f"Which: {'; '.join(fitting)}?")
        return fitting[0]

    # --- recording ------------------------------------------------------------------------------

    def new_recorder(self) -> Recorder:
        """A fresh microphone, not yet open."""
        return self._make_recorder(self.device)

    def set_auto_stop(self, seconds: float) -> None:
        """End recordings after so long a silence from now on; 0: never."""
        self._save("auto_stop_s", seconds)
        self.auto_stop_s = seconds

    def follow(self, recorder: Recorder, over: Event, *, is_hands_free: bool = False) -> Ending:
        """Slow. Watch a running recording until it should end; somebody else ends it then.

        Args:
            recorder: it has been started.
            over: set it when the recording ends for another reason.
            is_hands_free: end it after a silence whatever was chosen, and wait longer for the first word.
        """
        pause_s = self.auto_stop_s or (AUTO_STOP_S if is_hands_free else 0.0)
        patience_s = HANDS_FREE_NOTHING_SAID_S if is_hands_free else NOTHING_SAID_S
        speech = self._make_speech_watch() if pause_s and self._make_speech_watch is not None else None
        heard = stalled = 0
        while not over.wait(_LOOK_EVERY_S):
            if recorder.state in ("failed", "stopped"):
                return "failed" if recorder.state == "failed" else "limit"
            if speech is None:
                continue
            sound = recorder.sound(heard)
            heard += sound.size
            stalled = 0 if sound.size else stalled + 1
            if stalled >= _STALLED_LOOKS:
                return "failed"
            if sound.size:
                speech.add(sound)
            if speech.silence_s >= (pause_s if speech.has_speech else patience_s):
                return "paused" if speech.has_speech else "nothing said"
        return "asked"

    # --- the last recording ---------------------------------------------------------------------

    def keep(self, pcm: NDArray[np.float32], *, is_private: bool = False) -> None:
        """Slow. Keep a recording in the place of the one before; a private one in memory alone.

        Raises:
            AudioError: the disk does not take it; it is kept in memory then.
        """
        path = None if is_private else self._settings.recording_path
        if not self._settings.should_keep:
            return
        with self._lock:
            self._in_memory = pcm
            if path is not None:
                from mmchat.engines.audio_io import write_wav

                write_wav(path, pcm)
                self._in_memory = None

    def last(self) -> NDArray[np.float32]:
        """Slow. The recording made last, also by an earlier run of the program. (S,) float32, 16 000 Hz.

        Raises:
            UsageError: there is none.
            AudioError: its file cannot be read.
        """
        path = self._settings.recording_path
        with self._lock:
            if self._in_memory is not None:
                return self._in_memory
            if self._settings.should_keep and path is not None and path.is_file():
                from mmchat.engines.audio_io import decode_audio

                return decode_audio(path)
        if not self._settings.should_keep:
            raise UsageError("Recordings are not kept.", hint="keep_recording = true in settings.toml keeps the last.")
        raise UsageError("Nothing was recorded yet.", hint="/voice records.")

    def forget_private(self) -> None:
        """A private conversation was left: what it left in memory goes."""
        with self._lock:
            self._in_memory = None
