"""Many rows of tokens through one model: as many at once as fit, the others in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TypeVar

import torch

from mmchat.engines.torch_memory import is_out_of_memory, out_of_memory

RowT = TypeVar("RowT")


class Room:
    """How many rows fit beside each other.

    Args:
        bytes_per_token: what one token of one row keeps while its batch is worked on.
        free_bytes: what may be used for all of them.
        most_rows: more gain nothing.
        most_tokens: of all rows together, the padding included; bounds how long one pass takes.
        most_padding: tokens of padding that cost as much as a turn of their own; None for any number.
    """

    def __init__(
        self,
        *,
        bytes_per_token: int,
        free_bytes: int,
        most_rows: int,
        most_tokens: int,
        most_padding: int | None = None,
    ) -> None:
        self._most_tokens = min(most_tokens, free_bytes // max(bytes_per_token, 1))
        self._most_padding = most_padding
        self.most_rows = most_rows

    def rows(self, width: int) -> int:
        """Rows of `width` tokens that go together; at least one, which is then tried for better or worse."""
        return max(1, min(self.most_rows, self._most_tokens // max(width, 1)))

    def take(self, widths: Sequence[int]) -> int:
        """How many of the first rows go together, for rows in order, the longest first."""
        most = min(len(widths), self.rows(widths[0]))
        padding = accumulate(widths[0] - width for width in widths[:most])
        if self._most_padding is None:
            return most
        return next((count for count, wasted in enumerate(padding) if wasted > self._most_padding), most)


def in_turns(
    name: str,
    rows: Sequence[RowT],
    width: Callable[[RowT], int],
    room: Room,
    work: Callable[[Sequence[RowT]], bool],
) -> None:
    """Give all rows to `work`, the longest first, so that little is padding and want of memory shows at once.

    Args:
        name: the model's, for the error.
        rows: in any order.
        width: a row's tokens.
        room: how many go together. When memory runs out nevertheless, half as many are tried, to the end.
        work: handles some rows; may be called again with rows that it had begun. False ends everything.

    Raises:
        DeviceError: out of memory with a single row.
    """
    waiting = sorted(rows, key=width, reverse=True)
    most = len(waiting)
    while waiting:
        group = waiting[: min(most, room.take([width(row) for row in waiting[: room.most_rows]]))]
        try:
            if not work(group):
                return
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(group) == 1:
                raise out_of_memory(name) from error
            most = len(group) // 2
        else:
            waiting = waiting[len(group) :]
            continue
        # Only here, where the exception has let go of the tensors that its frames held.
        torch.cuda.empty_cache()  # nothing where CUDA is not in use
