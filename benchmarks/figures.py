"""What a benchmark prints and writes: tables, ratios to what people would use instead, bars that must hold.

Every benchmark makes one `Report`, shows it and, asked with `--json FILE`, writes it. `python -m benchmarks page`
puts the reports of `benchmarks/results/` together as `docs/performance.md`.
"""

from __future__ import annotations

import json
import shlex
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of one thing."""

    median: float
    least: float
    most: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """At least one value."""
        return cls(statistics.median(values), min(values), max(values), len(values))

    def cell(self, digits: int = 2) -> str:
        """As it stands in a table: the median, and from what to what."""
        return f"{self.median:.{digits}f} ({self.least:.{digits}f} to {self.most:.{digits}f})"


@dataclass(frozen=True, slots=True)
class Table:
    """Figures under column heads; the first column names the row."""

    title: str
    columns: tuple[str, ...]
    rows: list[list[Cell]]
    note: str = ""
    """What one must know to read it; Markdown."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """mmchat beside a peer, both measured in one run."""

    what: str
    peer: str
    ours: float
    theirs: float
    unit: str
    is_more_better: bool = False

    @property
    def times(self) -> float:
        """Ours by theirs."""
        return self.ours / self.theirs

    @property
    def is_ahead(self) -> bool:
        """Whether mmchat is at least as good."""
        return self.times >= 1 if self.is_more_better else self.times <= 1


@dataclass(frozen=True, slots=True)
class Bar:
    """One of the bars of DESIGN 9."""

    what: str
    limit: float
    value: float
    unit: str
    is_at_most: bool = True

    @property
    def is_met(self) -> bool:
        """Whether the measured value holds it."""
        return self.value <= self.limit if self.is_at_most else self.value >= self.limit


@dataclass(slots=True)
class Report:
    """All that one benchmark found."""

    title: str
    about: str = ""
    """A sentence or two on what was done; Markdown."""
    command: str = ""
    """What was run; filled by `finish`."""
    tables: list[Table] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What the figures say, a sentence or two each; Markdown."""
    samples: dict[str, Any] = field(default_factory=dict)
    """Single measurements, for whoever wants to look closer."""

    def finish(self, path: Path | None) -> None:
        """Show it, and write it to `path` where there is one."""
        self.command = self.command or command_line()
        self.show(Console(width=120, highlight=False))
        if path is not None:
            path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Report:
        """What `finish` has written."""
        told = json.loads(path.read_text(encoding="utf-8"))
        told["tables"] = [Table(**(each | {"columns": tuple(each["columns"])})) for each in told["tables"]]
        told["ratios"] = [Ratio(**each) for each in told["ratios"]]
        told["bars"] = [Bar(**each) for each in told["bars"]]
        return cls(**told)

    def show(self, console: Console) -> None:
        """Print its tables, ratios and bars."""
        for table in self.tables:
            drawn = RichTable(title=table.title, title_justify="left", caption=table.note or None)
            for number, column in enumerate(table.columns):
                drawn.add_column(column, justify="right" if number else "left")
            for row in table.rows:
                drawn.add_row(*map(cell_text, row))
            console.print(drawn)
        for ratio in self.ratios:
            ours, theirs = cell_text(ratio.ours), cell_text(ratio.theirs)
            better = "more is better" if ratio.is_more_better else "less is better"
            console.print(
                f"{ratio.what}: {cell_text(ratio.times)} of {ratio.peer} ({ours} / {theirs} {ratio.unit}; {better})"
            )
        for bar in self.bars:
            sign = "≤" if bar.is_at_most else "≥"
            met = "met" if bar.is_met else "NOT MET"
            console.print(f"bar: {bar.what} {sign} {cell_text(bar.limit)} {bar.unit}: {cell_text(bar.value)}, {met}")
        for note in self.notes:
            console.print(note)


def cell_text(value: Cell) -> str:
    """A figure with three digits that count; None is an empty cell."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value else "0"


def command_line() -> str:
    """This program, as one would type it from the project's folder."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    program = ["-m", module.name.removesuffix(".__main__")] if module else [Path(sys.argv[0]).name]
    arguments = iter(sys.argv[1:])
    kept = [each for each in arguments if not (each == "--json" and next(arguments, ""))]
    return shlex.join(["python", *program, *kept])


def interleaved(tasks: Mapping[str, Callable[[], float]], rounds: int, *, warm_up: int = 0) -> dict[str, list[float]]:
    """What each task returned, one after the other and round after round: what slows one round slows all.

    The order turns from round to round, so that none always follows the same one. The first `warm_up` rounds are
    not counted.
    """
    values: dict[str, list[float]] = {name: [] for name in tasks}
    names = list(tasks)
    for number in range(warm_up + rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            value = tasks[name]()
            if number >= warm_up:
                values[name].append(value)
    return values


def ratio_of(what: str, peer: str, ours: Iterable[float], theirs: Iterable[float], unit: str, **how: bool) -> Ratio:
    """The ratio of two medians."""
    return Ratio(what, peer, statistics.median(list(ours)), statistics.median(list(theirs)), unit, **how)
