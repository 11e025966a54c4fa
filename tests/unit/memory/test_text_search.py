"""How text is spelled for the index, and what is marked in a hit."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.memory.ids import new_id
from mmchat.memory.text_search import all_of, indexed, informative, storable, terms
from mmchat.memory.turn_search import spans_of

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=80)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("机器学习", "机器 器学 学习 习"),
        ("我", "我"),
        ("用GPT写诗", "用 GPT 写诗 诗"),
        ("a\x00b\tc", "a b c"),
        ("ＡＢＣ", "ABC"),
        ("カレー", "カレ レー ー"),
    ],
)
def test_runs_of_chinese_become_pairs(text: str, expected: str) -> None:
    assert indexed(text).split() == expected.split()


def test_a_question_keeps_its_subject() -> None:
    assert informative("What did I say about the bicycles?") == ('"bicycles"',)
    assert informative("我们去成都吗？") == ('"去成"', '"成都"')
    assert informative("Did Ann buy it?", without=frozenset({"ann"})) == ('"buy"',)
    assert informative("who are you?") == ()
    assert '"汤" *' in informative("你推荐的汤是什么？")


@given(query=ANY_TEXT)
def test_no_query_breaks_the_index(query: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE f USING fts5(w, tokenize='porter unicode61 remove_diacritics 2')")
    connection.execute("INSERT INTO f (w) VALUES (?)", [indexed(query)])
    for expression in (all_of(query), " OR ".join(informative(query))):
        if expression:
            connection.execute("SELECT rowid FROM f WHERE f MATCH ?", [expression]).fetchall()
    connection.close()


@given(text=ANY_TEXT, query=ANY_TEXT)
def test_marks_lie_in_the_text_in_order(text: str, query: str) -> None:
    at = -1
    for start, end in spans_of(storable(text), storable(query)):
        assert at < start < end <= len(storable(text))
        at = end


@given(text=ANY_TEXT)
def test_storable_text_can_be_encoded_and_changes_nothing_else(text: str) -> None:
    kept = storable(text)
    kept.encode("utf-8")
    if not any("\ud800" <= each <= "\udfff" for each in text):
        assert kept == text


def test_terms_are_folded_and_single() -> None:
    assert terms("Straße straSSE 學習 學習!") == ("strasse", "學習")


def test_ids_sort_as_they_were_made() -> None:
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(set(ids))
    assert {len(each) for each in ids} == {26}
