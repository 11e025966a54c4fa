"""Whether a text says something, by words: numbers in words or digits, English or Chinese, each the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import cache

from mmchat.patterns import later
from mmchat.script import CJK_WORDS, character_class

VERBATIM_WORDS = 8
"""So many words in a row, or so many Chinese characters and a half more, are repeated, not met by chance."""
VERBATIM_CHARACTERS = 12

_DIGITS = {"零": 0, "〇": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}
_PLACES = {"十": 10, "百": 100, "千": 1000}
_CHINESE_NUMBER = later("[零〇一二两三四五六七八九十百千]+")
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNDER_TEN = "zero one two three four five six seven eight nine"
_UNITS = {word: number for number, word in enumerate(_UNDER_TEN.split())}
_WORDS = _UNITS | {word: number for number, word in enumerate(_TEENS.split(), 10)}
_ROUND = {word: 10 * number for number, word in enumerate(_TENS.split(), 2)}
_NUMBER = later(
    rf"\b(?:(?P<round>{'|'.join(_ROUND)})(?:[\s-](?P<unit>{'|'.join(list(_UNITS)[1:])}))?|(?P<one>{'|'.join(_WORDS)}))\b"
)
_CJK = character_class(CJK_WORDS)
_WORD = later(rf"[{_CJK}]|[^\W_{_CJK}]+")


@cache
def plain(text: str) -> str:
    """A text as it is compared: compatible forms made one, lower case, numbers as digits, quotes straight.

    "Fifty-two days", "52 days" and "５２ days" become one; so do 三十天 and 30天. Numbers to ninety-nine, and Chinese
    ones to 9,999: more than facts of a role need.
    """
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return _CHINESE_NUMBER().sub(lambda match: _chinese_number(match[0]), _NUMBER().sub(_english_number, folded))


def _english_number(match: re.Match[str]) -> str:
    if match["one"]:
        return str(_WORDS[match["one"]])
    return str(_ROUND[match["round"]] + _UNITS.get(match["unit"] or "", 0))


def _chinese_number(written: str) -> str:
    if not any(character in _PLACES for character in written):
        return "".join(str(_DIGITS[character]) for character in written)  # read digit by digit, such as a year
    total = digit = 0
    is_open = False
    for character in written:
        if character in _PLACES:
            total += (digit if is_open else 1) * _PLACES[character]
            digit, is_open = 0, False
        else:
            digit, is_open = _DIGITS[character], character not in "零〇"
    return str(total + digit)


def says(text: str, phrase: str) -> bool:
    """Whether a phrase stands in a text; in Latin letters as whole words."""
    wanted = plain(phrase).strip()
    start = r"(?<![a-z0-9])" if wanted[:1].isascii() and wanted[:1].isalnum() else ""
    end = r"(?![a-z0-9])" if wanted[-1:].isascii() and wanted[-1:].isalnum() else ""
    return re.search(start + re.escape(wanted) + end, plain(text)) is not None


def says_any(text: str, phrases: Sequence[str]) -> bool:
    """Whether one of several phrases does."""
    return any(says(text, phrase) for phrase in phrases)


def repeats(text: str, hidden: str) -> bool:
    """Whether a text repeats a stretch of another word by word: `VERBATIM_WORDS`, or `VERBATIM_CHARACTERS` Chinese.

    Words and Chinese characters are compared as they are written, but for case and punctuation.
    """
    said, kept = (_WORD().findall(unicodedata.normalize("NFKC", each).casefold()) for each in (text, hidden))
    for block in SequenceMatcher(None, said, kept, autojunk=False).get_matching_blocks():
        stretch = said[block.a : block.a + block.size]
        characters = sum(re.fullmatch(f"[{_CJK}]", word) is not None for word in stretch)
        if characters / VERBATIM_CHARACTERS + (len(stretch) - characters) / VERBATIM_WORDS >= 1:
            return True
    return False
