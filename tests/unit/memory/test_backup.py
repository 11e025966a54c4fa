"""Backups while the store is in use, and the way back."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmchat.errors import MemoryStoreError, UsageError
from mmchat.memory.backup import BackupCancelled, write_backup
from mmchat.memory.restore import look_into_backup, restore_backup, stored_conversations
from mmchat.memory.restore_journal import journal
from mmchat.memory.store import MemoryStore, NewAttachment


def open_store(folder: Path) -> MemoryStore:
    return MemoryStore(folder / "mmchat.db", folder / "blobs")


def picture(folder: Path, content: bytes) -> NewAttachment:
    path = folder / "a.png"
    path.write_bytes(content)
    return NewAttachment(path, "image", "image/png", "a.png")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(data: Path, tmp_path: Path) -> Iterator[MemoryStore]:
    opened = open_store(data)
    session = opened.create_session(title="花园")
    opened.add_user_turn(session.id, "look", [picture(tmp_path, b"picture")])
    yield opened
    opened.close()


def restored(backup: Path, folder: Path) -> MemoryStore:
    restore_backup(backup, folder / "mmchat.db", folder / "blobs")
    return open_store(folder)


def test_a_backup_holds_all_and_comes_back(store: MemoryStore, tmp_path: Path) -> None:
    target = tmp_path / "b.zip"
    report = write_backup(store, target)
    assert (report.conversations, report.turns, report.files, report.problems) == (1, 1, 1, ())
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    back = restored(target, tmp_path / "elsewhere")
    (session,) = back.list_sessions()
    (turn,) = back.turns(session.id)
    assert (session.title, turn.text, turn.attachments[0].path.read_bytes()) == ("花园", "look", b"picture")
    assert back.check_integrity() == []
    assert stat.S_IMODE((tmp_path / "elsewhere" / "blobs").stat().st_mode) == 0o700
    back.close()


def test_a_backup_never_replaces_a_file(store: MemoryStore, tmp_path: Path) -> None:
    target = tmp_path / "b.zip"
    target.write_bytes(b"mine")
    with pytest.raises(UsageError, match="is there already"):
        write_backup(store, target)
    assert target.read_bytes() == b"mine"


def test_a_backup_that_is_given_up_leaves_nothing(store: MemoryStore, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    given_up = threading.Event()

    def give_up_at(text: str) -> None:
        if text.startswith("Writing"):
            given_up.set()

    with pytest.raises(BackupCancelled):
        write_backup(store, tmp_path / "b.zip", cancel=given_up, say=give_up_at)
    assert set(tmp_path.rglob("*")) == before


WRITER = """
import sys
from pathlib import Path
from mmchat.memory.store import MemoryStore, NewAttachment
folder = Path(sys.argv[1])
store = MemoryStore(folder / "mmchat.db", folder / "blobs")
session = store.create_session(title="written meanwhile")
number = 0
print("ready", flush=True)
while not (folder / "enough").exists():
    number += 1
    path = folder / "new.png"
    path.write_bytes(b"picture %d" % number)
    store.add_user_turn(session.id, f"turn {number}", [NewAttachment(path, "image", "image/png", "new.png")])
    if number % 3 == 0:
        # What is deleted for good takes its files along.
        store.delete_session(session.id)
        session = store.create_session(title="written meanwhile")
"""


def test_backups_are_whole_while_another_process_writes_and_deletes(
    store: MemoryStore, data: Path, tmp_path: Path
) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(data)], stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert writer.stdout is not None
    try:
        assert writer.stdout.readline() == "ready\n"
        reports = [write_backup(store, tmp_path / f"{number}.zip") for number in range(4)]
    finally:
        (data / "enough").touch()
        assert writer.wait(60) == 0
        writer.stdout.close()
    for number, report in enumerate(reports):
        assert report.problems == ()
        back = restored(tmp_path / f"{number}.zip", tmp_path / f"home-{number}")
        assert back.check_integrity() == []
        turns = [turn for session in back.list_sessions() for turn in back.turns(session.id)]
        assert len(turns) == report.turns
        for turn in turns:
            assert all(file.path.read_bytes().startswith(b"picture") for file in turn.attachments)
        back.close()


def test_files_that_were_lost_before_are_named_and_the_rest_is_kept(store: MemoryStore, tmp_path: Path) -> None:
    session = store.list_sessions()[0]
    turn = store.add_user_turn(session.id, "another", [picture(tmp_path, b"other")])
    turn.attachments[0].path.unlink()
    store.turns(session.id)[0].attachments[0].path.write_bytes(b"spoiled")
    report = write_backup(store, tmp_path / "b.zip")
    assert len(report.problems) == 2
    assert "is missing" in " ".join(report.problems)
    assert "is damaged" in " ".join(report.problems)
    back = restored(tmp_path / "b.zip", tmp_path / "elsewhere")
    assert [turn.text for turn in back.turns(session.id)] == ["look", "another"]
    back.close()


HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA journal_mode=WAL")
print(connection.execute("SELECT count(*) FROM turns").fetchone()[0], flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def another_program(path: Path) -> Iterator[None]:
    """One that has the database open and does nothing."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline().strip()
        yield
    finally:
        holder.stdin.close()
        assert holder.wait(60) == 0
        holder.stdout.close()


# --- the way back -------------------------------------------------------------------------------


def test_what_is_there_is_moved_aside(store: MemoryStore, data: Path, tmp_path: Path) -> None:
    backup = tmp_path / "b.zip"
    write_backup(store, backup)
    store.add_user_turn(store.list_sessions()[0].id, "said after the backup")
    store.close()
    assert stored_conversations(data / "mmchat.db") == 1
    aside = restore_backup(backup, data / "mmchat.db", data / "blobs")
    assert aside is not None
    now, before = open_store(data), open_store(aside)
    assert [len(each.turns(each.list_sessions()[0].id)) for each in (now, before)] == [1, 2]
    assert now.check_integrity() == before.check_integrity() == []
    now.close()
    before.close()
    assert [path.name for path in data.iterdir() if path.name.startswith(".")] == []


def test_nothing_is_moved_while_another_has_the_store_open(store: MemoryStore, data: Path, tmp_path: Path) -> None:
    backup = tmp_path / "b.zip"
    write_backup(store, backup)
    store.close()
    with another_program(data / "mmchat.db"):
        before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file() and path.suffix != ".db-shm"}
        with pytest.raises(MemoryStoreError, match="is open in another program"):
            restore_backup(backup, data / "mmchat.db", data / "blobs")
        assert {path: path.read_bytes() for path in before} == before
    assert restore_backup(backup, data / "mmchat.db", data / "blobs") is not None


def spoil(backup: Path, target: Path, change: dict[str, bytes | None]) -> Path:
    """A copy of a backup with some members replaced, or, for None, left out."""
    with zipfile.ZipFile(backup) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = change.get(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
        for name in change.keys() - set(old.namelist()):
            new.writestr(name, change[name] or b"")
    return target


def test_a_backup_that_is_not_sound_changes_nothing(store: MemoryStore, data: Path, tmp_path: Path) -> None:
    backup = tmp_path / "b.zip"
    write_backup(store, backup)
    store.close()
    with zipfile.ZipFile(backup) as archive:
        manifest = json.loads(archive.read("mmchat-backup.json"))
        blob = next(name for name in archive.namelist() if name.startswith("blobs/"))
    newer = {**manifest, "schema": [*manifest["schema"], "m999_dreams"]}
    leading_out = {**manifest, "sha256": {**manifest["sha256"], "../out": "0" * 64}}
    half = tmp_path / "half.zip"
    half.write_bytes(backup.read_bytes()[:2000])
    (tmp_path / "text.zip").write_text("hello")
    spoiled = {
        "is damaged": spoil(backup, tmp_path / "1.zip", {blob: b"other"}),
        "is not a whole backup": spoil(backup, tmp_path / "2.zip", {blob: None}),
        "written by a newer mmchat: its schema is m999_dreams": spoil(
            backup, tmp_path / "3.zip", {"mmchat-backup.json": json.dumps(newer).encode()}
        ),
        "written by a newer mmchat": spoil(backup, tmp_path / "4.zip", {"mmchat-backup.json": b'{"format": 2}'}),
        "is no backup of mmchat": spoil(backup, tmp_path / "5.zip", {"mmchat-backup.json": None}),
        "leads out of it": spoil(
            backup, tmp_path / "6.zip", {"mmchat-backup.json": json.dumps(leading_out).encode(), "../out": b"x"}
        ),
        "is no backup, or damaged": half,
        "is no backup, or": tmp_path / "text.zip",
        "There is no": tmp_path / "nowhere.zip",
    }
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    for words, path in spoiled.items():
        with pytest.raises(MemoryStoreError, match=words):
            restore_backup(path, data / "mmchat.db", data / "blobs")
        assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "out").exists()


def test_a_failing_move_puts_everything_back(
    store: MemoryStore, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_backup(store, tmp_path / "b.zip")
    store.close()
    rename, moved = Path.rename, []

    def failing(self: Path, target: Path) -> Path:
        if ".restore-" in str(self) and self.name == "blobs":
            raise PermissionError(13, "Permission denied")
        moved.append(self)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(MemoryStoreError, match="could not be brought back: Permission denied"):
        restore_backup(tmp_path / "b.zip", data / "mmchat.db", data / "blobs")
    assert moved
    again = open_store(data)
    assert again.list_sessions()[0].title == "花园"
    assert again.check_integrity() == []
    again.close()


def test_what_is_there_may_be_damaged(store: MemoryStore, data: Path, tmp_path: Path) -> None:
    look = look_into_backup(write_backup(store, tmp_path / "b.zip").path)
    assert (look.conversations, look.turns) == (1, 1)
    store.close()
    (data / "mmchat.db").write_bytes(b"rubbish" * 1000)
    assert stored_conversations(data / "mmchat.db") is None
    assert restore_backup(tmp_path / "b.zip", data / "mmchat.db", data / "blobs") is not None
    with sqlite3.connect(data / "mmchat.db") as connection:
        assert connection.execute("SELECT count(*) FROM turns").fetchone() == (1,)
    connection.close()
    shutil.rmtree(data)


KILLED_AT_A_MOVE = """
import os, signal, sys
from pathlib import Path
from mmchat.memory.restore import restore_backup

backup, data, left = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
rename = Path.rename

def counted(self, target):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return rename(self, target)

Path.rename = counted
restore_backup(backup, data / "mmchat.db", data / "blobs")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX signal")
def test_killed_between_any_two_moves_the_next_start_brings_it_back_to_the_end(
    store: MemoryStore, data: Path, tmp_path: Path
) -> None:
    backup = write_backup(store, tmp_path / "b.zip").path
    store.create_session(title="later")
    store.add_user_turn(store.list_sessions()[0].id, "later", [picture(tmp_path, b"another")])
    store.close()
    for moves in range(10):
        work = tmp_path / f"work{moves}"
        shutil.copytree(data, work)
        killed = subprocess.run([sys.executable, "-c", KILLED_AT_A_MOVE, backup, work, str(moves)], check=False)
        if killed.returncode == 0:
            break
        assert (work / "mmchat.db.restoring").exists()
        again = open_store(work)
        assert [session.title for session in again.list_sessions()] == ["花园"]
        assert again.check_integrity() == []
        (turn,) = again.turns(again.list_sessions()[0].id)
        assert turn.attachments[0].path.read_bytes() == b"picture"
        again.close()
        (aside,) = work.glob("before-restore-*")
        old = open_store(aside)
        assert {session.title for session in old.list_sessions()} == {"花园", "later"}
        assert old.check_integrity() == []
        old.close()
        assert [path.name for path in work.iterdir() if "restor" in path.name] == [aside.name]
    assert moves >= 4, "the database and the files aside, and both in"


def test_what_another_program_is_bringing_back_is_left_to_it(data: Path) -> None:
    data.mkdir()
    with journal(data / "mmchat.db", [(data / "old", data / "new")], data / "fresh"):
        (data / "old").write_text("old")
        with pytest.raises(MemoryStoreError, match="Another mmchat is bringing a backup back"):
            open_store(data)
    assert (data / "old").exists()
    open_store(data).close()


def test_a_list_of_moves_that_broke_off_means_that_none_was_made(store: MemoryStore, data: Path) -> None:
    store.close()
    (data / "mmchat.db.restoring").write_bytes(b'{"moves": [["mmc')
    again = open_store(data)
    assert again.list_sessions()[0].title == "花园"
    again.close()
    assert not (data / "mmchat.db.restoring").exists()


def test_moves_that_cannot_be_made_are_told(data: Path) -> None:
    data.mkdir()
    (data / "old").mkdir()
    (data / "mmchat.db.restoring").write_text('{"moves": [["old", "gone/new"]], "fresh": "fresh"}')
    with pytest.raises(MemoryStoreError, match="cannot be brought back to the end"):
        open_store(data)
    assert (data / "mmchat.db.restoring").exists()
