"""Which samples of a run are worth a look: each with a score of its own, the worst, the best, the most different."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmchat.errors import EvalError
from mmchat.evals.base import (
    ConsistencyOutcome,
    LabelOutcome,
    LikelihoodOutcome,
    MetricContext,
    Outcome,
    RankOutcome,
    RecallOutcome,
    ReplyOutcome,
)
from mmchat.evals.metrics.consistency import is_held
from mmchat.evals.registry import load_metric
from mmchat.script import UNSPACED_LANGUAGES

SHOWN = 8
"""How many samples each list holds."""
MAX_LETTERS = 1200
_CHUNK = 256
"""Samples scored at once: bounds the memory of one weight for each pair of samples."""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What a single sample is judged by."""

    title: str
    is_higher_better: bool
    decimals: int = 1
    is_rank: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What one model made of a sample."""

    model: str
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class SampleView:
    """A sample with the answers of all models, side by side."""

    id: str
    question: str
    expected: str
    answers: tuple[Answer, ...]

    @property
    def mean(self) -> float:
        """Of the models' scores."""
        return sum(answer.score for answer in self.answers) / len(self.answers)

    @property
    def difference(self) -> float:
        """The second model's score minus the first's."""
        return self.answers[1].score - self.answers[0].score


def yardstick(outcome: Outcome) -> Yardstick:
    """By what samples of that kind are sorted."""
    if isinstance(outcome, ReplyOutcome):
        if outcome.duration_s == 0:
            return Yardstick("sentence chrF++", is_higher_better=True)
        unit = "character" if outcome.language in UNSPACED_LANGUAGES else "word"
        return Yardstick(f"{unit} error rate, %", is_higher_better=False)
    if isinstance(outcome, LikelihoodOutcome):
        return Yardstick("perplexity per token", is_higher_better=False)
    if isinstance(outcome, RankOutcome):
        return Yardstick("rank of the right one", is_higher_better=False, decimals=0, is_rank=True)
    if isinstance(outcome, LabelOutcome):
        return Yardstick("confidence in the right label, %", is_higher_better=True)
    if isinstance(outcome, ConsistencyOutcome):
        return Yardstick("held, %", is_higher_better=True, decimals=0)
    return Yardstick("evidence found, %", is_higher_better=True, decimals=0)


def sample_scores(outcomes: Sequence[Outcome]) -> list[float]:
    """Each sample's own score; NaN where it has none.

    Args:
        outcomes: of one kind and one language.
    """
    replies = [each for each in outcomes if isinstance(each, ReplyOutcome)]
    if not replies:
        return [_own_score(each) for each in outcomes]
    name = "chrf++"
    if any(each.duration_s for each in replies):
        name = "cer" if replies[0].language in UNSPACED_LANGUAGES else "wer"
    try:
        scorer = load_metric(name).scorer(replies, MetricContext(replies[0].language))
    except EvalError:
        return [math.nan] * len(replies)
    scores: list[float] = []
    for start in range(0, len(replies), _CHUNK):
        stop = min(start + _CHUNK, len(replies))
        weights = np.zeros((stop - start, len(replies)), dtype=np.int64)
        weights[np.arange(stop - start), np.arange(start, stop)] = 1  # a resample that holds one sample alone
        scores += scorer.scores(weights).tolist()
    return scores


def _own_score(outcome: Outcome) -> float:
    if isinstance(outcome, LikelihoodOutcome):
        return math.exp(min(outcome.nats / outcome.tokens, 700.0)) if outcome.tokens else math.nan
    if isinstance(outcome, RankOutcome):
        return float(outcome.rank)
    if isinstance(outcome, LabelOutcome):
        if outcome.predicted == outcome.label:
            return 100 * outcome.confidence
        return 100 * dict(outcome.runners_up).get(outcome.label, 0.0)
    if isinstance(outcome, ConsistencyOutcome):
        return 100.0 * is_held(outcome)
    assert isinstance(outcome, RecallOutcome)
    return 100 * len({*outcome.evidence} & {*outcome.found}) / len({*outcome.evidence}) if outcome.evidence else 100.0


def views(by_model: Mapping[str, Sequence[Outcome]]) -> list[SampleView]:
    """The samples that every model answered and that have a score, in order.

    Args:
        by_model: outcomes of one file, task and language, for each model.
    """
    answers: dict[str, list[tuple[Outcome, Answer]]] = {}
    for model, outcomes in by_model.items():
        for outcome, score in zip(outcomes, sample_scores(outcomes), strict=True):
            if not math.isnan(score):
                answer = Answer(model, _cut(_answer_text(outcome)), score)
                answers.setdefault(outcome.id, []).append((outcome, answer))
    result = []
    for sample_id, pairs in answers.items():
        if len(pairs) == len(by_model):
            outcome = pairs[0][0]
            view_answers = tuple(answer for _, answer in pairs)
            result.append(SampleView(sample_id, _cut(outcome.question), _cut(_expected(outcome)), view_answers))
    return result


def _expected(outcome: Outcome) -> str:
    if isinstance(outcome, ReplyOutcome):
        return "\n".join(outcome.references)
    if isinstance(outcome, LikelihoodOutcome):
        return outcome.text
    if isinstance(outcome, LabelOutcome):
        return outcome.label
    if isinstance(outcome, RecallOutcome):
        return ", ".join(outcome.evidence)
    if isinstance(outcome, ConsistencyOutcome):
        wanted = [" / ".join(aliases) for aliases in outcome.keys]
        return "; ".join([*wanted, *(f"not: {phrase}" for phrase in outcome.never)])
    return ""


def _answer_text(outcome: Outcome) -> str:
    if isinstance(outcome, ReplyOutcome | ConsistencyOutcome):
        return outcome.reply or "(nothing)"
    if isinstance(outcome, LikelihoodOutcome):
        return f"{outcome.nats:.1f} nats in {outcome.tokens} tokens"
    if isinstance(outcome, RankOutcome):
        return f"rank {outcome.rank} of {outcome.candidates}, {outcome.direction.replace('-', ' ')}"
    if isinstance(outcome, LabelOutcome):
        others = "".join(f"\n{label} {share:.0%}" for label, share in outcome.runners_up[:3])
        return f"{outcome.predicted} {outcome.confidence:.0%}{others}"
    return ", ".join(outcome.found) or "(nothing)"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LETTERS else text[: MAX_LETTERS - 1] + "…"
