"""What SQLite and the file system complain of, in words a user can act on."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from pathlib import Path

from mmchat.errors import DatabaseDamaged, DiskFull, MemoryStoreError
from mmchat.memory.soundness import is_damage

FULL_BELOW_BYTES = 1 << 20
"""With less room than that, an input-output error is taken for a full disk: SQLite does not say which it was."""

_MOVE = "or move mmchat's files with MMCHAT_HOME."
_BUSY = (
    "{path} is in use by another program and did not become free within {timeout_s:g} s.",
    "Try again in a moment; if it stays so, close the other program that has the file open.",
)
_DAMAGED = (
    "{path} is damaged or is not a database ({error}).",
    "It was left as it is. `mmchat sessions recover` reads what it can into a new file and keeps the damaged one.",
)
_FULL = ("{path} could not be written: the disk is full.", "Free some space and try again; what was stored is kept.")
_UNREADABLE = (
    "{path} cannot be opened or written ({error}).",
    f"Check the permissions of the file and its folder, {_MOVE}",
)
_IO = (
    "{path} could not be read or written: {error}.",
    "Check the disk and the cable; then run `mmchat doctor`. What was stored before is kept.",
)
_OTHER = ("{path} could not be used: {error}.", "Run `mmchat doctor` to check the database.")
_EXPLANATIONS: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: _IO,
    sqlite3.SQLITE_READONLY: _UNREADABLE,
    sqlite3.SQLITE_CANTOPEN: _UNREADABLE,
    sqlite3.SQLITE_PERM: _UNREADABLE,
}


def explained(error: sqlite3.Error, path: Path, timeout_s: float) -> MemoryStoreError:
    """SQLite's complaint about the file at `path`, translated."""
    message, hint = _EXPLANATIONS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, _OTHER)
    if is_damage(error):
        message, hint = _DAMAGED
    if message is _IO[0] and _is_full(path.parent):
        message, hint = _FULL
    kind = {_DAMAGED[0]: DatabaseDamaged, _FULL[0]: DiskFull}.get(message, MemoryStoreError)
    return kind(message.format(path=path, error=error, timeout_s=timeout_s), hint=hint)


def unusable_folder(folder: Path, error: OSError) -> MemoryStoreError:
    """A folder of conversations in which nothing can be made."""
    return MemoryStoreError(
        f"The folder of conversations cannot be used: {reason(error)} ({folder}).",
        hint=f"Free some space and try again, {_MOVE}" if is_full(error) else f"Check its permissions, {_MOVE}",
    )


def newer(path: Path, step: str, count: int, known: tuple[str, ...]) -> MemoryStoreError:
    """A file with steps of the schema that this program does not know."""
    return MemoryStoreError(
        f"{path} was written by a newer mmchat: its schema is {step} (version {count}), "
        f"this program knows {known[-1]} (version {len(known)}).",
        hint="Update mmchat (pip install -U mmchat). The file was not touched.",
    )


def read_only(path: Path, *, is_behind: bool = False) -> MemoryStoreError:
    """A file that may be read only, and was to be written."""
    what = (
        "was written by an older mmchat and must be upgraded first, but is read-only" if is_behind else "is read-only"
    )
    return MemoryStoreError(
        f"{path} {what}: nothing can be stored in it.",
        hint=f"Check the owner and the permissions of the file and its folder, {_MOVE} "
        "`mmchat ask --no-log` stores nothing.",
    )


def not_in_place(path: Path) -> MemoryStoreError:
    """A file that was moved, replaced or deleted while it was open."""
    return MemoryStoreError(
        f"{path} was moved, replaced or deleted while mmchat was using it, so this was not stored.",
        hint="Put it back if it was moved by mistake; then leave mmchat and start it again.",
    )


def emptied(path: Path) -> MemoryStoreError:
    """No database, or an empty one, beside what can only come from a full one."""
    state = "is empty (0 bytes)" if path.exists() else "is missing"
    return MemoryStoreError(
        f"{path} {state}, but files of conversations are still beside it: it was emptied, deleted or not copied along.",
        hint="Put it back if you have a copy. `mmchat sessions recover` looks for what is left, and starts afresh.",
    )


def is_full(error: OSError) -> bool:
    """Whether it says that there is no room left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def reason(error: OSError) -> str:
    """What the system said, beginning small."""
    return "the disk is full" if is_full(error) else str(error.strerror or error)


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < FULL_BELOW_BYTES
    except OSError:  # the folder is gone; the complaint itself says so
        return False
