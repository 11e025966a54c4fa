"""How varied replies are: different n-grams by all n-grams, over all replies together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmchat.evals.base import MetricContext, MetricInfo, Outcome, Scorer
from mmchat.evals.metrics.replies import replies_of, tokenizer_for

if TYPE_CHECKING:
    from numpy.typing import NDArray


class DistinctScorer:
    """Counts different n-grams in resamples.

    It has no interval: a resample repeats replies, which adds to all n-grams but never to the different ones,
    so that resampled scores lie below the score of the whole set and an interval of them need not hold it.

    Args:
        ngrams: of each of N replies.
        signature: see `mmchat.evals.base.Scorer`.
    """

    has_interval = False

    def __init__(self, ngrams: Sequence[Sequence[tuple[str, ...]]], signature: str) -> None:
        self.signature = signature
        numbers: dict[tuple[str, ...], int] = {}
        self._ids = np.array([numbers.setdefault(each, len(numbers)) for reply in ngrams for each in reply], np.int64)
        self._owners = np.repeat(np.arange(len(ngrams)), [len(reply) for reply in ngrams])

    def scores(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `mmchat.evals.base.Scorer`; NaN where no reply is long enough for one n-gram."""
        return np.array([self._score(row[self._owners]) for row in weights], dtype=np.float64)

    def _score(self, counts: NDArray[np.int64]) -> float:
        total = int(counts.sum())
        return 100 * len(np.unique(self._ids[counts > 0])) / total if total else float("nan")


class Distinct:
    """Dist-n: Dist-1 or Dist-2."""

    def __init__(self, info: MetricInfo) -> None:
        self.info = info
        self._n = {"dist-1": 1, "dist-2": 2}[info.name]

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`. An empty reply adds nothing.

        Raises:
            EvalError: nothing to score, an empty reference, or Chinese called another language.
        """
        replies = replies_of(outcomes, context, self.info.title)
        tokenizer = tokenizer_for(context.language)
        ngrams = []
        for reply in replies:
            words = tokenizer.tokenize(reply.reply)
            ngrams.append([tuple(words[start : start + self._n]) for start in range(len(words) - self._n + 1)])
        signature = f"dist:different-by-all-{self._n}-grams-of-all-replies|tok:{tokenizer.name}"
        return DistinctScorer(ngrams, signature)


METRICS = (
    Distinct(
        MetricInfo(
            name="dist-1",
            title="Dist-1",
            tasks=("dialogue",),
            direction="higher",
            range="0 to 100",
            description="different words for 100 words of all replies: how varied they are; falls as "
            "there are more replies, so compare equal sets only",
            source="Li et al. 2016",
            decimals=2,
        )
    ),
    Distinct(
        MetricInfo(
            name="dist-2",
            title="Dist-2",
            tasks=("dialogue",),
            direction="higher",
            range="0 to 100",
            description="different pairs of words for 100 pairs of words of all replies: how varied they "
            "are; falls as there are more replies, so compare equal sets only",
            source="Li et al. 2016",
            decimals=2,
        )
    ),
)
