"""Names of metrics → what computes them. Naming or listing a metric imports none of their libraries.

Each module of `mmchat.evals.metrics` that computes metrics has a function `metric(info: MetricInfo) -> Metric`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from importlib import import_module
from typing import cast

from mmchat.config.problems import did_you_mean
from mmchat.errors import UsageError
from mmchat.evals.base import Metric, MetricInfo, TaskName
from mmchat.evals.metrics.infos import INFOS

ALL = "all"

_PACKAGE = "mmchat.evals.metrics"
_MODULES: dict[str, tuple[str, ...]] = {
    "bleu": ("bleu", "sentence-bleu", "chrf++", "ter"),
    "rouge": ("rouge-1", "rouge-2", "rouge-l"),
    "distinct": ("dist-1", "dist-2"),
    "embedding": ("embedding",),
    "overlap": ("exact-match", "token-f1", "reply-length"),
    "perplexity": ("perplexity", "byte-perplexity"),
    "speech": ("wer", "cer"),
    "retrieval": (
        "image-to-text-r@1",
        "image-to-text-r@5",
        "image-to-text-r@10",
        "image-to-text-median-rank",
        "text-to-image-r@1",
        "text-to-image-r@5",
        "text-to-image-r@10",
        "text-to-image-median-rank",
    ),
    "labels": ("accuracy", "macro-f1", "ece"),
    "memory": (
        "recall@1",
        "recall@5",
        "recall@10",
        "recall@10-any",
        "recall@10-all",
        "mrr",
        "tokens-injected",
        "milliseconds",
    ),
}

TARGETS: dict[str, str] = {name: f"{_PACKAGE}.{module}:metric" for module, names in _MODULES.items() for name in names}
"""Name → "module:attribute"; the attribute makes a `Metric` from its `MetricInfo`."""

GROUPS: dict[str, tuple[str, ...]] = {
    "rouge": _MODULES["rouge"],
    "rouge1": ("rouge-1",),
    "rouge2": ("rouge-2",),
    "rougel": ("rouge-l",),
    "dist": _MODULES["distinct"],
    "distinct": _MODULES["distinct"],
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
    "image-to-text": tuple(name for name in _MODULES["retrieval"] if name.startswith("image-to-text")),
    "text-to-image": tuple(name for name in _MODULES["retrieval"] if name.startswith("text-to-image")),
    "calibration": ("ece",),
    "recall": tuple(name for name in _MODULES["memory"] if name.startswith("recall@")),
    "tokens": ("tokens-injected",),
    "ms": ("milliseconds",),
}
"""Other names of a metric, and names of several at once; beside them "all" and the tasks' own names."""

_NEEDS_EMBEDDER = frozenset({"embedding"})


def metric_infos() -> tuple[MetricInfo, ...]:
    """Every metric, in the order of `mmchat eval --list`."""
    return tuple(INFOS.values())


def metrics_for(task: TaskName) -> tuple[MetricInfo, ...]:
    """The metrics that score a task's outcomes, in the order of `mmchat eval --list`."""
    return tuple(info for info in INFOS.values() if task in info.tasks)


def metric_info(name: str) -> MetricInfo:
    """What is known about a metric, by its own name.

    Raises:
        UsageError: no such metric.
    """
    if name not in INFOS:
        raise _unknown(name)
    return INFOS[name]


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


def load_metric(name: str) -> Metric:
    """Import what computes a metric.

    Args:
        name: its own name, as `expand_metrics` gives it.

    Raises:
        UsageError: no such metric.
    """
    info = metric_info(name)
    module_name, _, attribute = TARGETS[name].partition(":")
    return cast("Metric", getattr(import_module(module_name), attribute)(info))


def _expand(name: str, tasks: Collection[TaskName]) -> tuple[str, ...]:
    if name in INFOS:
        return (name,)
    if name in GROUPS:
        return GROUPS[name]
    of_task = tuple(info.name for info in INFOS.values() if name in info.tasks)
    if of_task:
        return of_task
    if name == ALL:
        infos = (info for info in INFOS.values() if info.is_in_all)
        return tuple(info.name for info in infos if not tasks or set(tasks) & set(info.tasks))
    raise _unknown(name)


def _unknown(name: str) -> UsageError:
    return UsageError(
        f"There is no metric “{name}”.{did_you_mean(name, [*INFOS, *GROUPS, ALL])}",
        hint="mmchat eval --list shows every metric.",
    )
