"""A row in every table of a schema, whatever its tables are."""

from __future__ import annotations

import sqlite3

SESSION_ID, TURN_ID = "01m80aaaaaaaaaaaaaaaaaaaaa", "01m80bbbbbbbbbbbbbbbbbbbbb"
SHA256 = "ab" * 32
MOMENT = "2026-11-22T05:00:00.000Z"
_FIRST = ("sessions", "turns", "blobs", "attachments", "documents")
_CHOICES: dict[str, object] = {
    "role": "user",
    "status": "complete",
    "kind": "image",
    "owner_kind": "turn",
    "origin": "said",
    "sha256": SHA256,
    "session_id": SESSION_ID,
    "turn_id": TURN_ID,
    "last_turn_id": TURN_ID,
    "document_id": f"01m80{'d' * 21}",
    "parent_id": None,
    "forked_from": None,
    "deleted_at": None,
    "usage": None,
    "context": None,
    "recalled": None,
    "understood": None,
    "heard": None,
    "seen": None,
    "file": f"ab/{SHA256}.png",
}


def tables_of(connection: sqlite3.Connection) -> list[str]:
    """The tables that hold rows of ours, those that others refer to first."""
    names = [
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
            " AND name NOT GLOB 'sqlite_*' AND name NOT GLOB '_sqlite_*' AND name NOT GLOB '*_fts_*' ORDER BY name"
        )
    ]
    return [*(name for name in _FIRST if name in names), *(name for name in names if name not in _FIRST)]


def fill(connection: sqlite3.Connection) -> None:
    """Put one row into each table."""
    for table in tables_of(connection):
        row: dict[str, object] = {}
        for _, column, kind, _, _, _ in connection.execute(f"PRAGMA table_info([{table}])").fetchall():
            row[column] = _value(table, column, kind)
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO [{table}] ({names}) VALUES ({marks})", list(row.values()))
    connection.commit()


def rows_of(connection: sqlite3.Connection) -> dict[str, list[dict[str, object]]]:
    """All rows of all tables."""
    found: dict[str, list[dict[str, object]]] = {}
    for table in tables_of(connection):
        cursor = connection.execute(f"SELECT * FROM [{table}]")
        names = [column[0] for column in cursor.description]
        found[table] = [dict(zip(names, row, strict=True)) for row in cursor]
    return found


def _value(table: str, column: str, kind: str) -> object:
    if column == "id":
        return {"sessions": SESSION_ID, "turns": TURN_ID}.get(table, f"01m80{table[0] * 21}")
    if column in _CHOICES:
        return _CHOICES[column]
    if column.endswith("_at"):
        return MOMENT
    if kind.upper() == "BLOB":
        return b"\x00\x3c" * 4
    return 1 if kind.upper() in ("INTEGER", "REAL") else f"a {column}"
