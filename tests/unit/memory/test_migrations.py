"""Each step from the one before, with rows; a newer schema is refused untouched."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from mmchat.errors import MemoryStoreError
from mmchat.memory.database import DatabaseFile
from mmchat.memory.migrations import MIGRATIONS, known_names
from mmchat.memory.store import MemoryStore

STEPS = known_names()


def test_the_steps_are_numbered_from_one() -> None:
    assert STEPS[0] == "m001_create_conversations"
    assert [name[:4] for name in STEPS] == [f"m{number:03}" for number in range(1, len(STEPS) + 1)]


@pytest.mark.parametrize("start", range(len(STEPS)))
def test_an_upgraded_file_equals_a_fresh_one_and_keeps_its_rows(tmp_path: Path, start: int) -> None:
    fresh = DatabaseFile(tmp_path / "fresh.db")
    old = Database(tmp_path / "old.db")
    if start:
        MIGRATIONS.apply(old, stop_before=STEPS[start])
        old.execute("INSERT INTO sessions (id, created_at, updated_at) VALUES ('s', 't', 't')")
        old.execute(
            "INSERT INTO turns (id, session_id, position, role, text, status, created_at, updated_at)"
            " VALUES ('u', 's', 1, 'user', 'hello', 'complete', 't', 't')"
        )
    old.close()
    upgraded = DatabaseFile(tmp_path / "old.db")
    schema = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    assert upgraded.rows(schema) == fresh.rows(schema)
    assert len(upgraded.rows("SELECT * FROM turns")) == (1 if start else 0)
    assert upgraded.check_integrity() == []
    upgraded.close()
    fresh.close()


def test_a_second_opening_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mmchat.db"
    MemoryStore(path, tmp_path / "blobs").close()
    before = path.read_bytes()
    MemoryStore(path, tmp_path / "blobs").close()
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "mmchat.db"
    store = MemoryStore(path, tmp_path / "blobs")
    store.create_session(title="from the future")
    store.close()
    later = Migrations("mmchat")
    later._migrations.extend(MIGRATIONS._migrations)
    later(name="m999_add_dreams")(lambda db: None)
    newer = DatabaseFile(path, migrations=later)
    newer.close()
    before = path.read_bytes()
    with pytest.raises(MemoryStoreError, match="newer mmchat") as error:
        MemoryStore(path, tmp_path / "blobs")
    assert "m999_add_dreams" in error.value.message
    assert STEPS[-1] in error.value.message
    assert path.read_bytes() == before


def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "mmchat.db"
    DatabaseFile(path).close()

    def broken(db: Database) -> None:
        db.execute("CREATE TABLE half_done (x)")
        db.execute("CREATE TABLE sessions (x)")

    later = Migrations("mmchat")
    later._migrations.extend(MIGRATIONS._migrations)
    later(name="m999_broken")(broken)
    with pytest.raises(MemoryStoreError):
        DatabaseFile(path, migrations=later)
    file = DatabaseFile(path)
    assert file.rows("SELECT name FROM sqlite_master WHERE name = 'half_done'") == []
    file.close()


def test_many_openers_of_a_new_file_migrate_it_once(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def open_it() -> None:
        try:
            DatabaseFile(tmp_path / "mmchat.db").close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    connection = sqlite3.connect(tmp_path / "mmchat.db")
    assert connection.execute("SELECT count(*) FROM _sqlite_migrations").fetchone()[0] == len(STEPS)
    connection.close()
