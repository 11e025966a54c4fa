"""A guard against replies that run in circles.

Small models fall into loops: a phrase, a sentence or a paragraph again and again until the token
limit. The guard reads the reply as it streams and finds any exact period in its tail, at the level of
characters, so that it needs no word boundaries and works for Chinese as for English.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Verdict = Literal["fine", "suspect", "loop"]

LONGEST_PERIOD = 600
"""Characters. Longer cycles cost more than the token limit already bounds."""
LOOP_WEIGHT = 110.0
"""How much text (in weighted characters) a loop of words must fill before it is called one."""
SUSPECT_WEIGHT = 50.0
SHORTEST_SUSPECT = 14
"""Characters. Fewer cannot weigh enough, whatever the script."""
LOOP_LENGTH_WITHOUT_WORDS = 400
"""Characters. Rules, table borders, indentation and rows of zeros repeat for good reasons."""
COPIES_OF_SHORT = 4
COPIES_OF_LONG = 3
LONG_PERIOD = 120
"""Characters. A passage this long said three times is a loop; a shorter one needs four."""
WIDE_WEIGHT = 3.5
"""A Chinese, Japanese or Korean character says about as much as this many Latin letters."""


class RepetitionGuard:
    """Watches one reply. Feed it characters in order; it says how the tail looks.

    For every period p up to `LONGEST_PERIOD` it keeps how many of the latest characters equal the one
    p places before; a run of (k - 1) * p such characters means the tail is k copies of one passage.
    A few vector operations per character, about 10 microseconds.
    """

    def __init__(self) -> None:
        self._tail = np.zeros(LONGEST_PERIOD, dtype=np.uint32)  # latest character first
        self._weights = np.zeros(LONGEST_PERIOD)
        self._runs = np.zeros(LONGEST_PERIOD, dtype=np.int64)
        self._periods = np.arange(1, LONGEST_PERIOD + 1)
        self._enough_copies = np.where(self._periods >= LONG_PERIOD, COPIES_OF_LONG, COPIES_OF_SHORT)
        self.period = 0
        """Characters in one copy, once `feed` has said "loop"."""
        self.loop_length = 0
        """Characters of the tail that the loop fills."""

    def feed(self, character: str) -> Verdict:
        """Take one more character and judge the reply so far."""
        code = ord(character)
        np.add(self._runs, 1, out=self._runs)
        self._runs[self._tail != code] = 0
        self._tail[1:] = self._tail[:-1]
        self._tail[0] = code
        self._weights[1:] = self._weights[:-1]
        self._weights[0] = _weight(character)
        runs = self._runs
        candidates = np.flatnonzero((runs >= self._periods) & (runs + self._periods >= SHORTEST_SUSPECT))
        return self._judge(candidates) if candidates.size else "fine"

    def _judge(self, candidates: NDArray[np.intp]) -> Verdict:
        """Judge the periods that the tail has had at least twice, the shortest first."""
        periods = self._periods[candidates]
        lengths = self._runs[candidates] + periods
        copies = lengths / periods
        weights = np.cumsum(self._weights)[candidates] * copies
        loops = (copies >= self._enough_copies[candidates]) & (weights >= LOOP_WEIGHT)
        loops |= (weights == 0) & (lengths >= LOOP_LENGTH_WITHOUT_WORDS)
        if loops.any():
            first = int(np.argmax(loops))
            self.period, self.loop_length = int(periods[first]), int(lengths[first])
            return "loop"
        return "suspect" if (weights >= SUSPECT_WEIGHT).any() else "fine"


def _weight(character: str) -> float:
    """What a character adds to a loop of words: none for a blank, a digit or a sign alone.

    A passage without any letter weighs nothing and is judged by its length instead; within a passage
    with letters the signs between them are few, so leaving them out changes little.
    """
    if not character.isalpha():
        return 0.0
    return WIDE_WEIGHT if unicodedata.east_asian_width(character) in "WF" else 1.0
