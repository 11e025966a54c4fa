"""Tells how a message sounds, in English and Chinese, typed or heard: by its words, and by messages like it.

Words and phrases are looked up (`mood_words`); where an embedder is at hand that knows the language, ridge regression
from its vectors on some three hundred messages of ours (`mood_examples`) adds what no list holds. The weights of the
two, and why neither VADER nor SnowNLP stands here, are measured in docs/results.md ("Intents and moods").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from mmchat.engines.mood_examples import examples
from mmchat.engines.mood_words import mood_of_words
from mmchat.patterns import later
from mmchat.script import is_mostly_chinese, language_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmchat.engines.base import TextEmbedder

WORDS_WEIGHT, VECTORS_WEIGHT = 0.7, 0.6
"""Of the two, where both are there: more for vectors finds more complaints that use none of the words, and mistakes
more calm questions for complaints."""
RIDGE = 1.0
MAX_CHARACTERS = 2_000
_LETTERS = later(r"[^\W\d_]")

Vectors = Callable[[Sequence[str]], "NDArray[np.float32]"]
"""Texts to (B, D) unit rows."""


class Moods:
    """Keeps `engines.base.MoodReader`. Safe from any thread."""

    def __init__(self, embedder: TextEmbedder | None = None, vectors: Vectors | None = None) -> None:
        """Nothing is computed before a message is read.

        Args:
            embedder: for vectors of messages; None: words alone.
            vectors: for those of the examples, where they are kept somewhere; by default, the embedder's.
        """
        self._embedder = embedder
        self._vectors = vectors
        self._is_multilingual = bool(getattr(embedder, "is_multilingual", False))
        self._weights: NDArray[np.float64] | None = None
        self._lock = Lock()

    def read(self, text: str) -> float | None:
        """Valence in [-1, 1]; see `engines.base.MoodReader`. None for nothing said, and for other languages."""
        text = text[:MAX_CHARACTERS].strip()
        by_words, told = mood_of_words(text)
        has_letters = bool(_LETTERS().search(text))
        if not told and (not has_letters or language_of([text]) not in ("en", "zh")):
            return None
        if self._embedder is None or not has_letters or not self._knows(text):
            return by_words
        by_vectors = float(np.append(self._embedder.embed([text])[0], 1.0) @ self._fitted())
        return float(np.clip(WORDS_WEIGHT * by_words + VECTORS_WEIGHT * by_vectors, -1, 1))

    def _knows(self, text: str) -> bool:
        return self._is_multilingual or not is_mostly_chinese(text)

    def _fitted(self) -> NDArray[np.float64]:
        """(D + 1,) what a vector and a constant are multiplied with."""
        with self._lock:
            if self._weights is None:
                assert self._embedder is not None
                known = [(text, mood) for text, mood in examples() if self._knows(text)]
                found = (self._vectors or self._embedder.embed)([text for text, _ in known])
                self._weights = _fit(found, np.array([mood for _, mood in known]))
            return self._weights


def _fit(vectors: NDArray[np.float32], moods: NDArray[np.float64]) -> NDArray[np.float64]:
    """(D + 1,) by ridge regression in its dual form, moved so that calm messages come out calm."""
    rows = np.column_stack([vectors.astype(np.float64), np.ones(len(vectors))])
    inverse = np.linalg.inv(rows @ rows.T + RIDGE * np.eye(len(rows)))
    dual = inverse @ moods
    weights: NDArray[np.float64] = rows.T @ dual
    # What each would be told as if it had not been learnt from: complaints pull what is like them with them.
    alone = moods - dual / np.diag(inverse)
    weights[-1] -= float(alone[moods == 0].mean())
    return weights
