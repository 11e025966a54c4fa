"""A summary out of the user's own sentences: nothing in it is invented, for nothing in it is written anew.

Of the sentences that tell something, those are chosen that together stand nearest to all of them: the choice is
greedy on facility location, which is submodular, so each step takes what is said often and not covered yet.

Source: Lin and Bilmes 2011, "A Class of Submodular Functions for Document Summarization", section 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmchat.chat.facts import find_facts
from mmchat.chat.worth import is_request, telling_sentences
from mmchat.domain import Turn
from mmchat.script import is_mostly_chinese

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SENTENCES = 400
"""Of more, those that weigh most are compared: embedding takes milliseconds each."""
FACT_WEIGHT = 2.0
"""What a sentence counts more that tells a fact about the user."""
OWN_WEIGHT = 1.0
"""What a sentence about the user themselves counts more."""
NAMED_WEIGHT = 0.5
"""What one with a number or a name counts more."""
REQUEST_FACTOR = 0.2
"""What a question or an order counts less, although it may tell something ("What can I cook for my vegan sister?")."""
FEWEST_LETTERS = {False: 10, True: 4}
"""A sentence of fewer letters ("Love it!") tells nothing by itself; in Chinese, of fewer characters."""
MAX_CHARACTERS = 300
"""A longer sentence is a paste, which nobody wants read out again."""

_OWN = re.compile(r"\b(?:i|i'm|i've|my|we|our)\b|我", re.IGNORECASE)
_NAMED = re.compile(r"\d|(?<!^)(?<![.!?] )\b[A-Z][a-z]+|[“《「]")
_WORD = re.compile(r"[^\W_]+")

Embed = Callable[[Sequence[str]], "NDArray[np.float32]"]
"""Texts as (B, D) float32, unit rows."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """Something the user said."""

    text: str
    weight: float


def sentences_of(turns: Sequence[Turn]) -> tuple[Sentence, ...]:
    """What the user told in these turns, in order, each sentence once."""
    found: dict[str, Sentence] = {}
    for turn in turns:
        if turn.role != "user":
            continue
        heard = [attachment.heard.text for attachment in turn.attachments if attachment.heard]
        for text in (turn.text, *heard):
            for sentence in telling_sentences(text):
                key = " ".join(_WORD.findall(sentence.casefold()))
                if len(key) >= FEWEST_LETTERS[is_mostly_chinese(key)] and len(sentence) <= MAX_CHARACTERS:
                    found.pop(key, None)  # said again: it counts where it was said last
                    found[key] = Sentence(sentence, weight_of(sentence))
    return tuple(found.values())


def weight_of(sentence: str) -> float:
    """How much it matters to keep what a sentence says."""
    weight = 1.0 + OWN_WEIGHT * bool(_OWN.search(sentence)) + NAMED_WEIGHT * bool(_NAMED.search(sentence))
    weight += FACT_WEIGHT * bool(find_facts(sentence))
    return weight * REQUEST_FACTOR if is_request(sentence) else weight


def choose(sentences: Sequence[Sentence], sizes: Sequence[float], room: float, embed: Embed | None) -> list[str]:
    """The sentences that stand best for all of them, in the order in which they were said.

    Args:
        sentences: all that was told.
        sizes: what each takes.
        room: what they may take together.
        embed: tells how near sentences are to each other; None compares their words, and so does Chinese text, which
            the default embedder does not know.
    """
    texts = [sentence.text for sentence in sentences]
    if not texts or sum(sizes) <= room:
        return texts
    if len(texts) > MAX_SENTENCES:
        ranked = sorted(range(len(texts)), key=lambda index: (sentences[index].weight, index), reverse=True)
        places = sorted(ranked[:MAX_SENTENCES])
        return choose([sentences[each] for each in places], [sizes[each] for each in places], room, embed)
    likeness = _likeness(texts, embed)
    weights = np.array([sentence.weight for sentence in sentences], dtype=np.float32)
    # A long sentence covers more, and leaves less room for others.
    costs = np.sqrt(np.maximum(np.array(sizes, dtype=np.float32), 1.0))
    covered = np.zeros(len(texts), dtype=np.float32)
    chosen: list[int] = []
    while True:
        fitting = [at for at, size in enumerate(sizes) if at not in chosen and size <= room]
        if not fitting:
            return [texts[at] for at in sorted(chosen)]
        gains = (np.maximum(likeness[fitting], covered) - covered) @ weights
        best = fitting[int(np.argmax((gains + 0.1 * weights[fitting]) / costs[fitting]))]
        chosen.append(best)
        room -= sizes[best]
        covered = np.maximum(covered, likeness[best])


def _likeness(texts: Sequence[str], embed: Embed | None) -> NDArray[np.float32]:
    """(B, B) float32 in [0, 1]; 1 on the diagonal."""
    if embed is not None and not is_mostly_chinese("".join(texts)):
        vectors = embed(texts)
        return _within_one(vectors @ vectors.T)
    words = [_words(text) for text in texts]
    vocabulary = {word: column for column, word in enumerate(sorted(set().union(*words)))}
    counts = np.zeros((len(texts), max(len(vocabulary), 1)), dtype=np.float32)
    for row, said in enumerate(words):
        counts[row, [vocabulary[word] for word in said]] = 1.0
    counts *= np.log1p(len(texts) / np.maximum(counts.sum(axis=0), 1.0))  # what every sentence says tells none apart
    norms = np.linalg.norm(counts, axis=1, keepdims=True)
    unit = np.divide(counts, norms, out=np.zeros_like(counts), where=norms > 0)
    likeness = _within_one(unit @ unit.T)
    np.fill_diagonal(likeness, 1.0)
    return likeness


def _within_one(likeness: NDArray[np.float32]) -> NDArray[np.float32]:
    clipped: NDArray[np.float32] = np.clip(likeness, 0.0, 1.0)
    return clipped


def _words(text: str) -> set[str]:
    """Words, and of Chinese each pair of neighbouring characters."""
    found: set[str] = set()
    for word in _WORD.findall(text.casefold()):
        if is_mostly_chinese(word):
            found |= {word[at : at + 2] for at in range(max(1, len(word) - 1))}
        else:
            found.add(word)
    return found
