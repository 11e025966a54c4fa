"""Which words of a question are looked for in documents, and which of them stand nowhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.memory.asked_words import asked_words, asks_whether, unknown_words


def forms(query: str) -> list[str]:
    return [each.forms[0] for each in asked_words(query)]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("请问退货多少钱？", ["退货"]),
        ("多久之内可以退货？", ["退货"]),
        ("How long is the guarantee?", ["guarantee"]),
        ("How many days does a parcel take?", ["days", "parcel", "take"]),
        ("Is it possible to pay by card?", ["pay", "card"]),
    ],
)
def test_words_that_only_ask_are_left_out(query: str, wanted: list[str]) -> None:
    assert forms(query) == wanted


def test_what_is_nothing_but_asking_is_looked_for_as_it_is() -> None:
    assert forms("多久？") == ["多久"]


@pytest.mark.parametrize(
    ("query", "form"), [("邮费谁付", "运费"), ("能退掉吗", "退货"), ("Can I send the lamp back?", "return")]
)
def test_words_that_mean_the_same_are_looked_for_together(query: str, form: str) -> None:
    together = next(each for each in asked_words(query) if form in each.forms)
    assert f'"{form}"' in together.expression


def test_what_stands_between_send_and_back_is_a_word_of_its_own() -> None:
    assert forms("Can I send a lamp back?") == ["return", "lamp"]


@pytest.mark.parametrize(
    ("query", "is_whether"),
    [
        ("Do you ship to Japan?", True),
        ("And is there a discount?", True),
        ("What do you sell?", False),
        ("你们能寄到日本吗？", True),
        ("有没有折扣", True),
        ("多久能到？", False),
    ],
)
def test_what_is_answered_with_yes_or_no(query: str, is_whether: bool) -> None:
    assert asks_whether(query) is is_whether


STANDING = frozenset({"付款", "可用", "送到", "台灯", "木头"})


def test_characters_that_are_part_of_nothing_known_are_a_word() -> None:
    words, chance = unknown_words("用比特币付款吗？", STANDING.__contains__)
    assert len(words) == 1
    assert "比特币" in next(iter(words))
    assert "比特" not in chance
    assert unknown_words("能寄到日本吗？", STANDING.__contains__)[0] == {"日本"}


def test_two_known_words_side_by_side_are_no_third() -> None:
    words, chance = unknown_words("台灯木头", STANDING.__contains__)
    assert not words
    assert chance == {"灯木"}


@given(st.text(max_size=40))
def test_any_text_may_be_asked(text: str) -> None:
    words, chance = unknown_words(text, lambda pair: False)
    assert all(len(word) > 1 for word in words)
    assert not any(len(pair) != 2 for pair in chance)
    assert all(each.forms and each.expression for each in asked_words(text))
