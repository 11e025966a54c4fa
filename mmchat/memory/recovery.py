"""Reading what can be read of a damaged database into a new one. The damaged file is kept, and never written to."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mmchat.errors import DatabaseDamaged
from mmchat.memory.blobs import BlobFolder
from mmchat.memory.damage import is_emptied, page_problems
from mmchat.memory.database import DatabaseFile, wal_of
from mmchat.memory.raw_pages import PageFile
from mmchat.memory.rebuild import Rebuilt, rebuild
from mmchat.memory.restore_journal import finish_restore
from mmchat.memory.sole_use import sole_use
from mmchat.memory.soundness import INDEX_PROBLEM
from mmchat.memory.store_errors import explained, unusable_folder
from mmchat.memory.text_index import rebuild_index
from mmchat.memory.upgrade_copy import damaged_copies
from mmchat.paths import sync_dir


@dataclass(frozen=True, slots=True)
class Recovered:
    """What `recover` did."""

    problems: tuple[str, ...] = ()
    """What was wrong; empty where nothing was, and nothing was done."""
    kept: Path | None = None
    """The damaged file under its new name; None where it was mended in place."""
    rebuilt: Rebuilt = field(default_factory=Rebuilt)


def recover(path: Path, blobs_dir: Path, *, on_progress: Callable[[str], None] = lambda text: None) -> Recovered:
    """Look at a database, and mend it if it needs it.

    A damaged full-text index alone is built anew in place. For all else the rows that can be read go into a new
    file, which takes the damaged one's place in one step once it is whole and sound.

    Args:
        path: the database.
        blobs_dir: the folder of kept files.
        on_progress: told what is being done.

    Raises:
        MemoryStoreError: it is in use, of a newer mmchat or not readable, or there is no room; nothing was changed.
    """
    finish_restore(path)
    _finish_interrupted(path)
    on_progress("looking for damage")
    problems = _problems(path, blobs_dir)
    if not problems:
        return Recovered()
    if all(problem.startswith(INDEX_PROBLEM) for problem in problems) and _mend_index(path):
        return Recovered(tuple(problems))
    fresh = path.with_name(f"{path.name}.recovering")
    with contextlib.ExitStack() as use:
        descriptor = use.enter_context(sole_use(path))
        try:
            _clear(fresh)
            with contextlib.closing(PageFile(descriptor, wal_of(path))) as pages:
                rebuilt = rebuild(pages, fresh, BlobFolder(blobs_dir), on_progress)
            if sys.platform == "win32":  # which moves no file that is open
                use.close()
            kept = _swap(path, fresh)
        except OSError as error:
            raise unusable_folder(path.parent, error) from error
        finally:
            _clear(fresh)
    return Recovered(tuple(problems), kept, rebuilt)


# --- what is wrong ------------------------------------------------------------------------------


def _problems(path: Path, blobs_dir: Path) -> list[str]:
    """Everything wrong with a database. It is let be written, by its own checks, only once its pages are sound."""
    if is_emptied(path, blobs_dir):
        return ["it is missing or empty, but files of conversations are beside it"]
    if not path.exists():
        return []
    try:
        problems = page_problems(path) + _raw_problems(path)
    except sqlite3.Error as error:
        raise explained(error, path, 0) from error
    except OSError as error:
        raise unusable_folder(path.parent, error) from error
    if problems:
        return problems
    with contextlib.closing(DatabaseFile(path)) as file:
        return file.check_integrity()


def _raw_problems(path: Path) -> list[str]:
    """What SQLite overlooks as long as it only reads."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        with contextlib.closing(PageFile(descriptor, wal_of(path))) as pages:
            problems = ["its log goes on behind a damaged place"] if pages.has_gap else []
            return problems + ["its header forbids to write to it"] * pages.is_write_barred
    finally:
        os.close(descriptor)


def _mend_index(path: Path) -> bool:
    """Build the full-text index anew where nothing else is wrong. False: more is."""
    try:
        with contextlib.closing(DatabaseFile(path)) as file:
            with file.write() as db:
                rebuild_index(db)
            return not file.check_integrity()
    except DatabaseDamaged:
        return False


# --- taking its place ---------------------------------------------------------------------------


def _swap(path: Path, fresh: Path) -> Path:
    """Put the new file in the damaged one's place. A crash in between is made good by `_finish_interrupted`."""
    kept = _free_name(path)
    try:
        os.link(path, kept)
    except OSError:  # a file system without links: for an instant there is no file
        path.replace(kept)
    # Before the new file stands there: SQLite would take the old log for the new file's.
    if wal_of(path).exists():
        wal_of(path).replace(wal_of(kept))
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    sync_dir(path.parent)
    fresh.replace(path)
    sync_dir(path.parent)
    return kept


def _finish_interrupted(path: Path) -> None:
    """Where `_swap` was cut short: take its steps back, so that the log stands beside its file again."""
    for kept in reversed(damaged_copies(path)):
        if path.exists() and kept.samefile(path):
            if wal_of(kept).exists() and not wal_of(path).exists():
                wal_of(kept).replace(wal_of(path))
            kept.unlink()
        elif not path.exists() and path.with_name(f"{path.name}.recovering").exists():
            kept.replace(path)
            if wal_of(kept).exists():
                wal_of(kept).replace(wal_of(path))


def _free_name(path: Path) -> Path:
    stem = f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    names = (stem if count == 1 else f"{stem}-{count}" for count in range(1, 1000))
    return next(path.with_name(name) for name in names if not path.with_name(name).exists())


def _clear(fresh: Path) -> None:
    for ending in ("", "-wal", "-shm", "-journal"):
        fresh.with_name(f"{fresh.name}{ending}").unlink(missing_ok=True)
