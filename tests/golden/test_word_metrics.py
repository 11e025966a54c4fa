"""BLEU, chrF++, TER and ROUGE against the tools that define them, and the ways to get them wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from mmchat.errors import EvalError
from mmchat.evals.base import MetricContext, ReplyOutcome, Scorer
from mmchat.evals.metrics.bleu import reference_streams
from mmchat.evals.registry import load_metric

ENGLISH = (
    ("The cat sat on the mat.", ("The cat sat on the mat.",)),
    ("I would like two tickets to the late show, please.", ("I'd like two tickets for the late show.",)),
    ("Sure!", ("Sure, which seats do you want?",)),
    ("Row G is free, and it's $12.50 per seat.", ("Row G is free; it costs $12.50 a seat.",)),
    ("", ("Thank you, goodbye!",)),
    ("Good-bye & thanks (again)...", ("Goodbye and thanks again.",)),
)
TWO_REFERENCES = tuple((reply, (*references, f"Well, {references[0].lower()}")) for reply, references in ENGLISH)
CHINESE = (
    ("我想订两张今晚的电影票。", ("我想买两张今天晚上的电影票。",)),
    ("好的,请问您要几点的?", ("好的,您想看几点的场次?",)),
    ("八点的那场,谢谢!", ("八点那一场,谢谢。",)),
    ("没问题,座位在第7排。", ("没问题,给您安排在第7排中间。",)),
    ("", ("再见!",)),
)
Rows = tuple[tuple[str, tuple[str, ...]], ...]


def scorer(name: str, rows: Rows, language: str = "en") -> Scorer:
    outcomes = [
        ReplyOutcome(f"rows:{line}#1", f"rows:{line}", language, "", references, reply)
        for line, (reply, references) in enumerate(rows, start=1)
    ]
    return load_metric(name).scorer(outcomes, MetricContext(language))


def score(name: str, rows: Rows, language: str = "en") -> float:
    return float(scorer(name, rows, language).scores(np.ones((1, len(rows)), np.int64))[0])


@pytest.mark.parametrize(
    ("name", "rows", "language", "expected"),
    [
        # written by sacrebleu 2.6.0 itself
        ("bleu", ENGLISH, "en", 30.4626825637274),
        ("sentence-bleu", ENGLISH, "en", 26.573982613026377),
        ("chrf++", ENGLISH, "en", 48.833545254375075),
        ("ter", ENGLISH, "en", 58.333333333333336),
        ("bleu", TWO_REFERENCES, "en", 28.213238264613274),
        ("sentence-bleu", TWO_REFERENCES, "en", 26.841318068735678),
        ("chrf++", TWO_REFERENCES, "en", 48.833545254375075),
        ("ter", TWO_REFERENCES, "en", 53.84615384615385),
        ("bleu", CHINESE, "zh", 31.26944913354351),
        ("sentence-bleu", CHINESE, "zh", 26.779575307774838),
        ("chrf++", CHINESE, "zh", 21.81348282693105),
        ("ter", CHINESE, "zh", 39.62264150943396),
        # counted by hand
        ("dist-1", ENGLISH, "en", 100 * 30 / 32),  # "the" three times
        ("dist-2", ENGLISH, "en", 100 * 27 / 27),
        ("exact-match", ENGLISH, "en", 100 / 6),
        ("reply-length", ENGLISH, "en", 30 / 6),
        ("reply-length", CHINESE, "zh", (12 + 11 + 9 + 11) / 5),
    ],
)
def test_scores_equal_those_written_down(name: str, rows: Rows, language: str, expected: float) -> None:
    assert score(name, rows, language) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("rows", "language"), [(ENGLISH, "en"), (TWO_REFERENCES, "en"), (CHINESE, "zh")])
def test_scores_equal_the_sacrebleu_command_to_the_last_digit(rows: Rows, language: str, tmp_path: Path) -> None:
    (tmp_path / "replies").write_text("".join(f"{reply}\n" for reply, _ in rows), encoding="utf-8")
    reference_files = []
    for place in range(len(rows[0][1])):
        reference_files.append(f"references{place}")
        lines = "".join(f"{references[place]}\n" for _, references in rows)
        (tmp_path / reference_files[-1]).write_text(lines, encoding="utf-8")
    options = (
        ["--tokenize", "zh", "--ter-asian-support", "--ter-normalized"] if language == "zh" else ["--tokenize", "13a"]
    )
    command = [sys.executable, "-m", "sacrebleu", *reference_files, "-i", "replies", "-w", "10", "--format", "json"]
    command += ["-m", "bleu", "chrf", "ter", "--chrf-word-order", "2", *options]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, text=True, encoding="utf-8").stdout
    for said, name in zip(json.loads(printed), ("bleu", "chrf++", "ter"), strict=True):
        assert f"{score(name, rows, language):.10f}" == f"{said['score']:.10f}", name
        assert scorer(name, rows, language).signature == said["signature"]


def test_resamples_equal_sacrebleu_on_the_repeated_rows() -> None:
    weights = np.random.default_rng(5).multinomial(len(ENGLISH), [1 / len(ENGLISH)] * len(ENGLISH), size=20)
    for name, library in (
        ("bleu", sacrebleu.BLEU(tokenize="13a")),
        ("chrf++", sacrebleu.CHRF(word_order=2)),
        ("ter", sacrebleu.TER()),
    ):
        scores = scorer(name, ENGLISH).scores(weights)
        for row, value in zip(weights, scores, strict=True):
            drawn = [pair for pair, times in zip(ENGLISH, row, strict=True) for _ in range(times)]
            direct = library.corpus_score([reply for reply, _ in drawn], [[each[0] for _, each in drawn]])
            assert value == direct.score, (name, row)


def test_sentence_bleu_is_the_mean_of_sacrebleu_sentence_scores() -> None:
    direct = [sacrebleu.sentence_bleu(reply, list(references)).score for reply, references in TWO_REFERENCES]
    assert score("sentence-bleu", TWO_REFERENCES) == pytest.approx(sum(direct) / len(direct), abs=1e-12)


def test_references_may_differ_in_number() -> None:
    mixed = (*TWO_REFERENCES[:2], *ENGLISH[2:])
    direct = sacrebleu.BLEU(tokenize="13a")
    streams: Any = [[each[0] for _, each in mixed], [each[1] if len(each) > 1 else None for _, each in mixed]]
    expected = direct.corpus_score([reply for reply, _ in mixed], streams)
    assert score("bleu", mixed) == expected.score
    assert scorer("bleu", mixed).signature == str(direct.get_signature())
    assert "nrefs:var" in scorer("bleu", mixed).signature


@pytest.mark.parametrize("kind", ["1", "2", "L"])
@pytest.mark.parametrize("rows", [ENGLISH, TWO_REFERENCES])
def test_english_rouge_equals_rouge_score(kind: str, rows: Rows) -> None:
    library = RougeScorer([f"rouge{kind}"], use_stemmer=False)
    direct = [library.score_multi(list(refs), reply)[f"rouge{kind}"].fmeasure for reply, refs in rows]
    assert score(f"rouge-{kind.lower()}", rows) == pytest.approx(100 * sum(direct) / len(direct), abs=1e-12)


@pytest.mark.parametrize("kind", ["1", "2", "L"])
def test_chinese_rouge_is_rouge_score_over_characters(kind: str) -> None:
    library = RougeScorer([f"rouge{kind}"], use_stemmer=False)
    assert library.score(CHINESE[0][1][0], CHINESE[0][0])[f"rouge{kind}"].fmeasure == 0  # it drops Chinese

    def spelled(text: str) -> str:
        return " ".join(f"{ord(character):x}" for character in text if character.isalnum())

    direct = [library.score(spelled(refs[0]), spelled(reply))[f"rouge{kind}"].fmeasure for reply, refs in CHINESE]
    assert min(direct[:4]) > 0
    assert score(f"rouge-{kind.lower()}", CHINESE, "zh") == pytest.approx(100 * sum(direct) / 5, abs=1e-12)


# --- the traps of ANCHORS B1 ------------------------------------------------------------------------


def test_transposed_references_cannot_score_the_first_reply_only() -> None:
    rows = ENGLISH[:3]
    replies = [reply for reply, _ in rows]
    transposed = sacrebleu.corpus_bleu(replies, [list(references) for _, references in rows])
    assert transposed.score == pytest.approx(100)  # the trap: only the first, perfect reply was looked at
    right = sacrebleu.corpus_bleu(replies, [[references[0] for _, references in rows]])
    assert right.score < 50
    assert score("bleu", rows) == right.score


def test_misuse_of_references_is_refused() -> None:
    with pytest.raises(EvalError, match="must be a list of texts"):
        reference_streams(["one text", "another"])
    with pytest.raises(EvalError, match="must be a list of texts"):
        reference_streams([[["nested"]]])  # type: ignore[list-item]
    with pytest.raises(EvalError, match="Sample 2 has no reference"):
        reference_streams([["one"], []])
    with pytest.raises(EvalError, match="Sample 1 has no reference, or an empty one"):
        reference_streams([["one", " "]])


def test_streams_hold_one_reference_of_each_sample() -> None:
    assert reference_streams([["a", "b"], ["c"], ["d", "e"]]) == [["a", "c", "d"], ["b", None, "e"]]


def test_chinese_under_the_english_tokeniser_is_refused() -> None:
    reply, (reference,) = CHINESE[0]
    assert sacrebleu.corpus_bleu([reply], [[reference]], tokenize="13a").score == 0  # the trap
    assert score("bleu", CHINESE[:1], "zh") > 20
    for name in ("bleu", "sentence-bleu", "chrf++", "ter", "rouge-l", "dist-1", "token-f1", "reply-length"):
        with pytest.raises(EvalError, match="as if it were “en”"):
            scorer(name, CHINESE, "en")


def test_a_perfect_reply_of_three_words_shows_in_the_metrics_for_short_replies() -> None:
    rows = (("See you soon", ("See you soon",)),)
    assert score("bleu", rows) == 0  # the trap: there is no run of four words
    assert score("sentence-bleu", rows) == pytest.approx(100)
    assert score("chrf++", rows) == pytest.approx(100)
