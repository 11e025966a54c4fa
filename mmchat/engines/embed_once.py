"""An embedder that embeds a text once: a message is asked for by recall, facts and pictures, and then stored itself."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmchat.engines.base import TextEmbedder

KEPT_TEXTS = 64
"""A message, its reply and their sentences are some twenty; 100 KB of vectors."""
FEW_TEXTS = 24
"""A call with more is background work on old turns, which nobody asks for again."""


class EmbedsOnce:
    """Keeps `engines.base.TextEmbedder` over another embedder. Safe from any thread."""

    def __init__(self, embedder: TextEmbedder) -> None:
        self._embedder = embedder
        self.name = embedder.name
        self.engine = embedder.engine
        self.embedding_dim = embedder.embedding_dim
        self.dtype = str(getattr(embedder, "dtype", ""))
        self.is_multilingual = bool(getattr(embedder, "is_multilingual", False))
        self._known: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._lock = Lock()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(B, D) float32, unit rows; texts of the last few small calls are not embedded again."""
        with self._lock:
            vectors = {text: self._known[text] for text in texts if text in self._known}
        missing = [text for text in dict.fromkeys(texts) if text not in vectors]
        if missing:
            vectors |= zip(missing, self._embedder.embed(missing), strict=True)
        if len(texts) <= FEW_TEXTS:
            with self._lock:
                for text in vectors:
                    self._known[text] = vectors[text]
                    self._known.move_to_end(text)
                while len(self._known) > KEPT_TEXTS:
                    self._known.popitem(last=False)
        if not texts:
            return np.zeros((0, self.embedding_dim), np.float32)
        return np.stack([vectors[text] for text in texts])

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by the model's own tokeniser, whole and without marks around it."""
        return self._embedder.count_tokens(texts)

    def close(self) -> None:
        """Free the weights."""
        with self._lock:
            self._known.clear()
        self._embedder.close()
