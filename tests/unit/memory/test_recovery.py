"""A damaged database: noticed, kept aside, and what can be read of it is there again."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from mmchat.errors import DatabaseDamaged, MemoryStoreError
from mmchat.memory.database import DatabaseFile, wal_of
from mmchat.memory.migrations import known_names
from mmchat.memory.recovery import recover
from mmchat.memory.store import MemoryStore
from mmchat.memory.turn_search import search_turns
from tests import every_table
from tests.crash.damage_bench import PAGE_BYTES, fill, overwrite

DERIVED = ("vector_codes", "passages", "passage_embeddings")
"""Tables that are made anew from others, and so are not carried over."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small store, closed."""
    fill(tmp_path, sessions=2, turns=10)
    return tmp_path


def texts_of(folder: Path) -> dict[str, str]:
    with closing(MemoryStore(folder / "mmchat.db", folder / "blobs")) as store:
        assert store.check_integrity() == []
        return {row["id"]: row["text"] for row in store.file.rows("SELECT id, text FROM turns")}


def recovered(folder: Path) -> Path:
    """The kept file of a recovery that was needed."""
    result = recover(folder / "mmchat.db", folder / "blobs")
    assert result.problems
    assert result.kept is not None
    return result.kept


def noise(path: Path, *pages: int) -> bytes:
    overwrite(path, list(pages), lambda: b"\xf7" * PAGE_BYTES)
    return path.read_bytes()


def test_a_sound_file_is_left_alone(folder: Path) -> None:
    before = (folder / "mmchat.db").read_bytes()
    assert recover(folder / "mmchat.db", folder / "blobs").problems == ()
    assert (folder / "mmchat.db").read_bytes() == before
    assert recover(folder / "none" / "mmchat.db", folder / "none" / "blobs").problems == ()


def test_rows_of_every_table_come_over(tmp_path: Path) -> None:
    path = tmp_path / "mmchat.db"
    with closing(DatabaseFile(path)) as file, file.read() as db:
        every_table.fill(db.conn)
        before = every_table.rows_of(db.conn)
    overwrite(path, [1], lambda: path.read_bytes()[:100] + b"\xf7" * (PAGE_BYTES - 100))
    recovered(tmp_path)
    with closing(DatabaseFile(path)) as file, file.read() as db:
        after = every_table.rows_of(db.conn)
    wanted = {table: rows for table, rows in before.items() if table not in DERIVED}
    for document in wanted["documents"]:
        document.update(sha256="0" * 64, modified_ns=-1)  # to be read again
    assert {table: rows for table, rows in after.items() if table in wanted} == wanted


def test_a_garbage_header_costs_nothing(folder: Path) -> None:
    path, before = folder / "mmchat.db", texts_of(folder)
    with path.open("r+b") as file:
        file.write(os.urandom(100))
    damaged = path.read_bytes()
    with pytest.raises(DatabaseDamaged, match="damaged") as error:
        MemoryStore(path, folder / "blobs")
    assert "mmchat sessions recover" in error.value.hint
    assert path.read_bytes() == damaged
    kept = recovered(folder)
    assert kept.read_bytes() == damaged
    assert kept.stat().st_mode & 0o777 == path.stat().st_mode & 0o777 == 0o600
    assert texts_of(folder) == before


def test_an_unreadable_page_costs_its_own_rows_and_says_so(folder: Path) -> None:
    path, before = folder / "mmchat.db", texts_of(folder)
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'turns'").fetchone()
    noise(path, root)
    result = recover(path, folder / "blobs")
    after = texts_of(folder)
    assert after == before, "the pages below the root of the table were found by their shape"
    assert result.rebuilt.stray_turns == len(before)
    assert result.rebuilt.unreadable_pages >= 1


def test_texts_that_are_no_text_are_damage(folder: Path) -> None:
    path = folder / "mmchat.db"
    content = path.read_bytes()
    at = content.index(b"lantern", PAGE_BYTES)
    path.write_bytes(content[:at] + b"\xff\xfe\xff" + content[at + 3 :])
    recovered(folder)
    texts_of(folder)


def test_a_damaged_index_alone_is_built_anew_in_place(folder: Path) -> None:
    path, before = folder / "mmchat.db", texts_of(folder)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM turns_fts_data WHERE id > 10")
        connection.commit()
    result = recover(path, folder / "blobs")
    assert result.kept is None
    assert "full-text index" in result.problems[0]
    assert texts_of(folder) == before
    with closing(MemoryStore(path, folder / "blobs")) as store:
        assert search_turns(store, "灯塔 lantern")


def test_an_emptied_database_beside_kept_files_is_not_begun_anew(folder: Path) -> None:
    path = folder / "mmchat.db"
    path.write_bytes(b"")
    with pytest.raises(MemoryStoreError, match="is empty") as error:
        MemoryStore(path, folder / "blobs")
    assert "sessions recover" in error.value.hint
    path.unlink()
    with pytest.raises(MemoryStoreError, match="is missing"):
        MemoryStore(path, folder / "blobs")
    assert not path.exists()
    files = sorted((folder / "blobs").rglob("*"))
    assert recover(path, folder / "blobs").rebuilt.rows["turns"] == 0
    assert texts_of(folder) == {}
    assert sorted((folder / "blobs").rglob("*")) == files


def with_a_log(folder: Path) -> tuple[Path, int]:
    """A copy of a store whose latest messages are in its log only, and how many these are."""
    path, target = folder / "mmchat.db", folder / "copy" / "mmchat.db"
    target.parent.mkdir()
    shutil.copytree(folder / "blobs", target.parent / "blobs")
    with closing(MemoryStore(path, folder / "blobs")) as store:
        session = store.latest_session()
        assert session is not None
        for number in range(12):
            store.add_user_turn(session.id, f"late {number}")
        target.write_bytes(path.read_bytes())
        wal_of(target).write_bytes(wal_of(path).read_bytes())
    return target, 12


def test_what_only_the_log_holds_survives_an_emptied_file(folder: Path) -> None:
    path, _ = with_a_log(folder)
    path.write_bytes(b"")
    shutil.rmtree(path.parent / "blobs")
    with pytest.raises(MemoryStoreError, match="is empty"):
        MemoryStore(path, path.parent / "blobs")
    kept = recovered(path.parent)
    assert wal_of(kept).exists()
    assert not wal_of(path).exists(), "SQLite would take it for the new file's"
    with closing(DatabaseFile(path)) as file:
        assert file.rows("SELECT 1 FROM turns WHERE text LIKE 'late %'")


def test_messages_behind_a_damaged_place_in_the_log_are_found(folder: Path) -> None:
    path, late = with_a_log(folder)
    log = bytearray(wal_of(path).read_bytes())
    frames = (len(log) - 32) // (24 + PAGE_BYTES)
    at = 32 + (frames // 2) * (24 + PAGE_BYTES) + 200
    log[at : at + 8] = b"\xf7" * 8
    wal_of(path).write_bytes(log)
    result = recover(path, path.parent / "blobs")
    assert any("log" in problem for problem in result.problems)
    found = sum(text.startswith("late") for text in texts_of(path.parent).values())
    assert found >= late - 1


def test_a_deleted_log_costs_what_only_it_held(folder: Path) -> None:
    path, _ = with_a_log(folder)
    wal_of(path).unlink()
    assert recover(path, path.parent / "blobs").problems == ()
    assert len(texts_of(path.parent)) == 20


def test_a_newer_file_is_left_alone_even_if_damaged(folder: Path) -> None:
    path = folder / "mmchat.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO _sqlite_migrations (migration_set, name) VALUES ('mmchat', 'm999_add_dreams')")
        connection.commit()
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'pins'").fetchone()
    damaged = noise(path, root)
    with pytest.raises(MemoryStoreError, match=r"newer mmchat.*m999_add_dreams") as error:
        recover(path, folder / "blobs")
    assert known_names()[-1] in error.value.message
    assert path.read_bytes() == damaged
    assert not list(folder.glob("*recovering*"))


HOLDER = """
import sys
from pathlib import Path
from mmchat.memory.store import MemoryStore
store = MemoryStore(Path(sys.argv[1]) / "mmchat.db", Path(sys.argv[1]) / "blobs")
print("open", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses to move an open file by itself")
def test_a_file_that_another_program_has_open_is_left_alone(folder: Path) -> None:
    path = folder / "mmchat.db"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    noise(path, path.stat().st_size // PAGE_BYTES)
    with pytest.raises(MemoryStoreError, match="open in another program"):
        recover(path, folder / "blobs")
    holder.communicate("")
    recovered(folder)


def test_a_recovery_cut_short_while_it_took_its_place_is_taken_up_again(folder: Path) -> None:
    path, before = folder / "mmchat.db", texts_of(folder)
    with path.open("r+b") as file:
        file.write(os.urandom(100))
    kept = folder / "mmchat.db.damaged-20261122T000000"
    os.link(path, kept)
    wal_of(kept).write_bytes(b"a log that had been moved already")
    recovered(folder)
    assert texts_of(folder) == before
    assert len(list(folder.glob("*.damaged-*"))) == 2, "the file and its log, under one new name"


def test_a_missing_kept_file_is_told_and_its_turn_stays(folder: Path) -> None:
    path = folder / "mmchat.db"
    for file in (folder / "blobs").rglob("*.png"):
        file.unlink()
    with closing(MemoryStore(path, folder / "blobs")) as store:
        problems = store.check_integrity()
        assert problems
        assert all("is missing" in problem for problem in problems)
        assert store.file.rows("SELECT count(*) AS n FROM attachments")[0]["n"] > 0
    with path.open("r+b") as damaged:
        damaged.write(os.urandom(100))
    result = recover(path, folder / "blobs")
    assert result.rebuilt.missing_files == len(problems)
