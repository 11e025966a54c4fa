"""A copy of the whole memory while it is in use: the database as it is at one moment, and every kept file, in a zip.

The zip holds `mmchat.db`, `blobs/…` and `mmchat-backup.json`, which names each of them with its SHA-256. It is read
again after it was written, and only then takes its name.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import IO

from mmchat import __version__
from mmchat.errors import MemoryStoreError, UsageError
from mmchat.memory.ids import new_id, now_text
from mmchat.memory.import_open import BACKUP_MANIFEST
from mmchat.memory.store import MemoryStore
from mmchat.paths import sync_dir

DATABASE = "mmchat.db"
BLOBS = "blobs"
_FORMAT = 1
_CHUNK_BYTES = 1 << 20
_ATTEMPTS = 10
"""A conversation that is deleted for good while its files are copied makes a backup begin anew."""
_STEPS_BETWEEN_LOOKS = 200_000

Say = Callable[[str], None]


class BackupCancelled(UsageError):
    """The user gave it up; nothing was left behind, and nothing changed."""

    exit_code = 130


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup holds."""

    path: Path
    created_at: str
    conversations: int
    turns: int
    files: int
    size_bytes: int
    """Of the zip."""
    problems: tuple[str, ...] = ()
    """Kept files that were damaged or missing already."""


@dataclass(frozen=True, slots=True)
class _Blob:
    sha256: str
    file: str


def default_name() -> str:
    """A name with the present minute."""
    return f"mmchat-backup-{datetime.now(UTC).astimezone():%Y-%m-%d-%H%M}.zip"


def write_backup(
    store: MemoryStore, target: Path, *, cancel: Event | None = None, say: Say = lambda text: None
) -> BackupReport:
    """Copy the whole memory into a zip, consistent also while others write.

    Args:
        store: what to copy.
        target: the zip; it must not be there yet.
        cancel: set it to give up.
        say: is told what goes on.

    Raises:
        UsageError: the target is there already.
        BackupCancelled: it was given up.
        MemoryStoreError: something cannot be read or written, or the copy is not sound; nothing was left behind.
    """
    if target.exists():
        raise UsageError(f"{target} is there already.", hint="A backup never replaces a file; give another name.")
    cancel = cancel or Event()
    snapshot, part = (target.with_name(f".{new_id()}.{ending}") for ending in ("db", "zip"))
    with _translated(target):
        try:
            for attempt in range(_ATTEMPTS):
                snapshot.unlink(missing_ok=True)
                say("Copying the database")
                _snapshot(store, snapshot, cancel)
                try:
                    report = _write_zip(store, snapshot, part, cancel, say)
                    break
                except _Vanished:
                    if attempt == _ATTEMPTS - 1:
                        raise MemoryStoreError(
                            "Files of conversations went away again and again while they were copied.",
                            hint="Try again when nothing is being deleted.",
                        ) from None
            say("Checking the backup")
            _check(part, cancel)
            _publish(part, target)
        finally:
            for litter in (snapshot, snapshot.with_name(f"{snapshot.name}-journal"), part):
                litter.unlink(missing_ok=True)
    return BackupReport(target, report.created_at, report.conversations, report.turns, report.files,
                        target.stat().st_size, report.problems)  # fmt: skip


# --- writing ------------------------------------------------------------------------------------


class _Vanished(Exception):
    """A file was deleted with its conversation after the database was copied."""


def _snapshot(store: MemoryStore, path: Path, cancel: Event) -> None:
    """The database at one moment. Writers go on meanwhile; what they write is not in it."""
    # VACUUM INTO takes an empty file that is there, which keeps it readable by the user alone.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with store.file.read() as db, _interruptible(db.conn, cancel), _full_there(path):
            db.conn.execute("VACUUM INTO ?", [str(path)])
    except MemoryStoreError:
        _stop_if(cancel)
        raise
    with contextlib.closing(sqlite3.connect(path)) as copy, _interruptible(copy, cancel):
        try:
            problems = database_problems(copy)
        except sqlite3.OperationalError:
            _stop_if(cancel)
            raise
    if problems:
        raise MemoryStoreError(
            f"The database is damaged: {'; '.join(problems[:3])}.",
            hint="`mmchat doctor` checks it and says what to do.",
        )


def database_problems(connection: sqlite3.Connection) -> list[str]:
    """What SQLite finds wrong with a database; empty when it is sound."""
    found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
    rows = connection.execute("PRAGMA foreign_key_check")
    return found + [f"row {number} of {table} refers to a missing row of {parent}" for table, number, parent, _ in rows]


def _write_zip(store: MemoryStore, snapshot: Path, part: Path, cancel: Event, say: Say) -> BackupReport:
    with contextlib.closing(sqlite3.connect(snapshot)) as copy:
        sessions, turns = (
            copy.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("sessions", "turns")
        )
        blobs = [_Blob(*row) for row in copy.execute("SELECT sha256, file FROM blobs ORDER BY sha256")]
        steps = [row[0] for row in copy.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'mmchat'")]
    created_at, problems = now_text(), []
    hashes: dict[str, str] = {}
    opened = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b")
    with opened, zipfile.ZipFile(opened, "w", strict_timestamps=False) as archive:
        say("Writing the database")
        hashes[DATABASE] = _put(archive, DATABASE, snapshot, cancel, zipfile.ZIP_DEFLATED)
        for number, blob in enumerate(blobs, start=1):
            if number % 50 == 1:
                say(f"Copying files: {number:,} of {len(blobs):,}")
            name = f"{BLOBS}/{blob.file}"
            try:
                hashes[name] = _put(archive, name, store.blobs.path(blob.file), cancel, zipfile.ZIP_STORED)
            except FileNotFoundError:
                if not _is_known(store, blob):
                    raise _Vanished from None
                problems.append(f"the kept file {store.blobs.path(blob.file)} is missing")
                continue
            if hashes[name] != blob.sha256:
                problems.append(f"the kept file {store.blobs.path(blob.file)} is damaged")
        manifest = {
            "format": _FORMAT,
            "program": f"mmchat {__version__}",
            "created_at": created_at,
            "schema": steps,
            "conversations": sessions,
            "turns": turns,
            "sha256": hashes,
            "problems": problems,
        }
        archive.writestr(BACKUP_MANIFEST, json.dumps(manifest, indent=1), zipfile.ZIP_DEFLATED)
    return BackupReport(part, created_at, sessions, turns, len(hashes) - 1, 0, tuple(problems))


def _is_known(store: MemoryStore, blob: _Blob) -> bool:
    """Whether the store still has a file that is gone."""
    # Asked under the write lock: whoever deletes a file removes it before others see its row go.
    with store.file.write() as db:
        return db.execute("SELECT 1 FROM blobs WHERE sha256 = ?", [blob.sha256]).fetchone() is not None


def _put(archive: zipfile.ZipFile, name: str, source: Path, cancel: Event, packing: int) -> str:
    """Copy a file in, and return the hash of what was copied."""
    digest = hashlib.sha256()
    about = zipfile.ZipInfo(name, datetime.now().timetuple()[:6])
    about.compress_type, about.external_attr = packing, 0o600 << 16
    with source.open("rb") as file, archive.open(about, "w", force_zip64=True) as member:
        while chunk := file.read(_CHUNK_BYTES):
            _stop_if(cancel)
            digest.update(chunk)
            member.write(chunk)
    return digest.hexdigest()


def _check(part: Path, cancel: Event) -> None:
    """Read everything back from the disk."""
    with zipfile.ZipFile(part) as archive:
        for name, sha256 in read_manifest(archive, part).items():
            with archive.open(name) as member:
                if _hash(member, cancel) != sha256:
                    raise MemoryStoreError(
                        f"The backup does not read back as it was written ({name}).",
                        hint="The disk may be failing; write the backup to another one.",
                    )


def _publish(part: Path, target: Path) -> None:
    with part.open("rb") as written:
        os.fsync(written.fileno())
    if target.exists():
        raise UsageError(
            f"{target} came into being meanwhile.", hint="A backup never replaces a file; give another name."
        )
    part.rename(target)
    sync_dir(target.parent)


# --- reading ------------------------------------------------------------------------------------


def manifest_of(archive: zipfile.ZipFile, path: Path) -> dict[str, object]:
    """What a backup says of itself.

    Raises:
        MemoryStoreError: it is no backup, or one of a newer mmchat.
    """
    try:
        manifest = json.loads(archive.read(BACKUP_MANIFEST))
    except (KeyError, ValueError) as error:
        raise MemoryStoreError(
            f"{path} is no backup of mmchat.", hint="A backup is made with: mmchat sessions backup"
        ) from error
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise MemoryStoreError(f"{path} was written by a newer mmchat.", hint="Update mmchat (pip install -U mmchat).")
    return manifest


def read_manifest(archive: zipfile.ZipFile, path: Path) -> dict[str, str]:
    """The SHA-256 of each member of a backup.

    Raises:
        MemoryStoreError: it is no whole backup.
    """
    hashes = manifest_of(archive, path).get("sha256")
    members = set(archive.namelist())
    if not isinstance(hashes, dict) or DATABASE not in hashes or not members >= set(hashes):
        raise MemoryStoreError(
            f"{path} is not a whole backup: files are missing in it.", hint="Use another copy of it."
        )
    return {str(name): str(sha256) for name, sha256 in hashes.items()}


def _hash(member: IO[bytes], cancel: Event) -> str:
    digest = hashlib.sha256()
    while chunk := member.read(_CHUNK_BYTES):
        _stop_if(cancel)
        digest.update(chunk)
    return digest.hexdigest()


# --- giving up, errors --------------------------------------------------------------------------


def _stop_if(cancel: Event) -> None:
    if cancel.is_set():
        raise BackupCancelled("Given up; nothing was left behind.")


@contextlib.contextmanager
def _interruptible(connection: sqlite3.Connection, cancel: Event) -> Iterator[None]:
    """Let a long statement be given up."""
    connection.set_progress_handler(cancel.is_set, _STEPS_BETWEEN_LOOKS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


@contextlib.contextmanager
def _full_there(path: Path) -> Iterator[None]:
    """Say where there is no room: SQLite only says that there is none, and it is the copy that is written."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
            raise MemoryStoreError(
                f"There is no room for the backup in {path.parent}.",
                hint="It takes the size of the database and of the kept files. Nothing was left behind.",
            ) from error
        raise


@contextlib.contextmanager
def _translated(target: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error, zipfile.BadZipFile) as error:
        what = getattr(error, "strerror", None) or error
        raise MemoryStoreError(
            f"The backup {target} could not be written: {what}.",
            hint="Check the folder and the free space. Nothing was left behind, and nothing changed.",
        ) from error
