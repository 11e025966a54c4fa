"""Rows that do not fit at once are done in turns."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmchat.engines.lm_turns import Room, in_turns
from mmchat.engines.torch_memory import is_out_of_memory
from mmchat.errors import DeviceError


def room(**changes: int) -> Room:
    return Room(**{"bytes_per_token": 2, "free_bytes": 2000, "most_rows": 8, "most_tokens": 10_000, **changes})


@given(st.lists(st.integers(1, 300), max_size=30), st.integers(300, 2000))
def test_every_row_is_done_once_however_little_fits(widths: list[int], really_free: int) -> None:
    done: list[int] = []

    def work(group: Sequence[int]) -> bool:
        if len(group) * widths[group[0]] > really_free:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        done.extend(group)
        return True

    in_turns("tiny", range(len(widths)), lambda row: widths[row], room(), work)
    assert sorted(done) == list(range(len(widths)))
    assert [widths[row] for row in done] == sorted(widths, reverse=True)


def test_groups_keep_to_the_room() -> None:
    groups: list[list[int]] = []

    def work(group: Sequence[int]) -> bool:
        groups.append(list(group))
        return True

    in_turns("tiny", [100] * 5 + [400] * 3 + [5000], lambda row: row, room(), work)
    assert groups == [[5000], [400, 400], [400, 100], [100] * 4]


def test_one_row_that_does_not_fit_is_an_error() -> None:
    def work(group: Sequence[int]) -> bool:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(DeviceError, match="not enough memory for 'tiny'"):
        in_turns("tiny", [1, 2, 3], lambda row: row, room(), work)


def test_another_failure_is_not_taken_for_want_of_memory() -> None:
    calls: list[int] = []

    def work(group: Sequence[int]) -> bool:
        calls.append(len(group))
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        in_turns("tiny", [1, 2, 3], lambda row: row, room(), work)
    assert calls == [3]


def test_the_work_may_end_it() -> None:
    calls: list[int] = []

    def work(group: Sequence[int]) -> bool:
        calls.append(len(group))
        return False

    in_turns("tiny", [900] * 5, lambda row: row, room(), work)
    assert calls == [1]


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_how_want_of_memory_shows(error: Exception, is_memory: bool) -> None:
    assert is_out_of_memory(error) is is_memory


def test_a_row_that_would_be_mostly_padding_begins_a_turn_of_its_own() -> None:
    patient = Room(bytes_per_token=1, free_bytes=10**6, most_rows=8, most_tokens=10**6)
    thrifty = Room(bytes_per_token=1, free_bytes=10**6, most_rows=8, most_tokens=10**6, most_padding=100)
    widths = [500, 480, 440, 430, 60, 50]
    assert patient.take(widths) == 6
    assert thrifty.take(widths) == 3  # 20 + 60 tokens of padding; the fourth row would make it 150
    assert thrifty.take([500]) == 1
    assert thrifty.take([100] * 20) == 8
    groups: list[list[int]] = []

    def work(group: Sequence[int]) -> bool:
        groups.append(list(group))
        return True

    in_turns("tiny", widths, int, thrifty, work)
    assert groups == [[500, 480, 440], [430], [60, 50]]
