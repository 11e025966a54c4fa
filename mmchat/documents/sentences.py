"""Text taken apart without losing a character: into sentences, and what is still too long into clauses and words."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise

from mmchat.patterns import later
from mmchat.script import CJK_WORDS, character_class

CHARACTERS_A_WORD = 2
"""So many Chinese characters tell about as much as an English word, and take about as many tokens."""
_LONG_WORD = 12
"""Letters; what is longer (an address, a code) counts as several words."""

_CJK = later(f"[{character_class(CJK_WORDS)}]")
_WORD = later(r"[^\W_]+(?:['’][^\W_]+)*")
_SENTENCE_END = later(
    r"[。！？；…]+[”’」』）》]*\s*"  # Chinese needs no space after it
    r"|[.!?]+[\"”’')\]]*\s+(?=[^a-z\s])"
    r"|\n+"
)
_ABBREVIATION = later(r"\b(?:[a-z]|e\.g|i\.e|etc|vol|fig|dr|mr|mrs|ms|prof|no|nr|st|ca|vs|tel|approx)$", re.IGNORECASE)
_CLAUSE_END = later(r"[，、：]+\s*|[,;:]\s+|\s+[-–—]\s+")


def words_in(text: str) -> float:
    """How much a text tells, in English words; a Chinese character is part of one."""
    chinese = len(_CJK().findall(text))
    rest = _CJK().sub(" ", text) if chinese else text
    return chinese / CHARACTERS_A_WORD + sum(math.ceil(len(word) / _LONG_WORD) for word in _WORD().findall(rest))


def pieces_of(text: str, most_words: float) -> list[str]:
    """Sentences, or parts of sentences that are longer than that. Joined, they are the text."""
    found: list[str] = []
    for sentence in _parts(text, _sentence_ends(text)):
        if words_in(sentence) <= most_words:
            found.append(sentence)
        else:
            for clause in _parts(sentence, [match.end() for match in _CLAUSE_END().finditer(sentence)]):
                found += [clause] if words_in(clause) <= most_words else _slices(clause, most_words)
    return found


def _sentence_ends(text: str) -> list[int]:
    return [
        match.end()
        for match in _SENTENCE_END().finditer(text)
        if match[0][0] != "." or not _ABBREVIATION().search(text, max(0, match.start() - 10), match.start())
    ]


def _parts(text: str, ends: Sequence[int]) -> list[str]:
    return [text[start:end] for start, end in pairwise((0, *ends, len(text))) if end > start]


def _slices(text: str, most_words: float) -> list[str]:
    """About equal parts, at spaces where there are any."""
    length = math.ceil(len(text) / math.ceil(words_in(text) / most_words))
    found, start = [], 0
    while len(text) - start > length:
        last = start + length
        at = max(text.rfind(" ", start + length // 2, last), text.rfind("\n", start + length // 2, last)) + 1 or last
        found.append(text[start:at])
        start = at
    return [*found, text[start:]]
