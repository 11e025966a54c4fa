"""Which language texts are taken for."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.script import CJK_WORDS, HAN, character_class, is_cjk, is_mostly_chinese, language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("你好吗", "zh"),
        ("2000年12月7号。", "zh"),
        ("知道，外文名字叫Sun will never set。", "zh"),
        ("哈利・波特在哪里", "zh"),
        ("我们去美の味吃饭，好不好呀", "zh"),
        ("東京", "zh"),  # no kana: nothing tells it from Chinese
        ("〇", "zh"),
        ("日本語が好きです", "ja"),
        ("ｶﾚｰ", "ja"),
        ("안녕하세요, 世界", "ko"),
        ("\u1112\u1161\u11ab\u1100\u1173\u11af", "ko"),  # 한글 in separate pieces
        ("Hello there", "en"),
        ("C'est l'été à Noël", "en"),
        ("I want to learn 中文", "en"),
        ("What does 机器学习 mean?", "en"),
        ("ＨＥＬＬＯ", "en"),
        ("N A T H A N", "en"),
        ("Привет, как дела?", ""),
        ("Привет, Tom, как дела?", ""),
        ("12:30 🐕 …！？", ""),
        ("", ""),
    ],
)
def test_letters_tell_the_language(text: str, language: str) -> None:
    assert language_of([text]) == language


def test_texts_are_taken_together() -> None:
    assert language_of(["OK!", "好的，我们明天见。", "10:30"]) == "zh"
    assert language_of([]) == ""


@given(texts=st.lists(st.text(), max_size=4))
def test_any_text_has_one_of_a_few_languages(texts: list[str]) -> None:
    assert language_of(texts) in {"zh", "ja", "ko", "en", ""}
    assert language_of(texts) == language_of(texts[::-1])


@given(text=st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1))
def test_what_is_all_chinese_is_chinese_for_both(text: str) -> None:
    assert language_of([text]) == "zh"
    assert is_mostly_chinese(text)


def test_a_class_holds_its_ranges_and_nothing_else() -> None:
    words = re.compile(f"[{character_class(CJK_WORDS)}]")
    han = re.compile(f"[{character_class(HAN)}]")
    for code in range(0, sys.maxunicode + 1, 7):
        character = chr(code)
        assert bool(words.match(character)) == any(low <= code <= high for low, high in CJK_WORDS)
        assert is_cjk(character) or not han.match(character)
    assert re.findall(f"[{character_class(((0x2D, 0x2D), (0x5D, 0x5E)))}]", "a-[]^b") == ["-", "]", "^"]
