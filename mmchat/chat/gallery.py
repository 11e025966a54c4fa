"""Looking at many pictures: folders opened, bytes read ahead, several looked at together, the same bytes once."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from mmchat.chat.media_kinds import kind_of
from mmchat.domain import Seen
from mmchat.engines.image_io import READABLE, decode_image, read_picture_file
from mmchat.engines.see import see_all
from mmchat.errors import ImageError, MediaError

if TYPE_CHECKING:
    from PIL.Image import Image

    from mmchat.chat.ports import Engines
    from mmchat.memory.seen_cache import SeenCache

GPU_BATCH, CPU_BATCH = 16, 4
"""Pictures looked at together. A processor gains nothing by more: its caches overflow (`benchmarks/see.py`)."""
READ_AHEAD = 4
"""Decoded pictures that wait; at most 12 MB each."""


@dataclass(frozen=True, slots=True)
class Look:
    """How to look."""

    top_k: int = 5
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """A picture that was looked at, or why it could not be."""

    path: Path
    seen: Seen | None = None
    error: MediaError | None = None
    is_known: bool = False
    """The same bytes were looked at before."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A file on its way: decoded, or known, or the same as an earlier one, or failed."""

    path: Path
    digest: str = ""
    image: Image | None = None
    seen: Seen | None = None
    error: MediaError | None = None


def pictures_in(paths: Sequence[Path]) -> list[Path]:
    """The files to look at: those named, and all pictures in the folders named and below, in order of name.

    Hidden files and folders are passed over, links to folders not followed. A folder without pictures stands for
    itself, so that looking at it says so.
    """
    files: list[Path] = []
    for path in paths:
        path = path.expanduser()
        found = [
            Path(folder) / name
            for folder, names in _walk(path)
            for name in names
            if not name.startswith(".") and kind_of(name) == "image"
        ]
        files += found or [path]
    return list(dict.fromkeys(files))


def _walk(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Folders and the names of the files in them; none where `path` is a file or cannot be opened."""
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield folder, sorted(names)


class Gallery:
    """Looks at pictures, several at once, and remembers what it saw where it is given a cache."""

    def __init__(self, engines: Engines, look: Look, cache: SeenCache | None = None) -> None:
        self._engines = engines
        self._look = look
        self._cache = cache

    def look_at(self, paths: Sequence[Path], cancel: Event) -> Iterator[Looked]:
        """Each picture in the order given, as soon as it was looked at. Ends early when cancelled.

        The model is loaded when the first picture needs it: where all are known it never is.

        Raises:
            MmchatError: the model cannot be had, or failed.
        """
        reads: queue.Queue[_Read | None] = queue.Queue(READ_AHEAD)
        over = Event()
        thread = threading.Thread(target=self._read_ahead, args=(paths, reads, over), name="read-pictures", daemon=True)
        thread.start()
        try:
            yield from self._looked(reads, cancel)
        finally:
            over.set()

    def close(self) -> None:
        """Close the cache; the engines are their owner's."""
        if self._cache is not None:
            self._cache.close()

    def _looked(self, reads: queue.Queue[_Read | None], cancel: Event) -> Iterator[Looked]:
        known: dict[str, Seen] = {}
        batch: list[_Read] = []
        while not cancel.is_set():
            read = reads.get()
            if read is not None:
                batch.append(read)
            is_due = read is None or sum(each.image is not None for each in batch) >= self._batch_size()
            # Nothing waits for more where the next one is not there yet.
            if batch and (is_due or reads.empty()):
                yield from self._look_at_batch(batch, known)
                batch = []
            if read is None:
                return

    def _look_at_batch(self, batch: Sequence[_Read], known: dict[str, Seen]) -> Iterator[Looked]:
        waiting = [(each.digest, each.image) for each in batch if each.image is not None]
        fresh = set()
        if waiting:
            self._engines.start(("vision",))  # both take seconds to load, and need not take turns
            texts, reader = self._engines.text_reader(), self._engines.image_reader()
            images = [image for _, image in waiting]
            seen = see_all(reader, images, top_k=self._look.top_k, labels=self._look.labels, texts=texts)
            for (digest, _), each in zip(waiting, seen, strict=True):
                known[digest] = each
                fresh.add(digest)
                if self._cache is not None:
                    self._cache.keep(digest, each)
        for read in batch:
            if read.error is not None:
                yield Looked(read.path, error=read.error)
                continue
            is_known = read.image is None
            found = read.seen or known[read.digest]
            yield Looked(read.path, replace(found, elapsed_s=0.0) if is_known else found, is_known=is_known)

    def _batch_size(self) -> int:
        states = {state.kind: state.device for state in self._engines.states()}
        return CPU_BATCH if states.get("vision", "cpu") in ("cpu", "") else GPU_BATCH

    def _read_ahead(self, paths: Sequence[Path], reads: queue.Queue[_Read | None], over: Event) -> None:
        digests: set[str] = set()
        for path in paths:
            if not _put(reads, self._read(path, digests), over):
                return
        _put(reads, None, over)

    def _read(self, path: Path, digests: set[str]) -> _Read:
        try:
            if path.is_dir():
                raise ImageError(f"There are no pictures in '{path}'.", hint=READABLE)
            data = read_picture_file(path)
            digest = sha256(data).hexdigest()
            if digest in digests:
                return _Read(path, digest)
            seen = self._cache.find(digest) if self._cache is not None else None
            if seen is not None:
                return _Read(path, digest, seen=seen)
            image = decode_image(data, path.name)
        except MediaError as error:
            return _Read(path, error=error)
        digests.add(digest)
        return _Read(path, digest, image)


def _put(reads: queue.Queue[_Read | None], read: _Read | None, over: Event) -> bool:
    """Hand it over; False where nobody takes it any more."""
    while not over.is_set():
        try:
            reads.put(read, timeout=0.2)
        except queue.Full:
            continue
        return True
    return False
