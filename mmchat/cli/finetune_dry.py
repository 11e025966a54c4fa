"""What `--dry-run` shows: the rows as they are, what of them is trained on, and what it will cost."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from mmchat.cli.output import has_colour, print_json, print_text
from mmchat.evals.layout import duration
from mmchat.evals.plain import to_plain
from mmchat.free_memory import available_memory_bytes
from mmchat.sanitize import plain_line, plain_text

if TYPE_CHECKING:
    from mmchat.rows.values import RowProblem
    from mmchat.train.base import Preparation, Span

WIDTH = 80
MAX_BARS = 10
_BAR = "█"
_LEFT_MARK, _RIGHT_MARK = "«", "»"
_SUPERVISED = "\x1b[1;32m"
_RESET = "\x1b[0m"
GB = 1e9


def show(preparation: Preparation, problems: Sequence[RowProblem], *, as_json: bool) -> None:
    """Print it on standard output."""
    if as_json:
        print_json({**preparation_object(preparation), "bad_rows": [str(each) for each in problems]})
        return
    for line in _lines(preparation, problems):
        print_text(line)
    print_text("")
    _print_example(preparation.example)


def preparation_object(preparation: Preparation) -> dict[str, Any]:
    """The preparation as JSON; lengths are counted instead of listed, held-out rows are in a file of their own."""
    plain: dict[str, Any] = to_plain(
        {
            name: getattr(preparation, name)
            for name in preparation.__dataclass_fields__
            if name not in ("held_out", "lengths")
        }
    )
    lengths = preparation.lengths
    if lengths:
        plain["lengths"] = {
            "min": min(lengths),
            "median": median(lengths),
            "max": max(lengths),
            "histogram": [{"from": low, "to": high, "rows": count} for low, high, count in histogram(lengths)],
        }
    return plain


def _lines(preparation: Preparation, problems: Sequence[RowProblem]) -> list[str]:
    settings = preparation.settings
    head = f"{preparation.task} · {preparation.method} on {settings.model} → {settings.name}"
    lines = [plain_line(head), ""]
    lines += [f"{name:<12}{value}" for name, value in _facts(preparation)]
    if problems:
        lines += ["", f"Bad rows ({len(problems)})", *map(str, problems)]
    if preparation.dropped:
        lines += ["", f"Rows that cannot be learnt from ({len(preparation.dropped)})", *preparation.dropped]
    if preparation.labels:
        lines += ["", f"Classes ({len(preparation.labels)})", ", ".join(preparation.labels)]
    if preparation.lengths:
        lines += ["", "Tokens of a row", *histogram_lines(preparation.lengths, settings.max_length)]
    return lines + ([""] if preparation.notes else []) + [f"Note: {note}" for note in preparation.notes]


def _facts(preparation: Preparation) -> list[tuple[str, str]]:
    settings = preparation.settings
    facts = [
        (
            "rows",
            f"{preparation.rows:,}: {preparation.train_rows:,} to train on, "
            f"{preparation.validation_rows:,} held out to watch and compare",
        )
    ]
    if preparation.tokens:
        share = preparation.supervised_tokens / preparation.tokens
        cut = f"{_rows(preparation.cut_rows)} lose {preparation.cut_turns:,} old turns" if preparation.cut_rows else ""
        facts += [
            ("cut", f"{cut or 'nothing'} (a row has at most {settings.max_length:,} tokens)"),
            ("tokens", f"{preparation.tokens:,}, of which {preparation.supervised_tokens:,} are learnt ({share:.0%})"),
        ]
    if preparation.all_parameters:
        share = preparation.trainable_parameters / preparation.all_parameters
        facts.append(
            (
                "parameters",
                f"{preparation.trainable_parameters:,} of {preparation.all_parameters:,} train ({share:.2%})",
            )
        )
    facts.append(("steps", f"{preparation.steps:,} of {settings.batch_size} rows each, {settings.epochs:g} epochs"))
    if preparation.estimated_s is not None:
        facts.append(("time", f"about {duration(preparation.estimated_s)} on this machine"))
    if preparation.estimated_bytes is not None:
        free = available_memory_bytes()
        of = f" of {free / GB:.1f} GB free" if free else ""
        facts.append(("memory", f"about {preparation.estimated_bytes / GB:.1f} GB{of}"))
    return facts


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


# --- lengths --------------------------------------------------------------------------------------


def histogram(lengths: Sequence[int]) -> list[tuple[int, int, int]]:
    """(from, to, rows) of up to `MAX_BARS` equal ranges, whose width is a round number of tokens."""
    width = 8
    while max(lengths) // width >= MAX_BARS:
        width *= 2
    counts = [0] * (max(lengths) // width + 1)
    for length in lengths:
        counts[length // width] += 1
    return [(i * width, (i + 1) * width - 1, count) for i, count in enumerate(counts)]


def histogram_lines(lengths: Sequence[int], max_length: int) -> list[str]:
    """A bar for each range, in plain characters; ranges beyond the limit say so."""
    ranges = histogram(lengths)
    most = max(count for _, _, count in ranges)
    labels = [f"{low}–{high}" for low, high, _ in ranges]
    before, after = max(map(len, labels)), len(f"{most:,}") + len("  cut")
    room = WIDTH - before - after - 4
    lines = []
    for label, (low, _, count) in zip(labels, ranges, strict=True):
        bar = _BAR * max(round(count / most * room), 1 if count else 0)
        mark = "  cut" if low > max_length and count else ""
        lines.append(f"{label.rjust(before)}  {bar}{' ' if bar else ''}{count:,}{mark}".rstrip())
    return lines


# --- the example ----------------------------------------------------------------------------------


def _print_example(spans: Sequence[Span]) -> None:
    if not spans:
        return
    is_coloured = has_colour(sys.stdout)
    how = "in bold green" if is_coloured else f"between {_LEFT_MARK} and {_RIGHT_MARK}"
    print_text(f"One row as the model sees it; it learns to write what is {how}\n")
    if not is_coloured:
        print_text(marked(spans))
        return
    for span in spans:  # our own colours must survive, so the text alone is cleaned
        text = plain_text(span.text)
        sys.stdout.write(_coloured(text) if span.is_supervised else text)
    sys.stdout.write("\n")
    sys.stdout.flush()


def marked(spans: Sequence[Span]) -> str:
    """The row with its supervised parts between «…»."""
    return "".join(f"{_LEFT_MARK}{span.text}{_RIGHT_MARK}" if span.is_supervised else span.text for span in spans)


def _coloured(text: str) -> str:
    """Line by line: a pager or a terminal may forget a colour at the end of a line."""
    return "\n".join(f"{_SUPERVISED}{line}{_RESET}" if line else line for line in text.split("\n"))
