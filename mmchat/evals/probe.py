"""A linear head on frozen features: how much of the classes a model's vectors already tell."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mmchat.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PENALTY_C = 10.0
"""Inverse strength of the L2 penalty, fixed so that scores compare; for unit features, which are small."""
MAX_ITERATIONS = 1000


class LinearProbe:
    """Multinomial logistic regression, fitted once. Keeps no features."""

    def __init__(self, features: NDArray[np.float32], labels: Sequence[str]) -> None:
        """Fit it.

        Args:
            features: (N, D) float32, unit rows (or several unit vectors side by side); not
                standardised, for that would blow up the dimensions that say least (one of MiniLM's 384 never moves).
            labels: N of them, at least two different ones.

        Raises:
            DataError: only one class, so there is nothing to tell apart.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        if len(set(labels)) < 2:
            raise DataError(
                f"The training rows hold one class only: {', '.join(sorted(set(labels)))}.",
                hint="Give rows of at least two classes.",
            )
        model: Any = LogisticRegression(C=PENALTY_C, max_iter=MAX_ITERATIONS)
        with warnings.catch_warnings():
            # Not quite converged after so many steps, it still is the head that these settings name.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features, np.asarray(labels))
        self._model = model
        self.classes: tuple[str, ...] = tuple(str(name) for name in model.classes_)

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N, K) over `classes`, rows summing to 1, for (N, D) features as they were fitted."""
        return np.asarray(self._model.predict_proba(features), dtype=np.float64)
