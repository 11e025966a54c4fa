"""Nothing that passes here can act on a terminal, whole or in pieces."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.sanitize import plain_line, plain_text

NASTY = st.text(
    st.sampled_from("\x1b[]()\\;?0123mHJhlPX^_ab\x07\x9b\x9c\x9d\x90\r\n\t\x08\x7f\u202e\u2066 狗\ud800"), max_size=60
)


def is_inert(text: str) -> bool:
    return all(char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cs"} for char in text)


@given(NASTY | st.text(st.characters()))
def test_no_control_survives_and_twice_is_as_once(text: str) -> None:
    clean = plain_text(text)
    assert is_inert(clean)
    assert not set(clean) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert plain_text(clean) == clean
    clean.encode("utf-8")


@given(NASTY, st.integers(0, 60))
def test_a_stream_cut_anywhere_is_inert(text: str, cut: int) -> None:
    assert is_inert(plain_text(text[:cut]) + plain_text(text[cut:]))


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp"]) | st.sampled_from("\n\t")))
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert plain_text(text) == text


@given(NASTY)
def test_a_line_is_one_line(text: str) -> None:
    assert len(plain_line(text).splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]52;c;aGk=\x1b\\after", "after"),
        ("\x1bP+q\x1b\\after", "after"),
        ("\x1b]0;never ended", "]0;never ended"),
        ("\x9b2Jafter", "after"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("gpj.\u202eexe", "gpj.exe"),
        ("👩‍👩‍👧 العربية 中文", "👩‍👩‍👧 العربية 中文"),
    ],
)
def test_examples(text: str, clean: str) -> None:
    assert plain_text(text) == clean
