"""Small plots that stand in a line of text: a development over time, a share."""

from __future__ import annotations

from collections.abc import Sequence

_HEIGHTS = "▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
NOTHING = "·"
"""Where there is no value."""


def sparkline(values: Sequence[float | None], width: int, *, low: float = 0.0, high: float | None = None) -> str:
    """A block for each value, as high as it is large.

    Args:
        values: in order; None draws a dot.
        width: cells at most; where there are more values, neighbours become their mean.
        low: what the lowest block stands for.
        high: what the highest stands for; the largest value where None.
    """
    shown = _fitting(values, width)
    top = max((value for value in shown if value is not None), default=low) if high is None else high
    return "".join(NOTHING if value is None else _HEIGHTS[_step(value, low, top)] for value in shown)


def bar(share: float, width: int) -> str:
    """A bar of `width` cells where `share` is 1, to an eighth of a cell, filled up with blanks."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    if share > 0:
        eighths = max(1, eighths)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(width)


def _step(value: float, low: float, high: float) -> int:
    if value <= low or high <= low:
        return 0
    # What is more than nothing is seen to be so.
    return max(1, min(len(_HEIGHTS) - 1, round((value - low) / (high - low) * (len(_HEIGHTS) - 1))))


def _fitting(values: Sequence[float | None], width: int) -> list[float | None]:
    if len(values) <= width:
        return list(values)
    edges = [round(at * len(values) / width) for at in range(width + 1)]
    return [_mean(values[start:end]) for start, end in zip(edges, edges[1:], strict=False)]


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None
