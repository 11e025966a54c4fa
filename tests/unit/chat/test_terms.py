"""Which names and terms a conversation tells the recogniser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.chat.terms import MAX_TERMS, terms_of


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("I had lunch with Mrs Kowalczyk on Tuesday.", ("Kowalczyk",)),
        ("Then Ada Lovelace wrote PyTorch code.", ("Ada Lovelace", "PyTorch")),
        ("Rex barks. My dog is called Rex.", ("Rex",)),
        ("We fly to São Paulo, then to Reykjavik.", ("São Paulo", "Reykjavik")),
        ("Use GPT-4 and the H264 codec", ("GPT-4", "H264")),
        ("What is the weather like? It rains.", ()),
        ("HOW DARE YOU SAY THAT", ()),
        ("How To Write A Good Title", ()),
        ("你看过《三体》吗？我妹妹叫李佳怡，她用 PyTorch。", ("三体", "李佳怡", "PyTorch")),
        ("今天天气很好。", ()),
        ("", ()),
    ],
)
def test_names_and_terms_are_known_by_how_they_are_written(text: str, terms: tuple[str, ...]) -> None:
    assert terms_of([text]) == terms


def test_the_newest_come_first_and_each_once() -> None:
    assert terms_of(["We met Zoë.", "I know ZOË and Wojtek.", "He is called Wojtek."]) == ("Zoë", "Wojtek")


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=80), max_size=8))
def test_there_are_never_too_many(texts: list[str]) -> None:
    terms = terms_of(texts)
    assert len(terms) <= MAX_TERMS
    assert all(term.strip() and "\n" not in term for term in terms)
    assert len({term.casefold() for term in terms}) == len(terms)
