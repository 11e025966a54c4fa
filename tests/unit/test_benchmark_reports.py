"""The form of what benchmarks find, and the page made from it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import REPORTS
from benchmarks.figures import Bar, Ratio, Report, Spread, Table, cell_text, command_line, interleaved
from benchmarks.page import PAGE, RESULTS, page


def made() -> Report:
    return Report(
        "Things",
        about="Two things in turns.",
        command="python -m benchmarks.things",
        tables=[Table("Seconds", ("thing", "s"), [["one|two", 1.2345], ["none", None]], note="A note.")],
        ratios=[Ratio("seconds", "a peer", 1.0, 2.0, "s"), Ratio("tokens/s", "a peer", 1.0, 2.0, "tokens/s", True)],
        bars=[Bar("time", 1.0, 1.5, "s"), Bar("speed", 0.95, 1.0, "×", is_at_most=False)],
        notes=["One is faster."],
    )


def test_report_comes_back_from_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "things.json"
    made().finish(path)
    assert Report.read(path) == made()
    printed = capsys.readouterr().out
    assert "seconds: 0.5 of a peer (1 / 2 s; less is better)" in printed
    assert "bar: time ≤ 1 s: 1.5, NOT MET" in printed
    assert "bar: speed ≥ 0.95 ×: 1, met" in printed


def test_page_tells_bars_ratios_and_tables_with_their_command(tmp_path: Path) -> None:
    made().finish(tmp_path / "things.json")
    machine = {"cores": 2, "processor": "Abacus(R)", "memory_gb": 1, "system": "Linux", "python": "3.11", "at": "2026"}
    (tmp_path / "machine.json").write_text(json.dumps(machine | {"versions": {"numpy": "2"}}))
    text = page(tmp_path, ["absent", "things"])
    assert "2 cores of Abacus (a shared virtual machine)" in text
    assert "| time | ≤ 1 s | 1.5 s | **not met** |" in text
    assert "| speed | ≥ 0.95 × | 1 × | met |" in text
    assert "| seconds | a peer | 1 s | 2 s | 0.5 | less is better |" in text
    assert "| tokens/s | a peer | 1 tokens/s | 2 tokens/s | **0.5** | more is better |" in text
    assert "`python -m benchmarks.things`" in text
    assert "| one\\|two | 1.23 |\n| none |  |\n\nA note." in text


def test_committed_page_is_made_from_the_committed_reports() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(RESULTS, REPORTS), "run: python -m benchmarks page"


def test_every_committed_report_is_one_that_can_be_made_again() -> None:
    names = {path.stem for path in RESULTS.glob("*.json")} - {"machine"}
    assert names <= set(REPORTS)


def test_tasks_take_turns_and_no_one_is_always_first() -> None:
    order: list[str] = []

    def task(name: str) -> float:
        order.append(name)
        return float(len(order))

    values = interleaved({name: lambda n=name: task(n) for name in "abc"}, 2, warm_up=1)  # type: ignore[misc]
    assert "".join(order) == "abcbcacab"
    assert values == {"a": [6.0, 8.0], "b": [4.0, 9.0], "c": [5.0, 7.0]}


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), ("word", "word"), (12345, "12,345"), (0, "0"), (0.0, "0"), (1234.5, "1,234"), (0.01234, "0.0123")],
)
def test_figures_have_three_digits_that_count(value: str | float | None, text: str) -> None:
    assert cell_text(value) == text


def test_spread_is_the_median_and_its_ends() -> None:
    assert Spread.of([3.0, 1.0, 2.0]).cell(1) == "2.0 (1.0 to 3.0)"


def test_command_is_told_without_where_its_figures_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["things.py", "--runs", "3", "--json", "out.json", "two words"])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    assert command_line() == "python things.py --runs 3 'two words'"
