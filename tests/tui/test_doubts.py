"""Marks on doubtful words while the text around them is edited."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmchat.domain import Heard, Segment, Word
from mmchat.tui.doubts import Doubts, doubtful_spans, index_of, place_of


def marked(doubts: Doubts, text: str) -> list[str]:
    lines = text.split("\n")
    return [line[start:end] for row, line in enumerate(lines) for start, end in doubts.in_line(text, row)]


@given(st.text("ab \n", max_size=20), st.text("ab \n", max_size=20), st.text("ab \n", max_size=8))
def test_what_is_typed_before_and_after_moves_a_mark(before: str, after: str, typed: str) -> None:
    text = f"{before}DOUBT{after}"
    for changed in (text, f"{typed}{text}", f"{text}{typed}", text[len(before) :], text[: len(before) + 5]):
        doubts = Doubts()
        doubts.add(text, len(before), [(0, 5)])
        doubts.follow(changed)
        assert marked(doubts, changed) == ["DOUBT"]


@given(st.integers(0, 3), st.text("ab\n", min_size=1, max_size=5))
def test_an_edit_within_a_word_takes_its_mark(at: int, typed: str) -> None:
    doubts = Doubts()
    doubts.add("a DOUBT b SECOND", 0, [(2, 7), (10, 16)])
    changed = "a " + "DOUBT"[: at + 1] + typed + "DOUBT"[at + 2 :] + " b SECOND"
    doubts.follow(changed)
    assert marked(doubts, changed) == ["SECOND"]


@given(st.text("ab\n", max_size=30), st.data())
def test_places_and_indices_are_inverse(text: str, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(text)))
    assert index_of(text, place_of(text, index)) == index


def test_words_are_found_in_order_in_both_scripts() -> None:
    english = (Word("to", 0, 1, 0.9), Word(" be", 1, 2, 0.2), Word(" to", 2, 3, 0.1))
    heard = Heard("to be to", "en", 3, (Segment(0, 3, "to be to", words=english),))
    assert doubtful_spans(heard, "to be to") == [(3, 5), (6, 8)]
    chinese = (Word("今天", 0, 1, 0.9), Word("暖", 1, 2, 0.2))
    heard = Heard("今天暖", "zh", 3, (Segment(0, 3, "今天暖", words=chinese),))
    assert doubtful_spans(heard, "今天暖") == [(2, 3)]
    assert doubtful_spans(Heard("x", "en", 1.0), "x") == []
