"""A new database of the present schema from the rows that were salvaged of a damaged one."""

from __future__ import annotations

import contextlib
import mimetypes
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlite_utils import Database

from mmchat.errors import MemoryStoreError
from mmchat.memory.blobs import BlobFolder
from mmchat.memory.database import DatabaseFile
from mmchat.memory.ids import now_text
from mmchat.memory.migrations import MIGRATIONS, known_names
from mmchat.memory.raw_pages import PageFile
from mmchat.memory.salvage import Column, Found, Salvage, layout
from mmchat.memory.store_errors import newer
from mmchat.memory.text_index import INDEXES, fill_index

CUT_NOTICE = "A part of this was lost when the database was damaged."
NAMELESS = "Recovered conversation"
_JSON_COLUMNS = {"turns": ("usage", "context", "recalled", "understood"), "attachments": ("heard", "seen")}
_EVERY = 5_000


@dataclass(slots=True)
class Rebuilt:
    """What came over, and what did not."""

    rows: dict[str, int] = field(default_factory=dict)
    """Table → rows in the new file."""
    lost_turns: int = 0
    """Turns that the old full-text index knew and that could not be read."""
    cut_turns: int = 0
    """Turns of which a part is missing."""
    lost_rows: dict[str, int] = field(default_factory=dict)
    """Table → rows that were there and made no sense, or had lost what they belong to."""
    unreadable_pages: int = 0
    page_count: int = 0
    stray_turns: int = 0
    """Turns found where nothing led to them any more; conversations deleted long ago may be among them."""
    renamed_sessions: int = 0
    """Conversations of which only turns were left; they got a name of ours."""
    missing_files: int = 0
    """Pictures and sounds whose kept file is gone."""


def rebuild(pages: PageFile, fresh: Path, blobs: BlobFolder, on_progress: Callable[[str], None]) -> Rebuilt:
    """Write a new database to `fresh` and sync it.

    Raises:
        MemoryStoreError: it could not be written.
    """
    with contextlib.closing(DatabaseFile(fresh)) as file:
        with file.read() as db:
            db.execute("PRAGMA foreign_keys=OFF")  # cannot be changed inside a transaction
        with file.write() as db:
            rebuilt = _Rebuilding(db, pages, fresh.with_suffix(""), blobs, on_progress).run()
        on_progress("checking the new file")
        problems = file.check_integrity()
        with file.read() as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    if problems:
        raise MemoryStoreError(
            f"The new database has problems of its own: {'; '.join(problems[:3])}.",
            hint="Nothing was changed. Please report this as a bug of mmchat.",
        )
    with fresh.open("rb") as written:
        os.fsync(written.fileno())
    return rebuilt


class _Rebuilding:
    """One rebuilding, inside one transaction."""

    def __init__(
        self, db: Database, pages: PageFile, path: Path, blobs: BlobFolder, on_progress: Callable[[str], None]
    ) -> None:
        self._db = db
        self._path = path
        self._blobs = blobs
        self._on_progress = on_progress
        self._layouts = {name: layout(db.conn, name) for name in _tables(db)}
        self._salvage = Salvage(pages, self._layouts, self._is_known)
        self._pages = pages
        self._done = Rebuilt(page_count=pages.page_count)

    def run(self) -> Rebuilt:
        """Fill the new file.

        Raises:
            MemoryStoreError: the old one is of a newer mmchat, and would lose what this one does not know.
        """
        self._refuse_newer()
        for count, found in enumerate(self._salvage.rows()):
            if count % _EVERY == 0:
                self._on_progress(f"reading row {count:,}")
            self._insert(found)
        for table, lost in self._salvage.unreadable_rows.items():
            self._lose(table, lost)
        self._count_lost_turns()
        self._mend_values()
        self._mend_references()
        fill_index(self._db, self._on_progress)
        for table in self._layouts:
            self._done.rows[table] = self._count(f"SELECT count(*) FROM {table}")
        self._done.unreadable_pages = len(self._pages.unreadable)
        return self._done

    def _refuse_newer(self) -> None:
        steps = [row.values[2] for row in self._salvage.raw_rows(MIGRATIONS.migrations_table) if len(row.values) > 2]
        known = known_names()
        unknown = [step for step in steps if isinstance(step, str) and step.startswith("m") and step not in known]
        if unknown and len(steps) > len(known):  # a name alone may be damaged
            raise newer(self._path, unknown[-1], len(steps), known)

    def _is_known(self, column: str, value: object) -> bool:
        table = {"session_id": "sessions", "turn_id": "turns"}[column]
        return bool(self._count(f"SELECT count(*) FROM {table} WHERE id = ?", value))

    # --- rows -----------------------------------------------------------------------------------

    def _insert(self, found: Found) -> None:
        table = found.table
        columns = {column.name: column for column in self._layouts[table]}
        row: dict[str, object] = {name: value for name, value in found.row.items() if name in columns}
        if found.is_cut:
            self._fill(table, row, columns)
        try:
            self._write(table, row)
        except sqlite3.IntegrityError:
            if not self._insert_otherwise(found, row):
                return
        if table == "turns":
            self._done.cut_turns += found.is_cut
            self._done.stray_turns += found.is_stray

    def _write(self, table: str, row: dict[str, object]) -> None:
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        self._db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))

    def _overwrite(self, table: str, row: dict[str, object], old: dict[str, object]) -> None:
        """Put a row's newer state in the place of an older one, unless it clashes with yet another row."""
        changed = {name: value for name, value in row.items() if name not in ("number", "id")}
        names = ", ".join(f"{name} = ?" for name in changed)
        with contextlib.suppress(sqlite3.IntegrityError):
            self._db.execute(f"UPDATE {table} SET {names} WHERE id = ?", [*changed.values(), old["id"]])

    def _fill(self, table: str, row: dict[str, object], columns: dict[str, Column]) -> None:
        """Give a row that was cut what it must have; its words matter more than when they were said."""
        if table == "turns":
            row["notice"] = CUT_NOTICE
            row["status"] = "stopped"
        for column in columns.values():
            if column.is_required and row.get(column.name) is None and column.name.endswith("_at"):
                row[column.name] = now_text()

    def _insert_otherwise(self, found: Found, row: dict[str, object]) -> bool:
        """A row that clashes with another one, or breaks a rule."""
        table = found.table
        twin = self._twin(table, row)
        if twin is not None:
            # Two states of one row, in an old and a new page.
            if str(row.get("updated_at") or "") > str(twin.get("updated_at") or "~"):
                self._overwrite(table, row, twin)
            return False
        if found.is_stray and table != "turns":
            return False
        if table == "turns" and isinstance(row.get("session_id"), str):
            last = "SELECT coalesce(max(position), 0) + 1 FROM turns WHERE session_id = ?"
            (row["position"],) = self._db.execute(last, [row["session_id"]]).fetchone()
            taken = self._db.execute("SELECT 1 FROM turns WHERE number = ?", [row.get("number")]).fetchone()
            if taken is not None:
                del row["number"]
            if row.get("status") not in ("complete", "streaming", "stopped", "failed"):
                row["status"] = "stopped"
            with contextlib.suppress(sqlite3.IntegrityError):
                self._write(table, row)
                return True
        self._lose(table, 1)
        return False

    def _twin(self, table: str, row: dict[str, object]) -> dict[str, object] | None:
        """The row of the same id that is there already."""
        keys = [name for name in ("id", "sha256", "turn_id") if name in row and self._is_key(table, name)]
        for key in keys:
            for found in self._db.query(f"SELECT * FROM {table} WHERE {key} = ?", [row[key]]):
                return dict(found)
        return None

    def _is_key(self, table: str, column: str) -> bool:
        for index in self._db.execute(f"PRAGMA index_list([{table}])").fetchall():
            told = self._db.execute(f"PRAGMA index_info([{index[1]}])").fetchall()
            if index[2] and [each[2] for each in told] == [column]:
                return True
        return False

    def _count_lost_turns(self) -> None:
        known = {row.rowid for row in self._salvage.raw_rows(f"{INDEXES[0]}_docsize")}
        here = {row[0] for row in self._db.execute("SELECT number FROM turns")}
        self._done.lost_turns = len(known - here)

    # --- mending --------------------------------------------------------------------------------

    def _mend_values(self) -> None:
        for table, columns in _JSON_COLUMNS.items():
            for column in columns:
                self._db.execute(f"UPDATE {table} SET {column} = NULL WHERE NOT json_valid({column})")
        # Passages are made anew from the files, which are no longer known to be as they were.
        self._db.execute("UPDATE documents SET sha256 = ?, modified_ns = -1", ["0" * 64])
        # Vectors are made anew in the background; those of another length are no vectors of their model.
        self._db.execute(
            "DELETE FROM embeddings WHERE (owner_kind = 'turn' AND owner NOT IN (SELECT number FROM turns))"
            " OR (owner_kind = 'attachment' AND owner NOT IN (SELECT number FROM attachments))"
        )

    def _mend_references(self) -> None:
        db = self._db
        self._done.renamed_sessions = db.execute(
            "INSERT INTO sessions (id, title, created_at, updated_at)"
            " SELECT session_id, ?, min(created_at), max(updated_at) FROM turns"
            " WHERE session_id NOT IN (SELECT id FROM sessions) GROUP BY session_id",
            [NAMELESS],
        ).rowcount
        # A turn whose predecessor is lost follows the one before that.
        db.execute(
            "UPDATE turns SET parent_id = (SELECT before.id FROM turns before"
            " WHERE before.session_id = turns.session_id AND before.position < turns.position"
            " ORDER BY before.position DESC LIMIT 1)"
            " WHERE parent_id IS NOT NULL AND parent_id NOT IN (SELECT id FROM turns)"
        )
        self._mend_blobs()
        for table, number, parent, key in db.execute("PRAGMA foreign_key_check").fetchall():
            keys = db.execute(f"PRAGMA foreign_key_list([{table}])").fetchall()
            column, on_delete = next((each[3], each[6]) for each in keys if each[0] == key and each[2] == parent)
            if on_delete == "SET NULL":
                db.execute(f"UPDATE {table} SET {column} = NULL WHERE rowid = ?", [number])
            else:
                db.execute(f"DELETE FROM {table} WHERE rowid = ?", [number])
                self._lose(table, 1)

    def _mend_blobs(self) -> None:
        """Files whose row is lost are found by their hash; what was seen and heard in lost files is kept too."""
        used = "SELECT DISTINCT sha256 FROM attachments WHERE sha256 NOT IN (SELECT sha256 FROM blobs)"
        for (sha256,) in self._db.execute(used).fetchall():
            file = f"{sha256[:2]}/{sha256}"
            media_type = mimetypes.guess_type(self._file_of(sha256) or file)[0] or "application/octet-stream"
            self._db.execute(
                "INSERT INTO blobs (sha256, size_bytes, media_type, file, created_at) VALUES (?, 0, ?, ?, ?)",
                [sha256, media_type, file, now_text()],
            )
        for sha256, file, size_bytes in self._db.execute("SELECT sha256, file, size_bytes FROM blobs").fetchall():
            if not self._blobs.problems(file, size_bytes):
                continue
            found = self._file_of(sha256)
            if found:
                size_bytes = self._blobs.path(found).stat().st_size
                update = "UPDATE blobs SET file = ?, size_bytes = ? WHERE sha256 = ?"
                self._db.execute(update, [found, size_bytes, sha256])
            self._done.missing_files += not found

    def _file_of(self, sha256: str) -> str:
        """The kept file with these bytes, by its name; empty where there is none."""
        for path in (self._blobs.folder / sha256[:2]).glob("*"):
            if path.name.partition(".")[0] == sha256:
                return f"{path.parent.name}/{path.name}"
        return ""

    def _lose(self, table: str, count: int) -> None:
        self._done.lost_rows[table] = self._done.lost_rows.get(table, 0) + count

    def _count(self, sql: str, *parameters: object) -> int:
        (count,) = self._db.execute(sql, list(parameters)).fetchone()
        return int(count)


def _tables(db: Database) -> list[str]:
    """The tables that hold what cannot be made again."""
    found = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")
    own = ("sqlite_", "_sqlite_", "vector_codes", "passage", *(f"{name}_" for name in INDEXES))
    return [name for (name,) in found if not name.startswith(own)]
