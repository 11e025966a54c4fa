"""What can be seen of a database from outside, before SQLite is let near it."""

from __future__ import annotations

from pathlib import Path

from mmchat.memory.database import wal_of
from mmchat.memory.store_errors import emptied


def refuse_emptied(path: Path, blobs_dir: Path) -> None:
    """Do not begin afresh where a full database must have been.

    SQLite takes an empty file for a new database and deletes the log beside it, which may hold the latest
    conversations; and a database begun anew would let the kept files be taken for leftovers.

    Raises:
        MemoryStoreError: the file is missing or empty, and a log or kept files are there.
    """
    if not _size(path) and (_size(wal_of(path)) or has_files(blobs_dir)):
        raise emptied(path)


def has_files(blobs_dir: Path) -> bool:
    """Whether a folder of blobs holds any."""
    return any(path.is_file() for path in blobs_dir.glob("??/*"))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
