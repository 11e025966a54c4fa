"""Whether the right caption of a picture, or the right picture of a caption, stands at the top.

The whole set of candidates is ranked, ties count against the model, and pictures are resampled, because the
captions of one picture are not independent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import comb
from typing import TYPE_CHECKING, Literal

import numpy as np

from mmchat.errors import EvalError
from mmchat.evals.base import MetricContext, MetricInfo, Outcome, RankOutcome, Scorer
from mmchat.evals.metrics.additive import outcomes_of, ratio_scorer
from mmchat.evals.metrics.median import MedianScorer

if TYPE_CHECKING:
    from numpy.typing import NDArray

RetrievalDirection = Literal["image-to-text", "text-to-image"]
DIRECTIONS: tuple[RetrievalDirection, ...] = ("image-to-text", "text-to-image")
DEPTHS = (1, 5, 10)
_TITLES: dict[RetrievalDirection, str] = {"image-to-text": "image→text", "text-to-image": "text→image"}
_SOUGHT: dict[RetrievalDirection, tuple[str, str]] = {
    "image-to-text": ("pictures", "one of their captions"),
    "text-to-image": ("captions", "their picture"),
}


class RecallAtRank:
    """R@k: the share of queries with a right answer among the first k."""

    def __init__(self, direction: RetrievalDirection, depth: int) -> None:
        self._direction = direction
        self._depth = depth
        queries, sought = _SOUGHT[direction]
        place = "first" if depth == 1 else f"among the first {depth}"
        self.info = MetricInfo(
            name=f"{direction}-r@{depth}",
            title=f"{_TITLES[direction]} R@{depth}",
            tasks=("retrieval",),
            direction="higher",
            range="0 to 100%",
            description=f"{queries} that find {sought} {place}; depends on how many candidates there are",
            source="Karpathy and Fei-Fei 2015",
        )

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`.

        Raises:
            EvalError: no query of this direction.
        """
        ranks, is_ours, candidates = _ranks(outcomes, self._direction, self.info.title)
        right = self._right_answers(outcomes_of(RankOutcome, outcomes, self.info.title))
        chance = f"{100 * np.mean([_chance(number, candidates, self._depth) for number in right]):.3g}"
        signature = f"candidates:{candidates}|chance:{chance}%|ties:against"
        return ratio_scorer(is_ours & (ranks <= self._depth), is_ours, signature, scale=100)

    def _right_answers(self, queries: Sequence[RankOutcome]) -> list[int]:
        """Of each query of this direction: a caption has one picture, a picture all captions that ask for it."""
        captions = Counter(query.group for query in queries if query.direction == "text-to-image")
        ours = [query for query in queries if query.direction == self._direction]
        guess = captions if self._direction == "image-to-text" else Counter[str]()
        return [query.right or guess[query.group] or 1 for query in ours]


class MedianRank:
    """The rank that half of the queries reach or better."""

    def __init__(self, direction: RetrievalDirection) -> None:
        self._direction = direction
        queries, sought = _SOUGHT[direction]
        self.info = MetricInfo(
            name=f"{direction}-median-rank",
            title=f"{_TITLES[direction]} median rank",
            tasks=("retrieval",),
            direction="lower",
            range="1 to the number of candidates",
            description=f"where half of the {queries} find {sought}, or better",
            source="Karpathy and Fei-Fei 2015",
        )

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`.

        Raises:
            EvalError: no query of this direction.
        """
        ranks, is_ours, candidates = _ranks(outcomes, self._direction, self.info.title)
        signature = f"candidates:{candidates}|ties:against"
        return MedianScorer(ranks, signature, is_scored=is_ours)


def _ranks(
    outcomes: Sequence[Outcome], direction: RetrievalDirection, title: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_], int]:
    """All ranks, which of them are of this direction, and how many candidates those were found among."""
    queries = outcomes_of(RankOutcome, outcomes, title)
    is_ours = np.array([query.direction == direction for query in queries], dtype=np.bool_)
    sizes = {query.candidates for query in queries if query.direction == direction}
    if not sizes:
        raise EvalError(f"There is nothing to score by {title}: the run asked in the other direction only.")
    if len(sizes) > 1:
        raise EvalError(
            f"{title} cannot mix queries among {min(sizes)} and among {max(sizes)} candidates: the fewer, the easier.",
            hint="Score the runs apart.",
        )
    return np.array([query.rank for query in queries], dtype=np.float64), is_ours, sizes.pop()


def _chance(right: int, candidates: int, depth: int) -> float:
    """How likely one of the right ones is among the first, in a random order."""
    return 1 - comb(candidates - right, depth) / comb(candidates, depth) if depth < candidates else 1.0


METRICS = tuple(
    metric
    for direction in DIRECTIONS
    for metric in (*(RecallAtRank(direction, depth) for depth in DEPTHS), MedianRank(direction))
)
