"""Held-out rows are never among those that are learnt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmchat.train.splits import split_rows


@given(st.lists(st.integers(0, 30), max_size=60), st.floats(0, 1), st.integers(0, 5))
def test_equal_rows_stay_on_one_side(rows: list[int], share: float, seed: int) -> None:
    train, held_out = split_rows(rows, share, seed, same=lambda row: row)
    assert sorted(train + held_out) == sorted(rows)
    assert not set(train) & set(held_out)
    assert bool(train) == bool(rows)
    assert (train, held_out) == split_rows(rows, share, seed, same=lambda row: row)


def test_one_row_at_least_is_held_out() -> None:
    assert len(split_rows(list(range(5)), 0.1, 0, same=lambda row: row)[1]) == 1
    assert len(split_rows(list(range(100)), 0.1, 0, same=lambda row: row)[1]) == 10
    assert split_rows(list(range(5)), 0.0, 0, same=lambda row: row) == (list(range(5)), [])
    assert split_rows([1], 0.5, 0, same=lambda row: row) == ([1], [])
