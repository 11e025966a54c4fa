"""The moves that bring a backup back, written down first: killed between two of them, the next start makes the rest.

Moving a database and a folder of files aside and others in takes several renames, which no file system makes in one.
The list is held locked by the program that works on it, so that no other takes its work for a dead one's.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmchat.errors import MemoryStoreError
from mmchat.memory.store_errors import reason
from mmchat.memory.writers import try_lock
from mmchat.paths import sync_dir

log = logging.getLogger(__name__)

Move = tuple[Path, Path]


@contextlib.contextmanager
def journal(database_path: Path, moves: Sequence[Move], fresh: Path) -> Iterator[None]:
    """While this lasts, the moves are known to whoever opens the database after a crash. A plain end forgets them.

    Args:
        database_path: whose memory is exchanged; all paths are told relative to its folder.
        moves: from where to where, in order.
        fresh: a folder to remove when all are made.
    """
    home, path = database_path.parent, _journal_of(database_path)
    told = {
        "moves": [[os.path.relpath(source, home), os.path.relpath(target, home)] for source, target in moves],
        "fresh": os.path.relpath(fresh, home),
    }
    try:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            try_lock(file)
            file.write(json.dumps(told).encode())
            file.flush()
            os.fsync(file.fileno())
            sync_dir(home)
            yield
    finally:
        path.unlink(missing_ok=True)
        sync_dir(home)


def finish_restore(database_path: Path) -> bool:
    """Make the moves that a killed program left; True where there were some.

    Raises:
        MemoryStoreError: another program is at it, or they cannot be made; nothing is lost.
    """
    path = _journal_of(database_path)
    if not os.path.lexists(path):
        return False
    try:
        file = path.open("r+b")
    except FileNotFoundError:  # it ended while we looked
        return False
    except OSError as error:
        raise _stuck(database_path, reason(error)) from error
    try:
        with file:
            if not try_lock(file):
                raise MemoryStoreError(
                    f"Another mmchat is bringing a backup back to {database_path.parent}.",
                    hint="Try again when it is done.",
                )
            _make_moves(database_path.parent, file.read())
        path.unlink(missing_ok=True)
        sync_dir(database_path.parent)
    except OSError as error:
        raise _stuck(database_path, reason(error)) from error
    log.warning("a backup that was being brought back when mmchat ended was brought back to the end")
    return True


def _make_moves(home: Path, text: bytes) -> None:
    try:
        told = json.loads(text)
    except ValueError:
        return  # killed while it was written: nothing was moved yet
    for source, target in told["moves"]:
        # What was moved already may have another of its name in its old place by now.
        if (home / source).exists() and not (home / target).exists():
            (home / source).rename(home / target)
    sync_dir(home)
    shutil.rmtree(home / told["fresh"], ignore_errors=True)


def _journal_of(database_path: Path) -> Path:
    return database_path.with_name(f"{database_path.name}.restoring")


def _stuck(database_path: Path, why: str) -> MemoryStoreError:
    return MemoryStoreError(
        f"A backup that was being brought back when mmchat ended cannot be brought back to the end: {why}.",
        hint=f"Check the permissions of {database_path.parent}. Nothing is lost.",
    )
