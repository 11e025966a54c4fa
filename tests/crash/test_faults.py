"""Each fault of the table in docs/performance-log.md, a few times; `python -m benchmarks.faults` tries them all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.crash import fault_runs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and SIGSTOP are POSIX signals"),
]


def test_programs_killed_while_they_write_lose_nothing(tmp_path: Path) -> None:
    row = fault_runs.kills(tmp_path, 2)
    assert (row.lost, row.flaws) == ([], [])
    assert row.turns > 0


def test_a_power_cut_leaves_what_was_committed_up_to_some_moment(tmp_path: Path) -> None:
    row = fault_runs.power_cuts(tmp_path, 6)
    assert (row.lost, row.flaws) == ([], [])
    assert set(row.details) == {"logs torn", "logs whole"}


def test_programs_that_write_at_once_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    row = fault_runs.together(tmp_path, 2, 1.5)
    assert (row.lost, row.flaws) == ([], [])
    assert row.turns > 0


def test_what_can_be_read_of_a_damaged_file_is_recovered(tmp_path: Path) -> None:
    row = fault_runs.damage(tmp_path, 8, sessions=3, turns=20)
    assert row.flaws == []
    assert row.details["turns whole"] > 0.7 * row.turns
