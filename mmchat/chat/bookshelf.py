"""The documents at hand: files are added, read again when they change, listed, searched and removed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING

from mmchat.chat.document_files import (
    MAX_FILES,
    FileAt,
    TooManyFiles,
    files_below,
    hash_of,
    is_gone,
    outermost_first,
    passed_over,
)
from mmchat.chat.document_names import fitting
from mmchat.documents.kinds import MEDIA_TYPES, READABLE, kind_of
from mmchat.documents.reading import MAX_FILE_BYTES, READER, read_document
from mmchat.errors import DeviceError, EngineUnavailable, UsageError, WeightsError
from mmchat.knowledge_values import OWN_SHELF, Document, ReadDocument
from mmchat.memory import documents as rows
from mmchat.memory.documents import KnownFile
from mmchat.memory.knowledge import Knowledge

if TYPE_CHECKING:
    from mmchat.domain import Recalled
    from mmchat.engines.base import TextReader
    from mmchat.memory.recall import Embeds
    from mmchat.memory.store import MemoryStore

log = logging.getLogger(__name__)

LEFT_OUT = "left out"
"""In the place of a reader: the user removed this file out of a folder that stays, and it does not come back by
itself."""
_TOO_LARGE = f"It is too large: more than {MAX_FILE_BYTES / 1e6:,.0f} MB."


@dataclass(frozen=True, slots=True)
class Reading:
    """How far it is."""

    done: int
    total: int
    """Files, or steps of making passages findable by meaning."""
    name: str
    """Of the file that is being read; empty for the latter."""


@dataclass(frozen=True, slots=True)
class FileProblem:
    """What is wrong with a file, in words."""

    path: Path
    problem: str


@dataclass(frozen=True, slots=True)
class Shelved:
    """What became of files."""

    read: tuple[Document, ...] = ()
    """New, or changed."""
    unchanged: int = 0
    gone: int = 0
    """Removed since, as their files were."""
    problems: tuple[FileProblem, ...] = ()
    """Files of which nothing, or not all, could be read just now."""
    passed_over: tuple[Path, ...] = ()
    """Files in folders, of kinds that are not read."""
    was_stopped: bool = False


OnProgress = Callable[[Reading], None]


def _tell_nobody(_: Reading) -> None: ...


class Bookshelf:
    """Documents in the store. Safe from any thread; reading files is slow, so call it from a worker."""

    def __init__(
        self,
        store: MemoryStore,
        embedder: Callable[[], Embeds | None] = lambda: None,
        text_reader: Callable[[], TextReader | None] = lambda: None,
    ) -> None:
        """Nothing is loaded before it is needed.

        Args:
            store: where the passages go.
            embedder: makes them findable by meaning.
            text_reader: reads text in pictures.
        """
        self._store = store
        self._embedder = embedder
        self._text_reader = text_reader
        self._knowledge = Knowledge(store, embedder)
        self._lock = Lock()
        """One at a time, so that no file is read twice."""
        self._adding: Event | None = None
        """Stops what is being added."""

    # --- looking --------------------------------------------------------------------------------

    def all(self, shelf: str | None = None) -> tuple[Document, ...]:
        """By shelf and path; of one shelf, or of all."""
        found = rows.documents(self._store, shelf)
        return tuple(document for document in found if document.problem != LEFT_OUT)

    def meant(self, name: str, shelf: str | None = None) -> tuple[Document, ...]:
        """What a name means: an id, the path or name of a file, or of a folder that was added, with all in it.

        Args:
            name: as typed.
            shelf: where to look; None looks among the user's own first, then among those of all roles.

        Raises:
            UsageError: nothing is called so, or several files are.
        """
        shelves = (OWN_SHELF, None) if shelf is None else (shelf,)
        found = next((found for each in shelves if (found := fitting(self.all(each), name))), ())
        if not found:
            raise UsageError(f"No document is called '{name}'.", hint="mmchat docs list names them all.")
        return found

    def search(
        self, query: str, *, shelves: Sequence[str] = (OWN_SHELF,), k: int = 5, use_vectors: bool = True
    ) -> tuple[Recalled, ...]:
        """Passages that bear on a query, best first; none that is `is_sure` where the documents hardly tell of it."""
        return self._knowledge.find(query, shelves=shelves, k=k, use_vectors=use_vectors)

    # --- adding and refreshing ------------------------------------------------------------------

    def add(
        self,
        paths: Sequence[Path],
        shelf: str = OWN_SHELF,
        *,
        on_progress: OnProgress = _tell_nobody,
        cancel: Event | None = None,
    ) -> Shelved:
        """Take in files, and folders with all that is in them. Files that did not change are not read again.

        Args:
            paths: files and folders.
            shelf: '' for the user's own documents, or a role's name.
            on_progress: told before each file.
            cancel: set it to stop; what was read is kept.

        Raises:
            UsageError: a path does not exist, or a folder holds no documents, or far too many; nothing was added.
            MemoryStoreError: it could not be written.
        """
        roots = outermost_first(_existing(path) for path in paths)
        known = rows.known_files(self._store, shelf)
        found: dict[Path, FileAt] = {}
        for root in roots:
            files = list(_files(root, known))
            if not files:
                raise UsageError(f"There are no documents in '{root}'.", hint=f"mmchat reads {READABLE}.")
            for file in files:
                found.setdefault(file.path, file)
        with self._lock:
            self._adding = cancel or Event()
            try:
                shelved = self._take_in(shelf, list(found.values()), on_progress, self._adding, named=frozenset(roots))
                shelved = self._with_known_problems(shelved, shelf, found)
                self.embed(on_progress, self._adding)
                others = tuple(path for root in roots for path in passed_over(root))
                return replace(shelved, passed_over=others, was_stopped=self._adding.is_set())
            finally:
                self._adding = None

    def _with_known_problems(self, shelved: Shelved, shelf: str, files: Iterable[Path]) -> Shelved:
        """What was wrong with files before, and is since they did not change, is said again to whoever adds them."""
        told = {each.path for each in shelved.problems}
        named = set(files) - told
        again = [document for document in self.all(shelf) if document.problem and document.path in named]
        problems = (*shelved.problems, *(FileProblem(document.path, document.problem) for document in again))
        empty = sum(not document.passages for document in again)
        return replace(shelved, problems=problems, unchanged=shelved.unchanged - empty)

    @property
    def is_adding(self) -> bool:
        """Whether files are being added just now."""
        return self._adding is not None

    def stop_adding(self) -> None:
        """Stop after the file at hand; harmless where nothing is being added."""
        if (adding := self._adding) is not None:
            adding.set()

    def refresh(
        self,
        shelf: str = OWN_SHELF,
        roots: Sequence[Path] = (),
        *,
        on_progress: OnProgress = _tell_nobody,
        cancel: Event | None = None,
    ) -> Shelved:
        """Read what is new or changed below all that was added, and drop what is gone. Cheap where nothing changed.

        `embed` makes what was read findable by meaning.

        Args:
            shelf: as in `add`.
            roots: folders and files that belong to it beside those that were added, such as a role's.
            on_progress: told before each file that is read.
            cancel: set it to stop; what was read is kept.

        Raises:
            MemoryStoreError: it could not be read or written.
        """
        cancel = cancel or Event()
        with self._lock:
            known = rows.known_files(self._store, shelf)
            found: dict[Path, FileAt] = {}
            there: list[Path] = []
            for root in outermost_first([*roots, *(file.root for file in known.values())]):
                if root.exists():
                    there.append(root)
                    for file in _files_quietly(root):
                        found.setdefault(file.path, file)
            gone = [
                file.document
                for path, file in known.items()
                if path not in found and (file.root in there or is_gone(file.root))
            ]
            if gone:
                rows.remove_documents(self._store, gone)
            return replace(self._take_in(shelf, list(found.values()), on_progress, cancel), gone=len(gone))

    def _take_in(
        self,
        shelf: str,
        files: Sequence[FileAt],
        on_progress: OnProgress,
        cancel: Event,
        *,
        named: frozenset[Path] = frozenset(),
    ) -> Shelved:
        """Read those files that changed. `named`: those that the user named, which come back if they were removed."""
        known = rows.known_files(self._store, shelf)
        waiting = [file for file in files if not _is_unchanged(file, known.get(file.path), named)]
        read: list[Document] = []
        problems: list[FileProblem] = []
        unchanged = len(files) - len(waiting)
        for done, file in enumerate(waiting):
            on_progress(Reading(done, len(waiting), file.path.name))
            if cancel.is_set():
                break
            document = self._read(shelf, file, known.get(file.path), cancel)
            if document is None and not cancel.is_set():
                unchanged += 1
            elif isinstance(document, Document):
                read.append(document)
                problems += [FileProblem(file.path, document.problem)] if document.problem else []
            elif document is not None:
                problems.append(document)
        return Shelved(tuple(read), unchanged, problems=tuple(problems), was_stopped=cancel.is_set())

    def _read(self, shelf: str, file: FileAt, known: KnownFile | None, cancel: Event) -> Document | FileProblem | None:
        """What was read of a file; None where it did not change after all, or reading was stopped."""
        try:
            # What cannot be read for its size need not be looked at, and is known by that.
            sha256 = hash_of(file.path) if file.size_bytes <= MAX_FILE_BYTES else f"size:{file.size_bytes}"
        except OSError as error:
            reason = "You have no permission to read it." if isinstance(error, PermissionError) else str(error)
            return FileProblem(file.path, reason)
        if known is not None and known.sha256 == sha256 and known.reader == READER:
            rows.keep_unchanged(self._store, known.document, root=file.root, modified_ns=file.modified_ns)
            return None
        if file.size_bytes > MAX_FILE_BYTES:
            kind = kind_of(file.path) or "text"
            read = ReadDocument(file.path.name, MEDIA_TYPES[kind], (), _TOO_LARGE)
        else:
            read = read_document(file.path, read_picture=self._read_picture, cancel=cancel)
        if cancel.is_set():  # it may be half of it
            return None
        if not read.pieces and kind_of(file.path) is None:  # no document at all, so that it is not kept as one
            if known is not None:
                rows.remove_documents(self._store, [known.document])
            return FileProblem(file.path, read.problem)
        return self._save(shelf, file, sha256, read, READER)

    def _save(self, shelf: str, file: FileAt, sha256: str, read: ReadDocument, reader: str) -> Document:
        return rows.save_document(
            self._store,
            shelf=shelf,
            root=file.root,
            path=file.path,
            sha256=sha256,
            size_bytes=file.size_bytes,
            modified_ns=file.modified_ns,
            read=read,
            reader=reader,
        )

    def _read_picture(self, path: Path) -> str:
        from mmchat.engines.image_io import open_image

        reader = self._text_reader()
        if reader is None:
            raise EngineUnavailable("Text in pictures is not read: `read_text = false` in the settings.")
        return reader.read(open_image(path))

    def embed(self, on_progress: OnProgress = _tell_nobody, cancel: Event | None = None) -> None:
        """Make passages findable by meaning, where the model for that is in place; else they are later.

        Stopped by `cancel`, it is gone on with the next time; until then the rest is found by its words.
        """

        def tell(done: int, total: int) -> None:
            on_progress(Reading(done, total, ""))

        try:
            self._knowledge.backfill(cancel=cancel, on_progress=tell)
        except (EngineUnavailable, WeightsError, DeviceError):
            log.warning("passages not embedded", exc_info=True)

    # --- removing -------------------------------------------------------------------------------

    def remove(self, documents: Iterable[Document]) -> None:
        """Forget documents; the files stay. Those that lie in a folder that was added do not come back with it.

        Raises:
            MemoryStoreError: it could not be written.
        """
        removed = list(documents)
        ids = {document.id for document in removed}
        with self._lock:
            for shelf in {document.shelf for document in removed}:
                kept_roots = {each.root for each in self.all(shelf) if each.id not in ids}
                known = rows.known_files(self._store, shelf)
                of_shelf = [document for document in removed if document.shelf == shelf]
                for document in of_shelf:
                    is_in_kept_folder = document.root != document.path and (
                        document.root in kept_roots or (shelf != OWN_SHELF and document.root.exists())
                    )
                    if is_in_kept_folder and (file := known.get(document.path)) is not None:
                        at = FileAt(file.root, file.path, file.size_bytes, file.modified_ns)
                        left_out = ReadDocument(document.title, document.media_type, (), LEFT_OUT)
                        self._save(shelf, at, file.sha256, left_out, LEFT_OUT)
                        ids.discard(document.id)
                    elif document.root not in kept_roots:  # the folder goes as a whole, with what was left out of it
                        ids |= {each.document for each in known.values() if each.root == document.root}
            rows.remove_documents(self._store, sorted(ids))


def _is_unchanged(file: FileAt, known: KnownFile | None, named: frozenset[Path]) -> bool:
    if known is None:
        return False
    if known.reader == LEFT_OUT:
        return file.path not in named
    same = (known.size_bytes, known.modified_ns, known.root) == (file.size_bytes, file.modified_ns, file.root)
    return same and known.reader == READER


def _existing(path: Path) -> Path:
    try:
        return path.expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:  # a circle of links; a NUL
        raise UsageError(f"There is no file or folder '{path}'.", hint="Check the path.") from error


def _files(root: Path, known: Mapping[Path, KnownFile]) -> list[FileAt]:
    """What is below it; as of a folder that was added before, where it lies in one."""
    folders = {file.root for file in known.values() if file.root != file.path and root.is_relative_to(file.root)}
    owner = min(folders, key=lambda folder: len(folder.parts), default=root)
    try:
        return [replace(file, root=owner) for file in files_below(root)]
    except TooManyFiles as error:
        raise UsageError(
            f"There are more than {MAX_FILES:,} documents in '{root}'.", hint="Add the folders in it that you need."
        ) from error


def _files_quietly(root: Path) -> list[FileAt]:
    found: list[FileAt] = []
    try:
        found += files_below(root)
    except TooManyFiles:  # it grew since it was added
        log.warning("more than %s documents below %s", MAX_FILES, root)
    return found
