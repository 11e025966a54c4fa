"""What the command line prints on a terminal and in a pipe."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len

from mmchat.cli.output import print_table

ROWS = [["a", "一" * 60], ["b", "short"]]


class Terminal(io.StringIO):
    """A stream that a person watches."""

    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, columns: list[str]) -> str:
    """The table on a terminal of 40 columns."""
    stream = Terminal()
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(columns, ROWS)
    return stream.getvalue()


def test_a_table_fits_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, ["ID", "TITLE"]).splitlines()
    assert all(cell_len(line) <= 40 for line in lines)
    assert lines[1].endswith("一…")
    assert lines[2] == "b   short"


def test_a_column_without_a_heading_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ROWS[0][1] in shown(monkeypatch, ["", ""])


def test_a_pipe_gets_everything(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["ID", "TITLE"], ROWS)
    assert capsys.readouterr().out == "".join("\t".join(row) + "\n" for row in ROWS)
