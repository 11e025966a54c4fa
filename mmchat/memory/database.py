"""The SQLite file itself: opening, migrating, one connection per thread, transactions, plain-word errors."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlite_utils import Database, Migrations

from mmchat.errors import MemoryStoreError
from mmchat.memory.migrations import MIGRATIONS, known_names
from mmchat.paths import private_dir

BUSY_TIMEOUT_S = 5.0

Row = dict[str, Any]


class DatabaseFile:
    """One SQLite file in WAL mode, shared by threads and processes.

    Every commit is synced to the disk (`synchronous=FULL`), so that what was stored survives a power
    cut. Files are readable by the user alone; SQLite gives its -wal and -shm files the same mode.
    """

    def __init__(
        self, path: Path, *, migrations: Migrations = MIGRATIONS, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._migrations = migrations
        self._local = threading.local()
        self._connections: list[tuple[threading.Thread, Database]] = []
        self._lock = threading.Lock()
        self._is_closed = False
        try:
            self._create_private()
        except OSError as error:
            raise MemoryStoreError(
                f"The folder of conversations cannot be used: {error.strerror or error} ({path.parent}).",
                hint="Check its permissions and the free space, or move mmchat's files with MMCHAT_HOME.",
            ) from error
        try:
            with self._translated():
                if self._is_behind():
                    self._migrate()
        except MemoryStoreError:
            self.close()
            raise

    # --- use ------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def read(self) -> Iterator[Database]:
        """This thread's connection; each statement sees the newest committed state.

        Raises:
            MemoryStoreError: what SQLite complained of, in plain words.
        """
        with self._translated():
            yield self._connection()

    @contextlib.contextmanager
    def write(self) -> Iterator[Database]:
        """One transaction that holds the write lock from its start, committed and synced at its end.

        Taking the lock at the start (IMMEDIATE) is what makes waiting work: a transaction that turns
        from reading to writing is refused at once when another process wrote in between.
        """
        with self._translated():
            db = self._connection()
            db.conn.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.rollback()
                raise
            db.commit()

    def rows(self, sql: str, parameters: tuple[object, ...] = ()) -> list[Row]:
        """All rows of a query, as dictionaries."""
        with self.read() as db:
            return list(db.query(sql, parameters))

    def check_integrity(self) -> list[str]:
        """Problems that SQLite finds: pages, indexes, foreign keys, the full-text index."""
        try:
            with self.read() as db:
                problems = [str(row[0]) for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
                for table, number, parent, _ in db.execute("PRAGMA foreign_key_check"):
                    problems.append(f"row {number} of {table} refers to a missing row of {parent}")
            for name in ("turns_fts", "sessions_fts"):
                with self.write() as db:
                    db.execute(f"INSERT INTO {name}({name}) VALUES ('integrity-check')")
        except MemoryStoreError as error:
            return [error.message]
        return problems

    def close(self) -> None:
        """Close the connections of all threads; a second call is harmless."""
        with self._lock:
            self._is_closed = True
            connections, self._connections = self._connections, []
        for _, db in connections:
            db.close()

    # --- opening --------------------------------------------------------------------------------

    def _create_private(self) -> None:
        private_dir(self.path.parent)
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            if os.name == "posix" and self.path.stat().st_mode & 0o077:
                self.path.chmod(0o600)

    def _is_behind(self) -> bool:
        """Whether steps are missing; looks without writing, so that a newer file stays as it is."""
        connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=self._busy_timeout_s)
        with contextlib.closing(connection):
            db = Database(connection, recursive_triggers=False, execute_plugins=False)
            applied = [step.name for step in self._migrations.applied(db)]
        known = known_names(self._migrations)
        unknown = [name for name in applied if name not in known]
        if unknown:
            raise MemoryStoreError(
                f"{self.path} was written by a newer mmchat: its schema is {unknown[-1]} "
                f"(version {len(applied)}), this program knows {known[-1]} (version {len(known)}).",
                hint="Update mmchat (pip install -U mmchat). The file was not touched.",
            )
        return len(applied) < len(known)

    def _migrate(self) -> None:
        db = self._connection()
        # The whole set runs under the write lock: two processes starting on a new file take turns.
        db.conn.execute("BEGIN IMMEDIATE")
        try:
            self._migrations.apply(db)
        except BaseException:
            db.rollback()
            raise
        db.commit()

    def _connection(self) -> Database:
        db: Database | None = getattr(self._local, "db", None)
        if self._is_closed:
            raise MemoryStoreError("The store of conversations is closed.")
        if db is None:
            db = self._connect()
            self._local.db = db
        return db

    def _connect(self) -> Database:
        connection = sqlite3.connect(self.path, timeout=self._busy_timeout_s, check_same_thread=False)
        try:
            db = Database(connection, execute_plugins=False)
            self._enter_wal(connection)
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
        except BaseException:
            connection.close()
            raise
        with self._lock:
            # Threads come and go; a dead one's connection would otherwise stay open until the end.
            for thread, old in self._connections:
                if not thread.is_alive():
                    old.close()
            self._connections = [entry for entry in self._connections if entry[0].is_alive()]
            self._connections.append((threading.current_thread(), db))
        return db

    def _enter_wal(self, connection: sqlite3.Connection) -> None:
        # SQLite does not wait for this switch by itself when another process makes it too.
        deadline = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL").fetchone()
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    # --- errors ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _explained(self, error: sqlite3.Error) -> MemoryStoreError:
        if isinstance(error, sqlite3.ProgrammingError) and self._is_closed:
            return MemoryStoreError("The store of conversations is closed.")
        message, hint = _EXPLANATIONS.get(
            getattr(error, "sqlite_errorcode", 0) & 0xFF,
            ("{path} could not be used: {error}.", "Run `mmchat doctor` to check the database."),
        )
        return MemoryStoreError(
            message.format(path=self.path, error=error, timeout_s=self._busy_timeout_s),
            hint=hint.format(path=self.path),
        )


_BUSY = (
    "{path} is in use by another program and did not become free within {timeout_s:g} s.",
    "Try again in a moment; if it stays so, close the other program that has the file open.",
)
_DAMAGED = (
    "{path} is damaged or is not a database ({error}).",
    "The file was left as it is. Keep a copy of it, then move it away to start afresh: mv '{path}' '{path}.damaged'",
)
_FULL = ("{path} could not be written: the disk is full.", "Free some space and try again; what was stored is kept.")
_UNREADABLE = (
    "{path} cannot be opened or written ({error}).",
    "Check the permissions of the file and its folder, or move mmchat's files with MMCHAT_HOME.",
)
_EXPLANATIONS: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: ("{path} could not be read or written: {error}.", "Check the disk; run `mmchat doctor`."),
    sqlite3.SQLITE_READONLY: _UNREADABLE,
    sqlite3.SQLITE_CANTOPEN: _UNREADABLE,
    sqlite3.SQLITE_PERM: _UNREADABLE,
}
