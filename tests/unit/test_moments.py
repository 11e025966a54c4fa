"""Moments are stored in UTC and read in the reader's own time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from mmchat.moments import local_day, local_minute


@pytest.fixture(autouse=True)
def in_shanghai(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not hasattr(time, "tzset"):
        pytest.skip("this system sets its time zone elsewhere")
    monkeypatch.setenv("TZ", "CST-8")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("iso", ["2026-03-14T22:05:59.123456Z", "2026-03-14T22:05:59+00:00", "2026-03-14T22:05:59"])
def test_a_moment_is_read_on_the_local_clock(iso: str) -> None:
    assert local_minute(iso) == "2026-03-15 06:05"
    assert local_day(iso) == "2026-03-15"
