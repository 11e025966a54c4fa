"""What the command line prints: data on stdout, narration on stderr, nothing a terminal could act on by mistake."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

from mmchat.errors import MmchatError, UsageError
from mmchat.sanitize import plain_line, plain_text

MIN_LAST_COLUMN = 12
"""Narrower, a table's last column says nothing, and is better wrapped."""
_UNSAFE_IN_JSON = re.compile(r"[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


# --- stdout: data -------------------------------------------------------------------------------


def print_text(text: str, *, end: str = "\n") -> None:
    """Write text to stdout, stripped of terminal escapes, at once (a stream is read as it comes)."""
    sys.stdout.write(plain_text(text) + end)
    sys.stdout.flush()


def print_json(value: object) -> None:
    """Write one JSON value to stdout. Chinese stays Chinese; control characters are escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    sys.stdout.write(_UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write rows to stdout: aligned under their headings on a terminal, tab-separated, whole and bare in a pipe.

    On a terminal the last column is cut to the screen's width, unless it has no heading (a path must stay whole).

    Args:
        columns: headings; one that starts with ">" is for a column set to the right.
        rows: one text per column.
    """
    clean = [[plain_line(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        sys.stdout.write("".join("\t".join(row) + "\n" for row in clean))
        return
    from rich.cells import cell_len

    headings = [column.removeprefix(">") for column in columns]
    widths = [max(cell_len(row[i]) for row in [headings, *clean]) for i in range(len(headings))]
    # The last column gives way: a row that wraps breaks the table.
    room = shutil.get_terminal_size().columns - sum(widths[:-1]) - 2 * (len(widths) - 1)
    if headings[-1] and room >= MIN_LAST_COLUMN:
        clean = [[*row[:-1], _cut(row[-1], room)] for row in clean]
        widths[-1] = min(widths[-1], room)
    for row in [headings, *clean]:
        cells = []
        for column, cell, width in zip(columns, row, widths, strict=True):
            padding = " " * (width - cell_len(cell))
            cells.append(padding + cell if column.startswith(">") else cell + padding)
        line = "  ".join(cells).rstrip()
        sys.stdout.write((dim(line, sys.stdout) if row is headings else line) + "\n")
    sys.stdout.flush()


def _cut(text: str, width: int) -> str:
    """`text` in at most `width` columns; a cut one ends in "…"."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


# --- stderr: narration --------------------------------------------------------------------------


def narrate(text: str) -> None:
    """Say something beside the data, dim, when a person is watching."""
    if sys.stderr.isatty():
        print_error_text(dim(plain_text(text), sys.stderr))


def warn(text: str) -> None:
    """Say something that matters also in a script's log."""
    print_error_text(plain_text(text))


def print_error(error: MmchatError) -> None:
    """What happened, then the one next step."""
    print_error_text(plain_text(f"Error: {error.message}"))
    if error.hint:
        print_error_text(plain_text(error.hint))


def print_error_text(line: str) -> None:
    """Write a line to stderr as it is."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


class StatusLine:
    """One line on stderr that is written over, when a person is watching; silent otherwise."""

    def __init__(self) -> None:
        self._is_shown = False
        self._is_live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def show(self, text: str) -> None:
        """Replace the line."""
        if not self._is_live:
            return
        from rich.cells import cell_len, set_cell_size

        line = plain_line(text)
        width = shutil.get_terminal_size().columns - 1
        if cell_len(line) > width:
            line = set_cell_size(line, width)
        sys.stderr.write("\r\x1b[K" + dim(line, sys.stderr))
        sys.stderr.flush()
        self._is_shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._is_shown = False


def has_colour(stream: TextIO) -> bool:
    """Whether escape codes are welcome there."""
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def dim(text: str, stream: TextIO) -> str:
    """`text` in faint letters where the stream can show them."""
    return f"\x1b[2m{text}\x1b[0m" if has_colour(stream) else text


# --- questions ----------------------------------------------------------------------------------


def confirm(question: str, *, flag: str = "--yes") -> bool:
    """Ask before something that cannot be undone. Only "y" and "yes" mean yes.

    Raises:
        UsageError: nobody is there to ask; names the flag that answers beforehand.
    """
    if not sys.stdin.isatty():
        raise UsageError(f"{plain_line(question)} Nobody is there to ask.", hint=f"Repeat the command with {flag}.")
    sys.stderr.write(plain_line(question) + " [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
