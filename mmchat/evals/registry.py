"""Metrics by name, groups of them, and what a user may call them.

Each module listed here has `METRICS`: what is known about a metric stands beside what computes it. None of them
imports its library (sacrebleu, rouge-score, jiwer, scikit-learn) before something is scored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType

from mmchat.config.problems import did_you_mean
from mmchat.errors import UsageError
from mmchat.evals.base import Metric, MetricInfo, TaskName

ALL = "all"

MODULES = (
    "mmchat.evals.metrics.bleu",
    "mmchat.evals.metrics.rouge",
    "mmchat.evals.metrics.overlap",
    "mmchat.evals.metrics.embedding",
    "mmchat.evals.metrics.distinct",
    "mmchat.evals.metrics.perplexity",
    "mmchat.evals.metrics.speech",
    "mmchat.evals.metrics.retrieval",
    "mmchat.evals.metrics.captions",
    "mmchat.evals.metrics.labels",
    "mmchat.evals.metrics.memory",
    "mmchat.evals.metrics.consistency",
)
"""In the order of `mmchat eval --list`."""

GROUPS: dict[str, tuple[str, ...]] = {
    "rouge": ("rouge-1", "rouge-2", "rouge-l"),
    "rouge1": ("rouge-1",),
    "rouge2": ("rouge-2",),
    "rougel": ("rouge-l",),
    "dist": ("dist-1", "dist-2"),
    "distinct": ("dist-1", "dist-2"),
    "distinct-1": ("dist-1",),
    "distinct-2": ("dist-2",),
    "chrf": ("chrf++",),
    "em": ("exact-match",),
    "f1": ("token-f1",),
    "length": ("reply-length",),
    "ppl": ("perplexity",),
    "r@1": ("image-to-text-r@1", "text-to-image-r@1"),
    "r@5": ("image-to-text-r@5", "text-to-image-r@5"),
    "r@10": ("image-to-text-r@10", "text-to-image-r@10"),
    "median-rank": ("image-to-text-median-rank", "text-to-image-median-rank"),
    "image-to-text": ("image-to-text-r@1", "image-to-text-r@5", "image-to-text-r@10", "image-to-text-median-rank"),
    "text-to-image": ("text-to-image-r@1", "text-to-image-r@5", "text-to-image-r@10", "text-to-image-median-rank"),
    "calibration": ("ece",),
    "recall": ("recall@1", "recall@5", "recall@10", "recall@10-any", "recall@10-all"),
    "tokens": ("tokens-injected",),
    "ms": ("milliseconds",),
    "pinning": ("consistency", "consistency-unpinned", "pinning-gain"),
}
"""Other names of a metric, and names of several at once; beside them "all" and the tasks' own names."""

_NEEDS_EMBEDDER = frozenset({"embedding"})


@cache
def metrics() -> Mapping[str, Metric]:
    """Every metric by its own name, in the order of `mmchat eval --list`."""
    every: list[Metric] = [metric for module in MODULES for metric in import_module(module).METRICS]
    by_name = {metric.info.name: metric for metric in every}
    assert len(by_name) == len(every), "two metrics have one name"
    return MappingProxyType(by_name)


def metric_infos() -> tuple[MetricInfo, ...]:
    """What is known about every metric, in the order of `mmchat eval --list`."""
    return tuple(metric.info for metric in metrics().values())


def metrics_for(task: TaskName) -> tuple[MetricInfo, ...]:
    """The metrics that score a task's outcomes, in the order of `mmchat eval --list`."""
    return tuple(info for info in metric_infos() if task in info.tasks)


def load_metric(name: str) -> Metric:
    """A metric by its own name, as `expand_metrics` gives it.

    Raises:
        UsageError: no such metric.
    """
    if name not in metrics():
        raise _unknown(name)
    return metrics()[name]


def metric_info(name: str) -> MetricInfo:
    """What is known about a metric, by its own name.

    Raises:
        UsageError: no such metric.
    """
    return load_metric(name).info


def needs_embedder(name: str) -> bool:
    """Whether a metric compares meanings, by `MetricContext.embedder`."""
    return name in _NEEDS_EMBEDDER


def expand_metrics(names: Iterable[str], tasks: Collection[TaskName] = ()) -> tuple[str, ...]:
    """Metrics' own names for what a user typed.

    Args:
        names: metrics, groups such as "rouge", tasks such as "speech", or "all"; case does not matter, several
            may be joined by commas. Nothing at all is "all".
        tasks: that the rows at hand allow; "all" is limited to them. Empty: any.

    Returns:
        Each metric once, in the order asked for. A name that fits none of `tasks` is kept: it is the caller's
        to say which rows it would need.

    Raises:
        UsageError: no such metric, with the nearest one.
    """
    typed = [part.strip().lower() for name in names for part in name.split(",")]
    expanded = [metric for name in typed if name for metric in _expand(name, tasks)]
    return tuple(dict.fromkeys(expanded or _expand(ALL, tasks)))


def _expand(name: str, tasks: Collection[TaskName]) -> tuple[str, ...]:
    if name in metrics():
        return (name,)
    if name in GROUPS:
        return GROUPS[name]
    of_task = tuple(info.name for info in metric_infos() if name in info.tasks)
    if of_task:
        return of_task
    if name == ALL:
        fitting = (info for info in metric_infos() if info.is_in_all and (not tasks or set(tasks) & set(info.tasks)))
        return tuple(info.name for info in fitting)
    raise _unknown(name)


def _unknown(name: str) -> UsageError:
    return UsageError(
        f"There is no metric “{name}”.{did_you_mean(name, [*metrics(), *GROUPS, ALL])}",
        hint="mmchat eval --list shows every metric.",
    )
