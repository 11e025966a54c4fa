"""A run arranged for people: what the terminal's tables and the report both show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mmchat.errors import UsageError
from mmchat.evals.base import Direction, MetricInfo, TaskName
from mmchat.evals.registry import metric_info
from mmchat.evals.results import Comparison, DataFacts, Exhibit, ModelFacts, Run, RunSettings, Score

ARROWS: dict[Direction, str] = {"higher": "↑", "lower": "↓", "neither": ""}
LANGUAGES = {
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "pt": "Portuguese",
    "ru": "Russian",
    "zh": "Chinese",
}
_NOUNS: dict[TaskName, tuple[str, str, str]] = {
    "dialogue": ("reply", "replies", "conversation"),
    "likelihood": ("text", "texts", "conversation"),
    "speech": ("recording", "recordings", "speaker"),
    "retrieval": ("query", "queries", "picture"),
    "caption": ("picture", "pictures", "picture"),
    "label": ("row", "rows", "group"),
    "memory": ("question", "questions", "conversation"),
    "persona": ("reply", "replies", "probe"),
}
"""A sample, samples, and what is resampled as one."""
_SHORT_HASH = 8


@dataclass(frozen=True, slots=True)
class Section:
    """The scores of one file, task and language: a table."""

    dataset: str
    task: TaskName
    language: str
    models: tuple[str, ...]
    metrics: tuple[str, ...]
    cells: Mapping[tuple[str, str], Score]
    """By (metric, model); not every model has every metric."""
    comparisons: tuple[Comparison, ...]
    exhibits: tuple[Exhibit, ...]

    @property
    def heading(self) -> str:
        """Such as "talk-en · dialogue · English"."""
        return f"{self.dataset} · {self.task} · {language_name(self.language)}"

    @property
    def size(self) -> str:
        """Such as "480 replies of 60 conversations": of the metric that counts the most samples."""
        largest = max(self.cells.values(), key=lambda score: (score.samples, score.groups))
        return count_words(self.task, largest.samples, largest.groups)

    def row(self, metric: str) -> tuple[Score | None, ...]:
        """A metric's scores, model by model."""
        return tuple(self.cells.get((metric, model)) for model in self.models)

    def direction(self, metric: str) -> Direction:
        """Which way of a metric is better."""
        return next(score.direction for score in self.row(metric) if score is not None)

    def signatures(self) -> list[tuple[tuple[str, ...], str]]:
        """How each metric was computed: (metrics, signature), those that share one together."""
        found: dict[str, list[str]] = {}
        for (metric, _), score in self.cells.items():
            names = found.setdefault(score.signature, [])
            if metric not in names:
                names.append(metric)
        return [(tuple(names), signature) for signature, names in found.items()]

    @property
    def has_intervals(self) -> bool:
        """Whether any score has one."""
        return any(score.low is not None for score in self.cells.values())

    def counts(self, metric: str) -> str:
        """How many samples a metric counts; several numbers where models differ."""
        return "/".join(dict.fromkeys(str(score.samples) for score in self.row(metric) if score is not None))

    def has_same_size(self, metric: str) -> bool:
        """Whether a metric counts as many samples as the heading says."""
        largest = max(score.samples for score in self.cells.values())
        return all(score is None or score.samples == largest for score in self.row(metric))


def sections(run: Run) -> list[Section]:
    """The run's tables, in the order in which its scores came."""
    keys = list(dict.fromkeys((each.dataset, each.task, each.language) for each in run.scores))
    result = []
    for key in keys:
        scores = [each for each in run.scores if (each.dataset, each.task, each.language) == key]
        result.append(
            Section(
                *key,
                models=tuple(dict.fromkeys(each.model for each in scores)),
                metrics=tuple(dict.fromkeys(each.metric for each in scores)),
                cells={(each.metric, each.model): each for each in scores},
                comparisons=tuple(c for c in run.comparisons if (c.dataset, c.task, c.language) == key),
                exhibits=tuple(e for e in run.exhibits if (e.dataset, e.task, e.language) == key),
            )
        )
    return result


def count_words(task: TaskName, samples: int, groups: int) -> str:
    """Such as "480 replies of 60 conversations"; the groups are left out where each is one sample."""
    one, many, group = _NOUNS[task]
    text = f"{samples} {one if samples == 1 else many}"
    if groups == samples:
        return text
    return f"{text} of {groups} {group}{'' if groups == 1 else 's'}"


def info(metric: str) -> MetricInfo:
    """What is known of a metric; of one that another version of mmchat computed, its name alone."""
    try:
        return metric_info(metric)
    except UsageError:
        return MetricInfo(metric, metric, (), "neither", "", "", "")


def language_name(code: str) -> str:
    """In English, or the code where we have no name for it."""
    return LANGUAGES.get(code, code or "any language")


def number(value: float | None, decimals: int, *, sign: bool = False) -> str:
    """A score as a table shows it; "–" where there is none."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if abs(value) >= 1e6:
        return f"{value:+.3g}" if sign else f"{value:.3g}"
    text = f"{value:+.{decimals}f}" if sign else f"{value:.{decimals}f}"
    return text.replace("-", "+" if sign else "") if float(text) == 0 else text  # never "-0.0"


def duration(seconds: float) -> str:
    """Such as "42 s", "3 min 05 s" or "1 h 02 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def verdict_words(comparison: Comparison) -> str:
    """Such as "better", "could be chance" or "too few for a verdict"."""
    words = {"chance": "could be chance", "too few": "too few for a verdict", "none": ""}
    return words.get(comparison.verdict, comparison.verdict)


def join_words(words: Iterable[str]) -> str:
    """Such as "a, b and c"."""
    *most, last = list(words) or [""]
    return f"{', '.join(most)} and {last}" if most else last


# --- what identifies a result ---------------------------------------------------------------------


def short_hash(sha256: str) -> str:
    """Its beginning, as one compares it by eye."""
    return sha256[:_SHORT_HASH]


def model_words(facts: ModelFacts) -> str:
    """Engine, device, revision, checksum and decoding of a model, on a line."""
    words = [facts.role, facts.engine + (f" on {facts.device}" if facts.device else ""), facts.dtype]
    if facts.revision:
        words.append(f"revision {facts.revision[:12]}")
    if facts.weights_sha256:
        words.append(f"weights {short_hash(facts.weights_sha256)}")
    if facts.adapter_sha256:
        words.append(f"adapter {short_hash(facts.adapter_sha256)}")
    return ", ".join([word for word in words if word] + decoding_words(facts.decoding))


def decoding_words(decoding: Mapping[str, object]) -> list[str]:
    """How replies were drawn, in a few words; settings that greedy decoding does not use are left out."""
    if not decoding:
        return []
    is_greedy = decoding.get("temperature") == 0
    words = ["greedy" if is_greedy else f"temperature {decoding.get('temperature', '?')}"]
    for key, name in (("top_p", "top-p"), ("top_k", "top-k")):
        if not is_greedy and key in decoding:
            words.append(f"{name} {decoding[key]}")
    if "repetition_penalty" in decoding:
        words.append(f"repetition penalty {decoding['repetition_penalty']}")
    if "max_new_tokens" in decoding:
        words.append(f"at most {decoding['max_new_tokens']} tokens")
    return words


def data_words(facts: DataFacts) -> str:
    """How much of a file was used, and its checksum."""
    rows = f"{facts.used} of {facts.rows} rows" if facts.used != facts.rows else f"{facts.rows} rows"
    skipped = f", {len(facts.skipped)} bad ones left out" if facts.skipped else ""
    return f"{rows}{skipped}, sha256 {short_hash(facts.sha256)}"


def shipped_words(data: Sequence[DataFacts]) -> str:
    """What to say of mmchat's own set; empty where the data are the user's."""
    shipped = [facts for facts in data if facts.is_shipped]
    rows, used = sum(facts.rows for facts in shipped), sum(facts.used for facts in shipped)
    if not shipped:
        return ""
    return f"mmchat's own {rows} dialogues" + (f", {used} of them used" if used != rows else "")


def run_words(run: Run) -> str:
    """Seed, resamples, version and duration."""
    settings = run.settings
    return f"seed {settings.seed}, {settings.resamples} resamples, mmchat {run.version}, {duration(run.elapsed_s)}" + (
        f", at most {settings.limit} rows of a file" if settings.limit else ""
    )


def setting_pairs(settings: RunSettings) -> list[tuple[str, str]]:
    """What was asked for, beyond the defaults, for the report."""
    pairs = [
        ("data", ", ".join(settings.data)),
        ("models", ", ".join(settings.models)),
        ("metrics", ", ".join(settings.metrics)),
        ("limit", str(settings.limit or "")),
        ("language", settings.language),
        ("trained on", settings.train),
        ("seed", str(settings.seed)),
        ("resamples", str(settings.resamples)),
        ("batch size", str(settings.batch_size or "what the engine prefers")),
        ("new tokens", str(settings.max_new_tokens)),
        ("temperature", f"{settings.temperature:g}"),
        ("numbers of the language model", settings.dtype),
    ]
    return [(key, value) for key, value in pairs if value]
