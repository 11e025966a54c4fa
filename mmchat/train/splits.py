"""Rows to learn from, and rows held out."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def split_rows(
    rows: Sequence[Item], share: float, seed: int, *, same: Callable[[Item], Hashable]
) -> tuple[list[Item], list[Item]]:
    """Hold out a share of the rows, at least one where there are two.

    Rows that are the same are never on both sides: what was learnt by heart would count as understood.

    Args:
        rows: all.
        share: to hold out, from 0 (none) to 1.
        seed: of the choice.
        same: what makes two rows the same, such as their conversation.

    Returns:
        Rows to learn from and rows held out, both in their order.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(same(row), []).append(index)
    wanted = min(max(1, round(share * len(rows))), len(rows) - 1) if share > 0 else 0
    names = list(groups)
    random.Random(seed).shuffle(names)
    held_out: set[int] = set()
    for name in names:
        if len(held_out) >= wanted or len(held_out) + len(groups[name]) >= len(rows):
            break
        held_out.update(groups[name])
    return (
        [row for index, row in enumerate(rows) if index not in held_out],
        [row for index, row in enumerate(rows) if index in held_out],
    )
