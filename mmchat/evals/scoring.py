"""Saved outcomes → scores, differences and what they mean. No model is asked, but for a sentence encoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from mmchat.engines.base import TextEmbedder
from mmchat.errors import EvalError
from mmchat.evals.base import (
    ConsistencyOutcome,
    LikelihoodOutcome,
    Metric,
    MetricContext,
    Models,
    Outcome,
    RankOutcome,
    Scorer,
    TaskName,
)
from mmchat.evals.cautions import few_groups
from mmchat.evals.environment import loaded_libraries
from mmchat.evals.exhibits import exhibits_of
from mmchat.evals.metrics.consistency import Consistency
from mmchat.evals.registry import expand_metrics, load_metric, needs_embedder
from mmchat.evals.results import Comparison, Exhibit, Run, Score
from mmchat.evals.runs import RunStore, SavedOutcome
from mmchat.evals.stats import paired_difference, score_with_interval
from mmchat.evals.verdicts import differences_besides, sentences, verdict


class Slice(NamedTuple):
    """Outcomes that may be scored together."""

    dataset: str
    task: TaskName
    language: str


@dataclass(slots=True)
class Scored:
    """What came of it."""

    scores: tuple[Score, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    exhibits: tuple[Exhibit, ...] = ()
    sentences: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Findings:
    scores: list[Score] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    exhibits: list[Exhibit] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def scored(
    run: Run,
    outcomes: Iterable[SavedOutcome],
    metrics: Sequence[str],
    embedder: TextEmbedder | None,
    embedder_languages: tuple[str, ...] = (),
) -> Scored:
    """Score a run's outcomes, each file, task and language by itself; compare its models with the first of each kind.

    The order of the outcomes does not matter.

    Args:
        run: its settings and models.
        outcomes: of all its models.
        metrics: own names; those that do not fit a task are not computed there.
        embedder: for the metrics that compare meanings; None where none of them is asked for.
        embedder_languages: see `MetricContext`.
    """
    slices = slice_outcomes(outcomes, [facts.name for facts in run.models])
    loaded = [load_metric(name) for name in metrics]
    findings = _Findings()
    for part, by_model in slices.items():
        fitting = [metric for metric in loaded if part.task in metric.info.tasks]
        context = MetricContext(part.language, embedder, embedder_languages)
        for metric in fitting:
            _score(part, by_model, metric, context, run.settings.resamples, findings)
        for model, of_model in by_model.items():
            try:
                findings.exhibits += exhibits_of(part.dataset, part.task, part.language, model, of_model)
            except EvalError as error:
                findings.warnings.append(f"{part.dataset}, {model}: {error.message}")
    comparisons = tuple(findings.comparisons)
    facts = {each.name: each for each in run.models}
    pairs = dict.fromkeys((each.base, each.other) for each in comparisons)
    unlike = [differences_besides(facts[base], facts[other]) for base, other in pairs if {base, other} <= facts.keys()]
    return Scored(
        scores=tuple(findings.scores),
        comparisons=comparisons,
        exhibits=tuple(findings.exhibits),
        sentences=sentences(comparisons),
        warnings=tuple(
            dict.fromkeys([*filter(None, unlike), *few_groups([*findings.scores, *comparisons]), *findings.warnings])
        ),
    )


def slice_outcomes(outcomes: Iterable[SavedOutcome], models: Sequence[str]) -> dict[Slice, dict[str, list[Outcome]]]:
    """Outcomes by what may be scored together, then by model; each list in the order of the samples' ids.

    Args:
        outcomes: in any order; of two for the same sample the first counts.
        models: the order in which they are shown; the first one is what the others are compared with.
    """
    unique: dict[tuple[str, str, str, str], SavedOutcome] = {}
    for saved in outcomes:
        unique.setdefault(saved.key, saved)
    rank = {name: place for place, name in enumerate(models)}
    ordered = sorted(unique.values(), key=lambda each: (rank.get(each.model, len(rank)), each.model, each.outcome.id))
    slices: dict[Slice, dict[str, list[Outcome]]] = {}
    for saved in ordered:
        part = Slice(saved.dataset, saved.task, saved.outcome.language)
        slices.setdefault(part, {}).setdefault(saved.model, []).append(saved.outcome)
    return dict(sorted(slices.items()))


def compare_outcomes(
    part: Slice,
    base: tuple[str, Sequence[Outcome]],
    other: tuple[str, Sequence[Outcome]],
    metric: Metric,
    context: MetricContext,
    resamples: int,
) -> Comparison | None:
    """Two models on the samples that both were asked; None where there are none.

    Raises:
        EvalError: these outcomes cannot be scored so.
    """
    common = _common(metric, base[1], other[1])
    if not common:
        return None
    scorers = [metric.scorer([pair[side] for pair in common], context) for side in (0, 1)]
    groups = [pair[0].group for pair in common]
    difference = paired_difference(scorers[0], scorers[1], groups, resamples)
    return Comparison(
        dataset=part.dataset,
        task=part.task,
        language=part.language,
        metric=metric.info.name,
        base=base[0],
        other=other[0],
        difference=difference.score,
        low=difference.low,
        high=difference.high,
        samples=len(common),
        groups=difference.groups,
        verdict="none" if _has_other_tokens(metric, common) else verdict(metric.info, difference),
    )


def token_caution(
    part: Slice, base: tuple[str, Sequence[Outcome]], other: tuple[str, Sequence[Outcome]], metric: Metric
) -> str:
    """Why two models' perplexities are not judged; empty where they are. Arguments as in `compare_outcomes`."""
    if not _has_other_tokens(metric, _common(metric, base[1], other[1])):
        return ""
    return (
        f"{part.dataset}: {base[0]} and {other[0]} cut the texts into different tokens, so their perplexities by "
        "token do not compare; byte-perplexity does."
    )


def _common(metric: Metric, base: Sequence[Outcome], other: Sequence[Outcome]) -> list[tuple[Outcome, Outcome]]:
    """The outcomes of the samples that both models were asked."""
    of_base = {outcome.id: outcome for outcome in counted(metric, base)}
    return [(of_base[outcome.id], outcome) for outcome in counted(metric, other) if outcome.id in of_base]


def _has_other_tokens(metric: Metric, common: Sequence[tuple[Outcome, Outcome]]) -> bool:
    """Whether a score by token is of other tokens for the one model than for the other."""
    return metric.info.name == "perplexity" and any(
        isinstance(base, LikelihoodOutcome) and isinstance(other, LikelihoodOutcome) and base.tokens != other.tokens
        for base, other in common
    )


def counted(metric: Metric, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those that a metric looks at: ranks of one direction only, for example."""
    name = metric.info.name
    if isinstance(metric, Consistency):
        return [each for each in outcomes if isinstance(each, ConsistencyOutcome) and metric.is_for(each)]
    return [each for each in outcomes if not isinstance(each, RankOutcome) or name.startswith(each.direction)]


def _score(
    part: Slice,
    by_model: dict[str, list[Outcome]],
    metric: Metric,
    context: MetricContext,
    resamples: int,
    findings: _Findings,
) -> None:
    models = list(by_model)
    for model in models:
        looked_at = counted(metric, by_model[model])
        try:
            scorer = metric.scorer(looked_at, context)
        except EvalError as error:
            findings.warnings.append(f"{part.dataset}, {model}: no {metric.info.title}: {error.message}")
            continue
        findings.scores.append(_one_score(part, model, looked_at, metric, scorer, resamples))
    for other in models[1:]:
        base = models[0]
        try:
            pair = (base, by_model[base]), (other, by_model[other])
            comparison = compare_outcomes(part, *pair, metric, context, resamples)
            findings.warnings += filter(None, [token_caution(part, *pair, metric)])
        except EvalError as error:
            findings.warnings.append(f"{part.dataset}: {base} and {other}: no {metric.info.title}: {error.message}")
            continue
        if comparison is not None:
            findings.comparisons.append(comparison)


def _one_score(
    part: Slice, model: str, outcomes: Sequence[Outcome], metric: Metric, scorer: Scorer, resamples: int
) -> Score:
    estimate = score_with_interval(scorer, [outcome.group for outcome in outcomes], resamples)
    return Score(
        dataset=part.dataset,
        task=part.task,
        language=part.language,
        model=model,
        metric=metric.info.name,
        score=estimate.score,
        low=estimate.low,
        high=estimate.high,
        samples=len(outcomes),
        groups=estimate.groups,
        direction=metric.info.direction,
        signature=scorer.signature,
    )


def rescore(run_id: str, metrics: Sequence[str], *, runs: RunStore, models: Models) -> Run:
    """Score a saved run by other metrics too. Nothing is generated.

    Args:
        run_id: its id, a beginning of it, or "last".
        metrics: as typed; none for all that fit.
        runs: where it lies; its `run.json` is replaced, scores of other metrics stay.
        models: only asked for a sentence encoder, and only if a metric needs it.

    Raises:
        UsageError: no such metric.
        EvalError: no such run; or none of its outcomes can be scored by any of these metrics.
    """
    run = runs.get(run_id)
    with runs.writing(run.id):
        outcomes = tuple(runs.outcomes(run.id))
        tasks = {saved.task for saved in outcomes}
        names = expand_metrics(metrics, tasks)
        fitting = [name for name in names if tasks.intersection(load_metric(name).info.tasks)]
        if not fitting:
            done = ", ".join(sorted(tasks)) or "nothing"
            raise EvalError(
                f"Run {run.id} holds no samples for {', '.join(names)}: it did {done}.",
                hint="`mmchat eval --list` says which metrics fit which task.",
            )
        facts = run.models
        embedder = None
        known: tuple[str, ...] = ()
        if any(map(needs_embedder, fitting)):
            name = next((each.name for each in facts if each.kind == "embed"), "") or models.default("embed")
            embedder, known = models.embedder(name), models.languages(name)
            facts = tuple({**{each.name: each for each in facts}, name: models.facts(name)}.values())
        result = scored(run, outcomes, fitting, embedder, known)
        merged = _merged(replace(run, models=facts), result, set(fitting))
        runs.save(merged)
    return merged


def _merged(run: Run, result: Scored, metrics: set[str]) -> Run:
    """A run with the scores of some metrics put anew."""
    scores = [each for each in run.scores if each.metric not in metrics] + list(result.scores)
    comparisons = [each for each in run.comparisons if each.metric not in metrics] + list(result.comparisons)
    return replace(
        run,
        # Stable: within a file, task and language they stay in the order in which they came.
        scores=tuple(sorted(scores, key=lambda each: (each.dataset, each.task, each.language))),
        comparisons=tuple(sorted(comparisons, key=lambda each: (each.dataset, each.task, each.language))),
        exhibits=result.exhibits,
        libraries={**run.libraries, **loaded_libraries()},
        sentences=sentences(comparisons),
        warnings=tuple(dict.fromkeys([*run.warnings, *result.warnings])),
    )
