"""Turns byte counts into `PullProgress`: speed and time left, from the last few seconds."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from mmchat.domain import PullProgress

OnProgress = Callable[[PullProgress], None]
Stage = Literal["waiting", "downloading", "verifying", "unpacking", "preparing", "done"]

_WINDOW_S = 5.0


class Meter:
    """Reports one model's pull. Not shared between threads."""

    def __init__(self, model: str, on_progress: OnProgress | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._model = model
        self._on_progress = on_progress
        self._clock = clock
        self._samples: deque[tuple[float, int]] = deque()
        self._stage: Stage = "waiting"

    def report(self, stage: Stage, done_bytes: int = 0, total_bytes: int = 0, detail: str = "") -> None:
        """Tell where the pull stands."""
        if self._on_progress is None:
            return
        if stage != self._stage:
            self._samples.clear()
            self._stage = stage
        rate = self._rate(done_bytes)
        left_s = (total_bytes - done_bytes) / rate if rate > 0 and total_bytes >= done_bytes > 0 else None
        self._on_progress(PullProgress(self._model, stage, done_bytes, total_bytes, rate, left_s, detail))

    def _rate(self, done_bytes: int) -> float:
        """Bytes per second over the window; 0 until there is something to compare."""
        now = self._clock()
        if self._samples and done_bytes < self._samples[-1][1]:
            self._samples.clear()  # a new file began
        self._samples.append((now, done_bytes))
        while len(self._samples) > 2 and now - self._samples[0][0] > _WINDOW_S:
            self._samples.popleft()
        first_s, first_bytes = self._samples[0]
        return (done_bytes - first_bytes) / (now - first_s) if now > first_s else 0.0


def format_bytes(count: float) -> str:
    """Decimal units, as downloads are counted: `83.3 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")
