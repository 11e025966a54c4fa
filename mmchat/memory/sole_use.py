"""Whether another program has a database open, and keeping others from opening it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from mmchat.errors import MemoryStoreError
from mmchat.memory.store_errors import reason, unusable_folder

# Where SQLite locks a file for as long as it is open in WAL mode (os.h: SHARED_FIRST, SHARED_SIZE).
_SHARED_LOCK_AT, _SHARED_LOCK_BYTES = 0x40000002, 510


@contextlib.contextmanager
def sole_use(path: Path) -> Iterator[int]:
    """A descriptor of the file, made if need be, that no SQLite of another program has open or can open meanwhile.

    This process must have no connection to the file: closing a descriptor drops all its locks (POSIX).

    Raises:
        MemoryStoreError: another program has it open.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
    except OSError as error:
        raise unusable_folder(path.parent, error) from error
    try:
        _lock(descriptor, path)
        yield descriptor
    finally:
        os.close(descriptor)


def is_in_use(path: Path) -> bool:
    """Whether another program has a database open. Not for a file that this process has open."""
    try:
        with sole_use(path):
            return False
    except MemoryStoreError:
        return True


def _lock(descriptor: int, path: Path) -> None:
    # Windows refuses to move or delete a file that is open elsewhere, which serves as well.
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_LOCK_BYTES, _SHARED_LOCK_AT)
    except OSError as error:
        raise MemoryStoreError(
            f"{path} is open in another program ({reason(error)}), which would go on writing into it.",
            hint="Leave mmchat everywhere else, then try again. Nothing was changed.",
        ) from error
