"""`mmchat eval`: score models on rows, with the uncertainty printed, and look after saved runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mmchat.cli.output import confirm, narrate, print_error, print_json, print_table

app = typer.Typer(
    help="Score models on dialogue, speech, pictures, labels, memory.\n\n"
    "Without --data, dialogues that mmchat brings are used; without --metric, all metrics that fit the rows.",
    epilog="\b\nExamples:\n"
    "  mmchat eval --metric bleu\n"
    "  mmchat eval --data talks.jsonl -m smollm2-135m -m mine --report talks.html\n"
    "  mmchat eval --data speech/ --metric wer,cer --limit 100\n"
    "  mmchat eval --metric consistency -m smollm2-135m\n"
    "  mmchat eval --resume last\n"
    "  mmchat eval compare 261122-0133 last\n"
    "\n\nRUN is a run's id, a unique beginning of one, or 'last'. Scores go to stdout, progress to stderr.",
)

RunName = Annotated[str, typer.Argument(metavar="RUN", help="Id, or its unique beginning, or 'last'.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Report = Annotated[
    Path | None, typer.Option("--report", metavar="FILE.html", help="Also write a page with plots and samples.")
]


@app.callback(invoke_without_command=True)
def evaluate(  # its parameters are the command line; they are read from the context, as one
    context: typer.Context,
    data: Annotated[
        list[Path] | None, typer.Option("--data", "-d", metavar="PATH", help="Rows, a file or a folder; repeatable.")
    ] = None,
    metrics: Annotated[
        list[str] | None, typer.Option("--metric", metavar="M", help="Such as bleu, or chrf++,wer; repeatable.")
    ] = None,
    models: Annotated[
        list[str] | None, typer.Option("--model", "-m", metavar="MODEL", help="Repeatable; two are compared.")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many rows of each file.")] = None,
    batch_size: Annotated[int | None, typer.Option(metavar="N", min=1, help="Samples at once; 1: one by one.")] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option("--max-tokens", metavar="N", min=1, help="Of a reply; 64 by default.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(metavar="T", min=0.0, help="0, the default, takes the likeliest token.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", min=0, help="For replies drawn by chance.")] = None,
    language: Annotated[
        str | None, typer.Option(metavar="L", help="Of all rows, such as en or zh; else found row by row.")
    ] = None,
    train: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Label rows to fit a linear classifier on first.")
    ] = None,
    recall_k: Annotated[
        int | None, typer.Option("--recall-k", metavar="N", min=1, help="Memories to find; 10 by default.")
    ] = None,
    window_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=64, help="Of a role's conversations; 1024 by default.")
    ] = None,
    resamples: Annotated[int | None, typer.Option(metavar="N", min=100, help="For intervals; 1000 by default.")] = None,
    should_skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad rows out, and say so.")] = False,
    dtype: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Language model's numbers: float32, bfloat16, float16.")
    ] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with an interrupted run.")] = None,
    rescore: Annotated[
        str | None, typer.Option(metavar="RUN", help="Score a saved run anew, without asking its models.")
    ] = None,
    report: Report = None,
    as_json: Json = False,
    is_list: Annotated[bool, typer.Option("--list", help="Say what each metric means, its range, its source.")] = False,
) -> None:
    """Score models on rows."""
    from mmchat.cli import eval_options, eval_run
    from mmchat.wiring import is_first_process

    if (context.invoked_subcommand or is_list or rescore) and not is_first_process():
        raise typer.Exit  # under torchrun, one process is enough for what asks no model
    choice = eval_options.read(context.params, command=context.invoked_subcommand)
    if context.invoked_subcommand is not None:
        return
    if is_list:
        list_metrics(as_json=as_json)
        return
    eval_run.perform(choice)


def list_metrics(*, as_json: bool) -> None:
    """Every metric, in a line each."""
    from mmchat.cli import eval_rows
    from mmchat.evals.registry import metric_infos

    if as_json:
        print_json([eval_rows.metric_object(info) for info in metric_infos()])
    elif sys.stdout.isatty():
        from mmchat.cli.eval_view import metrics_table, screen

        screen().print(metrics_table(metric_infos()))
    else:
        print_table(eval_rows.METRIC_COLUMNS, [eval_rows.metric_row(info) for info in metric_infos()])


@app.command("runs")
def list_runs(as_json: Json = False) -> None:
    """List saved runs, the latest first."""
    from mmchat.cli import eval_rows
    from mmchat.wiring import open_runs

    store = open_runs()
    runs = store.list()
    if as_json:
        print_json([eval_rows.run_summary(run, eval_rows.status_word(store, run)) for run in runs])
    elif runs:
        print_table(eval_rows.RUN_COLUMNS, [eval_rows.run_row(run, eval_rows.status_word(store, run)) for run in runs])
    else:
        narrate("No runs yet. Make one: mmchat eval --metric bleu")
    for error in store.unreadable():
        print_error(error)


@app.command()
def show(run: RunName, as_json: Json = False, report: Report = None) -> None:
    """Print a saved run again."""
    from mmchat.cli import eval_options, eval_run
    from mmchat.wiring import open_runs

    eval_options.check_report(report)
    store = open_runs()
    eval_run.present(store.get(run), store, as_json=as_json, report=report)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A run, as for show.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another; differences are B minus A.")],
    as_json: Json = False,
    report: Report = None,
    resamples: Annotated[int, typer.Option(metavar="N", min=100, help="For the intervals.")] = 1000,
) -> None:
    """Compare two saved runs. Says what differs, and whether it could be chance."""
    from mmchat.cli import eval_options, eval_run
    from mmchat.wiring import open_runs

    eval_options.check_report(report)
    eval_run.compare(open_runs(), (a, b), resamples, as_json=as_json, report=report)


@app.command()
def remove(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", show_default=False)],
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete saved runs, with their samples."""
    from mmchat.cli.eval_rows import full_id
    from mmchat.wiring import open_runs

    store = open_runs()
    ids = list(dict.fromkeys(full_id(store, name) for name in runs))
    if not is_sure and not confirm(f"Delete {', '.join(ids)} with all samples?"):
        narrate("Nothing was deleted.")
        raise typer.Exit(1)
    for run_id in ids:
        store.delete(run_id)
    narrate(f"Deleted {', '.join(ids)}.")
