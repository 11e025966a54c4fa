"""Finding and removing what nobody needs any more: `mmchat sessions gc`. Safe beside a running app."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmchat.domain import Session
from mmchat.memory.database import wal_of
from mmchat.memory.sole_use import is_in_use
from mmchat.memory.store import MemoryStore
from mmchat.memory.trash import purge
from mmchat.memory.upgrade_copy import copies

YOUNG_S = 3600.0
"""Younger files are left alone: somebody may be about to need them."""
COPY_DAYS = 30
"""How long the copy from before an upgrade is kept."""
_AT_ONCE = 200
"""Files removed under one write lock, so that nobody else waits long for it."""

_UNUSED_ROWS = "SELECT sha256, file FROM blobs WHERE sha256 NOT IN (SELECT sha256 FROM attachments)"
_LONE_VECTORS = (
    "FROM embeddings WHERE (owner_kind = 'turn' AND owner NOT IN (SELECT number FROM turns))"
    " OR (owner_kind = 'attachment' AND owner NOT IN (SELECT number FROM attachments))"
)
_LONE_PASSAGE_VECTORS = "FROM passage_embeddings WHERE owner NOT IN (SELECT number FROM passages)"


@dataclass(frozen=True, slots=True)
class Litter:
    """What can go."""

    trash: tuple[Session, ...] = ()
    """Conversations deleted so long ago that they go for good."""
    files: tuple[Path, ...] = ()
    """Kept pictures and sounds that no turn uses, and unfinished copies of such."""
    vectors: int = 0
    """Vectors of turns and passages that are gone."""
    locks: tuple[Path, ...] = ()
    """Lock files of processes that are gone."""
    private_folders: tuple[Path, ...] = ()
    """Conversations under --no-log whose program crashed."""
    copies: tuple[Path, ...] = ()
    """Copies from before an upgrade, and unfinished recoveries."""
    size_bytes: int = 0
    """Of all files together."""

    @property
    def is_none(self) -> bool:
        """Nothing at all."""
        return not (self.trash or self.files or self.vectors or self.locks or self.private_folders or self.copies)

    @property
    def holds_words(self) -> bool:
        """Whether something a person made is among it, which is asked about before it goes."""
        return bool(self.trash or self.files)


def find_litter(store: MemoryStore) -> Litter:
    """Look for what can go; nothing is changed."""
    path = store.file.path
    files = tuple(_unused_files(store))
    folders = tuple(_private_folders())
    old_copies = tuple(_old_copies(path))
    locks = tuple(store.leftover_locks())
    sizes = sum(_size(each) for each in (*files, *locks, *old_copies)) + sum(
        _size(each) for folder in folders for each in folder.rglob("*")
    )
    return Litter(
        trash=purge(store, should_remove=False),
        files=files,
        vectors=sum(
            store.file.rows(f"SELECT count(*) AS count {lone}")[0]["count"]
            for lone in (_LONE_VECTORS, _LONE_PASSAGE_VECTORS)
        ),
        locks=locks,
        private_folders=folders,
        copies=old_copies,
        size_bytes=sizes,
    )


def remove_litter(store: MemoryStore, litter: Litter) -> Litter:
    """Remove it, but for what somebody has begun to need since. Returns what else became litter by it and went too."""
    purge(store)
    after = find_litter(store) if litter.trash else litter  # files of conversations that just went
    files = tuple(dict.fromkeys((*litter.files, *after.files)))
    for start in range(0, len(files), _AT_ONCE):
        with store.file.write() as db:
            # Under the lock: whoever stores a turn with the same bytes has its row, or looks for the file after us.
            db.execute(f"DELETE FROM blobs WHERE sha256 IN (SELECT sha256 FROM ({_UNUSED_ROWS}))")
            used = {file for (file,) in db.execute("SELECT file FROM blobs")}
            for path in files[start : start + _AT_ONCE]:
                if path.relative_to(store.blobs.folder).as_posix() not in used and _age_s(path) > YOUNG_S:
                    path.unlink(missing_ok=True)
    with store.file.write() as db:
        db.execute(f"DELETE {_LONE_VECTORS}")
        db.execute(f"DELETE {_LONE_PASSAGE_VECTORS}")
    for path in (*litter.locks, *litter.copies):
        path.unlink(missing_ok=True)
    for folder in litter.private_folders:
        shutil.rmtree(folder, ignore_errors=True)
    return after


def compact(store: MemoryStore) -> int:
    """Write the database anew without its gaps. Returns how many bytes that freed; needs as much room for a moment.

    Raises:
        MemoryStoreError: no room, or another program is writing.
    """
    before = _database_bytes(store.file.path)
    with store.file.read() as db:
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return before - _database_bytes(store.file.path)


# --- each kind ----------------------------------------------------------------------------------


def _unused_files(store: MemoryStore) -> Iterator[Path]:
    used = {
        row["file"]
        for row in store.file.rows("SELECT file FROM blobs WHERE sha256 IN (SELECT sha256 FROM attachments)")
    }
    folder = store.blobs.folder
    for path in sorted((*folder.glob("*.part"), *folder.glob("??/*"))):
        if path.is_file() and path.relative_to(folder).as_posix() not in used and _age_s(path) > YOUNG_S:
            yield path


def _private_folders() -> Iterator[Path]:
    for folder in sorted(Path(tempfile.gettempdir()).glob("mmchat-*")):
        database = folder / "mmchat.db"
        with contextlib.suppress(OSError):  # another user's, or gone meanwhile
            is_own = os.name != "posix" or (folder.stat().st_uid == os.getuid() and not folder.is_symlink())
            if is_own and database.is_file() and _age_s(database) > YOUNG_S and not is_in_use(database):
                yield folder


def _old_copies(path: Path) -> Iterator[Path]:
    for each in copies(path):
        if _age_s(each) > COPY_DAYS * 86400:
            yield each
    for each in sorted(path.parent.glob(f"{path.name}.*")):
        if (
            each.name.endswith((".part", ".recovering", ".recovering-wal", ".recovering-shm"))
            and _age_s(each) > YOUNG_S
        ):
            yield each


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _database_bytes(path: Path) -> int:
    return _size(path) + _size(wal_of(path))
