"""Older states of a database that stand beside it: a copy from before an upgrade of its schema, damaged files."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

from mmchat.errors import MemoryStoreError
from mmchat.memory.store_errors import is_full, reason
from mmchat.narration import tell
from mmchat.paths import sync_dir

_MARGIN = 1.1
"""Room the copy may need beyond the file's own size."""
_PAGES_AT_ONCE = 2048
UPGRADING = "Upgrading the memory for this mmchat…"


def copy_before(step: str, path: Path, source: sqlite3.Connection) -> Path:
    """Copy what is committed to `<path>.before-<number of the step>`, whole and synced or not at all.

    Args:
        step: name of the first step to be taken, e.g. m002_remember_more.
        path: the database.
        source: a connection to it; nobody writes meanwhile.

    Raises:
        MemoryStoreError: there is no room for it; nothing was upgraded.
    """
    target = path.with_name(f"{path.name}.before-{step[:4]}")
    part = target.with_name(f"{target.name}.part")
    needed = int(path.stat().st_size * _MARGIN)
    try:
        if shutil.disk_usage(path.parent).free < needed:
            raise _no_room(path, needed)
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with contextlib.closing(sqlite3.connect(part)) as copy:
            source.backup(copy, pages=_PAGES_AT_ONCE, progress=lambda _, left, pages: _tell(path, left, pages))
        tell(UPGRADING)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(target)
        sync_dir(target.parent)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
            raise _no_room(path, needed) from error
        raise
    except OSError as error:
        if is_full(error):
            raise _no_room(path, needed) from error
        raise MemoryStoreError(
            f"{path} could not be copied before its upgrade: {reason(error)}.", hint="Nothing was changed."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return target


def copies(path: Path) -> list[Path]:
    """Copies from before upgrades, by name."""
    return sorted(each for each in path.parent.glob(f"{path.name}.before-m*") if each.suffix != ".part")


def damaged_copies(path: Path) -> list[Path]:
    """Damaged files that `recover` kept aside, oldest first."""
    return sorted(each for each in path.parent.glob(f"{path.name}.damaged-*") if not each.name.endswith("-wal"))


def drop_copies_but(kept: Path, path: Path) -> None:
    """Keep one copy: each is as large as the database was."""
    for each in copies(path):
        if each != kept:
            each.unlink(missing_ok=True)


def _tell(path: Path, pages_left: int, pages: int) -> None:
    done = (pages - pages_left) / max(pages, 1)
    tell(f"Copying the memory before its upgrade: {done:.0%} of {path.stat().st_size / 1e6:,.0f} MB…")


def _no_room(path: Path, needed_bytes: int) -> MemoryStoreError:
    return MemoryStoreError(
        f"{path} must be upgraded for this mmchat, and there is no room for a copy of it beforehand.",
        hint=f"Free {needed_bytes / 1e6:.0f} MB and try again. Nothing was changed.",
    )
