"""Killing, freezing and copying programs that write, and looking at what they left."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmchat.memory.store import MemoryStore

START_S = 60.0
_FRAME_HEADER, _WAL_HEADER, _PAGE = 24, 32, 4096
# Where the shared memory says how far the log was copied into the file: WalCkptInfo in SQLite's wal.c.
_BACKFILL_AT, _BACKFILL_TRIED_AT = 96, 128


@dataclass(slots=True)
class Told:
    """What the programs said is stored, and so must be there."""

    users: dict[str, str] = field(default_factory=dict)
    finished: dict[str, str] = field(default_factory=dict)
    open_replies: dict[str, str] = field(default_factory=dict)
    imported: dict[str, int] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    counted: int = 0
    session: str = ""
    errors: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        """One line of a program's."""
        if not line.endswith("\n"):
            return
        event: dict[str, Any] = json.loads(line)
        match event["kind"]:
            case "user":
                self.users[event["id"]] = event["text"]
            case "checkpoint":
                self.open_replies[event["id"]] = event["text"]
            case "finished":
                self.finished[event["id"]] = event["text"]
                self.open_replies.pop(event["id"])
            case "imported":
                self.imported[event["session"]] = event["turns"]
            case "picture":
                self.pictures[event["turn"]] = event["sha256"]
            case "deleting":  # from here on it may be gone
                self.users.pop(event["turn"])
                self.pictures.pop(event["turn"])
            case "deleted":
                self.deleted.add(event["session"])
            case "counting":
                self.session = event["session"]
            case "counted":
                self.counted = event["number"]
            case "error":
                self.errors.append(event["message"])


class Program:
    """`tests.crash.load` in a process of its own; its lines are read as they come."""

    def __init__(self, folder: Path, name: str, *args: str) -> None:
        self.told = Told()
        self.lines = 0
        self._has_more = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.load", str(folder), name, *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._has_more:
                self.told.take(line)
                self.lines += 1
                self._has_more.notify_all()

    def wait_for_lines(self, count: int) -> None:
        """Until it told so many things."""
        with self._has_more:
            if not self._has_more.wait_for(lambda: self.lines >= count, timeout=START_S):
                raise TimeoutError(f"only {self.lines} lines: {self.told.errors}")

    def kill(self) -> Told:
        """SIGKILL. What it told before is read to the end."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.told

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within the block, it stands still, as everything does when the power goes."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


def open_store(folder: Path) -> MemoryStore:
    """The store of a load."""
    return MemoryStore(folder / "data" / "mmchat.db", folder / "data" / "blobs")


def missing_of(store: MemoryStore, told: Told) -> list[str]:
    """What was told to be stored and is not there as it was told; every line is a lost turn or a broken rule."""
    texts = {row["id"]: (row["text"], row["status"]) for row in store.file.rows("SELECT id, text, status FROM turns")}
    lost = [f"message {each}" for each, text in told.users.items() if texts.get(each, ("",))[0] != text]
    lost += [f"reply {each}" for each, text in told.finished.items() if texts.get(each) != (text, "complete")]
    for each, text in told.open_replies.items():
        if not texts.get(each, ("",))[0].startswith(text) or texts[each][1] == "streaming":
            lost.append(f"checkpoint of {each}")
    per_session = {
        row["session_id"]: row["count"]
        for row in store.file.rows("SELECT session_id, count(*) AS count FROM turns GROUP BY session_id")
    }
    lost += [f"import {each}" for each, count in told.imported.items() if per_session.get(each) != count]
    kept = {
        row["turn_id"]: row
        for row in store.file.rows("SELECT turn_id, sha256, file FROM attachments JOIN blobs USING (sha256)")
    }
    for turn, sha256 in told.pictures.items():
        path = store.blobs.path(kept[turn]["file"]) if turn in kept else None
        if path is None or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            lost.append(f"picture of {turn}")
    sessions = {row["id"] for row in store.file.rows("SELECT id FROM sessions")}
    lost += [f"{each} was deleted and is back" for each in told.deleted & sessions]
    return lost


def flaws_of(store: MemoryStore) -> list[str]:
    """What is not as it should be in any store, whatever happened to it."""
    flaws = store.check_integrity()
    counts = {
        "rows of the index without a turn": "turns_fts WHERE rowid NOT IN (SELECT number FROM turns)",
        "turns without a row of the index": "turns WHERE status <> 'streaming'"
        " AND number NOT IN (SELECT rowid FROM turns_fts)",
        "turns without a conversation": "turns WHERE session_id NOT IN (SELECT id FROM sessions)",
        "positions given twice": "(SELECT 1 FROM turns GROUP BY session_id, position HAVING count(*) > 1)",
        "attachments without a turn": "attachments WHERE turn_id NOT IN (SELECT id FROM turns)",
    }
    for what, source in counts.items():
        (row,) = store.file.rows(f"SELECT count(*) AS n FROM {source}")
        if row["n"]:
            flaws.append(f"{row['n']} {what}")
    return flaws


# --- power cuts ---------------------------------------------------------------------------------


def snapshot(folder: Path, target: Path, chance: random.Random, *, with_shm: bool) -> int:
    """Copy a frozen program's files as a power cut would leave them. Returns how many bytes of the log were torn.

    What SQLite synced is on the disk. The log is synced before any of it goes into the file, so only frames behind
    those can be torn: cut short, or overwritten with zeros or noise.
    """
    data = folder / "data"
    shutil.copytree(data, target / "data", ignore=shutil.ignore_patterns("*-shm", "*-writers"))
    shm, wal = data / "mmchat.db-shm", target / "data" / "mmchat.db-wal"
    content = shm.read_bytes() if shm.exists() else bytes(136)
    if with_shm and shm.exists():
        (target / "data" / shm.name).write_bytes(content)
    tried = max(struct.unpack_from("<I", content, at)[0] for at in (_BACKFILL_AT, _BACKFILL_TRIED_AT))
    size = wal.stat().st_size if wal.exists() else 0
    safe = _WAL_HEADER + tried * (_FRAME_HEADER + _PAGE)
    if safe >= size:
        return 0
    at = chance.randrange(safe, size)
    kind = chance.choice(["none", "none", "none", "cut", "zeros", "noise"])
    if kind == "none":
        return 0
    with wal.open("r+b") as log:
        if kind == "cut":
            log.truncate(at)
        else:
            log.seek(at)
            log.write(bytes(size - at) if kind == "zeros" else chance.randbytes(size - at))
    return size - at
