"""Sound out through PortAudio, for programs that make sound but do not play it."""

from __future__ import annotations

from threading import Event
from typing import IO, Any

import av
from av.audio.resampler import AudioResampler

from mmchat.engines.input_devices import import_sounddevice
from mmchat.errors import AudioError, EngineUnavailable

BLOCK_S = 0.05
"""How much is handed over at a time: being told to stop is noticed between two blocks."""


def play(sound: IO[bytes], cancel: Event) -> None:
    """Play a sound on the default device, at the device's own rate; setting `cancel` ends it within a block.

    Args:
        sound: a sound file in any format that PyAV reads.
        cancel: ends it.

    Raises:
        EngineUnavailable: PortAudio is missing, there is no way for sound out, or this is no sound.
    """
    try:
        library = import_sounddevice()
    except AudioError as error:
        raise EngineUnavailable(f"Playing sound needs PortAudio: {error.message}", hint=error.hint) from error
    try:
        rate_hz = int(library.query_devices(kind="output")["default_samplerate"])
        pcm = _decode(sound, rate_hz)
        _write(library, pcm, rate_hz, cancel)
    except (library.PortAudioError, ValueError) as error:  # ValueError: there is no output device
        raise EngineUnavailable(
            f"There is no way for sound out: {error}.", hint="Check the speakers in the system's sound settings."
        ) from error


def _write(library: Any, pcm: bytes, rate_hz: int, cancel: Event) -> None:
    block = 2 * int(BLOCK_S * rate_hz)
    with library.RawOutputStream(rate_hz, channels=1, dtype="int16", latency="high") as stream:
        for start in range(0, len(pcm), block):
            if cancel.is_set():
                stream.abort()  # returns in a millisecond and drops what was handed over
                return
            stream.write(pcm[start : start + block])


def _decode(sound: IO[bytes], rate_hz: int) -> bytes:
    """int16 mono at the given rate."""
    try:
        with av.open(sound, mode="r", metadata_errors="ignore") as box:
            resampler = AudioResampler(format="s16", layout="mono", rate=rate_hz)
            frames = [part for frame in box.decode(audio=0) for part in resampler.resample(frame)]
            frames += resampler.resample(None)
            return b"".join(frame.to_ndarray().tobytes() for frame in frames)
    except (av.FFmpegError, IndexError) as error:
        raise EngineUnavailable("What the program made is no sound that can be played.") from error
