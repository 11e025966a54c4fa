"""Metrics of speech, retrieval, labels and memory against the tools and the papers they come from."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.errors import EvalError
from mmchat.evals import stats
from mmchat.evals.base import LabelOutcome, Metric, MetricContext, Outcome, RankOutcome, RecallOutcome, ReplyOutcome
from mmchat.evals.metrics import labels, memory, retrieval, speech
from mmchat.script import UNSPACED_LANGUAGES

ALL: dict[str, Metric] = {
    metric.info.name: metric for module in (speech, retrieval, labels, memory) for metric in module.METRICS
}


def score(name: str, outcomes: Sequence[Outcome], language: str = "en") -> float:
    return stats.whole_score(ALL[name].scorer(outcomes, MetricContext(language)), len(outcomes))


def signature(name: str, outcomes: Sequence[Outcome], language: str = "en") -> str:
    return ALL[name].scorer(outcomes, MetricContext(language)).signature


def heard(pairs: Sequence[tuple[str, str]], language: str = "en") -> list[ReplyOutcome]:
    return [
        ReplyOutcome(f"s.jsonl:{line}", f"s.jsonl:{line}", language, "a.wav", (said,), reply)
        for line, (said, reply) in enumerate(pairs, start=1)
    ]


def chosen(rows: Sequence[tuple[str, str, float]]) -> list[LabelOutcome]:
    return [
        LabelOutcome(f"l.jsonl:{line}", f"l.jsonl:{line}", "en", "?", label, predicted, confidence)
        for line, (label, predicted, confidence) in enumerate(rows, start=1)
    ]


def asked(rows: Sequence[tuple[Sequence[str], Sequence[str]]]) -> list[RecallOutcome]:
    return [
        RecallOutcome(f"m.jsonl:{line}", "m.jsonl:1", "en", "?", tuple(evidence), tuple(found), 10 * line, line)
        for line, (evidence, found) in enumerate(rows, start=1)
    ]


# --- speech ---------------------------------------------------------------------------------------

ENGLISH = [
    ("Mr. Brown can't come; he's paid $20,000.", "mister brown cannot come he is paid twenty thousand dollars"),
    ("The colour of the harbour", "the color of a harbor at night"),
    ("Uh, I was there, you know.", "I was there"),
    ("Nobody heard anything", ""),
    ("twenty one", "21"),
]
CHINESE = [
    ("我想去北京看一看。", "我想去北京看看"),
    ("今天天气很好", "今天天氣很好"),  # Traditional 氣: one error of six
    ("ＡＢＣ公司", "abc公司"),
    ("你好", ""),
]


def test_english_rates_are_jiwers_on_whispers_normalised_texts() -> None:
    import jiwer
    from whisper.normalizers import EnglishTextNormalizer

    normalize = EnglishTextNormalizer()
    said, replies = ([normalize(text).strip() for text in texts] for texts in zip(*ENGLISH, strict=True))
    outcomes = heard(ENGLISH)
    assert score("wer", outcomes) == 100 * jiwer.wer(said, replies)
    assert score("cer", outcomes) == 100 * jiwer.cer(said, replies)
    # "cannot" stays one word beside "can not"; "the" for "a", "at night" added; "you know"; three words unheard
    assert score("wer", outcomes) == pytest.approx(100 * (2 + 3 + 2 + 3 + 0) / (9 + 5 + 5 + 3 + 1))


def test_basic_rates_are_jiwers_on_whispers_normalised_texts() -> None:
    import jiwer
    from whisper.normalizers import BasicTextNormalizer

    pairs = [("Wo ist der Bahnhof, bitte?", "wo ist der banhof bitte"), ("Schön!", "schon"), ("¿Qué?", "")]
    normalize = BasicTextNormalizer()
    said, replies = ([normalize(text).strip() for text in texts] for texts in zip(*pairs, strict=True))
    assert score("wer", heard(pairs, "de"), "de") == pytest.approx(100 * jiwer.wer(said, replies))
    assert score("wer", heard(pairs, "de"), "de") == pytest.approx(100 * 3 / 7)


def test_chinese_rate_is_jiwers_on_letters_and_digits() -> None:
    import jiwer

    said = ["我想去北京看一看", "今天天气很好", "abc公司", "你好"]
    replies = ["我想去北京看看", "今天天氣很好", "abc公司", ""]
    assert score("cer", heard(CHINESE, "zh"), "zh") == 100 * jiwer.cer(said, replies)
    assert score("cer", heard(CHINESE, "zh"), "zh") == pytest.approx(100 * (1 + 1 + 0 + 2) / (8 + 6 + 5 + 2))


def test_japanese_and_thai_keep_the_marks_of_their_letters() -> None:
    assert speech.letters_and_digits("ｶﾞｷﾞ。 が！") == "ガギが"
    assert speech.letters_and_digits("ที่นี่ 5") == "ที่นี่5"


def test_speech_signatures_name_normaliser_unit_and_versions() -> None:
    assert signature("wer", heard(ENGLISH)) == (
        f"unit:word|lang:en|norm:whisper-english|whisper:{version('openai-whisper')}|jiwer:{version('jiwer')}"
    )
    chinese = signature("cer", heard(CHINESE, "zh"), "zh")
    assert "norm:nfkc-letters-digits|case:lc|spaces:no|script:as-written(traditional≠simplified)" in chinese
    assert "spaces count" in signature("cer", heard(ENGLISH))
    assert "norm:whisper-basic" in signature("wer", heard([("ja", "ja")], "de"), "de")


@pytest.mark.parametrize("language", sorted(UNSPACED_LANGUAGES))
def test_word_errors_without_words_are_refused(language: str) -> None:
    with pytest.raises(EvalError, match="without spaces") as caught:
        score("wer", heard(CHINESE, language), language)
    assert "cer" in caught.value.hint


@pytest.mark.parametrize("name", ["wer", "cer"])
def test_chinese_is_never_scored_by_english_rules(name: str) -> None:
    with pytest.raises(EvalError, match="by the rules of “en”"):
        score(name, heard(CHINESE, "en"))


@pytest.mark.parametrize("said", ["Uh, um", "Mhm…", "...", "[noise]"])
def test_a_reference_of_which_nothing_is_left_is_named(said: str) -> None:
    with pytest.raises(EvalError, match="s.jsonl:2"):
        score("wer", heard([("yes", "yes"), (said, "no")]))


def test_resampled_error_rates_are_jiwers_on_the_repeated_rows() -> None:
    import jiwer

    outcomes = heard([("a b c d", "a x c d"), ("e f", "e f g"), ("h", "")], "de")
    scorer = ALL["wer"].scorer(outcomes, MetricContext("de"))
    weights = np.array([[2, 0, 1], [0, 3, 0]], dtype=np.int64)
    expected = [
        100 * jiwer.wer(["a b c d", "a b c d", "h"], ["a x c d", "a x c d", ""]),
        100 * jiwer.wer(["e f"] * 3, ["e f g"] * 3),
    ]
    assert scorer.scores(weights).tolist() == pytest.approx(expected)


# --- retrieval ------------------------------------------------------------------------------------


def ranked(similarities: np.ndarray[tuple[int, int], np.dtype[np.float64]], captions: int) -> list[RankOutcome]:
    """Outcomes of both directions, from a matrix of pictures by captions, as the task counts ranks."""
    pictures, texts = similarities.shape
    outcomes = []
    for picture in range(pictures):
        own = range(captions * picture, captions * (picture + 1))
        best = max(similarities[picture, text] for text in own)
        others = [similarities[picture, text] for text in range(texts) if text not in own]
        rank = 1 + sum(other >= best for other in others)
        outcomes.append(RankOutcome(f"i{picture}", f"{picture}", "en", "", "image-to-text", rank, texts))
        for text in own:
            rivals = [similarities[rival, text] for rival in range(pictures) if rival != picture]
            rank = 1 + sum(rival >= similarities[picture, text] for rival in rivals)
            outcomes.append(RankOutcome(f"t{text}", f"{picture}", "en", "", "text-to-image", rank, pictures))
    return outcomes


def test_retrieval_equals_a_full_sort_of_the_matrix() -> None:
    random = np.random.default_rng(4)
    pictures, captions = 30, 5
    similarities = random.normal(size=(pictures, pictures * captions))
    for picture in range(pictures):
        similarities[picture, captions * picture : captions * (picture + 1)] += 1.5
    owner = np.repeat(np.arange(pictures), captions)
    firsts = [int(np.flatnonzero(owner[np.argsort(-row)] == place)[0]) + 1 for place, row in enumerate(similarities)]
    columns = enumerate(similarities.T)
    places = [int(np.flatnonzero(np.argsort(-column) == owner[text])[0]) + 1 for text, column in columns]
    outcomes = ranked(similarities, captions)
    for direction, truth in (("image-to-text", firsts), ("text-to-image", places)):
        for depth in (1, 5, 10):
            share = 100 * np.mean([rank <= depth for rank in truth])
            assert score(f"{direction}-r@{depth}", outcomes) == pytest.approx(share)
        assert score(f"{direction}-median-rank", outcomes) == np.median(truth)


def test_retrieval_signature_tells_candidates_and_chance() -> None:
    outcomes = ranked(np.eye(20, 100), 5)
    assert signature("text-to-image-r@5", outcomes) == "candidates:20|chance:25%|ties:against"
    # five captions of a hundred are right
    assert signature("image-to-text-r@1", outcomes) == "candidates:100|chance:5%|ties:against"
    assert signature("image-to-text-median-rank", outcomes) == "candidates:100|ties:against"
    assert "chance:100%" in signature("text-to-image-r@10", ranked(np.eye(4, 8), 2))


def test_chance_is_what_random_similarities_score() -> None:
    random = np.random.default_rng(3)
    scores = [score("image-to-text-r@10", ranked(random.normal(size=(20, 60)), 3)) for _ in range(100)]
    told = signature("image-to-text-r@10", ranked(random.normal(size=(20, 60)), 3))
    # 2,000 queries: a standard error of 1.1 points
    assert np.mean(scores) == pytest.approx(float(told.partition("chance:")[2].partition("%")[0]), abs=3)


def test_resampled_retrieval_draws_pictures_with_all_their_captions() -> None:
    outcomes = ranked(np.random.default_rng(2).normal(size=(6, 30)), 5)
    groups = [outcome.group for outcome in outcomes]
    weights = next(stats.resample_weights(groups, 20))
    for name in ("text-to-image-r@1", "image-to-text-median-rank", "text-to-image-median-rank"):
        scores = ALL[name].scorer(outcomes, MetricContext("en")).scores(weights)
        for row, resampled in zip(weights, scores, strict=True):
            repeated = [outcome for outcome, count in zip(outcomes, row, strict=True) for _ in range(count)]
            assert resampled == pytest.approx(score(name, repeated))


def test_retrieval_refuses_a_direction_that_was_not_asked_and_mixed_candidates() -> None:
    outcomes = ranked(np.eye(4, 8), 2)
    one_way = [outcome for outcome in outcomes if outcome.direction == "image-to-text"]
    with pytest.raises(EvalError, match="other direction"):
        score("text-to-image-r@1", one_way)
    with pytest.raises(EvalError, match="among 4 and among 8"):
        score("image-to-text-r@1", [*one_way, dataclasses.replace(one_way[0], candidates=4)])


# --- labels ---------------------------------------------------------------------------------------

LABELS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcde"), st.floats(0, 1)), min_size=1)


@given(LABELS)
def test_accuracy_and_macro_f1_are_scikit_learns(rows: list[tuple[str, str, float]]) -> None:
    from sklearn.metrics import accuracy_score, f1_score

    truth, predictions, _ = zip(*rows, strict=True)
    assert score("accuracy", chosen(rows)) == pytest.approx(100 * accuracy_score(truth, predictions))
    expected = f1_score(truth, predictions, average="macro", zero_division=0)
    assert score("macro-f1", chosen(rows)) == pytest.approx(100 * expected)


@given(LABELS, st.integers(0, 9))
def test_resampled_macro_f1_is_that_of_the_repeated_rows(rows: list[tuple[str, str, float]], seed: int) -> None:
    weights = np.random.default_rng(seed).integers(0, 3, size=(4, len(rows)))
    scores = ALL["macro-f1"].scorer(chosen(rows), MetricContext("en")).scores(weights)
    for row, resampled in zip(weights, scores, strict=True):
        repeated = [each for each, count in zip(rows, row, strict=True) for _ in range(count)]
        if repeated:
            assert resampled == pytest.approx(score("macro-f1", chosen(repeated)))
        else:
            assert math.isnan(resampled)


@pytest.mark.parametrize(("rows_a_class", "has_interval"), [(4, False), (29, False), (30, True)])
def test_macro_f1_has_an_interval_only_where_classes_have_rows_enough(rows_a_class: int, has_interval: bool) -> None:
    rows = [(f"c{number % 20}", f"c{number % 20 if number % 3 else 0}", 0.5) for number in range(20 * rows_a_class)]
    assert ALL["macro-f1"].scorer(chosen(rows), MetricContext("en")).has_interval is has_interval


def test_resampling_lowers_macro_f1_where_classes_have_few_rows() -> None:
    random = np.random.default_rng(6)
    truth = random.integers(40, size=160)
    rows = [(f"c{each}", f"c{each if random.random() < 0.7 else random.integers(40)}", 0.5) for each in truth]
    scorer = ALL["macro-f1"].scorer(chosen(rows), MetricContext("en"))
    resampled = scorer.scores(next(stats.resample_weights([f"{number:03d}" for number in range(160)], 200)))
    assert np.mean(resampled) < score("macro-f1", chosen(rows)) - 1


def test_calibration_error_of_a_table_done_by_hand() -> None:
    rows = [
        ("a", "a", 0.95),  # bin 15, with the next two: 2 of 3 right, confidence 0.98
        ("a", "a", 0.99),
        ("a", "b", 1.00),
        ("a", "b", 0.50),  # bin 8, (7/15, 8/15]: 1 of 2 right, confidence 0.51
        ("a", "a", 0.52),
        ("a", "b", 0.00),  # bin 1: none right, confidence 0
    ]
    expected = (3 * abs(2 / 3 - 0.98) + 2 * abs(1 / 2 - 0.51) + 0) / 6
    assert score("ece", chosen(rows)) == pytest.approx(100 * expected)


@given(LABELS)
def test_calibration_error_is_guos_sum_over_bins(rows: list[tuple[str, str, float]]) -> None:
    expected = 0.0
    for number in range(15):
        inside = [row for row in rows if max(0, math.ceil(row[2] * 15) - 1) == number]
        if inside:
            accuracy = sum(label == predicted for label, predicted, _ in inside) / len(inside)
            confidence = sum(row[2] for row in inside) / len(inside)
            expected += len(inside) / len(rows) * abs(accuracy - confidence)
    assert score("ece", chosen(rows)) == pytest.approx(100 * expected, abs=1e-9)


def test_calibration_error_shows_no_interval_because_resampling_only_raises_it() -> None:
    groups = [f"{number:03d}" for number in range(400)]
    weights = next(stats.resample_weights(groups, 200))
    higher = []
    for seed in range(10):
        random = np.random.default_rng(seed)
        confidences = random.uniform(0.3, 1, len(groups))
        # perfectly calibrated: the true error is 0
        rows = [("a", "a" if random.random() < confidence else "b", float(confidence)) for confidence in confidences]
        scorer = ALL["ece"].scorer(chosen(rows), MetricContext("en"))
        assert not scorer.has_interval
        higher.append((scorer.scores(weights) > score("ece", chosen(rows))).mean())
    assert np.mean(higher) > 0.85


def test_a_confidence_that_is_no_probability_is_named() -> None:
    assert score("ece", chosen([("a", "a", 1 + 1e-7)])) == pytest.approx(0, abs=1e-4)
    with pytest.raises(EvalError, match="l.jsonl:2"):
        score("ece", chosen([("a", "a", 0.5), ("a", "a", 87.0)]))
    with pytest.raises(EvalError, match="no probability"):
        score("ece", chosen([("a", "a", math.nan)]))


# --- memory ---------------------------------------------------------------------------------------

TEN = tuple(f"t{number}" for number in range(1, 11))
QUESTIONS: list[tuple[Sequence[str], Sequence[str]]] = [
    (["t1"], TEN),
    (["t3", "t9", "elsewhere"], TEN),
    (["elsewhere"], TEN),
    (["t4", "t5"], TEN[:4]),
]


def test_memory_scores_of_a_table_done_by_hand() -> None:
    outcomes = asked(QUESTIONS)
    for depth, found in ((1, 1), (5, 1 + 1 + 0 + 1), (10, 1 + 2 + 0 + 1)):
        assert score(f"recall@{depth}", outcomes) == pytest.approx(100 * found / 7)
    assert score("recall@10-any", outcomes) == 75
    assert score("recall@10-all", outcomes) == 25
    assert score("mrr", outcomes) == pytest.approx((1 + 1 / 3 + 0 + 1 / 4) / 4)
    assert (score("tokens-injected", outcomes), score("milliseconds", outcomes)) == (25, 2.5)
    assert signature("recall@10", outcomes) == "k:10|average:micro(evidence turns)|resampled:questions"
    assert signature("mrr", outcomes) == "depth:10|resampled:questions"


def test_recall_deeper_than_the_run_asked_or_without_evidence_is_refused() -> None:
    shallow = asked([(["t1"], TEN[:5])])
    assert score("recall@5", shallow) == 100
    with pytest.raises(EvalError, match="asked for 5") as caught:
        score("recall@10", shallow)
    assert "--recall-k 10" in caught.value.hint
    with pytest.raises(EvalError, match="m.jsonl:2"):
        score("mrr", asked([(["t1"], TEN), ([], TEN)]))


def test_what_was_asked_for_counts_not_what_a_small_file_holds() -> None:
    """Three turns in all: a search for ten finds three, and recall@10 is what it says."""
    small = [dataclasses.replace(each, asked=10) for each in asked([(["t1"], TEN[:3]), (["t9"], TEN[:2])])]
    assert score("recall@10", small) == 50
    assert signature("mrr", small) == "depth:10|resampled:questions"
    with pytest.raises(EvalError, match="asked for 5"):
        score("recall@10", [dataclasses.replace(each, asked=5) for each in small])


# --- all of them ----------------------------------------------------------------------------------

EXAMPLES: dict[str, Sequence[Outcome]] = {
    "speech": heard([("a b c", "a b"), ("d", "d e"), ("f", "g")]),
    "retrieval": ranked(np.random.default_rng(1).normal(size=(12, 24)), 2),
    "label": chosen([("a", "a", 0.9), ("b", "a", 0.4), ("c", "c", 0.2)]),
    "memory": asked(QUESTIONS),
}


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_metric_scores_nothing_as_nothing_and_everything_within_its_range(name: str) -> None:
    metric = ALL[name]
    outcomes = EXAMPLES[metric.info.tasks[0]]
    scorer = metric.scorer(outcomes, MetricContext("en"))
    weights = np.stack([np.ones(len(outcomes)), 3 * np.ones(len(outcomes)), np.zeros(len(outcomes))]).astype(np.int64)
    once, thrice, never = scorer.scores(weights)
    assert once >= 0
    assert once == pytest.approx(thrice)
    assert math.isnan(never)
    if metric.info.range == "0 to 100%":
        assert once <= 100
    with pytest.raises(EvalError, match="no sample is left"):
        metric.scorer([], MetricContext("en"))


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_metric_refuses_outcomes_of_another_kind(name: str) -> None:
    metric = ALL[name]
    other = EXAMPLES["label" if metric.info.tasks[0] != "label" else "memory"]
    with pytest.raises(EvalError, match="another kind of outcome"):
        metric.scorer(other, MetricContext("en"))


def test_describing_the_metrics_loads_nothing_heavy() -> None:
    code = (
        "import sys; from mmchat.evals.metrics import speech, retrieval, labels, memory;"
        "print(sorted({'torch', 'whisper', 'jiwer', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
