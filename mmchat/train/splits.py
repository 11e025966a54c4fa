"""Rows to learn from, and rows held out."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TypeVar

from mmchat.errors import DataError
from mmchat.rows.reader import read_rows
from mmchat.rows.values import RowKind
from mmchat.train.base import TrainSettings

Item = TypeVar("Item")


def validation_rows(settings: TrainSettings, row_class: type[Item], kind: RowKind) -> list[Item]:
    """The rows of the file that `--validation` names.

    Raises:
        DataError: they are of another kind, or bad.
    """
    file = read_rows(Path(settings.validation), should_skip_bad=settings.should_skip_bad)
    if file.kind != kind:
        raise DataError(
            f"{file.path} holds {file.kind} rows, and the training is of {kind} rows.",
            hint=f"Give --validation a file of {kind} rows.",
        )
    return [row for row in file.rows if isinstance(row, row_class)]


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
