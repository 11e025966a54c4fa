"""In which order rows are learnt: decided before the first step, so that it can be gone on with exactly."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmchat.errors import UsageError

_BUCKET_BATCHES = 8
"""Batches whose rows are sorted by length together: enough to save most padding, few enough to stay mixed."""


@dataclass(frozen=True, slots=True)
class Batching:
    """How the rows of one step of the optimiser are spread."""

    micro_batch: int
    """Rows that one process reads at once."""
    accumulation: int
    """Micro-batches of a process between two steps."""
    processes: int = 1

    @property
    def rows(self) -> int:
        """Of one step, over all processes."""
        return self.micro_batch * self.accumulation * self.processes

    def halved(self) -> Batching | None:
        """The next smaller micro-batch of the same number of rows; None where it is one row already."""
        own = self.micro_batch * self.accumulation
        smaller = next((size for size in range(self.micro_batch // 2, 0, -1) if own % size == 0), 0)
        return replace(self, micro_batch=smaller, accumulation=own // smaller) if smaller else None


def spread(batch_size: int, micro_batch: int, processes: int = 1) -> Batching:
    """Spread the rows of a step over processes and micro-batches of at most `micro_batch` rows.

    Raises:
        UsageError: the processes cannot share the rows evenly.
    """
    if batch_size % processes:
        raise UsageError(
            f"A batch of {batch_size} rows cannot be shared by {processes} processes.",
            hint=f"Give a batch size that {processes} divides, such as {(batch_size // processes + 1) * processes}.",
        )
    own = batch_size // processes
    size = next(size for size in range(min(max(micro_batch, 1), own), 0, -1) if own % size == 0)
    return Batching(size, own // size, processes)


def row_order(lengths: Sequence[int], batch_size: int, steps: int, seed: int) -> tuple[int, ...]:
    """The rows of a whole training, `batch_size` of them for each step.

    Epochs follow each other without a gap, each in an order of its own, so that every step has the same number of
    rows and all rows are read equally often. Rows of like length come together, the longest of a batch first.
    The batch with the longest row of all is the first, so that memory runs out at once or never.

    Args:
        lengths: of each row, such as its tokens.
        batch_size: rows of one step.
        steps: how many.
        seed: of the shuffling; the same seed gives the same order, however the batches are spread.

    Returns:
        `steps * batch_size` indices of rows.
    """
    generator = random.Random(seed)
    stream: list[int] = []
    while len(stream) < steps * batch_size:
        epoch = list(range(len(lengths)))
        generator.shuffle(epoch)
        stream += epoch
    del stream[steps * batch_size :]
    batches: list[list[int]] = []
    # No bucket is longer than an epoch: the same row would stand in it twice, and next to itself once sorted.
    bucket = batch_size * max(1, min(_BUCKET_BATCHES, len(lengths) // batch_size))
    for start in range(0, len(stream), bucket):
        rows = sorted(stream[start : start + bucket], key=lambda row: -lengths[row])
        own = [rows[at : at + batch_size] for at in range(0, len(rows), batch_size)]
        generator.shuffle(own)
        batches += own
    longest = max(range(len(batches)), key=lambda index: lengths[batches[index][0]], default=0)
    if batches:
        batches[0], batches[longest] = batches[longest], batches[0]
    return tuple(row for batch in batches for row in batch)
