"""Metrics whose score is the median of one number for each sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmchat.evals.stats import weighted_medians

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class MedianScorer:
    """Scores resamples by the median of the samples that count.

    Args:
        values: (N,) numbers.
        signature: see `mmchat.evals.base.Scorer`.
        is_scored: (N,) bool, which samples count; None for all.
    """

    has_interval = True

    def __init__(self, values: ArrayLike, signature: str, *, is_scored: NDArray[np.bool_] | None = None) -> None:
        numbers = np.asarray(values, dtype=np.float64)
        self._places = np.arange(len(numbers)) if is_scored is None else np.flatnonzero(is_scored)
        self._values = numbers[self._places]
        self.signature = signature

    def scores(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `mmchat.evals.base.Scorer`."""
        return weighted_medians(self._values, weights[:, self._places])
