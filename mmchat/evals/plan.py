"""What an evaluation is going to do: which rows, which tasks and metrics fit them, which models are asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from mmchat.domain import ModelKind
from mmchat.errors import DataError, UsageError
from mmchat.evals.base import MetricInfo, Models, Sample, Task, TaskName, TaskOptions
from mmchat.evals.registry import ALL, expand_metrics, metric_info, metrics_for, needs_embedder
from mmchat.evals.results import DataFacts, RunSettings
from mmchat.evals.shipped import PROBE_NAMES, SHIPPED_NAMES, shipped_paths
from mmchat.evals.tasks import ROW_TASKS, load_task
from mmchat.evals.tasks.common import BadRows
from mmchat.rows.reader import find_row_files, read_rows
from mmchat.rows.values import RowFile, RowProblem

_ALSO_ASKED: tuple[tuple[ModelKind, TaskName], ...] = (("head", "label"), ("lm", "caption"))
"""Kinds of models that a task asks where one is named, though it is another kind's by default."""

T = TypeVar("T")
R = TypeVar("R")

_KIND_WORDS: dict[ModelKind, str] = {
    "lm": "language",
    "asr": "speech",
    "vision": "picture",
    "embed": "sentence",
    "head": "label",
}


@dataclass(frozen=True, eq=False)
class Work:
    """One model asked about all samples of one file in one way."""

    dataset: str
    task: Task
    model: str
    kind: ModelKind
    samples: tuple[Sample, ...]

    @cached_property
    def ids(self) -> frozenset[str]:
        """Of the samples."""
        return frozenset(sample.id for sample in self.samples)

    @property
    def text(self) -> str:
        """For a progress bar."""
        return f"{self.dataset} · {self.task.name} · {self.model}"


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it."""

    data: tuple[DataFacts, ...]
    works: tuple[Work, ...]
    """Those of one model together, so that each is loaded once."""
    metrics: tuple[MetricInfo, ...]
    """Chosen ones that fit at least one of the tasks."""
    options: TaskOptions
    embedder: str
    """The sentence encoder that a metric needs; empty where none does."""
    warnings: tuple[str, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """In the order in which they are asked."""
        return tuple(dict.fromkeys(work.model for work in self.works))

    @property
    def total(self) -> int:
        """Samples of all models."""
        return sum(len(work.samples) for work in self.works)


@dataclass(frozen=True, slots=True)
class _Part:
    """A task over a file, before a model is chosen."""

    dataset: str
    task: Task
    kind: ModelKind
    samples: tuple[Sample, ...]


def make_plan(settings: RunSettings, models: Models) -> Plan:
    """Read the rows and decide. Loads no model.

    Raises:
        DataError: rows that cannot be used, of all files.
        UsageError: a metric or a model that fits none of the files.
        ModelNotFound, ConfigError: a model's name.
    """
    paths = find_row_files([Path(path) for path in settings.data]) if settings.data else _shipped(settings.metrics)
    files = _of_each(paths, lambda path: read_rows(path, should_skip_bad=settings.should_skip_bad))
    names = _names_apart(paths)
    wanted = settings.metrics
    if not is_explicit(wanted) and any(models.kind(name) == "lm" for name in settings.models):
        # Named, it is asked about pictures too; unnamed, that would take long unasked.
        wanted = (ALL, *(("caption",) if any(file.kind == "caption" for file in files) else ()))
    metrics = fitting_metrics(wanted, dict(zip(names, files, strict=True)))
    options = TaskOptions(
        seed=settings.seed,
        batch_size=settings.batch_size,
        language=settings.language,
        train=_training_rows(settings, files),
        recall_k=settings.recall_k,
        window_tokens=settings.window_tokens,
    )
    if settings.should_skip_bad:
        files = _of_each(files, lambda file: _scorable(file, metrics, options))
    used = [_limited(file, settings.limit) for file in files]
    data = tuple(
        DataFacts(
            name=name,
            path=str(path.absolute()),
            sha256=file.sha256,
            rows=len(file.rows),
            used=len(part.rows),
            skipped=tuple(map(str, file.problems)),
            is_shipped=not settings.data,
        )
        for name, path, file, part in zip(names, paths, files, used, strict=True)
    )
    parts, warnings = _parts(names, used, metrics, options)
    has_meanings = any(needs_embedder(metric.name) for metric in metrics)
    chosen = _chosen_models(settings.models, parts, models, has_meanings=has_meanings)
    works = [
        Work(part.dataset, part.task, model, kind, part.samples)
        for kind, names_of_kind in chosen.items()
        for model in names_of_kind
        for part in parts
        if kind == part.kind or (kind, part.task.name) in _ALSO_ASKED
    ]
    embedder = chosen["embed"][0] if has_meanings else ""
    return Plan(data, tuple(works), metrics, options, embedder, tuple(warnings))


def _shipped(wanted: Sequence[str]) -> tuple[Path, ...]:
    """The rows that mmchat brings: probes of its roles where a metric for those is named, dialogues otherwise."""
    if not is_explicit(wanted):
        return shipped_paths()
    is_of_role = {metric_info(name).tasks == ("persona",) for name in expand_metrics(wanted)}
    names = (*(SHIPPED_NAMES if False in is_of_role else ()), *(PROBE_NAMES if True in is_of_role else ()))
    return shipped_paths(names)


def fitting_metrics(wanted: Sequence[str], files: dict[str, RowFile]) -> tuple[MetricInfo, ...]:
    """The metrics to compute: those asked for, or all that fit the rows.

    Args:
        wanted: as typed; none, or "all", for all.
        files: by name.

    Raises:
        UsageError: no such metric, or one that fits none of the files; says which would.
    """
    tasks = {task for file in files.values() for task in ROW_TASKS[file.kind]}
    if not tasks:
        kinds = ", ".join(sorted({file.kind for file in files.values()}))
        raise UsageError(f"There is nothing to score in {kinds} rows.", hint="`mmchat eval --list` says what fits.")
    chosen = [metric_info(name) for name in expand_metrics(wanted, tasks)]
    misfits = [metric.name for metric in chosen if not tasks.intersection(metric.tasks)]
    if misfits:
        fits = [f"{name} ({file.kind} rows): {_metrics_for(file) or 'none'}" for name, file in files.items()]
        fit = "fits" if len(misfits) == 1 else "fit"
        raise UsageError(f"{', '.join(misfits)} {fit} none of the files.", hint="What fits: " + "; ".join(fits) + ".")
    return tuple(chosen)


def is_explicit(wanted: Sequence[str]) -> bool:
    """Whether the user named metrics, rather than taking all that fit."""
    typed = {part.strip().lower() for name in wanted for part in name.split(",")} - {""}
    return bool(typed) and ALL not in typed


def _metrics_for(file: RowFile) -> str:
    return ", ".join(metric.name for task in ROW_TASKS[file.kind] for metric in metrics_for(task))


def _limited(file: RowFile, limit: int) -> RowFile:
    """The first rows of a file; all of them for a limit of 0."""
    return replace(file, rows=file.rows[:limit], rest=file.rows[limit:]) if limit else file


def _scorable(file: RowFile, metrics: Sequence[MetricInfo], options: TaskOptions) -> RowFile:
    """A file without the rows that one of its tasks cannot score.

    Raises:
        DataError: none is left.
    """
    bad: dict[int, RowProblem] = {}
    tasks = _tasks_of(file, metrics)
    while tasks:
        rows = tuple(row for row in file.rows if row.place.line not in bad)
        try:
            tasks[0].samples(replace(file, rows=rows), options)
        except BadRows as error:
            bad.update((problem.line, problem) for problem in reversed(error.problems))  # of a row's, the first counts
            if all(row.place.line in bad for row in rows):
                raise DataError(
                    f"No row of {file.path} can be scored: {next(iter(sorted(bad.items())))[1]}",
                    hint="Mend the rows; without --skip-bad all that is wrong is listed.",
                ) from error
        else:
            tasks = tasks[1:]
    problems = sorted([*file.problems, *bad.values()], key=lambda problem: problem.line)
    return replace(file, rows=tuple(row for row in file.rows if row.place.line not in bad), problems=tuple(problems))


def _tasks_of(file: RowFile, metrics: Sequence[MetricInfo]) -> list[Task]:
    """What is done with a file's rows for these metrics."""
    wanted: set[TaskName] = {task for metric in metrics for task in metric.tasks}
    return [load_task(name) for name in ROW_TASKS[file.kind] if name in wanted]


def _parts(
    names: Sequence[str], files: Sequence[RowFile], metrics: Sequence[MetricInfo], options: TaskOptions
) -> tuple[list[_Part], list[str]]:
    asked = [(name, file, task) for name, file in zip(names, files, strict=True) for task in _tasks_of(file, metrics)]
    samples = _of_each(asked, lambda each: each[2].samples(each[1], options))
    parts = [
        _Part(name, task, task.model_kind_for(file), tuple(found))
        for (name, file, task), found in zip(asked, samples, strict=True)
    ]
    warnings = [f"{name}: {warning}" for name, file, task in asked for warning in task.warnings(file, options)]
    for name, file in zip(names, files, strict=True):
        warnings += [f"{name}: {warning}" for warning in filter(None, [_repeats(file)])]
        if name not in {part.dataset for part in parts}:
            warnings.append(f"{name} was left out: none of the metrics fits {file.kind} rows.")
    return parts, warnings


def _repeats(file: RowFile) -> str:
    """What to say of rows that stand in a file more than once."""
    again = len(file.rows) - len({replace(row, place=file.rows[0].place) for row in file.rows})
    if not again:
        return ""
    return (
        f"{again} of {len(file.rows)} rows {'repeats' if again == 1 else 'repeat'} an earlier one; scores count "
        f"{'it' if again == 1 else 'them'} again, and intervals, which "
        "take rows for independent, are too narrow."
    )


def _training_rows(settings: RunSettings, files: Sequence[RowFile]) -> RowFile | None:
    if not settings.train:
        return None
    if not any(file.kind == "label" for file in files):
        raise UsageError(
            "--train is for rows with labels, and none of the files has any.",
            hint="Leave out --train, or add such rows.",
        )
    rows = read_rows(Path(settings.train), should_skip_bad=settings.should_skip_bad)
    if rows.kind != "label":
        raise UsageError(f"{settings.train} holds {rows.kind} rows, not rows with labels.", hint="Give it to --data.")
    return rows


def _chosen_models(
    wanted: Sequence[str], parts: Sequence[_Part], models: Models, *, has_meanings: bool
) -> dict[ModelKind, tuple[str, ...]]:
    """Models of each needed kind: those the user named, or the default.

    Where a trained head was named, no default is asked about labels beside it; nor about captions beside a language
    model.
    """
    named = [(name, models.kind(name)) for name in dict.fromkeys(wanted)]
    has_labels = any(part.task.name == "label" for part in parts)
    needed: set[ModelKind] = {part.kind for part in parts}
    if has_labels and any(kind == "head" for _, kind in named):
        others = {part.kind for part in parts if part.task.name != "label"}
        needed = others | {kind for _, kind in named if kind in needed} | {"head"}
    if any(part.task.name == "caption" for part in parts) and any(kind == "lm" for _, kind in named):
        others = {part.kind for part in parts if part.task.name != "caption"}
        needed = others | {kind for _, kind in named if kind in needed} | {"lm"}
    if has_meanings:
        needed.add("embed")
    for name, kind in named:
        if kind not in needed:
            words = " or ".join(sorted(_KIND_WORDS[each] for each in needed))
            raise UsageError(
                f"'{name}' is a {_KIND_WORDS[kind]} model; these rows and metrics are for a {words} model.",
                hint=f"Leave out -m {name}, or give it rows that it can be asked about.",
            )
    order: tuple[ModelKind, ...] = ("lm", "asr", "vision", "embed", "head")
    return {
        kind: tuple(name for name, each in named if each == kind) or (models.default(kind),)
        for kind in order
        if kind in needed
    }


def _of_each(items: Sequence[T], read: Callable[[T], R]) -> list[R]:
    """`read` of each item; what is wrong with any of them is told together."""
    results: list[R] = []
    problems: list[DataError] = []
    for item in items:
        try:
            results.append(read(item))
        except DataError as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        # Two tasks over one file find the same rows wrong.
        lines = dict.fromkeys(line for problem in problems for line in problem.message.splitlines())
        raise DataError("\n".join(lines), hint=problems[0].hint)
    return results


def _names_apart(paths: Sequence[Path]) -> list[str]:
    """A name for each file: its own, with as many folders before it as set it apart from the others."""
    parts = [path.absolute().with_suffix("" if path.suffix == ".jsonl" else path.suffix).parts for path in paths]
    depths = [1] * len(parts)
    while True:
        names = ["/".join(each[-depth:]) for each, depth in zip(parts, depths, strict=True)]
        same = [index for index, name in enumerate(names) if names.count(name) > 1]
        if not same or all(depths[index] >= len(parts[index]) for index in same):
            return names
        for index in same:
            depths[index] += 1
