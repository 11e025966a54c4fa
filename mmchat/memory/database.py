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

from mmchat.errors import DatabaseDamaged, DiskFull, MemoryStoreError
from mmchat.memory.migrations import MIGRATIONS, known_names
from mmchat.memory.soundness import INDEX_PROBLEM, sqlite_problems
from mmchat.memory.store_errors import explained, newer, not_in_place, read_only, unusable_folder
from mmchat.memory.upgrade_copy import copies, copy_before, damaged_copies, drop_copies_but
from mmchat.narration import tell
from mmchat.paths import private_dir, sync_dir

BUSY_TIMEOUT_S = 30.0
"""SQLite's waiting is not fair: with many writers on a slow disk one of them waited for more than 5 s."""
CLOSING_TIMEOUT_S = 5.0
"""How long closing waits for a thread that reads."""

Row = dict[str, Any]


class DatabaseFile:
    """One SQLite file in WAL mode, shared by threads and processes.

    Every commit is synced to the disk (`synchronous=FULL`), so that what was stored survives a power
    cut. Files are readable by the user alone; SQLite gives its -wal and -shm files the same mode.
    A file that cannot be written (a read-only disk, another owner) can still be read.
    """

    def __init__(
        self, path: Path, *, migrations: Migrations = MIGRATIONS, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._migrations = migrations
        self._local = threading.local()
        self._connections: list[tuple[threading.Thread, Database, threading.RLock]] = []
        self._lock = threading.Lock()
        self._turn = threading.RLock()
        self._is_closed = False
        self._full_disk: DiskFull | None = None
        """Why the file can only be read, where that is not its permissions."""
        self._opening = 0
        try:
            self.is_read_only = _is_read_only(path)
            if not self.is_read_only:
                self._create_private()
        except OSError as error:
            raise unusable_folder(path.parent, error) from error
        try:
            with self._translated():
                if self._is_behind_or_full():
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
        with self._in_use() as db, self._translated():
            yield db

    @contextlib.contextmanager
    def write(self) -> Iterator[Database]:
        """One transaction that holds the write lock from its start, committed and synced at its end.

        Taking the lock at the start (IMMEDIATE) is what makes waiting work: a transaction that turns
        from reading to writing is refused at once when another process wrote in between.
        """
        if self._full_disk is not None:
            self._open_again()
        if self.is_read_only:
            raise read_only(self.path)
        # The threads of one program take turns here, in order; only one of them contends with other programs.
        with self._turn, self._in_use() as db, self._translated():
            db.conn.execute("BEGIN IMMEDIATE")
            try:
                self._check_place()
                yield db
                # Within: a commit that fails (a full disk) must not leave its transaction open for the next one.
                db.commit()
            except BaseException:
                db.rollback()
                raise

    def rows(self, sql: str, parameters: tuple[object, ...] = ()) -> list[Row]:
        """All rows of a query, as dictionaries."""
        with self.read() as db:
            cursor = db.execute(sql, parameters)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def check_integrity(self) -> list[str]:
        """Problems that SQLite finds: pages, indexes, foreign keys, the full-text index."""
        with self.read() as db:
            problems = sqlite_problems(db.conn)
        if problems or self.is_read_only:  # the full-text index is checked by a command that writes
            return problems
        for name in ("turns_fts", "sessions_fts", "passages_fts"):
            try:
                with self.write() as db:
                    db.execute(f"INSERT INTO {name}({name}) VALUES ('integrity-check')")
            except DatabaseDamaged as error:
                problems.append(f"{INDEX_PROBLEM} {name} is damaged: {error.message}")
        return problems

    def kept_aside(self) -> list[Path]:
        """Older states of the file that stand beside it: from before an upgrade, and damaged ones."""
        return [*copies(self.path), *damaged_copies(self.path)]

    def close(self) -> None:
        """Close the connections of all threads; a second call is harmless.

        A connection that is closed while another thread reads from it takes the whole program down, so what is
        being read is waited for, and in the end left to that thread.
        """
        with self._lock:
            self._is_closed = True
            connections, self._connections = self._connections, []
        for _, db, in_use in connections:
            if in_use.acquire(timeout=CLOSING_TIMEOUT_S):
                try:
                    db.close()
                finally:
                    in_use.release()

    # --- opening --------------------------------------------------------------------------------

    def _create_private(self) -> None:
        private_dir(self.path.parent)
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            sync_dir(self.path.parent)
        except FileExistsError:
            if os.name == "posix" and self.path.stat().st_mode & 0o077:
                self.path.chmod(0o600)

    def _is_behind_or_full(self) -> bool:
        """As `_is_behind`; where the disk has no room for SQLite's shared memory, the file is opened to be read."""
        try:
            with self._translated():
                return self._is_behind()
        except DiskFull as error:
            if _has_content(wal_of(self.path)) or not _has_content(self.path):
                raise
            self.is_read_only, self._full_disk = True, error
            return self._is_behind()

    def _open_again(self) -> None:
        """After the disk was full: open the file to be written, if there is room now. Raises DiskFull if not."""
        self.is_read_only = False
        try:
            with self._translated():
                if self._is_behind():
                    self._migrate()
        except DiskFull:
            self.is_read_only = True
            raise
        self._full_disk = None
        self._opening += 1  # each thread's connection sees the file as it was when the disk was full

    def _is_behind(self) -> bool:
        """Whether steps are missing; looks without writing, so that a newer file stays as it is."""
        with contextlib.closing(self._open_for_reading()) as connection:
            db = Database(connection, recursive_triggers=False, execute_plugins=False)
            applied = [step.name for step in self._migrations.applied(db)]
        known = known_names(self._migrations)
        unknown = [name for name in applied if name not in known]
        if unknown:
            raise newer(self.path, unknown[-1], len(applied), known)
        return len(applied) < len(known)

    def _migrate(self) -> None:
        """Take the missing steps, all or none. What was there before is copied aside first."""
        if self.is_read_only:
            raise read_only(self.path, is_behind=True)
        db = self._connection()
        # The whole set runs under the write lock: two processes starting on a new file take turns.
        db.conn.execute("BEGIN IMMEDIATE")
        try:
            has_rows = bool(self._migrations.applied(db))
            pending = self._migrations.pending(db)
            copy = None
            if has_rows and pending:
                with contextlib.closing(self._open_for_reading()) as source:
                    copy = copy_before(pending[0].name, self.path, source)
            self._migrations.apply(db)
            db.commit()
        except BaseException:
            db.rollback()
            raise
        finally:
            tell("")
        if copy is not None:
            drop_copies_but(copy, self.path)

    def _open_for_reading(self) -> sqlite3.Connection:
        """A connection of its own that never writes."""
        uri = f"{self.path.absolute().as_uri()}?mode=ro"
        # Where SQLite may not put its shared memory beside the file, it must be told that nobody else writes. With
        # a log beside the file, somebody has, and SQLite reads it if it can.
        if self.is_read_only and not _has_content(wal_of(self.path)):
            uri += "&immutable=1"
        return sqlite3.connect(uri, uri=True, timeout=self._busy_timeout_s, check_same_thread=False)

    def _check_place(self) -> None:
        """Refuse to write where nobody would find it: into a file that was moved or deleted under this program."""
        try:
            found = self.path.stat()
        except OSError as error:
            raise not_in_place(self.path) from error
        if (found.st_dev, found.st_ino) != self._local.place:
            raise not_in_place(self.path)

    def _connection(self) -> Database:
        db: Database | None = getattr(self._local, "db", None)
        if self._is_closed:
            raise MemoryStoreError("The store of conversations is closed.")
        if db is None or self._local.opening != self._opening:
            opening = self._opening
            db = self._connect()
            self._local.db, self._local.opening = db, opening
        return db

    def _connect(self) -> Database:
        if self.is_read_only:
            connection = self._open_for_reading()
        else:
            connection = sqlite3.connect(self.path, timeout=self._busy_timeout_s, check_same_thread=False)
        try:
            db = Database(connection, execute_plugins=False)
            if not self.is_read_only:
                self._enter_wal(connection)
                place = self.path.stat()
                self._local.place = (place.st_dev, place.st_ino)
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
        except BaseException:
            connection.close()
            raise
        with self._lock:
            # Threads come and go; a dead one's connection would otherwise stay open until the end.
            for thread, old, _ in self._connections:
                if not thread.is_alive():
                    old.close()
            self._connections = [entry for entry in self._connections if entry[0].is_alive()]
            self._local.in_use = threading.RLock()
            self._connections.append((threading.current_thread(), db, self._local.in_use))
        return db

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[Database]:
        """This thread's connection, which nobody closes meanwhile."""
        with self._translated():
            db = self._connection()
        with self._local.in_use:
            yield db

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
        return explained(error, self.path, self._busy_timeout_s)


def wal_of(path: Path) -> Path:
    """The log that SQLite keeps beside a file: what was committed and is not in the file yet."""
    return path.with_name(f"{path.name}-wal")


def _is_read_only(path: Path) -> bool:
    """Whether there is a file that can be read but not written."""
    return path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
