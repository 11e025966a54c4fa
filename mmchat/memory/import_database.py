"""Other programs' SQLite files, only ever read: opened read-only, or, where even that is not to be had, as a copy."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmchat.errors import DataError

Row = dict[str, Any]
MAGIC = b"SQLite format 3\x00"


class ForeignDatabase:
    """Rows of a file that belongs to another program."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self.tables = {
            row["name"]: frozenset(column["name"] for column in self.rows(f"PRAGMA table_info('{row['name']}')"))
            for row in self.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%''%'")
        }
        """Each table's columns."""

    def rows(self, sql: str, *parameters: object) -> Iterator[Row]:
        """Rows of a query, read as they are asked for.

        Raises:
            DataError: the file cannot be read on.
        """
        try:
            cursor = self._connection.execute(sql, parameters)
            names = [column[0] for column in cursor.description or ()]
            for row in cursor:
                yield dict(zip(names, row, strict=True))
        except sqlite3.Error as error:
            raise DataError(
                f"{self.path} cannot be read: {error}.",
                hint="Close the program it belongs to and try again; the file was not changed.",
            ) from error

    def has(self, table: str, *columns: str) -> bool:
        """Whether there is a table with these columns."""
        return table in self.tables and self.tables[table] >= set(columns)


@contextlib.contextmanager
def foreign_database(path: Path) -> Iterator[ForeignDatabase]:
    """Open a file of another program, also while that has it open.

    Raises:
        DataError: it cannot be read.
    """
    with contextlib.ExitStack() as stack:
        try:
            connection = _connect(path)
            stack.callback(connection.close)
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            # A file in WAL mode wants to write beside itself even to be read; where it may not, a copy is read.
            stack.close()
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mmchat-import-"))
            copy = Path(folder) / "copy.db"
            try:
                shutil.copyfile(path, copy)
                for ending in ("-wal",):
                    if (beside := path.with_name(path.name + ending)).exists():
                        shutil.copyfile(beside, copy.with_name(copy.name + ending))
                connection = sqlite3.connect(copy, check_same_thread=False)
            except (OSError, sqlite3.Error) as error:
                raise DataError(f"{path} cannot be read: {error}.", hint="Check its permissions.") from error
            stack.callback(connection.close)
        except sqlite3.Error as error:
            raise DataError(f"{path} cannot be read: {error}.", hint="It is damaged, or no database.") from error
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        yield ForeignDatabase(path, connection)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0, check_same_thread=False)
