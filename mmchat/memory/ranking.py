"""What makes a turn bear on a question, and how much each thing counts. Pure: no store, no embedder.

The score of a turn is a sum, and its terms have the same scale for every question and store: cosines and shares lie
between 0 and 1, the others are given out whole or not at all. A sum of scores keeps how much better one turn is than
the next, which a fusion by ranks throws away (Bruch, Gai and Ingber 2023, "An analysis of fusion functions for hybrid
retrieval"). Weights are round and were not fitted; `benchmarks/recall_ingredients.py` shows what each brings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

_HALF_RANK = 10.0

COSINE_FLOOR = 0.38
COVERAGE_FLOOR = 0.45
CJK_COVERAGE_FLOOR = 0.33
"""A turn surely bears on a question when it, or a sentence of it, is this near or holds this share of the question's
information. Lower for Chinese, where pairs across word borders take up part of a question's information.
Measured with `benchmarks/recall_probe.py`."""
SEEN_FLOOR = 0.5
"""The same for a picture that came without a word: a few tags are near to half of all questions. Pictures have a
ranking of their own (`memory.picture_recall`)."""
EXPECTED = 0.1
"""Less is enough of the one and the time that the question names: it is put to memory."""
NEAR_FLOOR = 0.1
LEAST_SHARE = 0.5
"""Where one turn surely bears on the question, so may others that are at least this near and have this share of the
best score: asked for all that Anna paints, memory holds one turn that says so and five that only show it."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What each thing counts beside a cosine."""

    words: float = 0.3
    """For the share of the question's information that a turn holds."""
    session: float = 0.1
    """For the best share of any turn in the conversation: it is about what was asked."""
    speaker: float = 0.2
    """For the turns of the one whom the question names."""
    time: float = 0.2
    """For turns of the time that the question names."""
    asking: float = -0.05
    """For turns that end by asking: they seldom tell."""
    ranked: float = 0.3
    """For the first of another ranking, e.g. that of pictures; the eleventh has half of it."""


WEIGHTS = Weights()


@dataclass(slots=True)
class Candidate:
    """A turn that some ranking found, and all that is known of it."""

    number: int
    words: float = 0.0
    """Share of the question's information in the turn itself, or a little less than that in what it answers."""
    cosine: float | None = None
    """Of its own vector; None where it has none yet."""
    around: float | None = None
    """Of the turn among those beside it."""
    sentence: float | None = None
    """Of its nearest sentence."""
    session: str = ""
    is_asked_for: bool = False
    """The question names who said it."""
    timeliness: float = 0.0
    """1 for a turn of the time that the question names, less for one soon after it."""
    is_asking: bool = False
    is_seen_alone: bool = False
    """Nothing was said or heard in the turn: it is a picture, and its text is tags."""
    ranks: list[tuple[float, int]] = field(default_factory=list)
    """Weight and rank (from 1) in each further ranking that found it to bear on the question."""

    @property
    def is_expected(self) -> bool:
        """The question names who said it, or when."""
        return self.is_asked_for or self.timeliness == 1

    @property
    def nearness(self) -> float:
        """Half what the turn says, half what it is about; a turn without parts is its own."""
        if self.cosine is None:
            return 0.0
        return (self.nearest + (self.cosine if self.around is None else self.around)) / 2

    @property
    def nearest(self) -> float:
        """The turn's own cosine or that of its nearest sentence."""
        if self.cosine is None:
            return -1.0 if self.sentence is None else self.sentence
        return self.cosine if self.sentence is None else max(self.cosine, self.sentence)


@dataclass(frozen=True, slots=True)
class Bearing:
    """The turns that bear on a question."""

    scores: dict[int, float]
    """By number; higher is better."""
    is_sure: bool
    """Whether one surely does; otherwise these merely come nearest."""


Reach = Literal["sure", "bearing", "nearest"]
"""How far down to go: turns that surely bear on the question; also those that may, if one surely does; or, where none
surely does, those that come nearest."""


def bearing_scores(
    candidates: Iterable[Candidate], *, is_chinese: bool, is_time_all: bool = False, reach: Reach = "bearing"
) -> Bearing:
    """Which turns bear on the question, and how much.

    Args:
        candidates: what the rankings found.
        is_chinese: the question is.
        is_time_all: the question asks for nothing but a time ("What did we talk about yesterday?").
        reach: how far down to go.
    """
    candidates = list(candidates)
    scores = score_all(candidates)
    floor = CJK_COVERAGE_FLOOR if is_chinese else COVERAGE_FLOOR
    sure = {
        each.number
        for each in candidates
        if each.ranks
        or each.words >= floor
        or each.nearest >= (SEEN_FLOOR if each.is_seen_alone else COSINE_FLOOR - EXPECTED * each.is_expected)
        or (is_time_all and each.timeliness == 1)
    }
    if reach == "sure" or not (sure or reach == "nearest"):
        return Bearing({number: scores[number] for number in sure}, bool(sure))
    least = LEAST_SHARE * max(scores[number] for number in sure) if sure else 0.0
    kept = {
        each.number: scores[each.number]
        for each in candidates
        if each.number in sure
        or (not each.is_seen_alone and each.nearest >= NEAR_FLOOR and scores[each.number] >= least)
        or (not sure and each.words > 0)
    }
    return Bearing(kept, bool(sure))


def score_all(candidates: Sequence[Candidate], weights: Weights = WEIGHTS) -> dict[int, float]:
    """Score of each, by its number."""
    session_best: dict[str, float] = {}
    for each in candidates:
        session_best[each.session] = max(session_best.get(each.session, 0.0), each.words)
    return {each.number: _score(each, session_best, weights) for each in candidates}


def _score(each: Candidate, session_best: Mapping[str, float], weights: Weights) -> float:
    return (
        each.nearness
        + weights.words * each.words
        + weights.session * session_best[each.session]
        + weights.speaker * each.is_asked_for
        + weights.time * each.timeliness
        + weights.asking * each.is_asking
        + sum(weight * weights.ranked / (1 + (rank - 1) / _HALF_RANK) for weight, rank in each.ranks)
    )
