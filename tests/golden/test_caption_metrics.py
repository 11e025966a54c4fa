"""Metrics of captions against the code of the COCO caption server, whose figures stand here as it gave them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from mmchat.errors import EvalError
from mmchat.evals import stats
from mmchat.evals.base import Metric, MetricContext, ReplyOutcome
from mmchat.evals.metrics import captions
from mmchat.evals.metrics.captions import cider_scores

ALL: dict[str, Metric] = {metric.info.name: metric for metric in captions.METRICS}
Rows = list[tuple[str, list[str], float]]
# Caption, references, and CIDEr-D of pycocoevalcap 1.2 (`cider.Cider`) on the same words.
ENGLISH: Rows = [
    (
        "A dog runs over the grass.",
        ["A brown dog is running over green grass.", "The dog runs through a field.", "A dog running."],
        1.556101,
    ),
    (
        "Two people sit on a bench.",
        ["A man and a woman sit on a bench.", "Two people on a wooden bench in the park."],
        2.722499,
    ),
    ("a red red red bus", ["A red bus stops in the street.", "A red double bus."], 1.494184),
    (
        "Something else entirely, and much longer than any of what the others had written about it.",
        ["A cat sleeps.", "The cat is asleep on a chair."],
        0.0,
    ),
    ("", ["Boats in a harbour.", "White boats lie in the harbour."], 0.0),
    ("A bus stops in the street.", ["The street is empty.", "No bus stops here today."], 1.056207),
]
CHINESE: Rows = [
    ("一只狗在草地上跑。", ["一只棕色的狗在草地上奔跑。", "狗在跑。"], 2.912755),
    ("两个人坐在长椅上。", ["一男一女坐在长椅上", "公园里的长椅上坐着两个人。"], 3.880777),
    ("红色的公共汽车", ["一辆红色的公共汽车停在街上。"], 4.173324),
]


def said(rows: Sequence[tuple[str, Sequence[str]]], language: str = "en") -> list[ReplyOutcome]:
    return [
        ReplyOutcome(f"c.jsonl:{line}", f"c.jsonl:{line}", language, "a.png", tuple(references), reply)
        for line, (reply, references) in enumerate(rows, start=1)
    ]


def score(name: str, rows: Sequence[tuple[str, Sequence[str]]], language: str = "en") -> float:
    outcomes = said(rows, language)
    return stats.whole_score(ALL[name].scorer(outcomes, MetricContext(language)), len(outcomes))


@pytest.mark.parametrize(("language", "rows"), [("en", ENGLISH), ("zh", CHINESE)])
def test_cider_is_the_servers(language: str, rows: Rows) -> None:
    expected = 100 * sum(each for _, _, each in rows) / len(rows)
    assert score("cider", [(reply, references) for reply, references, _ in rows], language) == pytest.approx(
        expected, abs=1e-3
    )


def test_cider_of_each_picture_is_the_servers() -> None:
    words = [(reply.lower(), [each.lower() for each in references]) for reply, references, _ in ENGLISH]
    plain = [(_words(reply), [_words(each) for each in references]) for reply, references in words]
    found = cider_scores([reply for reply, _ in plain], [references for _, references in plain])
    assert found == pytest.approx([each for _, _, each in ENGLISH], abs=1e-6)


def _words(text: str) -> list[str]:
    return "".join(letter if letter.isalnum() else " " for letter in text).split()


def test_cider_asks_for_more_than_one_picture() -> None:
    with pytest.raises(EvalError, match="only one"):
        score("cider", [("a dog", ["a dog"])])


@given(
    st.lists(
        st.tuples(st.text("abc ", max_size=12), st.lists(st.text("abc ", min_size=1, max_size=12), min_size=1)),
        min_size=2,
        max_size=5,
    )
)
def test_cider_is_between_nothing_and_ten(rows: list[tuple[str, list[str]]]) -> None:
    found = cider_scores([reply.split() for reply, _ in rows], [[each.split() for each in refs] for _, refs in rows])
    assert all(-1e-9 <= each <= 10 + 1e-9 for each in found)


def test_a_caption_of_a_persons_own_words_has_the_most() -> None:
    rows = [("a dog runs on the grass", ["a dog runs on the grass"]), ("two cats sleep here", ["two cats sleep here"])]
    assert score("cider", rows) == pytest.approx(1000)
    assert score("bleu-4", rows) == pytest.approx(100)
    assert score("caption-length", rows) == 5


def test_bleu_4_is_sacrebleus_without_case_and_punctuation() -> None:
    rows = [(reply, references) for reply, references, _ in ENGLISH]
    streams = [[" ".join(_words(refs[min(at, len(refs) - 1)].lower())) for _, refs in rows] for at in range(3)]
    # A reference that stands twice counts once: clipping takes the most of any.
    expected = BLEU(tokenize="none", force=True).corpus_score(
        [" ".join(_words(reply.lower())) for reply, _ in rows], streams
    )
    assert score("bleu-4", rows) == pytest.approx(expected.score)
