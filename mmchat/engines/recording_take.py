"""The sound of one recording, filled by PortAudio's thread and read by others."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from threading import Event

import numpy as np
from numpy.typing import NDArray

from mmchat.engines.audio_io import SAMPLE_RATE_HZ, SILENT_DBFS, peak_dbfs, resample

METER_S = 0.1
_SILENCE_S = 0.5
_LATER_SILENCE_S = 5.0
"""After some sound: noise suppression and Bluetooth also give exact zeros, between words."""


class Take:
    """The sound of one recording. `add` runs in PortAudio's thread, the rest in the reader's."""

    def __init__(
        self, rate_hz: int, channels: int, max_duration_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rate_hz = rate_hz
        self.frames = 0
        self.silent_frames = 0
        """Frames since the last sample that was not zero."""
        self.is_full = False
        self.is_over = Event()
        """The stream has ended, whoever ended it."""
        self.first_s = self.last_s = clock()
        self._channels = channels
        self._max_frames = int(max_duration_s * rate_hz)
        self._clock = clock
        self._blocks: list[bytes] = []
        self._starts: list[int] = []
        """The first frame of each block."""
        self._peaks: deque[tuple[int, int]] = deque(maxlen=256)

    def add(self, data: bytes, frames: int) -> bool:
        """Keep a block; True when the recording is full."""
        now_s = self._clock()
        if not self.frames:
            self.first_s = now_s - frames / self.rate_hz
        self.last_s = now_s
        room = self._max_frames - self.frames
        if frames > room:
            frames = room
            data = data[: room * self._channels * 2]
        if data:
            samples = np.frombuffer(data, dtype=np.int16)
            peak = max(int(samples.max()), -int(samples.min()))
            self.silent_frames = 0 if peak else self.silent_frames + frames
            self._starts.append(self.frames)
            self._blocks.append(data)
            self.frames += frames
            self._peaks.append((self.frames, peak))
        self.is_full = self.frames >= self._max_frames
        return self.is_full

    def is_silent(self) -> bool:
        """Nothing but zeros for so long that the device must be muted."""
        if self.silent_frames == self.frames:
            return self.frames >= _SILENCE_S * self.rate_hz
        return self.silent_frames >= _LATER_SILENCE_S * self.rate_hz and not self.is_over.is_set()

    def meter_dbfs(self) -> float:
        since = self.frames - METER_S * self.rate_hz
        peak = max((peak for end, peak in tuple(self._peaks) if end > since), default=0)
        return peak_dbfs(np.array([peak / 32768], dtype=np.float32)) if peak else SILENT_DBFS

    def sound(self, since: int = 0) -> NDArray[np.float32]:
        """(S,) float32 in [-1, 1], 16 000 Hz: what was captured from sample `since` on, while it goes on or after."""
        frame = since * self.rate_hz // SAMPLE_RATE_HZ
        first = max(bisect_right(self._starts, frame) - 1, 0)
        blocks = self._blocks[first:]  # a copy: the stream appends meanwhile
        samples = np.frombuffer(b"".join(blocks), dtype=np.int16).astype(np.float32)
        samples /= np.float32(32768)
        if self._channels > 1:
            samples = samples.reshape(-1, self._channels).mean(axis=1, dtype=np.float32)
        begun = self._starts[first] if self._starts else 0
        return resample(samples[max(frame - begun, 0) :], self.rate_hz)
