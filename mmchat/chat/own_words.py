"""An answer in the documents' own words: the sentence or two of the passages found that bear most on a question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmchat.chat.answer_kinds import answers, kind_of
from mmchat.chat.excerpts import Piece, holds, joined, pieces, share, wanted_words, word_weights
from mmchat.documents.sentences import words_in
from mmchat.domain import Recalled

if TYPE_CHECKING:
    from numpy.typing import NDArray

Embed = Callable[[Sequence[str]], "NDArray[np.float32]"]
"""Texts as (B, D) float32, unit rows."""

MAX_PIECES = 60
"""Of longer passages, the first so many sentences are compared with the question by meaning."""
VECTOR_WEIGHT = 1.0
PASSAGE_WEIGHT = 1.0
"""What the score of a passage counts beside that of a sentence: as a whole it tells better what it is about."""
HEADING_BONUS = 0.4
"""What the share of the question's words adds that stands in a passage's own heading: that is what it is about."""
KIND_BONUS = 0.35
"""What a sentence has before others that names what is asked for: "How long …?" a duration."""
NEAR_FLOOR, WORDS_FLOOR = 0.6, 0.3
"""From here on a sentence surely answers, with meaning compared and by words alone (`benchmarks/grounding.py`)."""
NEXT_TO = 0.6
"""A neighbour of the best sentence is told too where it has this share of its score."""
UNTOLD, UNTOLD_ELSEWHERE = 0.3, 0.5
"""So is another sentence that holds this share of what was asked and is not told yet; more of another passage."""
SHORT_WORDS = 5.0
"""A sentence of fewer words ("Oak parts are oiled.") is told with the one after it."""
OWN_FACTOR = 3.0
"""What a word of the question counts more than one of the question that it goes on from."""
MAX_LED = 6
"""Items of a list that are told after the line that introduces them."""


@dataclass(frozen=True, slots=True)
class OwnWords:
    """What is said, and of which passages."""

    text: str
    cited: tuple[Recalled, ...]
    is_sure: bool = True
    """Whether the best sentence bears on the question itself, and not only its passage on what that is about."""


@dataclass(frozen=True, slots=True)
class _Scored:
    note: Recalled
    order: int
    """Of the passage among those found, and `at` of the piece in it."""
    at: int
    piece: Piece
    own: float
    """What the piece itself scores."""
    bonus: float
    """What its passage adds, and that it names what is asked for."""

    @property
    def score(self) -> float:
        return self.own + self.bonus


def own_words(
    question: str, found: Sequence[Recalled], embed: Embed | None = None, *, before: str = ""
) -> OwnWords | None:
    """The answer; None where the passages hold no words.

    Args:
        question: what was asked.
        found: passages that surely bear on it, best first.
        embed: tells how near a sentence is to the question; None compares words alone.
        before: the question that this one goes on from; its words count less.
    """
    passages = [(note, pieces(note.passage.text)) for note in found if note.passage is not None]
    weights = _weights(question, before, [piece.text for _, each in passages for piece in each])
    scored = _scored(question, passages, weights, embed)
    if not scored:
        return None
    best = max(scored, key=lambda each: (each.score, -each.order, -each.at))
    parts = dict(passages)[best.note]
    run = _run(best, parts, [each for each in scored if each.note is best.note])
    told = [joined([*_lead_of(parts, run[0]), *parts[run[0] : run[1]]])]
    cited = [best.note]
    untold = {word: weight for word, weight in weights.items() if not holds(told[0], word)}
    heading = best.note.passage.heading if best.note.passage is not None else ""
    untold = {word: weight for word, weight in untold.items() if not holds(heading, word)}
    total = sum(weights.values())
    others = [each for each in scored if each.note is not best.note or not run[0] <= each.at < run[1]]
    if others and total:
        second = max(others, key=lambda each: (_held(each.piece.text, untold), each.own))
        is_elsewhere = second.note is not best.note
        least = (UNTOLD_ELSEWHERE if is_elsewhere else UNTOLD) * total
        if _held(second.piece.text, untold) >= least and second.own >= best.own * NEXT_TO / 2:
            told.append(second.piece.text)
            cited += [second.note] * is_elsewhere
    floor = NEAR_FLOOR if embed is not None else WORDS_FLOOR
    return OwnWords("\n\n".join(told), tuple(cited), best.own >= floor)


def _weights(question: str, before: str, texts: Sequence[str]) -> dict[str, float]:
    weights = word_weights(wanted_words(f"{before} {question}"), texts)
    own = set(wanted_words(question)) if before else set()
    return {word: weight * (OWN_FACTOR if word in own else 1.0) for word, weight in weights.items()}


def _scored(
    question: str,
    passages: Sequence[tuple[Recalled, Sequence[Piece]]],
    weights: dict[str, float],
    embed: Embed | None,
) -> list[_Scored]:
    near = _nearness(question, passages, embed)
    kind = kind_of(question)
    best = max((note.score for note, _ in passages), default=0.0)
    scored = []
    for order, (note, parts) in enumerate(passages):
        heading = note.passage.heading if note.passage is not None else ""
        passage = PASSAGE_WEIGHT * (note.score - best)
        passage += HEADING_BONUS * share(heading.rpartition(" › ")[2], weights)
        for at, piece in enumerate(parts):
            own = share(piece.text, weights, heading) + VECTOR_WEIGHT * near.get((order, at), 0.0)
            bonus = KIND_BONUS if kind is not None and answers(kind, piece.text) else 0.0
            scored.append(_Scored(note, order, at, piece, own, passage + bonus))
    return scored


def _nearness(
    question: str, passages: Sequence[tuple[Recalled, Sequence[Piece]]], embed: Embed | None
) -> dict[tuple[int, int], float]:
    """How near each piece is to the question, by the places of passage and piece; in the light of its heading."""
    if embed is None:
        return {}
    places, texts = [], []
    for order, (note, parts) in enumerate(passages):
        above = note.passage.heading.rpartition(" › ")[2] if note.passage is not None else ""
        for at, piece in enumerate(parts[:MAX_PIECES]):
            places.append((order, at))
            texts.append(f"{above}: {piece.text}" if above else piece.text)
    if not texts:
        return {}
    vectors = embed([question, *texts])
    return dict(zip(places, (vectors[1:] @ vectors[0]).tolist(), strict=True))


def _run(best: _Scored, parts: Sequence[Piece], scored: Sequence[_Scored]) -> tuple[int, int]:
    """The best piece with those beside it that belong to it: first, and the one behind the last."""
    at = best.at
    if parts[at].leads:
        end = at + 1
        while end < len(parts) and parts[end].is_line and end - at <= MAX_LED:
            end += 1
        return (at, end) if end > at + 1 else (at, min(at + 2, len(parts)))
    if parts[at].is_line:
        return at, at + 1
    scores = {each.at: each.own for each in scored}
    sides = [side for side in (at + 1, at - 1) if side in scores and not parts[side].is_line and not parts[side].leads]
    beside = max(sides, key=lambda side: scores[side], default=at)
    if at + 1 in sides and words_in(parts[at].text) < SHORT_WORDS:
        beside = at + 1
    elif beside != at and scores[beside] < NEXT_TO * best.own:
        return at, at + 1
    if beside != at:
        return min(at, beside), max(at, beside) + 1
    return at, at + 1


def _lead_of(parts: Sequence[Piece], at: int) -> list[Piece]:
    """The line that introduces an item or a row."""
    if not parts[at].is_line:
        return []
    before = at
    while before and parts[before].is_line:
        before -= 1
    return [parts[before]] if parts[before].leads else []


def _held(text: str, weights: dict[str, float]) -> float:
    return sum(weight for word, weight in weights.items() if holds(text, word))
