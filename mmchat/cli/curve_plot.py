"""Curves in a terminal: a fine line of braille dots, and marks upon it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text

LINE_STYLE = "cyan"
MARK_STYLE = "magenta"
BEST_STYLE = "bold green"
MARK, BEST_MARK = "●", "◆"
_LABEL_CELLS = 7
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille character, by row and column of its dots (Unicode, block U+2800)."""
_BRAILLE = 0x2800
_OUTLIERS = 0.02
"""Of the line's points, so many of the highest may lie above the plot: one bad step must not flatten the rest."""

Point = tuple[int, float]
"""A step and its value."""


def curve_plot(line: Sequence[Point], marks: Sequence[Point], *, width: int, height: int, last: int) -> list[Text]:
    """Draw a line and marks over the same steps.

    Args:
        line: such as the loss of each step, in order. Several in one column of dots become their mean.
        marks: such as validation losses; the lowest is drawn as the best.
        width: cells, the labels on the left among them.
        height: lines, without the one with the steps' numbers.
        last: the step at the right end.

    Returns:
        Lines of at most `width` cells; none where there is nothing to draw or no room.
    """
    line = [point for point in line if math.isfinite(point[1])]
    marks = [point for point in marks if math.isfinite(point[1])]
    columns = width - _LABEL_CELLS
    if not (line or marks) or columns < 8 or height < 2:
        return []
    low, high = _range(line, marks)
    dots = _dots(line, columns, height, (low, high), last)
    best = min((value for _, value in marks), default=None)
    cells: dict[tuple[int, int], tuple[str, str]] = {}
    for step, value in sorted(marks, key=lambda mark: mark[1] == best):
        column = min(columns - 1, int((step - 1) / max(1, last - 1) * (columns - 1) + 0.5))
        row = round(_height(value, low, high) * (height - 1))
        cells[row, column] = (BEST_MARK, BEST_STYLE) if value == best else (MARK, MARK_STYLE)
    lines = []
    for row in range(height):
        label = _number(high) if row == 0 else _number(low) if row == height - 1 else ""
        text = Text(label.rjust(_LABEL_CELLS - 1) + " ", style="dim")
        for column in range(columns):
            mark = cells.get((row, column))
            if mark is not None:
                text.append(mark[0], style=f"not dim {mark[1]}")
            else:
                bits = dots[row][column]
                text.append(chr(_BRAILLE + bits) if bits else " ", style=f"not dim {LINE_STYLE}")
        lines.append(text)
    lines.append(_steps_line(columns, last))
    return lines


def legend() -> Text:
    """What line and marks are."""
    text = Text("⠒⠒ loss", style=LINE_STYLE)
    text.append(f"   {MARK} validation", style=MARK_STYLE)
    return text.append(f"   {BEST_MARK} best", style=BEST_STYLE)


def _range(line: Sequence[Point], marks: Sequence[Point]) -> tuple[float, float]:
    values = sorted(value for _, value in line)
    values = values[: max(1, math.ceil(len(values) * (1 - _OUTLIERS)))] + [value for _, value in marks]
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return (max(0.0, low - margin) if low >= 0 else low - margin), high + margin


def _height(value: float, low: float, high: float) -> float:
    """0 at the top, 1 at the bottom."""
    return min(1.0, max(0.0, (high - value) / (high - low)))


def _dots(line: Sequence[Point], columns: int, height: int, bounds: tuple[float, float], last: int) -> list[list[int]]:
    """Braille bits of each cell; neighbouring points are joined."""
    sums: dict[int, list[float]] = {}
    for step, value in line:
        sums.setdefault(round((step - 1) / max(1, last - 1) * (columns * 2 - 1)), []).append(value)
    cells = [[0] * columns for _ in range(height)]
    before: tuple[int, int] | None = None
    for x, values in sorted(sums.items()):
        y = round(_height(sum(values) / len(values), *bounds) * (height * 4 - 1))
        for dot_x, dot_y in _joined(before, (x, y)):
            if 0 <= dot_x < columns * 2:
                cells[dot_y // 4][dot_x // 2] |= _DOTS[dot_y % 4][dot_x % 2]
        before = (x, y)
    return cells


def _joined(start: tuple[int, int] | None, end: tuple[int, int]) -> list[tuple[int, int]]:
    if start is None:
        return [end]
    count = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    return [
        (round(start[0] + (end[0] - start[0]) * i / count), round(start[1] + (end[1] - start[1]) * i / count))
        for i in range(count + 1)
    ]


def _steps_line(columns: int, last: int) -> Text:
    words = f"step {last}"
    return Text(" " * _LABEL_CELLS + "1" + words.rjust(columns - 1), style="dim")


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:.0e}"
