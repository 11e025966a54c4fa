"""What `mmchat sessions report` shows in a terminal: tables, and small plots in their lines."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mmchat.chat.report_values import IntentUse, Pace, RatingCount, Report, Spread
from mmchat.cli.eval_view import screen
from mmchat.cli.report_words import (
    counted_reasons,
    heading_words,
    kind_words,
    language_words,
    mood_words,
    nearest_words,
    never_words,
    place_words,
    seconds,
    spread_words,
)
from mmchat.cli.spark import bar, sparkline
from mmchat.memory.import_values import counted
from mmchat.moments import local_minute
from mmchat.sanitize import plain_line

if TYPE_CHECKING:
    from rich.console import JustifyMethod

MAX_INTENTS, MAX_GAPS, MAX_PLACES = 12, 10, 8
"""Rows shown; `--json` and `--html` have all."""
MAX_QUESTION = 160
_SPARK_CELLS = 24
_NAME_CELLS = 12


def print_report(report: Report) -> None:
    """Write it to standard output, in the terminal's width and colours; bare in a pipe."""
    console = screen()
    with console.capture() as captured:
        show_report(report, console)
    # Cells are filled up with blanks, which a pipe has no use for.
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def show_report(report: Report, console: Console) -> None:
    """All sections that have something to tell."""
    console.print(_bold(heading_words(report)))
    for section in (
        _overview,
        _intents,
        _mood,
        _gaps,
        _forbidden,
        _documents,
        _ratings,
        _hand_overs,
        _speed,
        _lengths,
    ):
        if (parts := section(report)) is not None:
            console.print()
            console.print(Group(*parts))


def _overview(report: Report) -> Sequence[RenderableType]:
    periods = report.periods
    lines = _grid("left", "left", "left")
    most = max(period.messages for period in periods)
    lines.add_row(
        _dim("messages"),
        sparkline([period.messages for period in periods], _SPARK_CELLS),
        f"{report.messages:,}, at most {most:,} a {report.unit}",
    )
    if report.mood.messages:
        lines.add_row(
            _dim("mood"),
            sparkline([period.mood for period in periods], _SPARK_CELLS, low=-1, high=1),
            f"{mood_words(report.mood.mean)} on the whole, of -1 to 1",
        )
    shares = [period.unanswered / period.messages if period.messages else None for period in periods]
    lines.add_row(
        _dim("unanswered"), sparkline(shares, _SPARK_CELLS, high=1), f"{report.unanswered / report.messages:.0%}"
    )
    span = " to ".join(dict.fromkeys((periods[0].start, periods[-1].start)))
    return [_title("Over time", f"{span}, by {report.unit}"), lines, *_languages(report)]


def _languages(report: Report) -> Sequence[RenderableType]:
    words = (f"{language_words(each.language)} {each.words:,}" for each in report.languages)
    return [Text(plain_line(f"Words of the users: {', '.join(words)}."))]


def _intents(report: Report) -> Sequence[RenderableType] | None:
    if not report.intents:
        return None
    table = _table(("", "left"), ("messages", "right"), ("share", "right"), ("", "left"))
    for name in ("sure", "mood"):
        table.add_column(_dim(name), justify="right", no_wrap=True)
    table.add_column(_dim("over time"), no_wrap=True)
    largest = report.intents[0].share
    for each in report.intents[:MAX_INTENTS]:
        table.add_row(*_intent_row(each, largest))
    about = f"{report.intents_read:,} of {counted(report.messages, 'message')} read"
    if report.out_of_scope:
        about += f", {report.out_of_scope:.0%} out of scope"
    return [_title("Intents", about), table, *_more(len(report.intents) - MAX_INTENTS, "intent")]


def _intent_row(each: IntentUse, largest: float) -> tuple[RenderableType, ...]:
    return (
        Text(plain_line(each.intent)),
        f"{each.messages:,}",
        f"{each.share:.0%}",
        bar(each.share / largest, _NAME_CELLS),
        f"{each.confidence:.0%}",
        mood_words(each.mood),
        sparkline([float(count) for count in each.by_period], 18),
    )


def _mood(report: Report) -> Sequence[RenderableType] | None:
    mood = report.mood
    if not mood.messages:
        return None
    table = _grid("right", "left", "left")
    for each in mood.lowest:
        change = f"{mood_words(each.first)} → {mood_words(each.last)}"
        table.add_row(
            change, Text(plain_line(each.title or "-"), overflow="ellipsis", no_wrap=True), _dim(each.session)
        )
    about = (
        f"of {counted(mood.conversations, 'conversation')}, {mood.ended_worse:,} ended worse than it began, "
        f"{mood.ended_better:,} better"
    )
    return [_title("Mood", about), *([table] if mood.lowest else [])]


def _gaps(report: Report) -> Sequence[RenderableType] | None:
    if not report.gaps:
        return None
    table = _grid("right", "left", "left")
    for each in report.gaps[:MAX_GAPS]:
        question = plain_line(each.question)
        shown = question if len(question) <= MAX_QUESTION else f"{question[: MAX_QUESTION - 1]}…"
        table.add_row(f"{each.times:,}", Text(shown), _dim(counted_reasons(each.reasons)))
        if near := nearest_words(each):
            table.add_row("", _dim(f"nearest: {near}"))
    share = f"{report.unanswered:,} of {counted(report.messages, 'message')}"
    about = f"{share}: {counted_reasons(report.unanswered_reasons)}"
    return [_title("Unanswered", about), table, *_more(len(report.gaps) - MAX_GAPS, "group")]


def _forbidden(report: Report) -> Sequence[RenderableType] | None:
    if not report.forbidden:
        return None
    return [_title("Forbidden topics", _listed(report.forbidden))]


def _documents(report: Report) -> Sequence[RenderableType] | None:
    documents = report.documents
    if not (documents.cited or documents.never):
        return None
    about = f"cited in {documents.replies:,} of {report.replies:,} replies"
    parts: list[RenderableType] = [_title("Documents", about)]
    if documents.cited:
        table = _grid("right", "left", "left")
        largest = documents.cited[0].times
        for each in documents.cited[:MAX_PLACES]:
            table.add_row(
                f"{each.times:,}", bar(each.times / largest, _NAME_CELLS), Text(plain_line(place_words(each)))
            )
        parts += [table, *_more(len(documents.cited) - MAX_PLACES, "heading")]
    if documents.never:
        parts.append(Text(plain_line(f"Never cited: {never_words(documents.never)}.")))
    return parts


def _ratings(report: Report) -> Sequence[RenderableType] | None:
    total = report.ratings.total
    if not (total.good or total.bad or total.better):
        return None
    table = _table(("", "left"), ("good", "right"), ("bad", "right"), ("better text", "right"), ("", "left"))
    intents = [(intent or "intent not read", count) for intent, count in report.ratings.by_intent.items()]
    kinds = [(kind_words(kind), count) for kind, count in report.ratings.by_kind.items()]
    is_read = any(report.ratings.by_intent)
    for title, rows in (("by kind of reply", kinds), ("by intent", intents[:MAX_INTENTS] if is_read else [])):
        if rows:
            table.add_row(_dim(title))
        for name, count in rows:
            numbers = (f"{number:,}" for number in (count.good, count.bad, count.better))
            table.add_row(Text(plain_line(name)), *numbers, _thumbs(count))
    about = f"{total.good:,} good, {total.bad:,} bad, {total.better:,} with a better text"
    return [_title("Ratings", about), table]


def _thumbs(count: RatingCount) -> Text:
    """Good and bad as parts of one bar."""
    marked = count.good + count.bad
    if not marked:
        return Text()
    good = round(count.good / marked * _NAME_CELLS)
    return Text("█" * good, style="green").append("░" * (_NAME_CELLS - good), style="red")


def _hand_overs(report: Report) -> Sequence[RenderableType] | None:
    found = report.hand_overs
    if not found.total:
        return None
    table = _grid("left", "left", "left", "left")
    for each in found.latest[:MAX_PLACES]:
        title = Text(plain_line(each.title or "-"), overflow="ellipsis", no_wrap=True)
        table.add_row(_dim(local_minute(each.at)), plain_line(each.reason), title, _dim(each.session))
    about = f"{found.total:,} in {counted(found.conversations, 'conversation')}: {_listed(found.by_reason)}"
    return [_title("Handed over to a person", about), table]


def _speed(report: Report) -> Sequence[RenderableType] | None:
    latency = report.latency
    if not (latency.drawn.replies or latency.prepared):
        return None
    table = _table(("", "left"), ("replies", "right"))
    names = ("first word", "of the model", "whole reply", "tokens/s")
    for name in names if latency.drawn.replies else names[:1]:
        table.add_column(_dim(name), justify="right", no_wrap=True)
    models = latency.by_model.items() if len(latency.by_model) > 1 else ()
    paces: list[tuple[str, Pace]] = [("drawn by the model", latency.drawn)] if latency.drawn.replies else []
    paces += [(f"  {name}", pace) for name, pace in models]
    paces += [(kind_words(kind), pace) for kind, pace in latency.prepared.items()]
    for name, pace in paces:
        table.add_row(Text(plain_line(name)), f"{pace.replies:,}", *_pace_cells(pace)[: len(table.columns) - 2])
    return [_title("Speed", "medians in seconds; 95% of the replies stay below what is in brackets"), table]


def _pace_cells(pace: Pace) -> tuple[str, ...]:
    return (
        spread_words(pace.wait_s, seconds),
        spread_words(pace.first_token_s, seconds),
        spread_words(pace.reply_s, seconds),
        f"{pace.tokens_per_s.median:.0f}" if pace.tokens_per_s is not None else "",
    )


def _lengths(report: Report) -> Sequence[RenderableType]:
    lengths = report.lengths
    most = max(lengths.sizes.values())
    table = _grid("right", "left", "left")
    for size, count in lengths.sizes.items():
        if count:
            table.add_row(size, bar(count / most, _NAME_CELLS), f"{count:,}")
    about = f"median {_median(lengths.messages, 'message')}"
    if lengths.minutes is not None:
        minutes = round(lengths.minutes.median)
        about += f", {counted(minutes, 'minute') if minutes else 'less than a minute'}"
    return [_title("Messages in a conversation", about), table]


def _median(spread: Spread | None, what: str) -> str:
    median = spread.median if spread is not None else 0.0
    return f"{median:g} {what}{'' if median == 1 else 's'}"


# --- pieces ---------------------------------------------------------------------------------------


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _more(count: int, what: str) -> Iterable[RenderableType]:
    return [_dim(f"… and {counted(count, f'more {what}')}; --json and --html have all")] if count > 0 else []


def _title(name: str, about: str) -> Text:
    return _bold(name).append(f" · {plain_line(about)}", style="not bold dim")


def _bold(text: str) -> Text:
    return Text(plain_line(text), style="bold")


def _dim(text: str) -> Text:
    return Text(plain_line(text), style="dim")


def _grid(*sides: JustifyMethod) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for side in sides:
        table.add_column(justify=side)
    return table


def _table(*columns: tuple[str, JustifyMethod]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, side in columns:
        table.add_column(_dim(name), justify=side)
    return table
