"""Metrics whose score is a function of statistics that are summed over samples.

BLEU's counts of n-grams, a word error rate's errors and words, a plain mean: each sample is looked at
once, and any number of resamples is then one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mmchat.errors import EvalError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mmchat.evals.base import Outcome

OutcomeT = TypeVar("OutcomeT")


def outcomes_of(kind: type[OutcomeT], outcomes: Sequence[Outcome], title: str) -> list[OutcomeT]:
    """The outcomes as the one kind that a metric scores.

    Args:
        kind: the outcome's class.
        outcomes: what a metric was given.
        title: the metric's, for the message.

    Raises:
        EvalError: there are none, or one is of another kind.
    """
    if not outcomes:
        raise EvalError(f"There is nothing to score by {title}: no sample is left.")
    fitting: list[OutcomeT] = [outcome for outcome in outcomes if isinstance(outcome, kind)]
    if len(fitting) < len(outcomes):
        other = next(outcome for outcome in outcomes if not isinstance(outcome, kind))
        raise EvalError(
            f"{title} cannot score “{other.id}”: it is another kind of outcome.",
            hint="mmchat eval --list says which metrics fit which rows.",
        )
    return fitting


class AdditiveScorer:
    """Scores resamples from the weighted sums of their statistics.

    Args:
        statistics: (N, K) numbers, one row for each outcome. Sums of whole numbers are exact to 2**53.
        score: from sums (R, K) float64 to scores (R,) float64; NaN where there is nothing to score.
        signature: everything that another program needs to get the same number.
        has_interval: False where resampling rows would be misleading.
    """

    def __init__(
        self,
        statistics: ArrayLike,
        score: Callable[[NDArray[np.float64]], NDArray[np.float64]],
        signature: str,
        *,
        has_interval: bool = True,
    ) -> None:
        self._statistics = np.asarray(statistics, dtype=np.float64)
        assert self._statistics.ndim == 2, f"statistics must be (N, K), not {self._statistics.shape}"
        self._score = score
        self.signature = signature
        self.has_interval = has_interval

    def scores(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `mmchat.evals.base.Scorer`."""
        return self._score(weights.astype(np.float64) @ self._statistics)


def ratio_scorer(
    numerators: ArrayLike, denominators: ArrayLike, signature: str, *, scale: float = 1.0, has_interval: bool = True
) -> AdditiveScorer:
    """Score `scale` times the summed numerators by the summed denominators, such as a word error rate.

    Args:
        numerators: (N,) numbers.
        denominators: (N,) numbers; a resample in which they sum to 0 scores NaN.
        signature: see `AdditiveScorer`.
        scale: 100 for percentages.
        has_interval: see `AdditiveScorer`.
    """
    statistics = np.column_stack((np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)))
    return AdditiveScorer(statistics, lambda sums: scale * ratios(sums), signature, has_interval=has_interval)


def mean_scorer(values: ArrayLike, signature: str, *, scale: float = 1.0, has_interval: bool = True) -> AdditiveScorer:
    """Score `scale` times the mean of one value for each sample.

    Args:
        values: (N,) numbers.
        signature: see `AdditiveScorer`.
        scale: 100 for percentages.
        has_interval: see `AdditiveScorer`.
    """
    numbers = np.asarray(values, np.float64)
    return ratio_scorer(numbers, np.ones_like(numbers), signature, scale=scale, has_interval=has_interval)


def ratios(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first column by the second.

    Args:
        sums: (R, 2).

    Returns:
        (R,) float64; NaN where the second is 0.
    """
    quotients = np.full(len(sums), np.nan)
    np.divide(sums[:, 0], sums[:, 1], out=quotients, where=sums[:, 1] != 0)
    return quotients
