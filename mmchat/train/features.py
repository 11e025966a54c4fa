"""Vectors of frozen encoders, computed once and kept on disk, so that an interrupted run need not begin again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Event

import numpy as np
from numpy.typing import NDArray

Compute = Callable[[range], NDArray[np.float32]]
"""Indices of rows → their vectors, (len, …)."""


class FeatureCache:
    """Arrays in a folder, one file each, filled in order."""

    def __init__(self, folder: Path) -> None:
        """The folder is made when something is kept."""
        self._folder = folder

    def rows(
        self,
        name: str,
        key: str,
        count: int,
        compute: Compute,
        cancel: Event,
        *,
        chunk: int,
        on_rows: Callable[[int], None] = lambda done: None,
    ) -> NDArray[np.float32] | None:
        """All vectors, those that are missing computed now.

        Args:
            name: of the file.
            key: what they depend on (`feature_key`); kept vectors of another key are thrown away.
            count: how many rows there are, at least one.
            compute: called for `chunk` rows at a time.
            cancel: looked at before each chunk; what was computed stays.
            chunk: rows at once.
            on_rows: told how many are done.

        Returns:
            (count, …) in the number format that `compute` gave; None when cancelled.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        path, note = self._folder / f"{name}.npy", self._folder / f"{name}.json"
        done = _done(note, key, count) if path.is_file() else 0
        array = np.lib.format.open_memmap(path, mode="r+") if done else None
        while done < count:
            if cancel.is_set():
                return None
            piece = range(done, min(count, done + chunk))
            found = compute(piece)
            if array is None:
                array = np.lib.format.open_memmap(path, mode="w+", dtype=found.dtype, shape=(count, *found.shape[1:]))
            array[piece.start : piece.stop] = found
            array.flush()
            done = piece.stop
            note.write_text(json.dumps({"key": key, "count": count, "done": done}), encoding="utf-8")
            on_rows(done)
        assert array is not None
        return array


def _done(note: Path, key: str, count: int) -> int:
    if not note.is_file():
        return 0
    try:
        kept = json.loads(note.read_text(encoding="utf-8"))
        return int(kept["done"]) if kept["key"] == key and kept["count"] == count else 0
    except (ValueError, KeyError, TypeError):
        return 0  # cut off while it was written: computed anew


def feature_key(parts: Iterable[str]) -> str:
    """A short name for all that vectors depend on: the rows' checksums, the encoder's, the way of looking."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
