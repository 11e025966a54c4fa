"""Whether a database's pages, rows and texts make sense, as far as SQLite and UTF-8 can tell."""

from __future__ import annotations

import sqlite3

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
INDEX_PROBLEM = "the full-text index"
"""How a problem begins that costs nothing but an index."""


def sqlite_problems(connection: sqlite3.Connection) -> list[str]:
    """What is wrong with pages, indexes, references between rows, and texts. Nothing is written.

    Raises:
        sqlite3.Error: anything but damage, e.g. the file is locked.
    """
    try:
        problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        for table, number, parent, _ in connection.execute("PRAGMA foreign_key_check"):
            problems.append(f"row {number} of {table} refers to a missing row of {parent}")
        return problems or _text_problems(connection)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return [str(error)]


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite complains of the file's content."""
    code = getattr(error, "sqlite_errorcode", None)
    # What Python says of a text that is no UTF-8 has no code of SQLite's.
    return str(error).startswith("Could not decode to UTF-8") if code is None else code & 0xFF in _DAMAGED


def _text_problems(connection: sqlite3.Connection) -> list[str]:
    """Texts that cannot be read: SQLite does not look at their bytes, and Python then gives no row at all."""
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
        " AND name NOT GLOB 'sqlite_*' AND name NOT GLOB '*_fts_*'"
    ).fetchall()
    problems, bad = [], 0

    def look(text: bytes) -> None:
        nonlocal bad
        try:
            text.decode("utf-8")
        except UnicodeDecodeError:
            bad += 1

    factory, connection.text_factory = connection.text_factory, look
    try:
        for (name,) in tables:
            bad = 0
            for _ in connection.execute(f"SELECT * FROM [{name}]"):
                pass
            if bad:
                problems.append(f"{bad} texts in {name} hold bytes that are no text")
    finally:
        connection.text_factory = factory
    return problems
