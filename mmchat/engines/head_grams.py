"""Character n-grams of texts, hashed and weighted: a representation for any language that needs no model.

For scripts that a sentence encoder was not taught they tell more than its vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

BUCKETS = 2**20
"""Of the hash. Only those that occur in training are kept, so the number costs nothing."""
LENGTHS = (1, 4)
MIN_TEXTS = 2
"""An n-gram of one text alone tells only about that text."""
MAX_COLUMNS = 50_000
"""The most frequent ones are kept."""


class Grams:
    """Texts → weighted n-grams: (1 + log count) x inverse document frequency, each text of unit length."""

    def __init__(self, buckets: NDArray[np.int64], weights: NDArray[np.float32]) -> None:
        """`buckets`: (K,) sorted, of the hash; `weights`: (K,) inverse document frequencies."""
        self.buckets = buckets
        self.weights = weights

    @classmethod
    def fit(cls, texts: Sequence[str]) -> Grams:
        """Learn which n-grams matter. Texts that share none give no columns."""
        counts = _counts(texts)
        texts_with = np.bincount(counts.indices, minlength=BUCKETS)
        buckets = np.flatnonzero(texts_with >= MIN_TEXTS)
        if len(buckets) > MAX_COLUMNS:
            buckets = np.sort(buckets[np.argsort(-texts_with[buckets], kind="stable")[:MAX_COLUMNS]])
        weights = np.log((1 + len(texts)) / (1 + texts_with[buckets])) + 1
        return cls(buckets.astype(np.int64), weights.astype(np.float32))

    def __call__(self, texts: Sequence[str]) -> csr_matrix:
        """(N, K) float32 sparse; a text of unknown n-grams alone is a row of zeros."""
        from sklearn.preprocessing import normalize

        matrix: Any = _counts(texts)[:, self.buckets].astype(np.float32)
        matrix.data = (1 + np.log(matrix.data)) * self.weights[matrix.indices]
        unit: csr_matrix = normalize(matrix, norm="l2", copy=False)
        return unit


def _counts(texts: Sequence[str]) -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    hasher = HashingVectorizer(
        analyzer="char", ngram_range=LENGTHS, n_features=BUCKETS, alternate_sign=False, norm=None, lowercase=True
    )
    return hasher.transform(clean).tocsr()
