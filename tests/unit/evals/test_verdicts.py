"""What is said of two models."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.evals.registry import metric_info
from mmchat.evals.results import Comparison, ModelFacts
from mmchat.evals.stats import MIN_GROUPS, Estimate
from mmchat.evals.verdicts import MANY_VERDICTS, differences_besides, sentences, verdict


def compared(metric: str, difference: float, low: float | None, high: float | None, groups: int = 60) -> Comparison:
    judged = verdict(metric_info(metric), Estimate(difference, low, high, groups))
    task = metric_info(metric).tasks[0]
    return Comparison(
        "taskmaster4", task, "en", metric, "base", "mine", difference, low, high, 8 * groups, groups, judged
    )


BETTER = [compared("chrf++", 3.1, 1.9, 4.4), compared("rouge-l", 2, 0.4, 3.5)]
CHANCE = compared("bleu", 0.3, -0.5, 1.2)


def test_one_sentence_says_what_is_better_and_what_could_be_chance() -> None:
    assert sentences([*BETTER, CHANCE]) == (
        "mine is better than base on chrF++ (+3.10, 95% 1.90 to 4.40) and ROUGE-L (+2.00, 95% 0.40 to 3.50); "
        "on BLEU the difference could be chance.",
    )


def test_lower_is_better_where_it_is() -> None:
    assert sentences([compared("perplexity", -2.3, -3.0, -1.1)]) == (
        "mine is better than base on perplexity (-2.30, 95% -3.00 to -1.10).",
    )
    assert sentences([compared("ter", 4, 1, 7)]) == ("mine is worse than base on TER (+4.00, 95% 1.00 to 7.00).",)


def test_better_and_worse_stand_in_one_sentence() -> None:
    assert sentences([BETTER[0], compared("ter", 4, 1, 7)]) == (
        "mine is better than base on chrF++ (+3.10, 95% 1.90 to 4.40), "
        "and worse than base on TER (+4.00, 95% 1.00 to 7.00).",
    )


def test_chance_alone_names_both_models() -> None:
    assert sentences([CHANCE, compared("ter", 1, -2, 3)]) == (
        "On BLEU and TER the difference between base and mine could be chance.",
    )


def test_models_that_answer_alike_score_the_same() -> None:
    assert sentences([compared("bleu", 0, 0, 0)]) == ("On BLEU base and mine score the same.",)
    assert sentences([BETTER[0], CHANCE, compared("ter", 0, 0, 0)]) == (
        "mine is better than base on chrF++ (+3.10, 95% 1.90 to 4.40); on BLEU the difference could be chance; "
        "on TER base and mine score the same.",
    )


def test_percentages_differ_by_points_and_times_by_milliseconds() -> None:
    assert sentences([compared("wer", -2.5, -3.5, -1.5), compared("milliseconds", 4, 2, 6)])[0].startswith(
        "taskmaster4, speech: mine is better than base on WER (-2.5 points, 95% -3.5 to -1.5)."
    )
    assert "(+4.0 ms, 95% 2.0 to 6.0)" in sentences([compared("milliseconds", 4, 2, 6)])[0]


def test_a_bound_near_zero_keeps_the_digits_that_tell_it_from_zero() -> None:
    assert sentences([compared("bleu", 0.4, 0.0013, 0.8)]) == (
        "mine is better than base on BLEU (+0.400, 95% 0.001 to 0.800).",
    )


def test_too_few_groups_are_told_instead_of_a_verdict() -> None:
    few = [compared("bleu", 3, 1, 5, groups=12), compared("chrf++", 3, 1, 5, groups=12)]
    assert [each.verdict for each in few] == ["too few", "too few"]
    assert sentences(few) == ("taskmaster4: 12 conversations are too few for a verdict; it takes 30.",)
    one = compared("bleu", 3, None, None, groups=1)
    assert sentences([one]) == ("taskmaster4: 1 conversation is too few for a verdict; it takes 30.",)
    rows = dataclasses.replace(compared("accuracy", 3, 1, 5, groups=20), samples=20)
    assert sentences([rows]) == ("taskmaster4: 20 rows are too few for a verdict; it takes 30.",)


def test_what_has_no_direction_or_no_interval_is_never_judged() -> None:
    assert compared("reply-length", 3, 1, 5).verdict == "none"
    assert compared("ece", -3, None, None).verdict == "none"
    assert sentences([compared("reply-length", 3, 1, 5), compared("ece", -3, None, None)]) == ()
    assert sentences([]) == ()


def test_several_sets_of_rows_are_told_apart() -> None:
    chinese = dataclasses.replace(BETTER[0], language="zh")
    other = dataclasses.replace(BETTER[0], dataset="kdconv")
    starts = [sentence.partition(":")[0] for sentence in sentences([BETTER[0], chinese, other])]
    assert starts == ["taskmaster4, English", "taskmaster4, Chinese", "kdconv"]


def test_many_comparisons_are_warned_of_once() -> None:
    few = [CHANCE] * (MANY_VERDICTS - 1)
    assert not any("one in twenty" in sentence for sentence in sentences(few))
    told = sentences([*few, dataclasses.replace(CHANCE, dataset="kdconv")])
    assert [sentence for sentence in told if "one in twenty" in sentence] == [
        f"These are {MANY_VERDICTS} comparisons at 95%: of models that do not differ at all, one in twenty would still "
        "be told apart by chance."
    ]


@given(st.floats(-10, 10), st.floats(0, 5), st.floats(0, 5), st.integers(5, 100), st.booleans())
def test_a_verdict_needs_groups_and_an_interval_without_zero(
    difference: float, below: float, above: float, groups: int, is_higher_better: bool
) -> None:
    info = metric_info("bleu" if is_higher_better else "ter")
    said = verdict(info, Estimate(difference, difference - below, difference + above, groups))
    if groups < MIN_GROUPS:
        assert said == "too few"
    elif difference - below > 0:
        assert said == ("better" if is_higher_better else "worse")
    elif difference + above < 0:
        assert said == ("worse" if is_higher_better else "better")
    else:
        assert said == "chance"


FACTS = ModelFacts("base", "lm", "transformers", "cpu", "float32", decoding={"temperature": 0.0, "top_p": 1.0})


def test_models_asked_alike_need_no_warning() -> None:
    assert differences_besides(FACTS, dataclasses.replace(FACTS, name="mine", weights_sha256="1f", revision="2")) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"engine": "llamacpp"}, "engine transformers and llamacpp"),
        ({"dtype": ""}, "dtype float32 and none"),
        ({"decoding": {"temperature": 0.7, "top_p": 1.0}}, "temperature 0.0 and 0.7"),
        (
            {"decoding": {"temperature": 0.0, "top_p": 1.0, "repetition_penalty": 1.1}},
            "repetition penalty none and 1.1",
        ),
    ],
)
def test_what_else_differs_is_named(changes: dict[str, Any], words: str) -> None:
    mine = dataclasses.replace(FACTS, name="mine", **changes)
    assert differences_besides(FACTS, mine) == (
        f"base and mine were not asked alike ({words}): a difference between them may come from that."
    )
