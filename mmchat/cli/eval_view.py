"""What `mmchat eval` shows people: tables of scores, what they mean, and how they were measured."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mmchat.cli.output import has_colour
from mmchat.evals import layout
from mmchat.evals.layout import ARROWS, info, number
from mmchat.sanitize import plain_line

if TYPE_CHECKING:
    from mmchat.evals.base import MetricInfo
    from mmchat.evals.layout import Section
    from mmchat.evals.results import Comparison, Exhibit, Run, Score

MAX_EXHIBIT_ROWS = 12
INTERVALS = "95% intervals"
"""Heads the column of metrics: it says what the dim numbers are."""
NONE = "–"
VERDICT_STYLES = {"better": "green", "worse": "red"}


def screen() -> Console:
    """Where tables go: standard output, in the terminal's own width and colours."""
    colours: Literal["auto"] | None = "auto" if has_colour(sys.stdout) else None
    width = shutil.get_terminal_size().columns
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False, color_system=colours)


def show_run(run: Run, console: Console, *, saved_at: str) -> None:
    """Tables, verdicts, warnings, and all that is needed to defend the scores."""
    width = console.width
    for section in layout.sections(run):
        console.print()
        console.print(_heading(section))
        console.print(scores_table(section, width))
        console.print(_pairs([(_titles(names), signature) for names, signature in section.signatures()]))
        for exhibit in section.exhibits:
            console.print(_exhibit(exhibit, width))
    if not run.scores:
        console.print("\nThere is nothing to score yet.")
    _show_words(console, run.sentences, run.warnings)
    console.print()
    console.print(_pairs(_provenance(run, saved_at)))


def show_comparison(
    comparisons: Sequence[Comparison], sentences: Sequence[str], warnings: Sequence[str], console: Console
) -> None:
    """Differences between two saved runs, with intervals and verdicts."""
    keys = list(dict.fromkeys((each.dataset, each.task, each.language, each.base, each.other) for each in comparisons))
    for key in keys:
        chosen = [c for c in comparisons if (c.dataset, c.task, c.language, c.base, c.other) == key]
        console.print()
        dataset, task, language, base, other = key
        console.print(_bold(f"{dataset} · {task} · {layout.language_name(language)}"))
        console.print(Text(plain_line(f"{other} minus {base}, paired"), style="dim"))
        console.print(_differences(chosen))
    _show_words(console, sentences, warnings)


def metrics_table(infos: Sequence[MetricInfo]) -> Table:
    """`--list`: what each metric says, its range and direction, its source."""
    table = _table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for tasks in dict.fromkeys(each.tasks for each in infos):
        table.add_row(_bold(f"{' and '.join(tasks)}"), "")
        for each in (each for each in infos if each.tasks == tasks):
            facts = f"{each.range} {ARROWS[each.direction]}".rstrip() + f" · {each.source}"
            table.add_row(Text(f"  {each.name}"), Text(plain_line(each.description)))
            table.add_row("", Text(plain_line(facts), style="dim"))
    return table


# --- scores ---------------------------------------------------------------------------------------


def scores_table(section: Section, width: int) -> Table:
    """Metrics down, models across; where they do not fit side by side, each model's score on a line of its own."""
    names = [_metric_name(section, metric) for metric in section.metrics]
    counts = _counts(section)
    columns = [_cells(section, [(metric, model) for metric in section.metrics]) for model in section.models]
    widths = [max(cell_len(model), *map(_width, cells)) for model, cells in zip(section.models, columns, strict=True)]
    first = max(len(INTERVALS), *map(_width, names))
    is_wide = first + sum(widths) + 3 * len(widths) + (8 if counts else 0) <= width
    table = _table()
    table.add_column(Text(INTERVALS if section.has_intervals else "", style="dim"), no_wrap=True)
    for heading in section.models if is_wide else ("", ""):
        table.add_column(_bold(heading), overflow="fold")
    if counts:
        table.add_column(Text("n", style="dim"), justify="right", no_wrap=True)
    rows: list[list[Text]] = []
    if is_wide:
        rows = [[name, *cells] for name, *cells in zip(names, *columns, strict=True)]
    else:
        for metric, name in zip(section.metrics, names, strict=True):
            cells = _cells(section, [(metric, model) for model in section.models])
            shown = [(model, cell) for model, cell in zip(section.models, cells, strict=True) if cell.plain != NONE]
            rows += [[name if not i else Text(), Text(plain_line(m)), cell] for i, (m, cell) in enumerate(shown)]
    for row in rows:
        count = [Text(counts[row[0].plain], style="dim") if row[0].plain else Text()] if counts else []
        table.add_row(*row, *count)
    return table


def _cells(section: Section, keys: Sequence[tuple[str, str]]) -> list[Text]:
    """A column of scores with their intervals, the numbers aligned at their right ends."""
    parts = [_parts(section.cells.get(key), key[0]) for key in keys]
    widths = [max(len(part[i]) for part in parts) for i in range(3)]
    cells = []
    for score, low, high in parts:
        cell = Text(score.rjust(widths[0]) if score != NONE else NONE, style="bold" if score != NONE else "dim")
        if low:
            cell.append(f"  {low.rjust(widths[1])} to {high.rjust(widths[2])}", style="not bold dim")
        cells.append(cell)
    return cells


def _parts(score: Score | None, metric: str) -> tuple[str, str, str]:
    decimals = info(metric).decimals
    if score is None:
        return NONE, "", ""
    if score.low is None or score.high is None:
        return number(score.score, decimals), "", ""
    return number(score.score, decimals), number(score.low, decimals), number(score.high, decimals)


def _metric_name(section: Section, metric: str) -> Text:
    name = Text(plain_line(info(metric).title))
    arrow = ARROWS[section.direction(metric)]
    return name.append(f" {arrow}", style="dim") if arrow else name


def _counts(section: Section) -> dict[str, str]:
    """How many samples each metric counts, by its shown name; empty where all count those in the heading."""
    if all(section.has_same_size(metric) for metric in section.metrics):
        return {}
    return {_metric_name(section, metric).plain: section.counts(metric) for metric in section.metrics}


def _differences(comparisons: Sequence[Comparison]) -> Table:
    table = _table()
    for heading in ("", "difference", "95% interval", "verdict"):
        table.add_column(Text(heading, style="dim"), justify="right" if heading == "difference" else "left")
    for each in comparisons:
        decimals = info(each.metric).decimals
        interval = "" if each.low is None else f"{number(each.low, decimals, sign=True)} to "
        interval += "" if each.high is None else number(each.high, decimals, sign=True)
        table.add_row(
            Text(plain_line(info(each.metric).title)),
            Text(number(each.difference, decimals, sign=True), style="bold"),
            Text(interval, style="dim"),
            Text(layout.verdict_words(each), style=VERDICT_STYLES.get(each.verdict, "")),
        )
    return table


# --- beside the scores ----------------------------------------------------------------------------


def _show_words(console: Console, sentences: Sequence[str], warnings: Sequence[str]) -> None:
    if sentences:
        console.print()
    for sentence in sentences:
        console.print(Text(plain_line(sentence)))
    if warnings:
        console.print()
    for warning in warnings:
        mark = Table.grid(padding=(0, 1, 0, 0))
        mark.add_row(Text("!", style="yellow"), Text(plain_line(warning)))
        console.print(mark)


def _exhibit(exhibit: Exhibit, width: int) -> RenderableType:
    """A small table whole; of a big one, where the rest is."""
    title = _bold(f"{exhibit.title} · {exhibit.model}")
    table = _table()
    for column in exhibit.columns:
        table.add_column(Text(plain_line(column), style="dim"), no_wrap=True)
    needed = sum(
        2 + max(cell_len(plain_line(row[i])) for row in (exhibit.columns, *exhibit.rows))
        for i in range(len(exhibit.columns))
    )
    if needed > width:
        note = f"{len(exhibit.rows)} rows, too wide for this screen; --report FILE.html shows all of it"
        return Padding(Group(title, Text(note, style="dim")), (1, 0, 0, 0))
    for row in exhibit.rows[:MAX_EXHIBIT_ROWS]:
        table.add_row(*(Text(plain_line(cell)) for cell in row))
    rest = len(exhibit.rows) - MAX_EXHIBIT_ROWS
    parts: list[RenderableType] = [title, table]
    if rest > 0:
        parts.append(Text(f"… and {rest} more rows; --report FILE.html shows all of them", style="dim"))
    return Padding(Group(*parts), (1, 0, 0, 0))


def _provenance(run: Run, saved_at: str) -> list[tuple[str, str]]:
    shipped = layout.shipped_words(run.data)
    rows = [("data", shipped)] if shipped else []
    rows += [(facts.name, layout.data_words(facts)) for facts in run.data]
    rows += [(facts.name, layout.model_words(facts)) for facts in run.models]
    rows.append((f"run {run.id}", layout.run_words(run)))
    rows.append(("saved at", saved_at))
    return rows


def _pairs(rows: Sequence[tuple[str, str]]) -> Table:
    """Dim lines of name and text; a long text goes on below itself."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", overflow="fold", max_width=28)
    table.add_column(style="dim", overflow="fold", ratio=1)
    for name, text in rows:
        table.add_row(Text(plain_line(name)), Text(plain_line(text)))
    return table


def _heading(section: Section) -> Text:
    return _bold(section.heading).append(plain_line(f" · {section.size}").replace("·", " ·", 1), style="not bold dim")


def _titles(metrics: Sequence[str]) -> str:
    return ", ".join(info(metric).title for metric in metrics)


def _bold(text: str) -> Text:
    return Text(plain_line(text), style="bold")


def _table(*, show_header: bool = True) -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False, show_header=show_header)


def _width(text: Text) -> int:
    return cell_len(text.plain)
