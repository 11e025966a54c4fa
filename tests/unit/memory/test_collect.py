"""What nobody needs any more goes; what somebody needs, or is about to, stays."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mmchat.memory.collect import compact, find_litter, remove_litter
from mmchat.memory.store import MemoryStore, NewAttachment
from mmchat.memory.trash import move_to_trash


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryStore]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with closing(MemoryStore(tmp_path / "data" / "mmchat.db", tmp_path / "data" / "blobs")) as opened:
        yield opened


def attach(store: MemoryStore, folder: Path, content: bytes) -> str:
    path = folder / "p.png"
    path.write_bytes(content)
    session = store.create_session()
    store.add_user_turn(session.id, "look", [NewAttachment(path, "image", "image/png", "p.png")])
    return session.id


def age(path: Path) -> None:
    os.utime(path, (0, 0))


def files_of(store: MemoryStore) -> list[Path]:
    return [path for path in store.blobs.folder.rglob("*") if path.is_file()]


def test_a_used_store_holds_nothing_to_remove(store: MemoryStore, tmp_path: Path) -> None:
    attach(store, tmp_path, b"one")
    for path in files_of(store):
        age(path)
    litter = find_litter(store)
    assert litter.is_none
    remove_litter(store, litter)
    assert len(files_of(store)) == 1


def test_leftovers_go_and_young_ones_stay(store: MemoryStore, tmp_path: Path) -> None:
    attach(store, tmp_path, b"used")
    (used,) = files_of(store)
    folder = store.blobs.folder / "aa"
    folder.mkdir()
    stray, young, part = folder / ("a" * 64), folder / ("b" * 64), store.blobs.folder / ".x.part"
    for path in (stray, young, part):
        path.write_bytes(b"1234")
    for path in (used, stray, part):
        age(path)
    with store.file.write() as db:  # as a deletion leaves it that was cut short
        db.execute("INSERT INTO blobs VALUES ('dead', 4, 'image/png', 'de/dead.png', 't')")
        db.execute("INSERT INTO embeddings (owner_kind, owner, model, vector) VALUES ('turn', 999, 'm', x'00')")
    litter = find_litter(store)
    assert set(litter.files) == {stray, part}
    assert (litter.vectors, litter.holds_words) == (1, True)
    assert litter.size_bytes == 8
    remove_litter(store, litter)
    assert set(files_of(store)) == {used, young}
    assert store.file.rows("SELECT sha256 FROM blobs WHERE sha256 = 'dead'") == []
    assert find_litter(store).is_none
    assert store.check_integrity() == []


def test_a_file_that_is_needed_again_by_then_stays(store: MemoryStore, tmp_path: Path) -> None:
    session_id = attach(store, tmp_path, b"same bytes")
    (path,) = files_of(store)
    store.delete_session(session_id)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"same bytes")  # as a deletion leaves it that was cut short
    age(path)
    litter = find_litter(store)
    assert litter.files == (path,)
    attach(store, tmp_path, b"same bytes")
    remove_litter(store, litter)
    assert path.is_file()
    assert store.check_integrity() == []


def test_conversations_go_for_good_after_thirty_days_in_the_trash(store: MemoryStore, tmp_path: Path) -> None:
    old, new = attach(store, tmp_path, b"old"), attach(store, tmp_path, b"new")
    for session_id in (old, new):
        move_to_trash(store, session_id)
    with store.file.write() as db:
        db.execute("UPDATE sessions SET deleted_at = '2020-01-01T00:00:00.000Z' WHERE id = ?", [old])
    litter = find_litter(store)
    assert [session.id for session in litter.trash] == [old]
    remove_litter(store, litter)
    assert [row["id"] for row in store.file.rows("SELECT id FROM sessions")] == [new]
    assert len(files_of(store)) == 1


HOLDER = """
import sys
from pathlib import Path
from mmchat.memory.store import MemoryStore
store = MemoryStore(Path(sys.argv[1]) / "mmchat.db", Path(sys.argv[1]) / "blobs")
print("open", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there, open files stay because they are open")
def test_a_crashed_private_conversation_goes_and_a_running_one_stays(store: MemoryStore) -> None:
    folders = [Path(tempfile.gettempdir()) / f"mmchat-{name}" for name in ("crashed", "running", "young")]
    for folder in folders:
        MemoryStore(folder / "mmchat.db", folder / "blobs").close()
    crashed, running, young = folders
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(running)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    for folder in (crashed, running):
        age(folder / "mmchat.db")
    litter = find_litter(store)
    assert litter.private_folders == (crashed,)
    remove_litter(store, litter)
    assert [folder.exists() for folder in folders] == [False, True, True]
    holder.communicate("")
    assert young.exists()


def test_compacting_gives_the_room_of_deleted_turns_back(store: MemoryStore) -> None:
    session = store.create_session()
    for _ in range(40):
        store.add_user_turn(session.id, "harbour " * 2000)
    kept = store.create_session(title="kept")
    turn = store.add_user_turn(kept.id, "stays")
    store.delete_session(session.id)
    assert compact(store) > 100_000
    assert [each.id for each in store.turns(kept.id)] == [turn.id]
    assert store.check_integrity() == []


def test_an_unfinished_recovery_and_an_old_copy_go(store: MemoryStore) -> None:
    data = store.file.path.parent
    unfinished, copy, damaged = (data / f"mmchat.db.{name}" for name in ("recovering", "before-m001", "damaged-2020"))
    for path in (unfinished, copy, damaged):
        sqlite3.connect(path).close()
        path.touch()
        age(path)
    litter = find_litter(store)
    assert set(litter.copies) == {unfinished, copy}
    remove_litter(store, litter)
    assert damaged.exists(), "a damaged file is its owner's to delete"
