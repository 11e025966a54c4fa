"""Whether the right class was chosen, and whether the model knows how sure it may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmchat.errors import EvalError
from mmchat.evals.base import LabelOutcome, MetricContext, MetricInfo, Outcome, Scorer
from mmchat.evals.metrics.additive import AdditiveScorer, mean_scorer, outcomes_of, ratios

if TYPE_CHECKING:
    from numpy.typing import NDArray

ECE_BINS = 15
"""Guo et al. 2017, section 4, and torchmetrics' default."""
CONFIDENCE_SLACK = 1e-6
"""A softmax in float32 may exceed 1 by that."""
MIN_ROWS_A_CLASS = 30
"""Fewer give macro-F1 no interval. Simulated, with the true score known, 95% intervals hold it 93% of the time at 30
rows a class, 80% at 17 and 30% at 4: a resample misses rows of rare classes, which lowers it."""


class Accuracy:
    """The share of samples whose class was chosen."""

    info = MetricInfo(
        name="accuracy",
        title="accuracy",
        tasks=("label",),
        direction="higher",
        range="0 to 100%",
        description="samples given the right class; misleading where one class is much more frequent",
        source="equal to scikit-learn's accuracy_score",
    )

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`."""
        choices = outcomes_of(LabelOutcome, outcomes, self.info.title)
        return mean_scorer(_hits(choices), f"classes:{len({choice.label for choice in choices})}", scale=100)


class MacroF1:
    """The mean of each class's F1, so that rare classes count as much as frequent ones.

    Over the classes seen in the truth or among the choices of a resample, as scikit-learn does for the whole.
    It has an interval only where classes have rows enough.
    """

    info = MetricInfo(
        name="macro-f1",
        title="macro-F1",
        tasks=("label",),
        direction="higher",
        range="0 to 100%",
        description="F1 of each class, averaged over all classes that are true or chosen somewhere",
        source='equal to scikit-learn\'s f1_score(average="macro")',
    )

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`."""
        choices = outcomes_of(LabelOutcome, outcomes, self.info.title)
        classes = _classes(choices)
        place = {name: number for number, name in enumerate(classes)}
        # hits of each class, then how often it is true or chosen: F1 = 2 hits / (true + chosen)
        counts = np.zeros((len(choices), 2 * len(classes)))
        for row, choice in zip(counts, choices, strict=True):
            label, predicted = place[choice.label], place[choice.predicted]
            row[label] += label == predicted
            row[len(classes) + label] += 1
            row[len(classes) + predicted] += 1
        is_dense = len(choices) >= MIN_ROWS_A_CLASS * len({choice.label for choice in choices})
        return AdditiveScorer(counts, _macro_f1, "average:macro|classes:true or chosen", has_interval=is_dense)


class CalibrationError:
    """Expected calibration error: how far confidence and accuracy lie apart.

    Samples are sorted into 15 equally wide bins of the confidence in the chosen class, open below and closed
    above; the error is the mean distance between accuracy and confidence of a bin, weighted by its samples.
    torchmetrics' `calibration_error(norm="l1", n_bins=15)` is the same but for confidences on a bin's edge.

    It has no interval: distances cannot be negative, so resampling adds noise that only raises them, and the
    bounds would lie above the score itself.

    Source: Guo et al. 2017, equation 3.
    """

    info = MetricInfo(
        name="ece",
        title="ECE",
        tasks=("label",),
        direction="lower",
        range="0 to 100%",
        description="distance between how sure the model is and how often it is right, in 15 bins of confidence",
        source="Guo et al. 2017",
    )

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`.

        Raises:
            EvalError: a confidence that is no probability.
        """
        choices = outcomes_of(LabelOutcome, outcomes, self.info.title)
        sums = calibration_sums(choices)
        signature = f"bins:{ECE_BINS}|width:equal|confidence:top-1|norm:l1"
        return AdditiveScorer(sums.reshape(len(choices), -1), _calibration_error, signature, has_interval=False)


def calibration_sums(choices: Sequence[LabelOutcome]) -> NDArray[np.float64]:
    """What each sample adds to its bin of confidence.

    Returns:
        (N, 3, 15): a sample, its hit (0 or 1) and its confidence, zero in all bins but its own.

    Raises:
        EvalError: a confidence that is no probability.
    """
    for choice in choices:
        if not 0 <= choice.confidence <= 1 + CONFIDENCE_SLACK:
            raise EvalError(f"“{choice.id}” has a confidence of {choice.confidence}, which is no probability.")
    confidences = np.array([choice.confidence for choice in choices])
    # a bin holds its upper edge; the lowest holds 0 too
    bins = np.clip(np.ceil(confidences * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
    sums = np.zeros((len(choices), 3, ECE_BINS))
    sums[np.arange(len(choices)), :, bins] = np.column_stack((np.ones(len(choices)), _hits(choices), confidences))
    return sums


def _hits(choices: Sequence[LabelOutcome]) -> NDArray[np.float64]:
    return np.array([choice.label == choice.predicted for choice in choices], dtype=np.float64)


def _classes(choices: Sequence[LabelOutcome]) -> list[str]:
    return sorted({choice.label for choice in choices} | {choice.predicted for choice in choices})


def _macro_f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    hits, totals = np.split(sums, 2, axis=1)
    is_seen = totals > 0
    f1 = np.divide(2 * hits, totals, out=np.zeros_like(hits), where=is_seen)
    seen = is_seen.sum(axis=1)
    return 100 * ratios(np.column_stack((f1.sum(axis=1), seen)))


def _calibration_error(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    samples, hits, confidences = np.split(sums, 3, axis=1)
    distances = np.abs(hits - confidences).sum(axis=1)
    return 100 * ratios(np.column_stack((distances, samples.sum(axis=1))))


METRICS = (Accuracy(), MacroF1(), CalibrationError())
