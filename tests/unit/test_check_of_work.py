"""The check that CI runs on counts of work: it fails where one is above its limit, and where one is missing."""

from __future__ import annotations

import json

import pytest

from benchmarks import check


def test_a_count_above_its_limit_is_too_much() -> None:
    assert check.too_much({"a": 3, "b": 2}, {"a": 2, "b": 2}) == ["a: 3, at most 2"]


def test_a_count_without_a_limit_and_a_limit_without_a_count_are_said() -> None:
    assert check.too_much({"new": 1}, {"old": 1}) == ["new: has no limit", "old: was not counted"]


def test_the_program_fails_where_something_is_too_much(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = json.loads(check.LIMITS.read_text())
    counts = dict.fromkeys(limits, 0.0)
    for name in ("turn", "growth", "screen", "prefix"):
        monkeypatch.setattr(check, name, dict)
    monkeypatch.setattr(check, "start", lambda: counts)
    monkeypatch.setattr("sys.argv", ["check"])
    check.main()
    assert "NOT MET" not in capsys.readouterr().out
    counts[next(iter(limits))] = 1e9
    with pytest.raises(SystemExit, match="became more work"):
        check.main()
    assert "NOT MET" in capsys.readouterr().out


def test_calls_are_counted_and_those_of_other_packages_left_out() -> None:
    assert check.calls_of(lambda: json.dumps({"a": [1]})) >= 2
    with check.CallCounter(["mmchat"]) as counter:
        json.dumps({"a": [1]})
    assert counter.count == 0
