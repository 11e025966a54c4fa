"""How much of an evaluation is done, and how long the rest will take, from what was measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmchat.domain import ModelKind


@dataclass(slots=True)
class _Stretch:
    """One piece of work: a model over a file."""

    kind: ModelKind
    total: int
    done: int = 0
    asked: int = 0
    """Of `done`, those of this process; the others are of an earlier one."""
    elapsed_s: float = 0.0


class Pace:
    """Counts samples and seconds, work by work.

    Args:
        works: name, kind of model, samples of each.
        clock: seconds.
    """

    def __init__(
        self, works: Sequence[tuple[str, ModelKind, int]], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._clock = clock
        self._stretches = {name: _Stretch(kind, total) for name, kind, total in works}
        self._since = clock()

    @property
    def done(self) -> int:
        """Samples, those of an earlier process among them."""
        return sum(each.done for each in self._stretches.values())

    @property
    def total(self) -> int:
        """Samples of all works."""
        return sum(each.total for each in self._stretches.values())

    def skip(self, name: str, count: int) -> None:
        """Samples of a work were done earlier."""
        self._stretches[name].done += count

    def leave_out(self, name: str) -> None:
        """A work will not be done."""
        del self._stretches[name]

    def start(self, name: str) -> None:
        """A work begins: its model is loaded, its clock runs from now on."""
        self._since = self._clock()

    def advance(self, name: str, count: int) -> None:
        """Samples of the running work were done."""
        now = self._clock()
        stretch = self._stretches[name]
        stretch.done += count
        stretch.asked += count
        stretch.elapsed_s += now - self._since
        self._since = now

    def left_s(self) -> float | None:
        """Seconds for the samples left; None while the speed of some of the work cannot be judged.

        A work that has not begun is taken to be as fast as those of its kind of model, weighted by samples.
        """
        left_s = 0.0
        for stretch in self._stretches.values():
            if stretch.done >= stretch.total:
                continue
            alike = [stretch] if stretch.asked else [e for e in self._stretches.values() if e.kind == stretch.kind]
            asked = sum(each.asked for each in alike)
            if not asked:
                return None
            left_s += (stretch.total - stretch.done) * sum(each.elapsed_s for each in alike) / asked
        return left_s
