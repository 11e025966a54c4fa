"""The sentences of a passage that bear most on a question, in the passage's own words. Pure: no store, no model."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmchat.documents.sentences import pieces_of
from mmchat.memory.asked_words import asked_words
from mmchat.patterns import later
from mmchat.script import is_mostly_chinese

_ITEM = later(r"\s*(?:[-*+•·–]|\d{1,3}[.)、]|[(（]\d{1,3}[)）])\s*(?=\S)")
_ROW = re.compile(r"[|\t]")
_FIELD = re.compile(r"[^:：]{1,40}[:：]\s?\S")
_WORD = later(r"[^\W_]+")
_LONGER_BY = 3
"""Letters that an ending adds: "ship", "shipping" less its doubled letter."""
HEADING_WEIGHT = 0.4
"""A word of the question that stands in the heading alone counts so much: it says what all of the passage is about."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence, or what stands for itself: an item of a list, a row of a table."""

    text: str
    """Without the mark of an item; a row that was read as fields has one a line."""
    is_line: bool = False
    """An item or a row."""
    leads: bool = False
    """It introduces what follows ("You need:")."""


def pieces(text: str) -> tuple[Piece, ...]:
    """What a passage is made of, in order."""
    found: list[Piece] = []
    for block in text.split("\n\n"):
        lines = [line.strip() for line in block.splitlines() if line.strip()]
        if len(lines) > 1 and all(_FIELD.match(line) and not _ITEM().match(line) for line in lines):
            found.append(Piece("\n".join(lines), is_line=True))
        else:
            found += _pieces_of_lines(lines)
    return tuple(piece for piece in found if piece.text)


def _pieces_of_lines(lines: Sequence[str]) -> list[Piece]:
    found: list[Piece] = []
    for line in lines:
        item = _ITEM().match(line)
        if item or _ROW.search(line):
            found.append(Piece(line[item.end() if item else 0 :].strip(), is_line=True))
            continue
        for sentence in pieces_of(line, math.inf):
            if said := sentence.strip():
                found.append(Piece(said, leads=said.endswith((":", "："))))
    return found


def joined(run: Sequence[Piece]) -> str:
    """Pieces that stand side by side, as one text: sentences in a row, items and rows on lines of their own."""
    said = ""
    for piece in run:
        if not said:
            said = piece.text
        elif piece.is_line:
            said += ("\n\n" if "\n" in piece.text else "\n") + piece.text
        else:
            is_close = is_mostly_chinese(said[-1] + piece.text[:1])
            said += ("" if is_close else " ") + piece.text
    return said


# --- words ----------------------------------------------------------------------------------------


def wanted_words(question: str) -> tuple[str, ...]:
    """The words of a question that tell texts apart; of Chinese, pairs of characters. Case folded.

    Words that mean the same are one, with "|" between them.
    """
    return tuple(dict.fromkeys("|".join(word.forms) for word in asked_words(question)))


def word_weights(wanted: Sequence[str], texts: Sequence[str]) -> dict[str, float]:
    """What each word counts: the more, the fewer of the texts hold it."""
    weights = {}
    for word in wanted:
        holding = sum(holds(text, word) for text in texts)
        weights[word] = math.log1p(len(texts) / holding) if holding else math.log1p(len(texts)) + 0.5
    return weights


def share(text: str, weights: Mapping[str, float], heading: str = "") -> float:
    """How much of a question's information a text holds, in [0, 1]."""
    total = sum(weights.values())
    if not total:
        return 0.0
    held = sum(weight for word, weight in weights.items() if holds(text, word))
    above = sum(weight for word, weight in weights.items() if not holds(text, word) and holds(heading, word))
    return (held + HEADING_WEIGHT * above) / total


def holds(text: str, word: str) -> bool:
    """Whether a text holds a word of `wanted_words`, in one form or another."""
    folded = text.casefold()
    if "|" in word:
        return any(form in folded for form in word.split("|"))
    if is_mostly_chinese(word):
        return word in folded
    return any(_is_form(word, each) for each in _WORD().findall(folded))


def _is_form(one: str, other: str) -> bool:
    """Whether two words differ in their endings only: "return" and "returned", "delivery" and "delivered"."""
    if one == other:
        return True
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) < 3 or not shorter.isalpha() or not longer.isalpha():
        return False
    if longer.startswith(shorter):
        return len(longer) - len(shorter) <= _LONGER_BY or (
            len(longer) - len(shorter) == _LONGER_BY + 1 and longer[len(shorter)] == shorter[-1]
        )
    common = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(shorter))
    return common >= 5 and common >= len(shorter) - 2 and len(longer) - common <= _LONGER_BY


# --- what is told of a passage --------------------------------------------------------------------


def excerpt(text: str, question: str, limit: int) -> str:
    """The part of a passage that bears most on a question, on one line and of at most `limit` characters.

    The same for the same texts, whatever else is known: a prompt that holds it can be made again.

    Args:
        text: the passage.
        question: what it is to answer.
        limit: characters; what is left out is marked by "…".
    """
    flat = " ".join(text.split())
    if len(flat) <= limit:
        return flat
    found = pieces(text)
    said = [" ".join(piece.text.replace("\n", "; ").split()) for piece in found]
    weights = word_weights(wanted_words(question), said)
    shares = [share(each, weights) for each in said]
    first = last = max(range(len(said)), key=lambda at: (shares[at], -at), default=0)
    if not said or len(said[first]) + 2 > limit:
        return (said[first] if said else flat)[: limit - 1].rstrip() + "…"
    # What stands before says what "it" is; what stands after goes on.
    while True:
        room = limit - 2 - sum(len(each) + 1 for each in said[first : last + 1])
        sides = [at for at in (first - 1, last + 1) if 0 <= at < len(said) and len(said[at]) + 1 <= room]
        if not sides:
            break
        best = max(sides, key=lambda at: (shares[at], at > last))
        first, last = min(first, best), max(last, best)
    middle = " ".join(said[first : last + 1])
    return ("…" if first else "") + middle + ("…" if last < len(said) - 1 else "")
