"""Rules against invented words: they catch loops and silence, and leave real speech alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.domain import Segment
from mmchat.engines.speech_gates import (
    CHINESE_PROMPTS,
    clean,
    collapse_repeats,
    is_believable,
    join_texts,
    prompt_for,
)


def said(text: str, logprob: float = -0.2, no_speech: float = 0.01) -> Segment:
    return Segment(0.0, 1.0, text, logprob, no_speech)


def test_both_signs_are_needed_to_drop_a_segment() -> None:
    assert not is_believable(said("You", logprob=-0.94, no_speech=0.94))
    assert is_believable(said("You", logprob=-0.94, no_speech=0.3))
    assert is_believable(said("Thank you.", logprob=-0.3, no_speech=0.94))


@pytest.mark.parametrize(
    ("text", "is_doubted", "expected"),
    [
        ("so so so so so so so then", False, "so then"),
        ("no no no, I said no", False, "no no no, I said no"),
        ("the the the cat", True, "the cat"),
        ("I see. I see. I see. I see.", True, "I see."),
        ("good one, but good one, but good one, but good one, but", True, "good one, but"),
        ("555 555 555 555 555 555 555", True, "555 555 555 555 555 555 555"),
        ("N N N N N N N", True, "N N N N N N N"),
        ("谢谢谢谢谢谢谢谢谢谢谢谢", False, "谢"),
        ("哈哈", True, "哈哈"),
        ("我知道我知道我知道了", True, "我知道了"),
        ("a plain sentence without loops", True, "a plain sentence without loops"),
    ],
)
def test_loops_are_said_once(text: str, is_doubted: bool, expected: str) -> None:
    assert collapse_repeats(text, is_doubted=is_doubted) == expected


@given(st.text(max_size=200), st.booleans())
def test_collapsing_only_takes_away(text: str, is_doubted: bool) -> None:
    shorter = collapse_repeats(text, is_doubted=is_doubted)
    assert len(shorter) <= len(text)
    rest = iter(text)
    assert all(letter in rest for letter in shorter)  # a subsequence: nothing is invented


@given(st.lists(st.sampled_from(["one", "two", "three", "four", "1", "x", "yes"]), max_size=12, unique=True))
def test_text_without_repeats_is_untouched(words: list[str]) -> None:
    text = " ".join(words)
    assert collapse_repeats(text, is_doubted=True) == text


def test_what_is_only_punctuation_or_the_prompt_is_dropped() -> None:
    assert clean(said(" ... "), "") is None
    assert clean(said(" ♪ "), "") is None
    prompt = prompt_for("zh", "")
    assert clean(said(CHINESE_PROMPTS["simplified"]), prompt) is None
    assert clean(said(CHINESE_PROMPTS["traditional"]), prompt_for("zh", "", "traditional")) is None
    kept = clean(said("以下是普通话的句子。今天天气很好"), prompt)
    assert kept is not None
    assert kept.text == "今天天气很好"
    assert clean(said(CHINESE_PROMPTS["simplified"]), "") is not None  # said, not shown


def test_only_chinese_gets_the_chinese_prompt() -> None:
    assert prompt_for("en", " Ada, Grace ") == "Ada, Grace"
    simplified = CHINESE_PROMPTS["simplified"]
    assert prompt_for("zh", "") == simplified
    assert prompt_for("zh", "北京") == f"{simplified} 北京"
    assert prompt_for("zh", "北京", "traditional") == f"{CHINESE_PROMPTS['traditional']} 北京"
    assert prompt_for("zh", "北京", "any") == "北京"
    assert join_texts(["你好", "世界"], "zh") == "你好世界"
    assert join_texts(["Hello", "world"], "en") == "Hello world"
