"""What makes a turn bear on a question: names, times, sentences, silence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mmchat.memory.question import read_question
from mmchat.memory.ranking import COSINE_FLOOR, Candidate, bearing_scores, score_all
from mmchat.memory.turn_parts import parts_of

NOW = datetime(2024, 2, 28, tzinfo=UTC)
_SHARES = st.floats(0, 1)


@st.composite
def _candidates(draw: st.DrawFn) -> list[Candidate]:
    return [
        Candidate(
            number,
            words=draw(_SHARES),
            cosine=draw(st.none() | st.floats(-1, 1)),
            sentence=draw(st.none() | st.floats(-1, 1)),
            session=draw(st.sampled_from("ab")),
            is_asked_for=draw(st.booleans()),
        )
        for number in range(draw(st.integers(0, 8)))
    ]


@given(found=_candidates(), is_chinese=st.booleans())
def test_sure_ones_are_among_all_and_nothing_comes_without_one(found: list[Candidate], is_chinese: bool) -> None:
    sure = bearing_scores(found, is_chinese=is_chinese, reach="sure").scores
    bearing = bearing_scores(found, is_chinese=is_chinese).scores
    assert sure.items() <= bearing.items()
    assert bool(sure) == bool(bearing)
    assert bearing.items() <= score_all(found).items()
    nearest = bearing_scores(found, is_chinese=is_chinese, reach="nearest")
    assert nearest.is_sure == bool(sure)
    if sure:
        assert nearest.scores == bearing
    else:
        assert nearest.scores.keys() >= {each.number for each in found if each.words > 0}


@given(found=_candidates(), place=st.integers(0, 7))
def test_more_of_anything_never_lowers_a_turn(found: list[Candidate], place: int) -> None:
    if place < len(found):
        before = score_all(found)[place]
        better = replace(found[place], words=1.0, cosine=1.0, is_asked_for=True, timeliness=1.0)
        found[place] = better
        assert score_all(found)[place] >= before - 1e-9


def test_less_is_enough_of_the_one_who_is_named() -> None:
    near = Candidate(1, cosine=COSINE_FLOOR - 0.05)
    assert bearing_scores([near], is_chinese=False).scores == {}
    assert bearing_scores([replace(near, is_asked_for=True)], is_chinese=False).scores.keys() == {1}


def test_names_and_times_are_understood_instead_of_searched_for() -> None:
    question = read_question("What did Anna's dog eat last week?", NOW, frozenset({"anna", "ben"}))
    assert question.to_embed == ("What did dog eat ?", "What did my dog eat ?")
    assert question.is_for("user", "Anna Smith")
    assert not question.is_for("user", "Ben")
    assert question.span is not None
    assert not question.is_time_all
    chinese = read_question("小明说过什么？", NOW, frozenset({"小明"}))
    assert chinese.is_chinese
    assert chinese.is_for("user", "小明")
    assert chinese.to_embed == ("说过什么？", "我说过什么？")
    assert read_question("what did we talk about yesterday?", NOW).is_time_all
    assert read_question("what did I say about tea?", NOW).is_for("user", "")
    assert read_question("你推荐的汤是什么？", NOW).is_for("assistant", "")


def test_a_turn_of_several_sentences_has_a_part_for_each() -> None:
    parts = parts_of("Wow! I moved to Oslo in May. It rains a lot here.", "A: Wow! I …", "B: And you?", "")
    assert parts.around == "B: And you?\nA: Wow! I …"
    assert parts.sentences == ("I moved to Oslo in May.", "It rains a lot here.")
    assert parts_of("One sentence only.", "One sentence only.", "", "").texts == ("One sentence only.",)
