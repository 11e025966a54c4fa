"""Runs a finetune: checks, asks before a long one, trains, and prints what came of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from threading import Event
from typing import TYPE_CHECKING

import typer

from mmchat import paths
from mmchat.cli.exits import EXIT_INTERRUPTED
from mmchat.cli.finetune_options import FinetuneChoice
from mmchat.cli.finetune_view import View, finetune_view
from mmchat.cli.output import confirm, warn
from mmchat.cli.stoppable import leave, run_stoppable
from mmchat.errors import DataError, MmchatError
from mmchat.evals.layout import duration
from mmchat.native_noise import native_noise_to
from mmchat.sanitize import plain_line
from mmchat.wiring.finetune import is_first_process

if TYPE_CHECKING:
    from mmchat.wiring.finetune import Finetune, Finished, Reports

LONG_S = 30 * 60
"""A training that will take longer is begun only when it was agreed to, where somebody can be asked."""
ECHO_S = 3.0
"""torchrun passes on a Ctrl+C that its processes have already had from the terminal."""


def perform(choice: FinetuneChoice) -> None:
    """Finetune, or go on with one, or only check; leave with 130 where it was interrupted.

    Raises:
        MmchatError: what is wrong. Once training has begun, what it has done is kept.
    """
    from mmchat.wiring import open_finetune

    job = open_finetune(choice.request, should_resume=choice.should_resume, is_forced=choice.is_forced)
    is_first = is_first_process()
    try:
        with _quiet(), finetune_view("mmchat finetune", is_silent=not is_first) as view:
            run_stoppable(lambda cancel: _prepare(job, choice, view, cancel), on_stop=_leave)
    except KeyboardInterrupt:
        if is_first:
            warn("Interrupted. Nothing was trained.")
        leave(EXIT_INTERRUPTED)
    if choice.is_dry:
        _show_dry(job, choice)
    else:
        _train(job, choice, is_first=is_first)


def _prepare(job: Finetune, choice: FinetuneChoice, view: View, cancel: Event) -> None:
    try:
        job.check(view.phase, is_dry=choice.is_dry)
    except MmchatError as error:
        if is_first_process():
            raise
        raise typer.Exit(error.exit_code) from error  # all processes find the same, and the first one says it
    job.prepare(_reports(view), cancel)


def _leave() -> None:
    """Before training there is nothing to save, so the first Ctrl+C leaves."""
    raise KeyboardInterrupt


def _show_dry(job: Finetune, choice: FinetuneChoice) -> None:
    from mmchat.cli import finetune_dry

    finetune_dry.show(job.preparation, job.problems, as_json=choice.as_json)
    if job.problems and not choice.request.settings.should_skip_bad:
        count = len(job.problems)
        raise DataError(
            f"{count} bad row{'' if count == 1 else 's'}; training would not begin.",
            hint="Mend these, or leave them out with --skip-bad.",
        )


def _train(job: Finetune, choice: FinetuneChoice, *, is_first: bool) -> None:
    settings = job.preparation.settings
    if is_first:
        _tell_what(job)
        _ask(job, choice)
    title = f"{settings.name}: {job.preparation.method} on {settings.model}"
    unit = "tokens" if job.preparation.tokens else "rows"
    go_on = f"Go on with: mmchat finetune --resume {settings.name}"

    try:
        with _quiet(), finetune_view(title, unit=unit, is_silent=not is_first) as view:
            finished = run_stoppable(
                lambda cancel: job.train(_reports(view), cancel),
                on_stop=lambda: view.say("saving … Ctrl+C again leaves at once"),
                echo_s=ECHO_S if "WORLD_SIZE" in os.environ else 0.0,
            )
    except KeyboardInterrupt:
        if is_first:
            warn(f"Left at once; the last checkpoint is kept. {go_on}")
        leave(EXIT_INTERRUPTED)
    if not is_first:
        if finished.result.status == "interrupted":
            raise typer.Exit(EXIT_INTERRUPTED)
        return
    _present(finished, choice)
    if finished.result.status == "interrupted":
        warn(f"Interrupted after step {finished.result.steps}; all of it is saved. {go_on}")
        raise typer.Exit(EXIT_INTERRUPTED)


def _tell_what(job: Finetune) -> None:
    """What is going to happen, and what of the rows is left out: it stays on the screen and in a log."""
    preparation = job.preparation
    settings = preparation.settings
    time = f", about {duration(preparation.estimated_s)}" if preparation.estimated_s is not None else ""
    warn(
        plain_line(
            f"Training {settings.name}: {preparation.method} on {settings.model}, {preparation.train_rows:,} "
            f"{preparation.task} rows, {preparation.steps:,} steps{time}"
        )
    )
    for left_out, why in ((preparation.skipped or tuple(map(str, job.problems)), "bad"), (preparation.dropped, "")):
        if left_out:
            count = len(left_out)
            warn(f"{count} {f'{why} ' if why else ''}row{'' if count == 1 else 's'} left out:")
            for line in left_out:
                warn(f"  {line}")
    for note in preparation.notes:
        warn(f"Note: {note}")


def _ask(job: Finetune, choice: FinetuneChoice) -> None:
    estimated_s = job.preparation.estimated_s
    if choice.is_sure or choice.should_resume or estimated_s is None or estimated_s <= LONG_S:
        return
    if sys.stdin.isatty() and not confirm(f"This will take about {duration(estimated_s)}. Begin?"):
        warn("Nothing was trained.")
        raise typer.Exit(1)


def _present(finished: Finished, choice: FinetuneChoice) -> None:
    from mmchat.cli import finetune_result

    finetune_result.show(finished, as_json=choice.as_json)


def _reports(view: View) -> Reports:
    from mmchat.wiring.finetune import Reports

    return Reports(view.phase, view.pull, view.event, view.progress, view.state)


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing but our own words on the screen: what libraries print goes to a log."""
    log = paths.private_dir(paths.log_dir()) / "finetune.log"
    with (
        native_noise_to(paths.log_dir() / "native.log", is_stdout_too=True),
        log.open("a", encoding="utf-8", errors="backslashreplace") as file,
        redirect_stdout(file),
    ):
        yield
