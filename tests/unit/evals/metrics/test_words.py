"""Metrics over words: what they do with any replies, with none, and with what is nearly nothing."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.tokenize import tokenize

from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec
from mmchat.engines.registry import load_engine
from mmchat.engines.scripted import ScriptedEmbedder
from mmchat.errors import EvalError
from mmchat.evals.base import LikelihoodOutcome, MetricContext, Outcome, ReplyOutcome
from mmchat.evals.metrics.additive import AdditiveScorer, mean_scorer, outcomes_of, ratio_scorer
from mmchat.evals.metrics.bleu import bleu_tokenizer
from mmchat.evals.metrics.overlap import exact_match, token_f1
from mmchat.evals.metrics.replies import EnglishWords, WordsAndCharacters
from mmchat.evals.registry import load_metric, metrics_for
from mmchat.script import language_of
from mmchat.weights.store import WeightsStore

NAMES = tuple(info.name for info in metrics_for("dialogue"))
RANGES = {"ter": math.inf, "reply-length": math.inf, "embedding": 1.0}
"""Highest scores; 100 for the others."""
WORDS = st.text(alphabet="abc dEf.,'!?1 the", min_size=1, max_size=40).filter(lambda text: bool(text.strip()))
ROWS = st.lists(
    st.tuples(st.one_of(st.just(""), WORDS), st.lists(WORDS, min_size=1, max_size=2)), min_size=1, max_size=6
)


def replies(rows: Sequence[tuple[str, Sequence[str]]], language: str = "en") -> list[Outcome]:
    return [
        ReplyOutcome(f"rows:{line}#1", f"rows:{line}", language, "", tuple(references), reply)
        for line, (reply, references) in enumerate(rows, start=1)
    ]


def context(language: str = "en") -> MetricContext:
    return MetricContext(language, ScriptedEmbedder(), ("en", "zh", "ja", "ko"))


def whole(name: str, rows: Sequence[tuple[str, Sequence[str]]], language: str = "en") -> float:
    scorer = load_metric(name).scorer(replies(rows, language), context(language))
    return float(scorer.scores(np.ones((1, len(rows)), np.int64))[0])


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(rows=ROWS, order=st.randoms(use_true_random=False))
def test_order_does_not_matter_and_scores_stay_in_range(
    name: str, rows: list[tuple[str, list[str]]], order: random.Random
) -> None:
    score = whole(name, rows)
    shuffled = list(rows)
    order.shuffle(shuffled)
    assert whole(name, shuffled) == pytest.approx(score, abs=1e-9, nan_ok=True)
    if name.startswith("dist") and math.isnan(score):
        return  # no reply is long enough
    assert (-1 if name == "embedding" else 0) <= score <= RANGES.get(name, 100 + 1e-9)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(reply=st.text(max_size=30), reference=st.text(min_size=1, max_size=30).filter(lambda text: bool(text.strip())))
def test_any_characters_at_all_are_scored_or_refused_in_words(name: str, reply: str, reference: str) -> None:
    language = language_of([reference]) or "en"
    score = whole(name, [(reply, [reference])], language)
    assert score >= -1 or (name.startswith("dist") and math.isnan(score))


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("dist")])
@settings(max_examples=25)
@given(rows=ROWS)
def test_every_reply_twice_scores_the_same(name: str, rows: list[tuple[str, list[str]]]) -> None:
    # sacreBLEU smooths an order without any match by the number of its n-grams, which doubles: here all have one
    rows = [*rows, ("a b c d e", ["a b c d e"])]
    scorer = load_metric(name).scorer(replies(rows), context())
    once, twice = scorer.scores(np.array([[1] * len(rows), [2] * len(rows)]))
    assert once == pytest.approx(twice, abs=1e-9)
    assert whole(name, [*rows, *rows]) == pytest.approx(once, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_resample_scores_as_its_rows_and_an_empty_one_not_at_all(name: str) -> None:
    rows = [("the cat sat on a mat", ["the cat sat there"]), ("no", ["yes, of course"]), ("", ["see you"])]
    scorer = load_metric(name).scorer(replies(rows), context())
    drawn, none = scorer.scores(np.array([[2, 0, 1], [0, 0, 0]]))
    assert drawn == pytest.approx(whole(name, [rows[0], rows[0], rows[2]]), abs=1e-9)
    assert math.isnan(none)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_reply_scores_nothing(name: str) -> None:
    score = whole(name, [("", ["The"]), (" \n", ["see you tomorrow"])])
    if name == "ter":
        assert score == 100
    elif name.startswith("dist"):
        assert math.isnan(score)
    else:
        assert score == 0


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_scored_is_said(name: str) -> None:
    metric = load_metric(name)
    with pytest.raises(EvalError, match="no sample is left"):
        metric.scorer([], context())
    with pytest.raises(EvalError, match="“rows:2#1” has no reference, or an empty one"):
        metric.scorer(replies([("a", ["b"]), ("a", ["b", " "])]), context())
    with pytest.raises(EvalError, match="another kind of outcome"):
        metric.scorer([LikelihoodOutcome("x", "x", "en", "", "text", 1.0, 1, 4)], context())


@pytest.mark.parametrize(
    ("text", "language", "word"),
    [
        ("明日は映画を見に行きます。", "ja", "Japanese"),
        ("내일 영화를 보러 갑니다.", "ko", "Korean"),
        ("明天去看电影。", "zh", "Chinese"),
    ],
)
def test_languages_of_characters_are_not_cut_at_spaces(text: str, language: str, word: str) -> None:
    with pytest.raises(EvalError, match=f"would cut {word} at its spaces") as caught:
        whole("bleu", [(text, [text])], "en")
    assert f"--language {language}" in caught.value.hint
    assert whole("bleu", [(text, [text])], language) == pytest.approx(100)
    assert whole("rouge-1", [(text, [text])], language) == 100


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_reply_scores_best(name: str) -> None:
    text = "Every word of this reply is right and new."
    best = {"ter": 0.0, "embedding": 1.0, "reply-length": 9.0}.get(name, 100.0)
    assert whole(name, [(text, [text])]) == pytest.approx(best, abs=1e-6)


@given(st.text(max_size=60))
def test_english_words_are_those_of_rouge_score(text: str) -> None:
    assert EnglishWords().tokenize(text) == tokenize(text, None)


def test_words_and_characters() -> None:
    tokenizer = WordsAndCharacters()
    assert tokenizer.tokenize("我想买iPhone 15,好吗?") == ["我", "想", "买", "iphone", "15", "好", "吗"]
    assert tokenizer.tokenize("Où est l'été\u0301 ?") == ["où", "est", "l", "été\u0301"]
    assert tokenizer.tokenize("नमस्ते दुनिया") == ["नमस्ते", "दुनिया"]
    assert tokenizer.tokenize("すし2つ") == ["す", "し", "2", "つ"]
    assert tokenizer.tokenize("…!") == []


def test_tokenisers_follow_the_language() -> None:
    assert [bleu_tokenizer(language) for language in ("zh", "yue", "en", "de", "th")] == [
        "zh",
        "zh",
        "13a",
        "13a",
        "char",
    ]
    assert bleu_tokenizer("ja") in ("char", "ja-mecab")
    assert bleu_tokenizer("ko") in ("char", "ko-mecab")
    with pytest.raises(EvalError, match="TER cannot tell words apart in “th”"):
        whole("ter", [("สวัสดี", ["สวัสดีครับ"])], "th")


@pytest.mark.parametrize(
    ("reply", "reference", "language", "is_exact", "f1"),
    [
        ("The cat.", "a CAT", "en", 1, 1),
        ("the big black cat", "big cat", "en", 0, 2 * 2 / (3 + 2)),
        ("yes yes", "yes", "en", 0, 2 * 1 / (2 + 1)),
        ("Don't!", "dont", "en", 1, 1),
        ("?!", "?!", "en", 1, 1),
        ("The", "?!", "en", 0, 0),
        ("", "The", "en", 0, 0),
        ("好的,谢谢!", "好的谢谢", "zh", 1, 1),
        ("好", "好的", "zh", 0, 2 * 1 / (1 + 2)),
        ("Der Hund", "der Hund.", "de", 1, 1),
    ],
)
def test_exact_match_and_token_f1(reply: str, reference: str, language: str, is_exact: int, f1: float) -> None:
    assert exact_match(reply, reference, language) == is_exact
    assert token_f1(reply, reference, language) == pytest.approx(f1)


def test_dist_has_no_interval_because_repeats_lower_it() -> None:
    rows = [("one two three", ["x"]), ("four five", ["x"])]
    scorer = load_metric("dist-1").scorer(replies(rows), context())
    assert not scorer.has_interval
    assert scorer.scores(np.array([[1, 1], [2, 0], [0, 2]])).tolist() == [100, 50, 50]
    assert load_metric("bleu").scorer(replies(rows), context()).has_interval


# --- embedding ------------------------------------------------------------------------------------


def test_embedding_needs_an_encoder_that_knows_the_language() -> None:
    metric = load_metric("embedding")
    chinese = replies([("你好", ["您好"])], "zh")
    with pytest.raises(EvalError, match="no sentence encoder"):
        metric.scorer(replies([("a", ["b"])]), MetricContext("en"))
    for known in ((), ("en",)):
        with pytest.raises(EvalError, match="knows en, not zh"):
            metric.scorer(chinese, MetricContext("zh", ScriptedEmbedder(), known))
    scorer = metric.scorer(chinese, MetricContext("zh", ScriptedEmbedder(), ("en", "zh")))
    assert 0 < scorer.scores(np.ones((1, 1), np.int64))[0] < 1


def test_embedding_takes_the_nearest_reference_and_embeds_each_text_once() -> None:
    embedder = ScriptedEmbedder()
    rows = replies([("red car", ["blue sky", "red car"]), ("red car", ["blue sky"])])
    scorer = load_metric("embedding").scorer(rows, MetricContext("en", embedder))
    assert scorer.scores(np.array([[1, 0]]))[0] == pytest.approx(1, abs=1e-6)
    assert embedder.calls == [("red car", "blue sky")]
    assert f"model:{embedder.name}" in scorer.signature


@pytest.mark.weights
def test_the_default_encoder_finds_a_paraphrase_nearer_than_another_topic(weights_dir: Path) -> None:
    entry = load_models_file()["minilm"]
    folder = WeightsStore(weights_dir).prepared(entry, "ctranslate2")
    embedder = load_engine("embed", EngineSpec("minilm", "ctranslate2", folder))
    rows = replies(
        [
            ("The film starts at eight this evening.", ["The movie begins at 8 pm tonight."]),
            ("I prefer my eggs boiled.", ["The movie begins at 8 pm tonight."]),
        ]
    )
    scorer = load_metric("embedding").scorer(rows, MetricContext("en", embedder, entry.languages))
    near, far = scorer.scores(np.array([[1, 0], [0, 1]]))
    assert near > 0.7
    assert far < 0.3
    embedder.close()


# --- likelihood -----------------------------------------------------------------------------------


def test_perplexity_divides_all_nats_by_all_tokens_or_bytes() -> None:
    outcomes: list[Outcome] = [
        LikelihoodOutcome("a", "a", "en", "", "abcd", nats=math.log(8), tokens=3, bytes=4),
        LikelihoodOutcome("b", "b", "en", "", "好", nats=math.log(4), tokens=2, bytes=3),
    ]
    weights = np.array([[1, 1], [1, 0], [0, 2], [0, 0]])
    tokens = load_metric("perplexity").scorer(outcomes, MetricContext("en"))
    assert tokens.scores(weights)[:3] == pytest.approx([2, 2, 2])
    assert math.isnan(tokens.scores(weights)[3])
    assert "end-mark:included" in tokens.signature
    assert "one-tokeniser-only" in tokens.signature
    per_byte = load_metric("byte-perplexity").scorer(outcomes, MetricContext("en"))
    assert per_byte.scores(weights)[:3] == pytest.approx([32 ** (1 / 7), 8 ** (1 / 4), 4 ** (1 / 3)])


def test_perplexity_of_nothing_is_refused_and_a_hopeless_one_is_infinite() -> None:
    empty = LikelihoodOutcome("a:1", "a", "en", "", "", nats=1, tokens=1, bytes=0)
    with pytest.raises(EvalError, match="“a:1” is empty"):
        load_metric("perplexity").scorer([empty], MetricContext("en"))
    hopeless = LikelihoodOutcome("a:1", "a", "en", "", "a", nats=1e6, tokens=1, bytes=1)
    scorer = load_metric("perplexity").scorer([hopeless], MetricContext("en"))
    assert scorer.scores(np.ones((1, 1), np.int64))[0] == math.inf


# --- sums -----------------------------------------------------------------------------------------


def test_sums_means_and_ratios() -> None:
    weights = np.array([[1, 1, 1], [3, 0, 0], [0, 0, 0]])
    assert mean_scorer([1, 2, 6], "s", scale=100).scores(weights)[:2] == pytest.approx([300, 100])
    assert ratio_scorer([1, 2, 3], [2, 4, 0], "s").scores(weights)[:2] == pytest.approx([1, 0.5])
    assert np.isnan(mean_scorer([1, 2, 6], "s").scores(weights)[2])
    product = AdditiveScorer([[1, 2], [3, 4], [5, 6]], lambda sums: sums[:, 0] * sums[:, 1], "s", has_interval=False)
    assert product.scores(weights).tolist() == [108, 18, 0]
    assert not product.has_interval


def test_outcomes_of_another_kind_are_named() -> None:
    rows = replies([("a", ["b"])])
    assert outcomes_of(ReplyOutcome, rows, "BLEU") == rows
    with pytest.raises(EvalError, match="perplexity cannot score “rows:1#1”"):
        outcomes_of(LikelihoodOutcome, rows, "perplexity")
