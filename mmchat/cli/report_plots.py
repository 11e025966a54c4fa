"""The plots of a report's page, drawn as those of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmchat.chat.report_values import Period, Report
from mmchat.evals.plots import COLOURS, INK, styled, svg_text
from mmchat.sanitize import plain_line

MOST_INTENTS = len(COLOURS)
_TICKS = 6
_SIZE = (7.6, 1.9)


def messages_plot(periods: Sequence[Period]) -> str:
    """Messages of each period as bars, the unanswered ones apart. An `<svg>` element."""
    with styled("messages"):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axis = figure.subplots()
        places = range(len(periods))
        unanswered = [period.unanswered for period in periods]
        answered = [period.messages - period.unanswered for period in periods]
        axis.bar(places, answered, color=COLOURS[0], width=0.8, label="answered")
        axis.bar(places, unanswered, bottom=answered, color=COLOURS[1], width=0.8, label="unanswered")
        _dates(axis, periods)
        figure.legend(loc="outside upper right", ncols=2)
        return svg_text(figure, "Messages over time")


def mood_plot(periods: Sequence[Period]) -> str:
    """The mean mood of each period, from -1 to 1. An `<svg>` element."""
    with styled("mood"):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axis = figure.subplots()
        axis.axhline(0, color=INK, alpha=0.25, linewidth=0.8)
        moods = [math.nan if period.mood is None else period.mood for period in periods]
        axis.plot(range(len(periods)), moods, "o-", color=COLOURS[0], markersize=4, linewidth=1.4)
        axis.set_ylim(-1.05, 1.05)
        _dates(axis, periods, is_counted=False)
        return svg_text(figure, "Mood over time")


def intents_plot(report: Report) -> str:
    """Messages of the most frequent intents in each period, a line for each. An `<svg>` element."""
    with styled("intents"):
        figure = Figure(figsize=(_SIZE[0], 2.4), layout="constrained")
        axis = figure.subplots()
        for each, colour in zip(report.intents, COLOURS, strict=False):
            label = plain_line(each.intent)
            axis.plot(
                range(len(report.periods)), each.by_period, "o-", color=colour, markersize=3, linewidth=1.4, label=label
            )
        axis.set_ylim(bottom=0)
        _dates(axis, report.periods)
        figure.legend(loc="outside right upper")
        return svg_text(figure, "Intents over time")


def share_bar(share: float) -> str:
    """A share as a bar in a table's cell. An `<svg>` element."""
    width = round(100 * max(0.0, min(1.0, share)), 1)
    return (
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{width}" height="10" fill="{escape(COLOURS[0])}"/></svg>'
    )


def _dates(axis: Axes, periods: Sequence[Period], *, is_counted: bool = True) -> None:
    """At most a few days on the axis below; whole numbers on the other where it counts."""
    step = max(1, math.ceil(len(periods) / _TICKS))
    places = range(0, len(periods), step)
    axis.set_xticks(list(places), [periods[place].start for place in places])
    axis.margins(x=0.02)
    axis.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
    axis.locator_params(axis="y", nbins=4, integer=is_counted)
