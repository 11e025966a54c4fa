"""What was seen in pictures that no conversation keeps, so that `mmchat see` looks at the same bytes once.

A small SQLite file among what can be made again: keys are digests of a picture's bytes and of all that bears on what is
seen in it; no names of files. Nothing depends on it: where it cannot be used, pictures are looked at again.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TypeVar

from mmchat.domain import Seen
from mmchat.memory.rows import seen_from_json, to_json
from mmchat.paths import private_dir

T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_ROWS = 20_000
_TABLE = "CREATE TABLE IF NOT EXISTS seen (key TEXT PRIMARY KEY, said TEXT NOT NULL, number INTEGER NOT NULL)"


class SeenCache:
    """Safe to use from several threads and processes."""

    def __init__(self, path: Path, stamp: str, *, max_rows: int = MAX_ROWS) -> None:
        """`stamp` names model, weights and options: what was seen under another one is not found."""
        self._path = path
        self._stamp = stamp
        self._max_rows = max_rows
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._is_unusable = False

    def find(self, digest: str) -> Seen | None:
        """What was seen in the picture of that SHA-256; None where it is not known."""
        said = self._use(lambda db: db.execute("SELECT said FROM seen WHERE key = ?", [self._key(digest)]).fetchone())
        try:
            return seen_from_json(said[0]) if said else None
        except (ValueError, TypeError, KeyError):  # written by another version
            return None

    def keep(self, digest: str, seen: Seen) -> None:
        """Remember it; of too many the oldest are forgotten."""

        def put(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT OR REPLACE INTO seen SELECT ?, ?, coalesce(max(number), 0) + 1 FROM seen",
                [self._key(digest), to_json(seen)],
            )
            db.execute("DELETE FROM seen WHERE number <= (SELECT max(number) FROM seen) - ?", [self._max_rows])
            db.commit()

        self._use(put)

    def close(self) -> None:
        """Close the file; calling it twice is harmless."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _key(self, digest: str) -> str:
        return sha256(f"{digest}\n{self._stamp}".encode()).hexdigest()

    def _use(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What `work` says; None where the file cannot be used, which is then left alone."""
        with self._lock:
            if self._is_unusable:
                return None
            try:
                return work(self._opened())
            except (sqlite3.Error, OSError) as error:
                log.warning("%s cannot be used: %s", self._path, error)
                self._is_unusable = True
                return None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            private_dir(self._path.parent)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            self._connection = _with_table(self._path)
        return self._connection


def _with_table(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
    try:
        connection.execute(_TABLE)
    except sqlite3.DatabaseError as error:
        connection.close()
        if isinstance(error, sqlite3.OperationalError):  # locked, or read-only: sound, but not for us
            raise
        path.unlink()  # damaged; it holds nothing that cannot be made again
        connection = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
        connection.execute(_TABLE)
    return connection
