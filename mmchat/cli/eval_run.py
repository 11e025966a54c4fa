"""Runs an evaluation, scores a saved one anew or compares two, and prints what came of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, NoReturn

import typer

from mmchat import paths
from mmchat.cli.eval_job import SilentView, View, progress_view
from mmchat.cli.eval_options import EvalChoice
from mmchat.cli.exits import EXIT_INTERRUPTED
from mmchat.cli.output import narrate, print_json, print_table, warn
from mmchat.cli.stoppable import leave, run_stoppable
from mmchat.native_noise import native_noise_to

if TYPE_CHECKING:
    from mmchat.evals.base import ProcessGroup
    from mmchat.evals.results import Run, RunSettings
    from mmchat.evals.runs import RunStore


def perform(choice: EvalChoice) -> None:
    """Evaluate, or go on with a run, or score one anew; print it; leave with 130 where it was interrupted.

    Raises:
        MmchatError: what is wrong; a run that was begun is kept.
    """
    from mmchat.engines.process_group import SoleProcess
    from mmchat.wiring import open_process_group, open_runs

    store = open_runs()
    with closing(SoleProcess() if choice.rescore else open_process_group()) as group:
        run = _ask(choice, store, group)
        if group.rank > 0:
            return
    if run.status == "interrupted" and not choice.rescore and not run.scores and _is_empty(store, run):
        _leave_nothing(choice, store, run)
    present(run, store, as_json=choice.as_json, report=choice.report)
    if not sys.stderr.isatty():
        warn(f"Saved as run {run.id} in {store.folder / run.id}")
    if run.status == "interrupted" and not choice.rescore:
        warn(f"Interrupted; the scores are of what was done. Go on with: mmchat eval --resume {run.id}")
        raise typer.Exit(EXIT_INTERRUPTED)


def _is_empty(store: RunStore, run: Run) -> bool:
    return next(iter(store.outcomes(run.id)), None) is None


def _leave_nothing(choice: EvalChoice, store: RunStore, run: Run) -> NoReturn:
    """Ctrl+C came before the first sample: a run that was begun just now is no use to anybody."""
    if not choice.resume:
        store.delete(run.id)
    again = f" Go on with: mmchat eval --resume {run.id}" if choice.resume else ""
    warn(f"Stopped before anything was done.{again}")
    raise typer.Exit(EXIT_INTERRUPTED)


def _ask(choice: EvalChoice, store: RunStore, group: ProcessGroup) -> Run:
    """Do what takes time, with its progress shown by the first process."""
    resumed = _resumed(choice, store, group)
    settings = resumed.settings if resumed is not None else choice.settings
    is_first = group.rank == 0
    if is_first and not sys.stderr.isatty():
        warn(_what(choice, settings))
    known = {run.id for run in store.list()} if is_first else set()
    try:
        with (
            native_noise_to(paths.log_dir() / "native.log", is_stdout_too=True),
            progress_view() if is_first else nullcontext(SilentView()) as view,
        ):
            return run_stoppable(
                _work(choice, settings, resumed, store, group, view),
                on_stop=lambda: view.say("stopping … Ctrl+C again leaves at once"),
            )
    except KeyboardInterrupt:
        if not is_first:
            leave(EXIT_INTERRUPTED)
        begun = [resumed.id] if resumed is not None else [run.id for run in store.list() if run.id not in known]
        go_on = f"Interrupted. Go on with: mmchat eval --resume {begun[0]}" if begun else ""
        warn(go_on or "Stopped before anything was done.")
        leave(EXIT_INTERRUPTED)


def _resumed(choice: EvalChoice, store: RunStore, group: ProcessGroup) -> Run | None:
    """The run to go on with; only the first process has it on its disk, perhaps."""
    if not choice.resume:
        return None
    from mmchat.evals.lockstep import together
    from mmchat.evals.plain import from_plain, to_plain
    from mmchat.evals.results import Run

    plain = together(group, lambda: to_plain(store.get(choice.resume)) if group.rank == 0 else None)[0]
    return from_plain(Run, plain)


def _work(
    choice: EvalChoice, settings: RunSettings, resumed: Run | None, store: RunStore, group: ProcessGroup, view: View
) -> Callable[[Event], Run]:
    """What the thread does. It closes its models itself: nobody else knows when they are at rest."""
    from mmchat.wiring import open_eval_models

    def work(cancel: Event) -> Run:
        with closing(open_eval_models(settings, view.state)) as models:
            if choice.rescore:
                from mmchat.evals.scoring import rescore

                run_id = store.get(choice.rescore).id
                return rescore(run_id, choice.settings.metrics, runs=store, models=models)
            from mmchat.evals.runner import evaluate

            return evaluate(
                settings,
                models=models,
                runs=store,
                group=group,
                resume=resumed,
                on_progress=view.progress,
                cancel=cancel,
            )

    return work


def _what(choice: EvalChoice, settings: RunSettings) -> str:
    """The one line that a log gets at the start."""
    if choice.rescore:
        return f"Scoring run {choice.rescore} anew"
    data = ", ".join(Path(path).name for path in settings.data) or "mmchat's own dialogues"
    models = ", ".join(settings.models) or "the default model"
    return f"{'Going on with' if choice.resume else 'Evaluating'} {models} on {data}"


# --- what came of it ------------------------------------------------------------------------------


def present(run: Run, store: RunStore, *, as_json: bool, report: Path | None) -> None:
    """Print a run: tables on a terminal, rows in a pipe, or JSON; and write its report."""
    from mmchat.cli import eval_rows

    if as_json:
        print_json(eval_rows.run_object(run))
    elif sys.stdout.isatty():
        from mmchat.cli.eval_view import screen, show_run

        show_run(run, screen(), saved_at=eval_rows.saved_text(store.folder / run.id))
    else:
        print_table(eval_rows.SCORE_COLUMNS, [eval_rows.score_row(score) for score in run.scores])
        _narrate_words(run.sentences, run.warnings)
    if report is not None:
        from mmchat.evals.report import write_report

        write_report(report, run, store.outcomes(run.id))
        narrate(f"Report: {report}")


def compare(store: RunStore, names: tuple[str, str], resamples: int, *, as_json: bool, report: Path | None) -> None:
    """Print what differs between two saved runs."""
    from mmchat.cli import eval_rows
    from mmchat.evals.compare import compare_runs
    from mmchat.wiring import open_eval_models

    a, b = (store.get(name) for name in names)
    with (
        native_noise_to(paths.log_dir() / "native.log", is_stdout_too=True),
        closing(open_eval_models(b.settings)) as models,
    ):
        comparisons, sentences, warnings = compare_runs(store, a.id, b.id, resamples, models=models)
    if as_json:
        print_json(eval_rows.comparison_object(a, b, comparisons, sentences, warnings))
    elif sys.stdout.isatty():
        from mmchat.cli.eval_view import screen, show_comparison

        show_comparison(comparisons, sentences, warnings, screen())
    else:
        print_table(eval_rows.DIFFERENCE_COLUMNS, [eval_rows.difference_row(each) for each in comparisons])
        _narrate_words(sentences, warnings)
    if report is not None:
        from mmchat.evals.report import merged, write_report

        sides = (a, store.outcomes(a.id)), (b, store.outcomes(b.id))
        write_report(report, *merged(*sides, comparisons, sentences, warnings))
        narrate(f"Report: {report}")


def _narrate_words(sentences: Sequence[str], warnings: Sequence[str]) -> None:
    """In a pipe, what belongs to the scores but is no row goes beside them."""
    for line in (*sentences, *(f"Warning: {warning}" for warning in warnings)):
        warn(line)
