"""Speed and time left, on a clock of the test's own."""

from __future__ import annotations

from mmchat.domain import PullProgress
from mmchat.weights.progress import Meter, format_bytes


def test_speed_and_time_left_follow_the_last_seconds() -> None:
    now = 0.0
    seen: list[PullProgress] = []
    meter = Meter("m", seen.append, clock=lambda: now)
    for second in range(11):
        now = float(second)
        meter.report("downloading", second * 100, 2000)
    assert seen[0].bytes_per_s == 0
    assert seen[0].left_s is None
    assert seen[-1].bytes_per_s == 100
    assert seen[-1].left_s == 10

    for second in range(11, 21):  # slower from here on: the old speed is soon forgotten
        now = float(second)
        meter.report("downloading", 1000 + (second - 10) * 10, 2000)
    assert seen[-1].bytes_per_s == 10


def test_another_stage_or_file_begins_anew() -> None:
    now = 0.0
    seen: list[PullProgress] = []
    meter = Meter("m", seen.append, clock=lambda: now)
    meter.report("downloading", 500, 1000)
    now = 1.0
    meter.report("downloading", 10, 1000)
    assert seen[-1].bytes_per_s == 0
    now = 2.0
    meter.report("verifying", 1000, 1000)
    assert seen[-1].bytes_per_s == 0


def test_bytes_are_decimal() -> None:
    assert [format_bytes(n) for n in (0, 999, 1000, 83_342_062, 16_400_000_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "83.3 MB",
        "16.4 GB",
    ]
