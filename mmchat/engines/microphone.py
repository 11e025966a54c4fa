"""A microphone through PortAudio: opens with fallbacks, captures in a callback, says what seems wrong.

sounddevice is imported when a recording starts, because it fails at import where PortAudio is missing.
The callback only copies bytes and takes a peak; everything else happens in the caller's thread.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mmchat.engines.audio_io import SAMPLE_RATE_HZ, peak_dbfs
from mmchat.engines.input_devices import choose_device, chosen_source, import_sounddevice, reload_devices
from mmchat.engines.pulse_sources import SOURCE_VARIABLE, PulseSource, SourceWatch, pulse_sources
from mmchat.engines.recording_take import Take
from mmchat.errors import AudioError

State = Literal["idle", "starting", "recording", "stopped", "failed"]

MAX_DURATION_S = 300.0
TAIL_S = 0.4
"""Kept after stop: people press the key on their last syllable."""
WARN_AT = 0.8
_STALL_S = 2.0
_LOST_S = 0.5
_CLOSE_S = 2.0

_DIGITAL_SILENCE = "only digital silence: muted, or this terminal may not listen"

_log = logging.getLogger(__name__)


class Stream(Protocol):
    """What the recorder needs of a sounddevice stream."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LevelReport:
    """What a second of listening found, for `mmchat doctor`."""

    device_name: str
    peak_dbfs: float
    warning: str


class MicrophoneRecorder:
    """Keeps the `Recorder` protocol of `chat.ports`. One recording at a time; `start` begins a new one."""

    def __init__(
        self,
        device: str = "",
        *,
        max_duration_s: float = MAX_DURATION_S,
        tail_s: float = TAIL_S,
        library: Callable[[], Any] = import_sounddevice,
        sources: Callable[[], tuple[PulseSource, ...]] = pulse_sources,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A recorder for the named device.

        Args:
            device: a name or part of one, as `list_input_devices` shows it; empty for the system's choice.
            max_duration_s: the recording stops by itself there, and is kept.
            tail_s: how long `stop` goes on listening.
            library: gives the sounddevice module; tests pass a fake.
            sources: the sound server's own microphones.
            clock: monotonic seconds.
        """
        self._device = device
        self._max_duration_s = max_duration_s
        self._tail_s = tail_s
        self._library = library
        self._sources = sources
        self._clock = clock
        self._lock = Lock()
        self._take = Take(SAMPLE_RATE_HZ, 1, max_duration_s)
        self._stream: Stream | None = None
        self._stream_errors: tuple[type[Exception], ...] = (OSError,)
        self._state: State = "idle"
        self._device_name = device or "default microphone"
        self._watch = SourceWatch()

    @property
    def state(self) -> State:
        """`starting` until sound arrives; `failed` when the device went away, with what was captured kept."""
        if self._state in ("starting", "recording"):
            take = self._take
            if take.is_over.is_set():
                return "stopped" if take.is_full else "failed"
            return "recording" if take.frames else "starting"
        return self._state

    @property
    def elapsed_s(self) -> float:
        """Sound captured so far."""
        return self._take.frames / self._take.rate_hz

    @property
    def peak_dbfs(self) -> float:
        """Peak of the last tenth of a second; -96 for digital silence."""
        return self._take.meter_dbfs()

    @property
    def device_name(self) -> str:
        """The device in use, as the sound server or PortAudio names it."""
        return self._watch.label or self._device_name

    @property
    def warning(self) -> str:
        """What seems wrong, in words; empty when nothing does."""
        take, state = self._take, self.state
        if state == "failed":
            return f"the microphone went away after {self.elapsed_s:.1f} s; what was recorded is kept"
        if self._watch.problem:
            return self._watch.problem
        if take.is_silent():
            return _DIGITAL_SILENCE
        if take.is_full:
            return f"the limit of {_minutes(self._max_duration_s)} was reached; the recording is kept"
        if state in ("starting", "recording") and self._clock() - take.last_s > _STALL_S:
            return "no sound arrives from the microphone: is it in use elsewhere, or switched off?"
        if state != "recording":
            return ""
        if self._clock() - take.first_s - self.elapsed_s > _LOST_S:
            return "some sound was lost: this machine is too busy"
        if self.elapsed_s >= WARN_AT * self._max_duration_s:
            return f"recording stops at {_minutes(self._max_duration_s)}"
        return ""

    def start(self) -> None:
        """Open the microphone. Blocks briefly: call it from a worker.

        Raises:
            AudioError: no PortAudio, no device, no permission; with the fix as its hint.
        """
        with self._lock:
            if self._state in ("starting", "recording"):
                self._close(is_abort=True)
            self._state = "starting"
            try:
                self._stream = self._opened()
            except AudioError:
                self._state = "failed"
                self._take.is_over.set()
                raise

    def sound(self, since: int = 0) -> NDArray[np.float32]:
        """What was captured so far, from sample `since` on. (S,) float32 in [-1, 1], 16 000 Hz."""
        return self._take.sound(since)

    def stop(self) -> NDArray[np.float32]:
        """End the recording, keeping its tail. (S,) float32 in [-1, 1], 16 000 Hz; may be empty."""
        with self._lock:
            if self._stream is not None:
                if self.state == "recording":
                    self._take.is_over.wait(self._tail_s)  # ends at once when the device goes away
                final = "failed" if self.state == "failed" else "stopped"
                self._close(is_abort=final == "failed")
                self._state = "failed" if final == "failed" else "stopped"
            return self._take.sound()

    def cancel(self) -> None:
        """End and discard."""
        with self._lock:
            self._close(is_abort=True)
            self._take = Take(SAMPLE_RATE_HZ, 1, self._max_duration_s)
            self._state = "idle"

    def _opened(self) -> Stream:
        library = self._library()
        self._stream_errors = (library.PortAudioError, OSError)
        sources = self._sources() if self._device else ()
        source = chosen_source(sources, self._device) if self._device else None
        try:
            index, info = choose_device(library, self._device, sources)
        except AudioError:
            # PortAudio's list is as old as the process: look again before saying that nothing is plugged in.
            reload_devices(library)
            index, info = choose_device(library, self._device, sources)
        self._device_name = source.label if source else str(info["name"])
        with _source_named(source.name if source else ""):
            stream = self._started_somehow(library, index, info)
        self._watch = SourceWatch(source.name if source else "")
        self._watch.start()
        return stream

    def _started_somehow(self, library: Any, index: int, info: Any) -> Stream:
        """A running stream at the rate we want, or at the device's own."""
        own_rate_hz = int(info["default_samplerate"]) or SAMPLE_RATE_HZ
        own_channels = max(1, min(2, int(info["max_input_channels"])))
        attempts = dict.fromkeys(((SAMPLE_RATE_HZ, 1), (own_rate_hz, 1), (own_rate_hz, own_channels)))
        problems: list[Exception] = []
        for rate_hz, channels in attempts:
            try:
                return self._started(library, index, rate_hz, channels)
            except (library.PortAudioError, ValueError, OSError) as error:
                _log.info("microphone '%s' at %d Hz, %d channels: %s", self._device_name, rate_hz, channels, error)
                problems.append(error)
        raise AudioError(
            f"The microphone '{self._device_name}' cannot be opened: {problems[-1]}.", hint=_open_hint()
        ) from problems[-1]

    def _started(self, library: Any, index: int, rate_hz: int, channels: int) -> Stream:
        take = Take(rate_hz, channels, self._max_duration_s, clock=self._clock)

        def on_sound(data: Any, frames: int, _time: Any, _status: Any) -> None:
            if take.add(bytes(data), frames):
                raise library.CallbackStop

        stream: Stream = library.RawInputStream(
            samplerate=rate_hz,
            device=index,
            channels=channels,
            dtype="int16",
            callback=on_sound,
            finished_callback=take.is_over.set,
        )
        try:
            stream.start()
        except (library.PortAudioError, OSError):
            stream.close()
            raise
        self._take = take
        return stream

    def _close(self, *, is_abort: bool) -> None:
        """Let the stream go. A sound server that hangs must not take the conversation with it."""
        stream, self._stream = self._stream, None
        self._watch.stop()
        if stream is None:
            return
        thread = Thread(
            target=_let_go, args=(stream, is_abort, self._stream_errors), name="mmchat-mic-close", daemon=True
        )
        thread.start()
        thread.join(_CLOSE_S)
        if thread.is_alive():
            _log.warning("the sound server does not answer; the microphone's stream is left to it")


def level_test(
    device: str = "", *, duration_s: float = 1.0, library: Callable[[], Any] = import_sounddevice
) -> LevelReport:
    """Listen for a second.

    Raises:
        AudioError: the microphone cannot be opened, or gives no sound.
    """
    recorder = MicrophoneRecorder(device, max_duration_s=duration_s, tail_s=0.0, library=library)
    recorder.start()
    take = recorder._take
    take.is_over.wait(duration_s + _STALL_S)
    state = recorder.state
    pcm = recorder.stop()
    if state == "failed" or not take.frames:
        raise AudioError(
            f"The microphone '{recorder.device_name}' was opened, but gives no sound.",
            hint="Check that it is switched on and not used by another program.",
        )
    return LevelReport(recorder.device_name, peak_dbfs(pcm), _DIGITAL_SILENCE if take.is_silent() else "")


@contextmanager
def _source_named(name: str) -> Iterator[None]:
    """Have the sound server give streams that are opened now this source; the default one where `name` is empty."""
    before = os.environ.get(SOURCE_VARIABLE)
    if name:
        os.environ[SOURCE_VARIABLE] = name
    try:
        yield
    finally:
        if name:
            os.environ.pop(SOURCE_VARIABLE)
            os.environ.update({SOURCE_VARIABLE: before} if before is not None else {})


def _let_go(stream: Stream, is_abort: bool, errors: tuple[type[Exception], ...]) -> None:
    try:
        if is_abort:
            stream.abort()
        else:
            stream.stop()
        stream.close()
    except errors as error:
        _log.info("closing the microphone: %s", error)


def _minutes(duration_s: float) -> str:
    if duration_s >= 60:
        return f"{duration_s / 60:.3g} min"
    return f"{duration_s:.3g} s"


def _open_hint() -> str:
    if platform.system() == "Darwin":
        return "Allow your terminal to use the microphone: System Settings > Privacy & Security > Microphone."
    if platform.system() == "Windows":
        return "Allow desktop apps to use the microphone: Settings > Privacy > Microphone."
    return "Close other programs that use it, or choose another device; `mmchat doctor` lists them."
