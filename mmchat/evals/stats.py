"""How sure a score is: the bootstrap over groups of samples.

Samples of one conversation or picture are not independent, so whole groups are drawn with replacement
(Davison and Hinkley 1997, section 3.8), and the bounds are the percentiles of the resampled scores.
Two models are compared on the same resamples (Koehn 2004), which takes out what makes a row hard for both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmchat.errors import EvalError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mmchat.evals.base import Scorer

RESAMPLES = 1000
SEED = 12345
"""sacreBLEU's own default, so that where each sample is its own group the resamples are the same as its."""
MIN_GROUPS = 30
"""Fewer groups give no verdict: their intervals are too narrow."""
MIN_GROUPS_FOR_INTERVAL = 5
"""Fewer give no interval either: bounds drawn from so few hold the truth far less often than they say."""
MIN_SCORED_SHARE = 0.9
"""Of the resamples; bounds that leave out more would speak of easier data than there is."""
CHUNK_WEIGHTS = 4_000_000
"""Weights at a time, 32 MB: 1,000 resamples of 20,000 samples would take 160 MB at once, and scorers copies of it."""
BOUNDS_PERCENT = (2.5, 97.5)
SAME = 1e-9
"""Resampled scores that differ by less, in proportion, differ by rounding only."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score, or a difference of two, with its 95% interval."""

    score: float
    low: float | None
    """None where there is no honest interval: too few groups, a metric that has none, or resamples that all score
    the same, as of rows that are all right: the bounds would claim to know what they cannot."""
    high: float | None
    groups: int


def count_groups(groups: Sequence[str]) -> int:
    """How many different groups the samples come from."""
    return len(set(groups))


def resample_weights(
    groups: Sequence[str], resamples: int = RESAMPLES, seed: int = SEED
) -> Iterator[NDArray[np.int64]]:
    """Draw groups with replacement, in chunks of resamples so that memory stays small.

    The draws depend on the seed and the groups' names only, not on the order of the samples nor on the chunks.

    Args:
        groups: N names, one for each sample.
        resamples: R.
        seed: of the draws.

    Yields:
        (r, N) int64, how often each sample counts in each resample; the r sum to R.
    """
    names, group_of_sample = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    if not len(names):
        return
    random = np.random.default_rng(seed)
    step = max(1, CHUNK_WEIGHTS // len(groups))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = random.integers(len(names), size=(rows, len(names)))
        cells = drawn + len(names) * np.arange(rows)[:, np.newaxis]
        counts = np.bincount(cells.ravel(), minlength=rows * len(names)).reshape(rows, len(names))
        yield counts[:, group_of_sample].astype(np.int64, copy=False)


def interval(scores: NDArray[np.float64]) -> tuple[float, float]:
    """The 95% percentile interval of resampled scores.

    Args:
        scores: (R,) with NaN where a resample had nothing to score.

    Returns:
        Low and high; NaN where fewer than nine resamples in ten could be scored.
    """
    scored = scores[~np.isnan(scores)]
    if not len(scored) or len(scored) < MIN_SCORED_SHARE * len(scores):
        return float("nan"), float("nan")
    low, high = np.percentile(scored, BOUNDS_PERCENT)
    return float(low), float(high)


def whole_score(scorer: Scorer, samples: int) -> float:
    """The score of all samples, each counted once; NaN where there is nothing to score."""
    return float(scorer.scores(np.ones((1, samples), dtype=np.int64))[0])


def score_with_interval(
    scorer: Scorer, groups: Sequence[str], resamples: int = RESAMPLES, seed: int = SEED
) -> Estimate:
    """The score of all samples and how far it could be off by the choice of samples.

    Args:
        scorer: has seen the N outcomes.
        groups: N names, in the order of the outcomes.
        resamples: how many; 0 for no interval.
        seed: of the resamples.
    """
    score = whole_score(scorer, len(groups))
    if not scorer.has_interval:
        return Estimate(score, None, None, count_groups(groups))
    chunks = [scorer.scores(weights) for weights in _draws(groups, resamples, seed)]
    if not _vary(chunks):
        return Estimate(score, None, None, count_groups(groups))
    return _estimate(score, chunks, groups)


def paired_difference(
    base: Scorer, other: Scorer, groups: Sequence[str], resamples: int = RESAMPLES, seed: int = SEED
) -> Estimate:
    """How much better or worse `other` scores than `base` on the same samples, drawn alike for both.

    Args:
        base: has seen the first model's N outcomes.
        other: has seen the second model's, in the same order.
        groups: N names, in that order.
        resamples: how many; 0 for no interval.
        seed: of the resamples.

    Returns:
        other minus base. A difference of which no resample differs keeps its bounds: two models that answer alike
        score the same.

    Raises:
        EvalError: the two were not measured in the same way, so that their difference says nothing.
    """
    if base.signature != other.signature:
        raise EvalError(f"The two were not measured in the same way: {base.signature} and {other.signature}.")
    difference = whole_score(other, len(groups)) - whole_score(base, len(groups))
    if not (base.has_interval and other.has_interval):
        return Estimate(difference, None, None, count_groups(groups))
    chunks = (other.scores(weights) - base.scores(weights) for weights in _draws(groups, resamples, seed))
    return _estimate(difference, list(chunks), groups)


def weighted_medians(values: ArrayLike, weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """Medians of many resamples at once, equal to `statistics.median` of the values repeated by their weights.

    Args:
        values: N.
        weights: (R, N).

    Returns:
        (R,); NaN where all weights are zero.
    """
    order = np.argsort(np.asarray(values, dtype=np.float64), kind="stable")
    ranked = np.asarray(values, dtype=np.float64)[order]
    reached = np.cumsum(weights[:, order], axis=1)
    medians = np.full(len(weights), np.nan)
    for row, counts in enumerate(reached):
        total = int(counts[-1]) if len(counts) else 0
        if total:
            # of the two middle places; one and the same where the total is odd
            places = np.searchsorted(counts, [(total - 1) // 2, total // 2], side="right")
            medians[row] = ranked[places].mean()
    return medians


def _draws(groups: Sequence[str], resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """No draws where their interval would not be shown."""
    if count_groups(groups) >= MIN_GROUPS_FOR_INTERVAL:
        yield from resample_weights(groups, resamples, seed)


def _vary(chunks: Sequence[NDArray[np.float64]]) -> bool:
    """Whether the resamples score differently."""
    scores = np.concatenate(chunks) if chunks else np.empty(0)
    scored = scores[~np.isnan(scores)]
    return bool(len(scored)) and bool(np.ptp(scored) > SAME * np.abs(scored).max())


def _estimate(score: float, chunks: Sequence[NDArray[np.float64]], groups: Sequence[str]) -> Estimate:
    low, high = interval(np.concatenate(chunks)) if chunks else (float("nan"), float("nan"))
    if np.isnan(low):
        return Estimate(score, None, None, count_groups(groups))
    return Estimate(score, low, high, count_groups(groups))
