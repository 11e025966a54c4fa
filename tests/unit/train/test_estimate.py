"""How many rows are worth their memory."""

from __future__ import annotations

import pytest

from mmchat.train.estimate import useful_rows


@pytest.mark.parametrize(
    ("longest", "rows"), [(1, 8), (240, 8), (512, 8), (513, 7), (1024, 4), (4096, 1), (100_000, 1)]
)
def test_a_processor_is_given_fewer_long_rows_at_once(longest: int, rows: int) -> None:
    assert useful_rows("cpu", longest, 8, 32) == rows


def test_a_gpu_is_bound_by_its_memory_alone() -> None:
    assert useful_rows("cuda", 100_000, 8, 32) == 32
