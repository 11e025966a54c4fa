"""Character n-grams of a few hundred messages, and how much of a text they share: for any language, without a model.

`engines.head_grams` does the like for tens of thousands of training rows with scikit-learn, whose import alone takes
longer than all that is done here; a conversation starts without it.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmchat.patterns import later

if TYPE_CHECKING:
    from numpy.typing import NDArray

LENGTHS = range(1, 5)
UNKNOWN_SHARE = 0.3
"""How much an n-gram that no message has counts in a text's length, of the rarest known. At 0 a text of which one
word is known is as near as one that is known whole; at 1 too many paraphrases are strangers (measured on CLINC150)."""
MAX_CHARACTERS = 2_000
_NO_WORDS = later(r"[^\w]+|_+")


class SharedGrams:
    """Cosines of texts with messages, each as (1 + log count) x inverse document frequency of its n-grams."""

    def __init__(self, messages: Sequence[str]) -> None:
        counts = [_counts(message) for message in messages]
        known = Counter(gram for each in counts for gram in each)
        self._places = {gram: place for place, gram in enumerate(known)}
        self._size = len(messages)
        self._rarity = np.array([math.log((1 + self._size) / (1 + many)) + 1 for many in known.values()], np.float32)
        self._unknown = UNKNOWN_SHARE * (math.log(1 + self._size) + 1) ** 2
        rows = [self._weights(each) for each in counts]
        places = np.concatenate([row[0] for row in rows]) if rows else np.zeros(0, np.int64)
        order = np.argsort(places, kind="stable")
        self._owners = np.repeat(np.arange(self._size), [len(row[0]) for row in rows])[order]
        weights = np.concatenate([row[1] for row in rows]) if rows else np.zeros(0, np.float32)
        self._shares = weights[order]
        self._starts = np.searchsorted(places[order], np.arange(len(known) + 1))

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(B, N) float32 in [0, 1]: cosine of each text with each message."""
        found = np.zeros((len(texts), self._size), np.float32)
        for row, text in enumerate(texts):
            places, weights = self._weights(_counts(text))
            slices = [slice(self._starts[place], self._starts[place + 1]) for place in places]
            if not slices:
                continue
            owners = np.concatenate([self._owners[each] for each in slices])
            lengths = [each.stop - each.start for each in slices]
            shares = np.concatenate([self._shares[each] for each in slices]) * np.repeat(weights, lengths)
            found[row] = np.bincount(owners, shares, self._size)
        return found

    def _weights(self, counts: Counter[str]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(K,) places of the known n-grams, and (K,) their weights, of unit length with the unknown ones."""
        known = [(self._places[gram], many) for gram, many in counts.items() if gram in self._places]
        places = np.array([place for place, _ in known], np.int64)
        weights = np.array([1 + math.log(many) for _, many in known], np.float32) * self._rarity[places]
        strange = sum((1 + math.log(many)) ** 2 for gram, many in counts.items() if gram not in self._places)
        length = math.sqrt(float(weights @ weights) + self._unknown * strange)
        return places, weights / np.float32(length or 1.0)


def _counts(text: str) -> Counter[str]:
    """N-grams of the words and what stands between them; marks are not heard when somebody speaks."""
    folded = unicodedata.normalize("NFKC", text[:MAX_CHARACTERS]).casefold()
    clean = f" {_NO_WORDS().sub(' ', folded).strip()} "
    return Counter(clean[at : at + length] for length in LENGTHS for at in range(len(clean) - length + 1))
