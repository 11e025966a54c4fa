"""What a finetune left behind, as people and programs read it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mmchat.cli.finetune_dry import preparation_object
from mmchat.cli.output import print_json, print_table, warn
from mmchat.evals import layout
from mmchat.evals.plain import to_plain
from mmchat.sanitize import plain_line

if TYPE_CHECKING:
    from mmchat.evals.results import Comparison
    from mmchat.train.base import TaskName, TrainResult
    from mmchat.wiring.before_after import BeforeAfter
    from mmchat.wiring.finetune import Finished

COLUMNS = ("rows", "metric", ">before", ">after", ">difference", ">low", ">high", "verdict")
USES: dict[TaskName, str] = {
    "dialogue": "mmchat talk -m {}",
    "preference": "mmchat talk -m {}",
    "caption": "mmchat see PICTURE -m {}",
    "picture": "mmchat talk -m {} -a PICTURE",
    "label": "mmchat eval --data ROWS -m {}",
    "speech": "mmchat transcribe FILE -m {}",
}
MIN_PLOT_STEPS = 3


def use_of(finished: Finished) -> str:
    """The command that uses the result."""
    return USES[finished.preparation.task].format(finished.preparation.settings.name)


def show(finished: Finished, *, as_json: bool) -> None:
    """Print it: an object, a picture on a terminal, rows in a pipe."""
    if as_json:
        print_json(result_object(finished))
    elif sys.stdout.isatty():
        _show_picture(finished)
    else:
        compared = finished.before_after
        if compared is not None:
            print_table(COLUMNS, [(each.dataset, each.metric, *compared.line(each)) for each in compared.comparisons])
    _say_trouble(finished)
    if finished.result.status == "interrupted" or as_json:
        return
    if not sys.stdout.isatty():
        warn(_summary(finished.result, finished))
        for line in _words(finished.before_after):
            warn(line)
    warn(f"Saved in {finished.result.folder}")
    warn(f"Use it: {use_of(finished)}")


def result_object(finished: Finished) -> dict[str, Any]:
    """All of it as JSON."""
    result, compared = finished.result, finished.before_after
    trained: dict[str, Any] = to_plain({name: getattr(result, name) for name in result.__dataclass_fields__})
    trained["folder"] = str(result.folder)
    return {
        "name": finished.preparation.settings.name,
        "status": result.status,
        "folder": str(result.folder),
        "settings": to_plain(finished.preparation.settings),
        "preparation": {
            key: each for key, each in preparation_object(finished.preparation).items() if key != "settings"
        },
        "result": trained,
        "before_after": None
        if compared is None
        else {
            "runs": [run.id for run in compared.runs],
            "is_complete": compared.is_complete,
            "scores": to_plain(compared.scores),
            "comparisons": to_plain(compared.comparisons),
            "sentences": list(compared.sentences),
            "warnings": list(compared.warnings),
        },
        "error": finished.trouble.message if finished.trouble is not None else "",
        "use": use_of(finished) if result.status != "interrupted" else "",
    }


def _show_picture(finished: Finished) -> None:
    from rich.console import Console
    from rich.text import Text

    from mmchat.cli.curve_plot import curve_plot, legend
    from mmchat.cli.eval_view import screen

    result = finished.result
    console: Console = screen()
    console.print()
    console.print(Text(plain_line(finished.preparation.settings.name), style="bold"))
    console.print(_summary(result, finished))
    losses = list(enumerate(result.losses, 1))
    if len(losses) >= MIN_PLOT_STEPS:
        width = min(shutil.get_terminal_size().columns, 100)
        for line in curve_plot(losses, finished.validations, width=width, height=8, last=len(losses)):
            console.print(line)
        console.print(Text(" " * 7).append_text(legend()))
    if finished.before_after is not None:
        console.print()
        for part in _tables(finished.before_after):
            console.print(part)
        console.print()
        for words in _words(finished.before_after):
            console.print(words)
    console.print()


def _summary(result: TrainResult, finished: Finished) -> str:
    """Such as "lora on smollm2-135m: 480 steps in 9 min 12 s; validation loss 3.210 → 2.314 (step 400)."."""
    how = {"complete": "", "stopped early": ", stopped early", "interrupted": ", interrupted"}[result.status]
    words = (
        f"{finished.preparation.method} on {finished.preparation.settings.model}: {result.steps:,} steps in "
        f"{layout.duration(result.elapsed_s)}{how}"
    )
    if result.first_validation_loss is not None and result.best_validation_loss is not None:
        words += (
            f"; validation loss {result.first_validation_loss:.3f} → {result.best_validation_loss:.3f}"
            f" (best, at step {result.best_step:,})"
        )
    return plain_line(words)


# --- before and after -----------------------------------------------------------------------------


def _tables(compared: BeforeAfter) -> Iterator[Any]:
    """A heading and a table for each file, their columns under each other."""
    from rich.table import Table
    from rich.text import Text

    from mmchat.cli.eval_view import VERDICT_STYLES

    heads = ("", "before", "after", "difference", "95% interval", "")
    lines = [(each, _cells(each, compared)) for each in compared.comparisons]
    widths = [max(len(row[column]) for row in [heads, *(cells for _, cells in lines)]) for column in range(len(heads))]
    for at, dataset in enumerate(dict.fromkeys((each.dataset, each.task) for each, _ in lines)):
        chosen = [(each, cells) for each, cells in lines if (each.dataset, each.task) == dataset]
        first = chosen[0][0]
        yield Text(
            plain_line(f"{first.dataset}, {layout.count_words(first.task, first.samples, first.groups)}"), style="bold"
        )
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=at == 0, header_style="")
        for heading, width in zip(heads, widths, strict=True):
            justify: Any = "right" if heading in ("before", "after", "difference") else "left"
            table.add_column(Text(heading, style="dim"), justify=justify, min_width=width)
        for each, (*cells, interval, verdict) in chosen:
            words = Text(verdict, style=VERDICT_STYLES.get(each.verdict, ""))
            table.add_row(*map(Text, cells), Text(interval, style="dim"), words)
        yield table


def _cells(each: Comparison, compared: BeforeAfter) -> tuple[str, ...]:
    info = layout.info(each.metric)
    before, after, difference, low, high, verdict = compared.line(each)
    interval = f"{low} to {high}" if low else ""
    return (f"  {info.title} {layout.ARROWS[info.direction]}", before, after, difference, interval, verdict)


def _words(compared: BeforeAfter | None) -> Iterator[str]:
    if compared is None:
        return
    yield from compared.sentences
    for warning in compared.warnings:
        yield f"Warning: {warning}"


def _say_trouble(finished: Finished) -> None:
    error = finished.trouble
    if error is not None:
        warn(f"The model is saved, but it could not be compared with its base: {error.message}")
        if error.hint:
            warn(error.hint)
