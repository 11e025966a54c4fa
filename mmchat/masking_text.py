"""A text with its digits in plain figures, however they were written or spoken, and the way back to the text.

Full-width figures and Latin letters are those of Chinese input methods; Chinese numerals and English words for digits
are what a recogniser makes of a number that is read out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mmchat.patterns import later

MIN_SPOKEN_DIGITS = 6
"""Fewer spoken digits in a row are left as words: 「一二三」, "one two"."""

_WIDTH = {0xFF01 + offset: 0x21 + offset for offset in range(94)} | {0x3000: 0x20, 0xA0: 0x20}
_DASHES = dict.fromkeys([0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2212, 0xFE63], 0x2D)
_NUMERALS = dict(zip("〇零○一幺二两三四五六七八九壹贰叁肆伍陆柒捌玖", "00011223456789123456789", strict=True))
_NUMERAL = f"[{''.join(_NUMERALS)}]"
_SPOKEN_CHINESE = later(  # figures may stand among the numerals, but not apart from them: 「张三，138…」 names a man
    rf"{_NUMERAL}[ ,，、\-]{{0,2}}{_NUMERAL}(?:[ ,，、\-]{{0,2}}{_NUMERAL}|[0-9]){{{MIN_SPOKEN_DIGITS - 2},}}"
)

_WORDS = dict(
    zip("zero one two three four five six seven eight nine oh o".split(), "012345678900", strict=True)  # noqa: SIM905
)
_TIMES = {"double": 2, "triple": 3}
_WORD = rf"(?:(?:{'|'.join(_TIMES)})[ -])?(?:{'|'.join(_WORDS)})"
_SPOKEN_ENGLISH = later(
    rf"(?<![a-z])(?:{_WORD}|[0-9])(?:[ ,\-]{{1,2}}(?:{_WORD}|[0-9])){{{MIN_SPOKEN_DIGITS - 2},}}(?![a-z])",
    re.IGNORECASE,
)
_ONE_WORD = later(rf"{_WORD}|[0-9]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PlainDigits:
    """A text in which every digit is one of 0 to 9."""

    text: str
    starts: tuple[int, ...]
    """Where each of its characters begins in the text that it was made of."""
    ends: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where a part of it stands in the text that it was made of."""
        return self.starts[start], self.ends[end - 1]


def plain_digits(text: str) -> PlainDigits:
    """Make figures of all digits in a text."""
    pieces = list(_pieces(text.translate(_WIDTH | _DASHES)))
    return PlainDigits(
        "".join(piece for piece, _, _ in pieces),
        tuple(start for piece, start, _ in pieces for _ in piece),
        tuple(end for piece, _, end in pieces for _ in piece),
    )


def _pieces(text: str) -> Iterator[tuple[str, int, int]]:
    """Characters with their places; a spoken digit is one, or several after "double"."""
    at = 0
    for match in _spoken(text):
        yield from ((letter, where, where + 1) for where, letter in enumerate(text[at : match.start()], at))
        yield from _spoken_pieces(match)
        at = match.end()
    yield from ((letter, where, where + 1) for where, letter in enumerate(text[at:], at))


def _spoken(text: str) -> list[re.Match[str]]:
    """Runs of digits that are written as words; a text is mostly of one language."""
    runs = list(_SPOKEN_CHINESE().finditer(text))
    english = [each for each in _SPOKEN_ENGLISH().finditer(text) if any(map(str.isalpha, each.group()))]
    runs += [each for each in english if not any(one.start() < each.end() and each.start() < one.end() for one in runs)]
    return sorted(runs, key=lambda each: each.start())


def _spoken_pieces(run: re.Match[str]) -> Iterator[tuple[str, int, int]]:
    start, words = run.start(), run.group()
    if not words.isascii():
        for where, letter in enumerate(words, start):
            if letter.isdecimal() or letter in _NUMERALS:
                yield _NUMERALS.get(letter, letter), where, where + 1
        return
    for match in _ONE_WORD().finditer(words):
        *times, word = match.group().lower().replace("-", " ").split()
        digit = _WORDS.get(word, word)
        yield digit * (_TIMES[times[0]] if times else 1), start + match.start(), start + match.end()
