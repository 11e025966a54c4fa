"""The bootstrap: against sacreBLEU's and SciPy's own, and against data whose truth is known."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmchat.evals import stats


class MeanScorer:
    """The mean of one number a sample."""

    signature = "mean"

    def __init__(self, values: Sequence[float] | NDArray[np.float64], has_interval: bool = True) -> None:
        self.values = np.asarray(values, dtype=np.float64)
        self.has_interval = has_interval

    def scores(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        totals = weights.sum(axis=1)
        scored = np.where(totals > 0, totals, 1)
        means: NDArray[np.float64] = np.where(totals > 0, weights @ self.values / scored, np.nan)
        return means


class BleuScorer:
    """sacreBLEU's corpus BLEU, by its own counts."""

    signature = "bleu"
    has_interval = True

    def __init__(self, hypotheses: Sequence[str], references: Sequence[str]) -> None:
        from sacrebleu.metrics.bleu import BLEU

        self.bleu = BLEU()
        self.counts = np.asarray(self.bleu._extract_corpus_statistics(hypotheses, [references]), dtype=np.int64)

    def scores(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array([self.bleu._compute_score_from_stats(list(row)).score for row in weights @ self.counts])


def every_own_group(count: int) -> list[str]:
    return [f"{number:06d}" for number in range(count)]


def drawn(groups: Sequence[str], resamples: int = 50, seed: int = 1) -> NDArray[np.int64]:
    return np.concatenate(list(stats.resample_weights(groups, resamples, seed)))


@given(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=40), st.integers(0, 5))
def test_each_resample_draws_as_many_groups_as_there_are_and_only_whole_ones(groups: list[str], seed: int) -> None:
    weights = drawn(groups, 20, seed)
    assert weights.shape == (20, len(groups))
    assert weights.dtype == np.int64
    firsts = {name: groups.index(name) for name in groups}
    assert (weights[:, list(firsts.values())].sum(axis=1) == len(firsts)).all()
    for place, name in enumerate(groups):
        assert (weights[:, place] == weights[:, firsts[name]]).all()


def test_draws_depend_on_the_seed_and_on_the_names_but_not_on_the_order_of_samples() -> None:
    groups = ["a", "a", "b", "c", "c", "c", "d", "e"]
    order = [7, 2, 5, 0, 3, 1, 6, 4]
    assert (drawn([groups[place] for place in order]) == drawn(groups)[:, order]).all()
    assert (drawn(groups) == drawn(groups)).all()
    assert (drawn(groups, seed=2) != drawn(groups)).any()


def test_draws_are_the_same_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = every_own_group(30)
    whole = list(stats.resample_weights(groups, 100, 7))
    assert len(whole) == 1
    monkeypatch.setattr(stats, "CHUNK_WEIGHTS", 30 * 7)
    chunks = list(stats.resample_weights(groups, 100, 7))
    assert [len(chunk) for chunk in chunks] == [7] * 14 + [2]
    assert (np.concatenate(chunks) == whole[0]).all()


def test_a_large_set_is_drawn_in_chunks_of_at_most_32_megabytes() -> None:
    first = next(stats.resample_weights(every_own_group(20_000), 1000))
    assert first.nbytes <= 32_000_000


def test_no_samples_give_no_draws() -> None:
    assert list(stats.resample_weights([], 10)) == []


def sentences(count: int, seed: int) -> tuple[list[str], list[str]]:
    """References of random words, and hypotheses with three words in ten changed."""
    random = np.random.default_rng(seed)
    words = [f"w{number}" for number in range(60)]
    references, hypotheses = [], []
    for _ in range(count):
        reference = random.choice(words, size=random.integers(5, 15))
        is_kept = random.random(len(reference)) > 0.3
        references.append(" ".join(reference))
        hypotheses.append(" ".join(np.where(is_kept, reference, random.choice(words, size=len(reference)))))
    return hypotheses, references


def test_bleu_interval_is_sacrebleus_where_each_sample_is_its_own_group(monkeypatch: pytest.MonkeyPatch) -> None:
    from sacrebleu.metrics.bleu import BLEU

    monkeypatch.delenv("SACREBLEU_SEED", raising=False)
    hypotheses, references = sentences(80, 3)
    theirs = BLEU().corpus_score(hypotheses, [references], n_bootstrap=stats.RESAMPLES)
    ours = stats.score_with_interval(BleuScorer(hypotheses, references), every_own_group(80))
    assert ours.score == theirs.score
    assert ours.low is not None
    assert ours.high is not None
    # the same draws; theirs takes the 26th lowest and highest score, ours interpolates between two neighbours
    assert (ours.high - ours.low) / 2 == pytest.approx(theirs._ci, abs=0.05)
    assert theirs._ci > 1


def test_paired_interval_is_scipys() -> None:
    from scipy.stats import bootstrap

    random = np.random.default_rng(5)
    base = random.normal(10, 3, 200)
    other = base + random.normal(0.5, 1, 200)
    theirs = bootstrap(
        (base, other),
        lambda a, b, axis: np.mean(b - a, axis=axis),
        paired=True,
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(6),
    ).confidence_interval
    ours = stats.paired_difference(MeanScorer(base), MeanScorer(other), every_own_group(200), 4000)
    assert ours.score == pytest.approx(float(np.mean(other - base)))
    # other draws: 4,000 of them know a bound to about a twentieth of the standard error, 0.07
    assert ours.low == pytest.approx(theirs.low, abs=0.015)
    assert ours.high == pytest.approx(theirs.high, abs=0.015)


def test_pairing_sees_a_difference_that_two_separate_intervals_hide() -> None:
    random = np.random.default_rng(8)
    hardness = random.normal(0, 10, 100)
    base, other = MeanScorer(hardness), MeanScorer(hardness + 1 + random.normal(0, 0.5, 100))
    groups = every_own_group(100)
    difference = stats.paired_difference(base, other, groups)
    assert difference.low is not None
    assert difference.low > 0
    first, second = stats.score_with_interval(base, groups), stats.score_with_interval(other, groups)
    assert first.high is not None
    assert second.low is not None
    assert first.high > second.low


def test_ninety_five_intervals_in_a_hundred_hold_the_truth_only_if_whole_groups_are_drawn() -> None:
    random = np.random.default_rng(11)
    trials, conversations, turns = 300, 60, 5
    groups = [f"{conversation:03d}" for conversation in range(conversations) for _ in range(turns)]
    hits = {"groups": 0, "samples": 0}
    for trial in range(trials):
        # turns of one conversation resemble each other; the true mean is 0
        values = np.repeat(random.normal(0, 1, conversations), turns) + random.normal(0, 1, conversations * turns)
        for name, names in (("groups", groups), ("samples", every_own_group(len(groups)))):
            estimate = stats.score_with_interval(MeanScorer(values), names, resamples=300, seed=trial)
            assert estimate.low is not None
            assert estimate.high is not None
            hits[name] += estimate.low <= 0 <= estimate.high
    assert 0.91 <= hits["groups"] / trials <= 0.98
    assert hits["samples"] / trials < 0.8


def test_too_few_groups_give_no_interval() -> None:
    scorer = MeanScorer([1, 2, 3, 4, 5, 6])
    few = stats.score_with_interval(scorer, ["a", "b", "c", "d", "d", "d"])
    assert (few.score, few.low, few.high, few.groups) == (3.5, None, None, 4)
    enough = stats.score_with_interval(scorer, ["a", "b", "c", "d", "e", "e"])
    assert enough.low is not None


@pytest.mark.parametrize("value", [1.0, 0.0, 1 / 3])
def test_resamples_that_all_score_the_same_give_no_interval(value: float) -> None:
    groups = every_own_group(40)
    same = MeanScorer([value] * 40)
    estimate = stats.score_with_interval(same, groups)
    assert estimate.score == pytest.approx(value)
    assert (estimate.low, estimate.high) == (None, None)
    assert stats.score_with_interval(MeanScorer([value] * 39 + [0.9]), groups).low is not None
    pair = stats.paired_difference(same, same, groups)
    assert (pair.low, pair.high) == (0, 0)


def test_a_scorer_without_interval_gives_none_alone_or_in_a_pair() -> None:
    groups = every_own_group(40)
    plain, without = MeanScorer(range(40)), MeanScorer(range(1, 41), has_interval=False)
    assert stats.score_with_interval(without, groups).low is None
    pair = stats.paired_difference(plain, without, groups)
    assert (pair.score, pair.low, pair.high) == (1.0, None, None)


def test_no_resamples_give_no_interval() -> None:
    assert stats.score_with_interval(MeanScorer(range(40)), every_own_group(40), resamples=0).low is None


def test_interval_passes_over_a_few_resamples_without_a_score_but_not_many() -> None:
    scores = np.arange(101.0)
    assert stats.interval(scores) == (2.5, 97.5)
    assert stats.interval(np.append(scores, [math.nan] * 5)) == (2.5, 97.5)
    assert all(map(math.isnan, stats.interval(np.append(scores, [math.nan] * 20))))
    assert all(map(math.isnan, stats.interval(np.array([math.nan]))))
    assert all(map(math.isnan, stats.interval(np.array([]))))


@given(st.data())
def test_weighted_median_is_the_median_of_repeated_values(data: st.DataObject) -> None:
    values = data.draw(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12))
    counts = st.lists(st.integers(0, 4), min_size=len(values), max_size=len(values))
    weights = np.array(data.draw(st.lists(counts, min_size=1, max_size=5)), dtype=np.int64)
    medians = stats.weighted_medians(values, weights)
    for median, row in zip(medians, weights, strict=True):
        repeated = [value for value, count in zip(values, row, strict=True) for _ in range(count)]
        if repeated:
            assert median == pytest.approx(statistics.median(repeated))
        else:
            assert math.isnan(median)
