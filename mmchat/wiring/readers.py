"""What tells intents and moods, made once for each role and each head."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from mmchat import paths

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mmchat.engines.base import IntentReader, MoodReader, TextEmbedder
    from mmchat.engines.intents_head import Scorer

log = logging.getLogger(__name__)

KEPT_READERS = 8
"""Of roles in use at once: its intents and its topics are two."""
KEPT_FILES = 16
"""Of vectors, a role's being half a megabyte."""


class Readers:
    """Keeps what was fitted, by what it was fitted to. Safe from any thread; imports numpy when first used."""

    def __init__(self, embedder: Callable[[], TextEmbedder | None], stamp: Callable[[], str]) -> None:
        """`stamp`: tells the embedder's weights from others of its name."""
        self._embedder = embedder
        self._stamp = stamp
        self._lock = threading.Lock()
        self._known: OrderedDict[str, IntentReader] = OrderedDict()
        self._mood: tuple[TextEmbedder | None, MoodReader] | None = None

    def of_examples(self, examples: Mapping[str, Sequence[str]]) -> IntentReader:
        """Words alone until the embedder's weights are there; then, anew, words and vectors."""
        from mmchat.engines.intents_examples import ExampleIntents

        embedder = self._embedder()
        rows = [f"{intent}\0{text}" for intent, own in examples.items() for text in own]
        key = _key([embedder.name if embedder is not None else "", *rows])
        with self._lock:
            if key not in self._known:
                vectors = None if embedder is None else self._kept(embedder)
                self._known[key] = ExampleIntents(examples, embedder, vectors)
            self._known.move_to_end(key)
            while len(self._known) > KEPT_READERS:
                self._known.popitem(last=False)
            return self._known[key]

    def of_head(self, head: Scorer) -> IntentReader:
        """A head that is loaded."""
        from mmchat.engines.intents_head import HeadIntents

        return HeadIntents(head)

    def of_moods(self) -> MoodReader:
        """With sentence vectors where they are there."""
        from mmchat.engines.mood import Moods

        embedder = self._embedder()
        with self._lock:
            if self._mood is None or self._mood[0] is not embedder:
                self._mood = (embedder, Moods(embedder, None if embedder is None else self._kept(embedder)))
            return self._mood[1]

    def _kept(self, embedder: TextEmbedder) -> Callable[[Sequence[str]], NDArray[np.float32]]:
        """Vectors of texts that are the same at every start: read from the cache folder, or put there."""

        def vectors(texts: Sequence[str]) -> NDArray[np.float32]:
            import numpy as np

            folder = paths.readers_cache_dir()
            path = folder / f"{_key([self._stamp(), *texts])}.npy"
            try:
                found: NDArray[np.float32] = np.load(path)
            except (OSError, ValueError, EOFError):  # not there, or cut off
                found = embedder.embed(texts)
                _keep(path, found)
            return found

        return vectors


def _keep(path: os.PathLike[str], vectors: NDArray[np.float32]) -> None:
    """Put vectors into the cache folder; where that fails they are computed again next time."""
    from pathlib import Path

    import numpy as np

    target = Path(path)
    partial = target.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.save(file, vectors)
        partial.replace(target)
        old = sorted(target.parent.glob("*.npy"), key=lambda each: each.stat().st_mtime, reverse=True)[KEPT_FILES:]
        for each in old:
            each.unlink(missing_ok=True)
    except OSError as error:
        log.warning("vectors of examples were not kept: %s", error)


def _key(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]
