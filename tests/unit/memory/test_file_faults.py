"""Disks that are full or read-only, files that are moved away: clear words, and nothing stored is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from mmchat.errors import DiskFull, MemoryStoreError
from mmchat.memory import ids
from mmchat.memory.store import MemoryStore, NewAttachment
from tests import every_table


def open_store(folder: Path) -> MemoryStore:
    return MemoryStore(folder / "data" / "mmchat.db", folder / "data" / "blobs")


@contextmanager
def no_room(store: MemoryStore) -> Iterator[None]:
    """Within the block, SQLite may not make this thread's database any larger, as on a full disk."""
    with store.file.read() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}").fetchone()
        yield
        db.execute("PRAGMA max_page_count = 1000000").fetchone()


# --- a full disk --------------------------------------------------------------------------------


def test_on_a_full_disk_a_message_is_refused_whole_and_stored_when_there_is_room(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        session = store.create_session()
        store.add_user_turn(session.id, "before")
        with no_room(store):
            for _ in range(3):
                with pytest.raises(DiskFull, match="the disk is full") as error:
                    store.add_user_turn(session.id, "harbour " * 5000)
                assert "what was stored is kept" in error.value.hint
        store.add_user_turn(session.id, "after")
        assert [turn.text for turn in store.turns(session.id)] == ["before", "after"]
        assert store.check_integrity() == []


FULL_FOR_FILES = """
import resource, sys
from pathlib import Path
from mmchat.errors import MemoryStoreError
from mmchat.memory.store import MemoryStore, NewAttachment

folder = Path(sys.argv[1])
store = MemoryStore(folder / "data" / "mmchat.db", folder / "data" / "blobs")
session = store.create_session()
picture = folder / "big.png"
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
try:
    store.add_user_turn(session.id, "look", [NewAttachment(picture, "image", "image/png", "big.png")])
except MemoryStoreError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print([path.name for path in (folder / "data" / "blobs").rglob("*")], len(store.turns(session.id)))
store.add_user_turn(session.id, "look", [NewAttachment(picture, "image", "image/png", "big.png")])
print(store.check_integrity(), len(store.turns(session.id)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX's")
def test_a_picture_that_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "big.png").write_bytes(bytes(2 << 20))
    command = [sys.executable, "-c", FULL_FOR_FILES, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    message, hint, left, after = done.stdout.splitlines()
    assert "big.png could not be kept" in message
    assert "Free some space" in hint
    assert left == "[] 0"
    assert after == "[] 1"


def test_an_upgrade_without_room_for_its_copy_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlite_utils import Database

    from mmchat.memory.migrations import MIGRATIONS, known_names

    path = tmp_path / "data" / "mmchat.db"
    path.parent.mkdir()
    old = Database(path)
    MIGRATIONS.apply(old, stop_before=known_names()[1])
    every_table.fill(old.conn)
    old.close()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=100))
    with pytest.raises(MemoryStoreError, match="no room for a copy") as error:
        open_store(tmp_path)
    assert "Nothing was changed" in error.value.hint
    kept = Database(path)
    assert [step.name for step in MIGRATIONS.applied(kept)] == [known_names()[0]]
    kept.close()
    assert not list(path.parent.glob("*.before-*"))
    monkeypatch.undo()
    open_store(tmp_path).close()


# --- read-only ----------------------------------------------------------------------------------


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store in a folder that cannot be written; also root, who may write anywhere, is told so."""
    with closing(open_store(tmp_path)) as store:
        session = store.create_session(title="kept")
        store.add_user_turn(session.id, "still readable 灯塔")
        store.start_reply(session.id, parent_id=store.turns(session.id)[0].id, model="m", engine="e", text="cut")
    data = tmp_path / "data"
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
    (data / "mmchat.db").chmod(0o400)
    data.chmod(0o500)
    yield tmp_path
    data.chmod(0o700)


def test_a_read_only_store_can_be_read(read_only: Path) -> None:
    before = (read_only / "data" / "mmchat.db").read_bytes()
    with closing(open_store(read_only)) as store:
        (session,) = store.list_sessions(query="灯塔")
        user, reply = store.turns(session.id)
        assert user.text == "still readable 灯塔"
        assert (reply.status, reply.notice) == ("stopped", "mmchat ended before this reply did.")
        assert store.check_integrity() == []
        with pytest.raises(MemoryStoreError, match="read-only") as error:
            store.add_user_turn(session.id, "new")
        assert "MMCHAT_HOME" in error.value.hint
    assert (read_only / "data" / "mmchat.db").read_bytes() == before


# --- taken away ---------------------------------------------------------------------------------


def test_nothing_is_written_where_nobody_would_find_it(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        session = store.create_session()
        store.add_user_turn(session.id, "before")
        (tmp_path / "data").rename(tmp_path / "elsewhere")
        with pytest.raises(MemoryStoreError, match="moved, replaced or deleted"):
            store.add_user_turn(session.id, "lost without a word")
        (tmp_path / "elsewhere").rename(tmp_path / "data")
        store.add_user_turn(session.id, "after")
        assert [turn.text for turn in store.turns(session.id)] == ["before", "after"]
        shutil.copy(tmp_path / "data" / "mmchat.db", tmp_path / "copy.db")
        (tmp_path / "copy.db").replace(tmp_path / "data" / "mmchat.db")
        with pytest.raises(MemoryStoreError, match="moved, replaced or deleted"):
            store.add_user_turn(session.id, "into the replaced file")


def test_a_home_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(MemoryStoreError, match="folder of conversations cannot be used"):
        open_store(tmp_path)


# --- the clock ----------------------------------------------------------------------------------


def test_a_clock_set_back_does_not_change_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_store(tmp_path)) as store:
        session = store.create_session()
        first = store.add_user_turn(session.id, "first")
        monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000_000_000)
        monkeypatch.setattr(ids, "now_text", lambda: "1970-01-12T13:46:40.000Z")
        second = store.add_user_turn(session.id, "second")
        assert second.id > first.id, "within a program ids only grow"
        assert [turn.text for turn in store.turns(session.id)] == ["first", "second"]
    with closing(open_store(tmp_path)) as store:
        monkeypatch.setattr(ids, "_last", 0)  # as in a program started after the clock was set back
        third = store.add_user_turn(session.id, "third")
        assert third.id < first.id
        assert [turn.text for turn in store.turns(session.id)] == ["first", "second", "third"]
        assert store.turns(session.id)[2].parent_id == second.id


# --- several threads ----------------------------------------------------------------------------


def test_threads_that_write_at_once_all_get_their_turn(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        session = store.create_session()
        picture = tmp_path / "p.png"
        picture.write_bytes(b"same for all")
        errors: list[MemoryStoreError] = []

        def write() -> None:
            try:
                for number in range(5):
                    store.add_user_turn(
                        session.id, str(number), [NewAttachment(picture, "image", "image/png", "p.png")]
                    )
            except MemoryStoreError as error:
                errors.append(error)

        threads = [threading.Thread(target=write) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(store.turns(session.id)) == 40
        assert store.check_integrity() == []
