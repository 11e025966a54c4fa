"""Two saved runs against each other, on the samples that both have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmchat.errors import EvalError, MmchatError
from mmchat.evals.base import MetricContext, Models, Outcome, TaskName
from mmchat.evals.cautions import few_groups
from mmchat.evals.registry import load_metric, metric_infos, needs_embedder
from mmchat.evals.results import Comparison, DataFacts, ModelFacts, Run
from mmchat.evals.runs import RunStore
from mmchat.evals.scoring import Slice, compare_outcomes, slice_outcomes, token_caution
from mmchat.evals.stats import RESAMPLES
from mmchat.evals.verdicts import differences_besides, sentences

_Key = tuple[str, TaskName, str]
"""SHA-256 of the rows, task, language."""


@dataclass(frozen=True, slots=True)
class _Side:
    """A run, its outcomes arranged for comparison."""

    run: Run
    outcomes: Mapping[_Key, Mapping[str, Sequence[Outcome]]]
    """By model."""

    @property
    def metrics(self) -> set[str]:
        return {score.metric for score in self.run.scores}

    def facts(self, model: str) -> ModelFacts | None:
        return next((facts for facts in self.run.models if facts.name == model), None)


def compare_runs(
    runs: RunStore, a: str, b: str, resamples: int = RESAMPLES, *, models: Models | None = None
) -> tuple[tuple[Comparison, ...], tuple[str, ...], tuple[str, ...]]:
    """How much better or worse the models of run `b` are than those of run `a`.

    Files are the same if their bytes are; models are paired by name, or the only one with the only one.

    Args:
        runs: where both lie.
        a: the run that is compared with, as `RunStore.get` takes it.
        b: the other one.
        resamples: of the intervals; 0 for none.
        models: only asked for a sentence encoder, and only if both runs were scored by one; without, what needs
            one is left out.

    Returns:
        Differences (b minus a) of the metrics that both runs have, sentences, and warnings: what else differs.

    Raises:
        EvalError: no such runs, or they have no sample and metric in common.
    """
    base, other = _side(runs, a), _side(runs, b)
    if base.run.id == other.run.id:
        raise EvalError(f"'{a}' and '{b}' are the same run, {base.run.id}.", hint="`mmchat eval runs` lists all runs.")
    for side in (base, other):
        _check_scored(runs, side.run)
    common = base.metrics & other.metrics
    warnings = _differences(base.run, other.run)
    encoder = _encoder(base.run, other.run, common, models, warnings)
    known = [info.name for info in metric_infos() if info.name in common]
    names = [name for name in known if encoder.embedder is not None or not needs_embedder(name)]
    comparisons: list[Comparison] = []
    for key in [key for key in base.outcomes if key in other.outcomes]:
        for of_base, of_other in _pairs(base.outcomes[key], other.outcomes[key]):
            comparisons += _compare(key, (base, of_base), (other, of_other), (names, encoder), resamples, warnings)
    if not comparisons:
        raise EvalError(
            f"Runs {base.run.id} and {other.run.id} have nothing in common: {_why_not(base, other, common)}.",
            hint="Score both on the same rows with the same metrics; `--rescore RUN --metric …` adds metrics.",
        )
    warnings += few_groups(comparisons)
    return tuple(comparisons), sentences(comparisons), tuple(dict.fromkeys(warnings))


def _encoder(a: Run, b: Run, metrics: set[str], models: Models | None, warnings: list[str]) -> MetricContext:
    """The sentence encoder for both runs; one that cannot be had is told, and the other metrics go on."""
    titles = [info.title for info in metric_infos() if info.name in metrics and needs_embedder(info.name)]
    if not titles:
        return MetricContext("")
    if models is None:
        warnings.append(f"{', '.join(titles)} is left out: there is no sentence encoder at hand.")
        return MetricContext("")
    used = [next((facts.name for facts in run.models if facts.kind == "embed"), "") for run in (a, b)]
    name = used[0] or models.default("embed")
    try:
        context = MetricContext("", models.embedder(name), models.languages(name))
    except MmchatError as error:
        warnings.append(f"{', '.join(titles)} is left out: {error.message} {error.hint}".strip())
        return MetricContext("")
    if used[0] != used[1]:
        warnings.append(f"{', '.join(titles)}: {used[0]} and {used[1]} encoded the runs; here '{name}' encodes both.")
    return context


def _side(runs: RunStore, name: str) -> _Side:
    run = runs.get(name)
    data = {facts.name: facts for facts in run.data}
    arranged: dict[_Key, dict[str, Sequence[Outcome]]] = {}
    for part, by_model in slice_outcomes(runs.outcomes(run.id), [facts.name for facts in run.models]).items():
        if part.dataset in data:
            facts = data[part.dataset]
            renamed = {model: [_without_file(each, facts) for each in each_of] for model, each_of in by_model.items()}
            arranged[facts.sha256, part.task, part.language] = {model: each for model, each in renamed.items()}
    return _Side(run, arranged)


def _check_scored(runs: RunStore, run: Run) -> None:
    """Refuse a run that has not come to its scores, rather than call them other metrics."""
    if run.scores:
        return
    if runs.is_at_work(run.id):
        raise EvalError(
            f"Run {run.id} has no scores yet: it is still at work.",
            hint=f"Wait until it has ended. Should it be stopped: mmchat eval --resume {run.id}",
        )
    if run.status == "interrupted":
        raise EvalError(
            f"Run {run.id} has no scores yet: it was interrupted.", hint=f"Go on with: mmchat eval --resume {run.id}"
        )


def _without_file(outcome: Outcome, facts: DataFacts) -> Outcome:
    """The same bytes may lie under another name; ids begin with it."""
    return replace(outcome, id=outcome.id.removeprefix(Path(facts.path).name))


def _pairs(base: Mapping[str, Sequence[Outcome]], other: Mapping[str, Sequence[Outcome]]) -> list[tuple[str, str]]:
    same = [(name, name) for name in base if name in other]
    return same or [(of_base, of_other) for of_base in base for of_other in other]


def _compare(
    key: _Key,
    base: tuple[_Side, str],
    other: tuple[_Side, str],
    metrics: tuple[Sequence[str], MetricContext],
    resamples: int,
    warnings: list[str],
) -> list[Comparison]:
    dataset = next(facts.name for facts in base[0].run.data if facts.sha256 == key[0])
    part = Slice(dataset, key[1], key[2])
    labels = _labels(base, other)
    of_base, of_other = base[0].outcomes[key][base[1]], other[0].outcomes[key][other[1]]
    alone = len({outcome.id for outcome in of_base} ^ {outcome.id for outcome in of_other})
    if alone:
        words = (
            "sample is in only one of the runs and was"
            if alone == 1
            else "samples are in only one of the runs and were"
        )
        warnings.append(f"{dataset}, {part.task}: {alone} {words} left out.")
    warnings += _model_differences(base[0].facts(base[1]), other[0].facts(other[1]), labels)
    comparisons = []
    context = replace(metrics[1], language=part.language)
    for metric in map(load_metric, metrics[0]):
        if part.task not in metric.info.tasks:
            continue
        pair = (labels[0], of_base), (labels[1], of_other)
        try:
            comparison = compare_outcomes(part, *pair, metric, context, resamples)
            warnings += filter(None, [token_caution(part, *pair, metric)])
        except EvalError as error:
            warnings.append(f"{dataset}: no {metric.info.title}: {error.message}")
            continue
        if comparison is not None:
            comparisons.append(comparison)
    return comparisons


def _labels(base: tuple[_Side, str], other: tuple[_Side, str]) -> tuple[str, str]:
    """Names that tell the two apart: a model before and after its finetune may be called the same."""
    if base[1] != other[1]:
        return base[1], other[1]
    return f"{base[1]} ({base[0].run.id})", f"{other[1]} ({other[0].run.id})"


def _differences(a: Run, b: Run) -> list[str]:
    """What else than the models differs."""
    found = []
    for run in (a, b):
        if run.status == "interrupted":
            found.append(f"Run {run.id} was interrupted.")
    if a.version != b.version:
        found.append(f"The runs were made with different versions of mmchat: {a.version} and {b.version}.")
    for name in sorted(a.libraries.keys() & b.libraries.keys()):
        if a.libraries[name] != b.libraries[name]:
            found.append(f"{name} had different versions: {a.libraries[name]} and {b.libraries[name]}.")
    if a.settings.seed != b.settings.seed:
        found.append(f"The seeds differ: {a.settings.seed} and {b.settings.seed}.")
    only = {facts.name for facts in a.data if facts.sha256 not in {each.sha256 for each in b.data}}
    only |= {facts.name for facts in b.data if facts.sha256 not in {each.sha256 for each in a.data}}
    if only:
        found.append(f"These rows are in only one of the runs: {', '.join(sorted(only))}.")
    return found


def _model_differences(a: ModelFacts | None, b: ModelFacts | None, labels: tuple[str, str]) -> list[str]:
    """How the two were asked differently."""
    if a is None or b is None:
        return []
    return [text for text in [differences_besides(replace(a, name=labels[0]), replace(b, name=labels[1]))] if text]


def _why_not(base: _Side, other: _Side, common_metrics: set[str]) -> str:
    if not {key[0] for key in base.outcomes} & {key[0] for key in other.outcomes}:
        return "they were made on different rows"
    if not base.outcomes.keys() & other.outcomes.keys():
        return "they did different tasks, or the same rows as different languages"
    if not common_metrics:
        return "they were scored by different metrics"
    return "no sample is in both"
