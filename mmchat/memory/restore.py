"""A backup brought back: checked whole beside the memory, which is then moved aside, never overwritten."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mmchat.errors import MemoryStoreError
from mmchat.memory.backup import BLOBS, DATABASE, database_problems, manifest_of, read_manifest
from mmchat.memory.ids import new_id
from mmchat.memory.migrations import known_names
from mmchat.memory.restore_journal import finish_restore, journal
from mmchat.memory.sole_use import sole_use
from mmchat.paths import private_dir, sync_dir

_CHUNK_BYTES = 1 << 20
_LITTER_AGE_S = 3600.0
_BESIDE = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class BackupContents:
    """What a backup says of itself."""

    path: Path
    created_at: str
    conversations: int
    turns: int


def look_into_backup(path: Path) -> BackupContents:
    """What is in a backup, before anything is done.

    Raises:
        MemoryStoreError: it is no backup, not a whole one, or of a newer mmchat.
    """
    with _opened(path) as archive:
        manifest = manifest_of(archive, path)
        read_manifest(archive, path)
        steps = manifest.get("schema")
        unknown = [step for step in steps if step not in known_names()] if isinstance(steps, list) else []
        if unknown:
            raise MemoryStoreError(
                f"{path} was written by a newer mmchat: its schema is {unknown[-1]}.",
                hint="Update mmchat (pip install -U mmchat). Nothing was changed.",
            )
        counts = [value if isinstance(value := manifest.get(key), int) else 0 for key in ("conversations", "turns")]
        return BackupContents(path, str(manifest.get("created_at", "")), *counts)


def stored_conversations(database_path: Path) -> int | None:
    """How many conversations are there now; None where that cannot be told."""
    if not database_path.exists():
        return 0
    try:
        with contextlib.closing(
            sqlite3.connect(f"{database_path.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            return int(connection.execute("SELECT count(*) FROM sessions").fetchone()[0])
    except sqlite3.Error:
        return None


def restore_backup(
    path: Path, database_path: Path, blobs_dir: Path, *, say: Callable[[str], None] = lambda text: None
) -> Path | None:
    """Put a backup in the place of the memory.

    Returns:
        the folder that the memory which was there is moved to; None where there was none.

    Raises:
        MemoryStoreError: the backup is not sound, the memory is in use, or something cannot be written; the memory is
            as it was.
    """
    look_into_backup(path)
    finish_restore(database_path)
    home = private_dir(database_path.parent)
    for left in home.glob(".restore-*"):  # by a program that was killed while it unpacked
        if time.time() - left.stat().st_mtime > _LITTER_AGE_S:
            shutil.rmtree(left, ignore_errors=True)
    fresh = home / f".restore-{new_id()}"
    try:
        say("Unpacking and checking the backup")
        _unpack(path, fresh)
        say("Moving")
        # A file that is missing must not be made, only to be moved aside.
        guard = sole_use(database_path) if database_path.exists() else contextlib.nullcontext()
        with guard:
            return _exchange(fresh, database_path, blobs_dir)
    except OSError as error:
        raise MemoryStoreError(
            f"The backup could not be brought back: {error.strerror or error}.",
            hint=f"Check the free space and the permissions of {home}. The memory is as it was.",
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _unpack(path: Path, fresh: Path) -> None:
    private_dir(fresh)
    private_dir(fresh / BLOBS)
    with _opened(path) as archive:
        for name, sha256 in read_manifest(archive, path).items():
            target = fresh / name
            if not target.resolve().is_relative_to(fresh.resolve()):
                raise MemoryStoreError(f"{path} holds a file that leads out of it ({name}).", hint="Do not use it.")
            private_dir(target.parent)
            digest = hashlib.sha256()
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file, archive.open(name) as member:
                while chunk := member.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            if digest.hexdigest() != sha256:
                raise MemoryStoreError(f"{path} is damaged ({name}).", hint="Use another copy of it.")
    try:
        with contextlib.closing(sqlite3.connect(fresh / DATABASE)) as connection:
            problems = database_problems(connection)
    except sqlite3.Error as error:
        problems = [str(error)]
    if problems:
        raise MemoryStoreError(f"The database in {path} is damaged: {problems[0]}.", hint="Use another copy of it.")


def _exchange(fresh: Path, database_path: Path, blobs_dir: Path) -> Path | None:
    """Move what is there aside and the new in; on an error all back."""
    present = [each for each in (database_path, *(_beside(database_path)), blobs_dir) if each.exists()]
    aside = database_path.parent / f"before-restore-{datetime.now(UTC).astimezone():%Y-%m-%d-%H%M%S}"
    moves: list[tuple[Path, Path]] = []
    if present:
        private_dir(aside)
        moves += [(each, aside / each.name) for each in present]
    moves.append((fresh / DATABASE, database_path))
    moves.append((fresh / BLOBS, blobs_dir))
    done: list[tuple[Path, Path]] = []
    with journal(database_path, moves, fresh):
        try:
            for source, target in moves:
                source.rename(target)
                done.append((source, target))
        except (OSError, KeyboardInterrupt):
            for source, target in reversed(done):
                target.rename(source)
            raise
        sync_dir(database_path.parent)
    return aside if present else None


def _beside(path: Path) -> list[Path]:
    return [path.with_name(path.name + ending) for ending in _BESIDE]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise MemoryStoreError(
            f"{path} is no backup, or damaged: {error}.", hint="Use another copy of it. Nothing was changed."
        ) from error
    except FileNotFoundError as error:
        raise MemoryStoreError(f"There is no {path}.", hint="Check the path. Nothing was changed.") from error
