"""The order of rows: every row equally often, the same however batches are spread."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.errors import UsageError
from mmchat.train.order import Batching, row_order, spread

LENGTHS = st.lists(st.integers(1, 500), min_size=1, max_size=80)


@given(LENGTHS, st.integers(1, 12), st.integers(1, 30), st.integers(0, 3))
def test_rows_are_read_equally_often(lengths: list[int], batch_size: int, steps: int, seed: int) -> None:
    order = row_order(lengths, batch_size, steps, seed)
    assert len(order) == batch_size * steps
    counts = Counter(order)
    times = [counts[row] for row in range(len(lengths))]
    assert max(times) - min(times) <= 1
    assert order == row_order(lengths, batch_size, steps, seed)


@given(LENGTHS, st.integers(1, 12))
def test_the_first_batch_holds_the_longest_row(lengths: list[int], batch_size: int) -> None:
    steps = -(-len(lengths) // batch_size)
    order = row_order(lengths, batch_size, steps, 0)
    assert max(lengths[row] for row in order[:batch_size]) == max(lengths)


def test_rows_of_like_length_come_together() -> None:
    lengths = [1 + (7 * row) % 100 for row in range(400)]
    order = row_order(lengths, 8, 50, 0)
    batches = [[lengths[row] for row in order[at : at + 8]] for at in range(0, 400, 8)]
    padded = sum(8 * max(batch) for batch in batches)
    assert padded < 1.2 * sum(lengths)  # in a random order nearly twice as much
    assert all(batch == sorted(batch, reverse=True) for batch in batches)


def test_another_seed_is_another_order() -> None:
    assert row_order([5] * 50, 5, 10, 0) != row_order([5] * 50, 5, 10, 1)


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 4))
def test_a_step_always_has_as_many_rows_as_were_asked_for(batch_size: int, micro: int, processes: int) -> None:
    batching = spread(batch_size * processes, micro, processes)
    assert batching.rows == batch_size * processes
    assert batching.micro_batch <= micro
    smaller = batching.halved()
    if batching.micro_batch == 1:
        assert smaller is None
    else:
        assert smaller is not None
        assert smaller.rows == batching.rows
        assert smaller.micro_batch <= batching.micro_batch // 2


def test_processes_that_cannot_share() -> None:
    assert spread(16, 4, 2) == Batching(4, 2, 2)
    with pytest.raises(UsageError, match="16 rows cannot be shared by 3"):
        spread(16, 4, 3)
