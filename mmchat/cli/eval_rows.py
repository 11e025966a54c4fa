"""Evaluations as JSON and as rows, for pipes and for `mmchat eval runs` and `--list`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmchat.errors import EvalError
from mmchat.evals.base import MetricInfo, TaskName
from mmchat.evals.layout import info, number
from mmchat.evals.plain import to_plain
from mmchat.evals.results import Comparison, Run, Score
from mmchat.evals.runs import RUN_NAME, RunStore
from mmchat.moments import local_minute

SCORE_COLUMNS = (
    "DATASET", "TASK", "LANGUAGE", "MODEL", "METRIC", ">SCORE", ">LOW", ">HIGH", ">SAMPLES", ">GROUPS", "SIGNATURE",
)  # fmt: skip
DIFFERENCE_COLUMNS = (
    "DATASET", "TASK", "LANGUAGE", "METRIC", "BASE", "OTHER", ">DIFFERENCE", ">LOW", ">HIGH", ">SAMPLES", "VERDICT",
)  # fmt: skip
RUN_COLUMNS = ("RUN", "WHEN", "STATUS", "SCORE", "MODELS", "DATA")
METRIC_COLUMNS = ("METRIC", "ROWS", "RANGE", "BETTER", "SOURCE", "WHAT IT SAYS")

HEADLINES: dict[TaskName, tuple[str, ...]] = {
    "dialogue": ("chrf++", "bleu"),
    "likelihood": ("perplexity",),
    "speech": ("wer", "cer"),
    "retrieval": ("text-to-image-r@1", "image-to-text-r@1"),
    "caption": ("cider", "bleu-4"),
    "label": ("accuracy",),
    "memory": ("recall@5", "recall@10"),
    "persona": ("consistency", "consistency-unpinned"),
}
"""Which score of a run stands for it in a list; its first score where none of these was asked for."""


# --- JSON -----------------------------------------------------------------------------------------


def run_object(run: Run) -> dict[str, Any]:
    """A run as `--json` prints it. A number that is none is null."""
    plain = to_plain(run)
    return {"run": plain.pop("id"), "version": plain.pop("version"), "status": plain.pop("status"), **plain}


def status_word(store: RunStore, run: Run) -> str:
    """What a list says of a run: "complete", "interrupted", or "running" while a process is at it."""
    return "running" if run.status != "complete" and store.is_at_work(run.id) else run.status


def run_summary(run: Run, status: str) -> dict[str, Any]:
    """A run in the list that `eval runs --json` prints; `status` as `status_word` has it."""
    score = headline(run)
    return {
        "run": run.id,
        "created_at": run.created_at,
        "version": run.version,
        "status": status,
        "data": [facts.name for facts in run.data],
        "models": model_names(run),
        "headline": to_plain(score) if score is not None else None,
    }


def comparison_object(
    a: Run, b: Run, comparisons: Sequence[Comparison], sentences: Sequence[str], warnings: Sequence[str]
) -> dict[str, Any]:
    """What `eval compare --json` prints."""
    return {
        "a": a.id,
        "b": b.id,
        "comparisons": to_plain(tuple(comparisons)),
        "sentences": list(sentences),
        "warnings": list(warnings),
    }


def metric_object(metric: MetricInfo) -> dict[str, Any]:
    """A metric as `--list --json` prints it."""
    return {
        "name": metric.name,
        "title": metric.title,
        "description": metric.description,
        "tasks": list(metric.tasks),
        "direction": metric.direction,
        "range": metric.range,
        "source": metric.source,
        "is_in_all": metric.is_in_all,
    }


# --- rows -----------------------------------------------------------------------------------------


def score_row(score: Score) -> tuple[str, ...]:
    """A line for a pipe: numbers in full precision, nothing where there is no interval."""
    return (
        score.dataset, score.task, score.language, score.model, score.metric,
        bare(score.score), bare(score.low), bare(score.high), str(score.samples), str(score.groups), score.signature,
    )  # fmt: skip


def difference_row(each: Comparison) -> tuple[str, ...]:
    """A line for a pipe."""
    return (
        each.dataset, each.task, each.language, each.metric, each.base, each.other,
        bare(each.difference), bare(each.low), bare(each.high), str(each.samples), each.verdict,
    )  # fmt: skip


def bare(value: float | None) -> str:
    """A number as programs read it; empty where there is none."""
    return "" if value is None or value != value else f"{value:.6g}"


def run_row(run: Run, status: str) -> tuple[str, ...]:
    """A line of `eval runs`."""
    score = headline(run)
    shown = f"{info(score.metric).title} {_shown(score)}" if score is not None else "-"
    data = ", ".join(facts.name for facts in run.data)
    return (run.id, local_minute(run.created_at), status, shown, ", ".join(model_names(run)), data)


def headline(run: Run) -> Score | None:
    """The score that stands for a run."""
    if not run.scores:
        return None
    first = run.scores[0]
    wanted = HEADLINES[first.task]
    alike = [s for s in run.scores if (s.dataset, s.task, s.model) == (first.dataset, first.task, first.model)]
    return next((score for name in wanted for score in alike if score.metric == name), first)


def model_names(run: Run) -> list[str]:
    """The models that were asked; those to be asked, where none was loaded yet."""
    return [facts.name for facts in run.models if not facts.role] or list(run.settings.models)


def metric_row(metric: MetricInfo) -> tuple[str, ...]:
    """A line of `--list` for a pipe."""
    return (metric.name, ", ".join(metric.tasks), metric.range, metric.direction, metric.source, metric.description)


def _shown(score: Score) -> str:
    return number(score.score, info(score.metric).decimals)


def saved_text(folder: Path) -> str:
    """A path as people write it."""
    try:
        return f"~/{folder.relative_to(Path.home())}"
    except ValueError:
        return str(folder)


def full_id(store: RunStore, name: str) -> str:
    """The id of the run that the user named; a damaged run counts, by its whole id.

    Raises:
        EvalError: no such run, or several.
    """
    try:
        return store.get(name).id
    except EvalError:
        if name and Path(name).name == name and (store.folder / name / RUN_NAME).exists():
            return name
        raise
