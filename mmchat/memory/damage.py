"""What can be seen of a database from outside, before SQLite is let near it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from mmchat.memory.database import wal_of
from mmchat.memory.soundness import sqlite_problems
from mmchat.memory.store_errors import emptied


def refuse_emptied(path: Path, blobs_dir: Path) -> None:
    """Do not begin afresh where a full database must have been.

    SQLite takes an empty file for a new database and deletes the log beside it, which may hold the latest
    conversations; and a database begun anew would let the kept files be taken for leftovers.

    Raises:
        MemoryStoreError: the file is missing or empty, and a log or kept files are there.
    """
    if is_emptied(path, blobs_dir):
        raise emptied(path)


def is_emptied(path: Path, blobs_dir: Path) -> bool:
    """Whether the file is missing or empty although a log or kept files are beside it."""
    return not _size(path) and bool(_size(wal_of(path)) or has_files(blobs_dir))


def page_problems(path: Path) -> list[str]:
    """What SQLite finds wrong with a file that it may only read; nothing is changed, not even its log.

    Raises:
        sqlite3.Error: the file cannot be opened or is locked.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    if not os.access(path.parent, os.W_OK) and not _size(wal_of(path)):
        uri += "&immutable=1"  # else SQLite wants to put its shared memory beside the file
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        return sqlite_problems(connection)


def has_files(blobs_dir: Path) -> bool:
    """Whether a folder of blobs holds any."""
    return any(path.is_file() for path in blobs_dir.glob("??/*"))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
