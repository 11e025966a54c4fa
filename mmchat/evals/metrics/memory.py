"""Whether the turns that answer a question are found, how much they add to a prompt, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mmchat.errors import EvalError
from mmchat.evals.base import MetricContext, MetricInfo, Outcome, RecallOutcome, Scorer
from mmchat.evals.metrics.additive import mean_scorer, outcomes_of, ratio_scorer
from mmchat.evals.metrics.median import MedianScorer

RESAMPLED = "resampled:questions"
"""Sets of rows hold a handful of conversations, too few to resample: an interval says how sure a score is for
questions about these conversations, not about others."""

RecallOf = Literal["share", "any", "all"]
_DESCRIPTIONS: dict[RecallOf, str] = {
    "share": "turns that answer a question, of all questions together, found",
    "any": "questions for which at least one turn that answers it is found",
    "all": "questions for which every turn that answers it is found",
}


class EvidenceRecall:
    """Recall@k of the turns that answer, pooled over questions, or the share of questions that are answerable."""

    def __init__(self, depth: int, of: RecallOf = "share") -> None:
        self._depth = depth
        self._of: RecallOf = of
        ending = "" if of == "share" else f"-{of}"
        place = "first" if depth == 1 else f"among the first {depth}"
        self.info = MetricInfo(
            name=f"recall@{depth}{ending}",
            title=f"recall@{depth}" if of == "share" else f"recall@{depth} ({of})",
            tasks=("memory",),
            direction="higher",
            range="0 to 100%",
            description=f"{_DESCRIPTIONS[of]} {place}",
            source="Maharana et al. 2024 (LoCoMo)",
        )

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`.

        Raises:
            EvalError: fewer turns than k were asked for, or a question that no turn answers.
        """
        questions = _questions(outcomes, self.info.title)
        asked = _asked(questions)
        if asked < self._depth:
            raise EvalError(
                f"{self.info.title} needs the first {self._depth} turns found for a question; this run asked for "
                f"{asked}.",
                hint=f"Run it again with --recall-k {self._depth}, or choose a smaller k.",
            )
        wanted = [len(set(question.evidence)) for question in questions]
        hits = [len({*question.evidence}.intersection(question.found[: self._depth])) for question in questions]
        if self._of == "share":
            return ratio_scorer(hits, wanted, f"k:{self._depth}|average:micro(evidence turns)|{RESAMPLED}", scale=100)
        is_met = [hit > 0 if self._of == "any" else hit == want for hit, want in zip(hits, wanted, strict=True)]
        return mean_scorer(is_met, f"k:{self._depth}|{self._of}:of a question's evidence|{RESAMPLED}", scale=100)


class ReciprocalRank:
    """Mean of 1 / the place of the first turn that answers; 0 where none is found."""

    info = MetricInfo(
        name="mrr",
        title="MRR",
        tasks=("memory",),
        direction="higher",
        range="0 to 1",
        description="1 by the place of the first turn found that answers the question, averaged",
        source="Voorhees 1999 (TREC-8)",
        decimals=3,
    )

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`.

        Raises:
            EvalError: a question that no turn answers.
        """
        questions = _questions(outcomes, self.info.title)
        signature = f"depth:{_asked(questions)}|{RESAMPLED}"
        return mean_scorer([_reciprocal(question) for question in questions], signature)


class TokensInjected:
    """What recall costs: tokens that the found turns add to the prompt."""

    info = MetricInfo(
        name="tokens-injected",
        title="tokens injected",
        tasks=("memory",),
        direction="neither",
        range="0 upwards",
        description="mean number of tokens of the turns found, which recall may add to a prompt",
        source="counted by the sentence encoder's tokeniser",
    )

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`."""
        questions = outcomes_of(RecallOutcome, outcomes, self.info.title)
        signature = f"average:mean|k:{_asked(questions)}|{RESAMPLED}"
        return mean_scorer([question.tokens for question in questions], signature)


class Milliseconds:
    """The median time of a search."""

    info = MetricInfo(
        name="milliseconds",
        title="milliseconds",
        tasks=("memory",),
        direction="lower",
        range="0 upwards",
        description="median time to search for a question; depends on the machine",
        source="wall clock",
    )

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`."""
        questions = outcomes_of(RecallOutcome, outcomes, self.info.title)
        signature = f"average:median|k:{_asked(questions)}|{RESAMPLED}"
        return MedianScorer([question.elapsed_ms for question in questions], signature)


def _questions(outcomes: Sequence[Outcome], title: str) -> list[RecallOutcome]:
    questions = outcomes_of(RecallOutcome, outcomes, title)
    for question in questions:
        if not question.evidence:
            raise EvalError(
                f"{title} cannot score “{question.id}”: no turn is named that answers it.",
                hint="Name the ids of the turns in the question's evidence, or leave the question out.",
            )
    return questions


def _asked(questions: Sequence[RecallOutcome]) -> int:
    """How many turns the run asked for; where it did not note that, the most that were found."""
    noted = [question.asked for question in questions if question.asked]
    return min(noted) if noted else max(len(question.found) for question in questions)


def _reciprocal(question: RecallOutcome) -> float:
    places = (place for place, turn in enumerate(question.found, start=1) if turn in question.evidence)
    return 1 / next(places, float("inf"))


METRICS = (
    *(EvidenceRecall(depth) for depth in (1, 5, 10)),
    EvidenceRecall(10, "any"),
    EvidenceRecall(10, "all"),
    ReciprocalRank(),
    TokensInjected(),
    Milliseconds(),
)
