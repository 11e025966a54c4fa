"""The report's plots: small drawings as SVG text that takes its colours for text and lines from the page."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#3b7dd8", "#e08a1e", "#2f9e6e", "#a763c9", "#c9555f", "#5f8f9e")
"""For the models in their order: of middle lightness, told apart on white and on black, and by the colour-blind."""
INK = "#010203"
"""Stands for the page's own text colour; no plot draws with it otherwise."""
_COLUMNS = 3
_BINS = 20
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: Chinese is drawn by the reader's own fonts
    "text.parse_math": False,  # a name may hold dollar signs
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A score in a forest plot."""

    model: str
    score: float
    low: float | None
    high: float | None


def forest(panels: Sequence[tuple[str, Sequence[Bar]]], models: Sequence[str], *, key: str) -> str:
    """Scores with their intervals: a panel for each metric, a line for each model.

    Args:
        panels: (title, scores).
        models: all of them, from the top.
        key: sets it apart from the page's other drawings.

    Returns:
        An `<svg>` element.
    """
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    with styled(f"forest {key}"):
        figure = Figure(figsize=(3.2 * columns, rows * (0.75 + 0.26 * len(models))), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for index, axis in enumerate(axes.flat):
            if index >= len(panels):
                axis.set_axis_off()
                continue
            _panel(axis, *panels[index], models, is_first=index % columns == 0)
        return svg_text(figure, "Scores with 95% intervals")


def _panel(axis: Axes, title: str, bars: Sequence[Bar], models: Sequence[str], *, is_first: bool) -> None:
    for bar in bars:
        place = models.index(bar.model)
        colour = COLOURS[place % len(COLOURS)]
        if bar.low is not None and bar.high is not None:
            axis.plot([bar.low, bar.high], [place, place], color=colour, linewidth=2, solid_capstyle="butt")
        axis.plot([bar.score], [place], "o", color=colour, markersize=5)
    axis.set_title(title, loc="left")
    axis.set_ylim(len(models) - 0.4, -0.6)
    axis.set_yticks(range(len(models)), models if is_first else [""] * len(models))
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
    axis.margins(x=0.12)
    axis.locator_params(axis="x", nbins=5)


def histogram(title: str, values: Sequence[tuple[str, Sequence[float]]], *, key: str, is_counted: bool = False) -> str:
    """How the samples' own scores are spread, a line for each model.

    Args:
        title: what is counted, for the axis.
        values: (model, its samples' scores), in the models' order.
        key: sets it apart from the page's other drawings.
        is_counted: the scores are ranks: 1, 2, 3 and so on, drawn on a logarithmic axis.

    Returns:
        An `<svg>` element.
    """
    everything = [value for _, scores in values for value in scores]
    low, high = min(everything), max(everything)
    with styled(f"histogram {key}"):
        figure = Figure(figsize=(6.4, 2.1), layout="constrained")
        axis = figure.subplots()
        for place, (model, scores) in enumerate(values):
            axis.hist(
                scores,
                bins=_edges(low, high, is_counted=is_counted),
                histtype="stepfilled" if len(values) == 1 else "step",
                color=COLOURS[place % len(COLOURS)],
                alpha=0.8,
                linewidth=1.6,
                label=model,
            )
        if is_counted:
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter("{x:g}")
            axis.minorticks_off()
        axis.set_xlabel(title)
        axis.set_ylabel("samples")
        axis.locator_params(axis="y", nbins=4, integer=True)
        if len(values) > 1:
            figure.legend(loc="outside upper right", ncols=len(values))
        return svg_text(figure, f"Samples by {title}")


def _edges(low: float, high: float, *, is_counted: bool) -> list[float]:
    if is_counted:
        edges = [0.9]
        while edges[-1] <= high:
            edges.append(edges[-1] * 1.5)
        return edges
    width = (high - low or 1.0) / _BINS
    return [low + index * width for index in range(_BINS + 1)]


@contextmanager
def styled(salt: str) -> Iterator[None]:
    """Matplotlib set up for one drawing; what it says of fonts it lacks concerns nobody, as the browser has them."""
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        # The salt keeps the ids of two drawings on one page apart, and the same drawing the same.
        with mpl.rc_context({**_STYLE, "svg.hashsalt": salt}), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def svg_text(figure: Figure, label: str) -> str:
    """A drawing as an `<svg>` element; to be called while it is `styled`.

    Args:
        figure: the drawing.
        label: what it shows, for those who cannot see it.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font-family: [^;\"]*", "font-family: inherit", text)
    text = text.replace(INK, "currentColor")
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
