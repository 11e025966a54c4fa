"""From scores to honest probabilities, "none of them" being one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 50
MIN_SHARPNESS = 0.25
SPREAD = np.array([3.0, 3.0, 3.0])
"""How far the three numbers lie from the usual ones: a penalty as strong as one message holds them there."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Scores to probabilities.

    The logit of an intent is `sharpness` x its score, that of none of them `strangeness` - `nearness` x likeness.
    """

    sharpness: float
    strangeness: float
    nearness: float

    def probabilities(self, scores: NDArray[Any], likeness: NDArray[Any]) -> NDArray[np.float64]:
        """(B, C + 1) rows summing to 1, none of them last.

        Args:
            scores: (B, C), higher for what fits.
            likeness: (B,) of the nearest message, in [0, 1].
        """
        none = self.strangeness - self.nearness * likeness
        return softmax(np.column_stack([self.sharpness * scores, none]))


@dataclass(frozen=True, slots=True)
class Trial:
    """How texts scored that the scores had not been learnt from."""

    scores: NDArray[Any]
    """(N, C) float."""
    likeness: NDArray[Any]
    """(N,) float."""
    wanted: NDArray[np.int64]
    """(N,) the right column; C for none of them."""
    has_vector: NDArray[np.bool_]
    """(N,) whether the text was compared by its sentence vector too."""
    weight: float
    """What all of them together count."""

    @property
    def weights(self) -> NDArray[np.float64]:
        """(N,) what each counts."""
        return np.full(len(self.wanted), self.weight / max(1, len(self.wanted)))

    def only(self, rows: NDArray[np.bool_]) -> Trial:
        """Some of the texts, each counting what it did."""
        return Trial(
            self.scores[rows],
            self.likeness[rows],
            self.wanted[rows],
            self.has_vector[rows],
            self.weight * float(rows.mean()) if len(rows) else 0.0,
        )


def fit_scale(trials: Sequence[Trial], usual: Scale) -> Scale:
    """The scale under which the right answers are likeliest.

    The logits are linear in its three numbers, so this is a softmax regression with a convex loss, held near the
    usual values by a small square penalty: Newton's method finds the one best in a few steps.
    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2, with a class for the rest.
    """
    scores = np.concatenate([each.scores for each in trials])
    classes = scores.shape[1]
    parts = np.zeros((len(scores), classes + 1, 3))  # each logit is parts @ numbers
    parts[:, :classes, 0] = scores
    parts[:, classes, 1] = 1.0
    parts[:, classes, 2] = -np.concatenate([each.likeness for each in trials])
    weights = np.concatenate([each.weights for each in trials])
    weights /= weights.sum()
    right = parts[np.arange(len(parts)), np.concatenate([each.wanted for each in trials])]
    prior = np.array([usual.sharpness, usual.strangeness, usual.nearness])
    hold = 1 / (SPREAD**2 * sum(int((each.wanted < classes).sum()) for each in trials))

    def loss(numbers: NDArray[np.float64]) -> float:
        logits = parts @ numbers
        top = logits.max(axis=1)
        total = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        return float(weights @ (total - right @ numbers) + hold @ (numbers - prior) ** 2 / 2)

    numbers, best = prior, loss(prior)
    for _ in range(STEPS):
        chances = softmax(parts @ numbers)
        mean = np.einsum("nc,ncp->np", chances, parts)
        slope = weights @ (mean - right) + hold * (numbers - prior)
        weighted = parts * (weights[:, None] * chances)[:, :, None]
        bend = np.tensordot(weighted, parts, axes=([0, 1], [0, 1])) - (mean * weights[:, None]).T @ mean
        step = np.linalg.solve(bend + np.diag(hold), slope)
        while (lower := loss(numbers - step)) > best and float(np.abs(step).max()) > 1e-6:
            step /= 2  # far from the best, a whole step overshoots
        numbers, best = numbers - step, min(best, lower)
        if float(np.abs(step).max()) < 1e-5:
            break
    return Scale(max(MIN_SHARPNESS, float(numbers[0])), float(numbers[1]), max(0.0, float(numbers[2])))


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows summing to 1."""
    exponents: NDArray[np.float64] = np.exp(logits - logits.max(axis=1, keepdims=True))
    rows: NDArray[np.float64] = exponents / exponents.sum(axis=1, keepdims=True)
    return rows
