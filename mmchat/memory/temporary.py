"""Stores that go with the program: for conversations that are not to be kept.

Each is a folder of its own among the system's temporary files, readable by the user alone. A lock file in it is held
for as long as the program lives, so that the next start tells the folder of a killed program from one in use.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from mmchat.errors import MemoryStoreError
from mmchat.memory.store import MemoryStore
from mmchat.memory.writers import Writers

PREFIX = "mmchat-private-"
_YOUNG_S = 60.0
"""A folder without a lock file is spared so long: its program may be about to take the lock."""


class TemporaryStore:
    """A store, and the folder that goes when it is closed."""

    def __init__(self) -> None:
        """Make the folder and open the store; folders of programs that were killed are removed first.

        Raises:
            MemoryStoreError: nothing can be written among the temporary files.
        """
        remove_leftovers()
        try:
            self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        except OSError as error:
            raise MemoryStoreError(
                f"No temporary folder could be made for this conversation: {error.strerror or error}.",
                hint="Free some space, or choose another place with TMPDIR.",
            ) from error
        self._owner = Writers(self.folder / "owner")
        self._owner.own_token()
        self.store = MemoryStore(self.folder / "mmchat.db", self.folder / "blobs")

    def discard(self) -> None:
        """Remove all that was in it, while others may still hold it open: what they write goes nowhere."""
        shutil.rmtree(self.folder, ignore_errors=True)  # the rest, where files in use cannot be removed, in `close`

    def close(self) -> None:
        """Close the store and remove all that was in it; a second call is harmless."""
        self.store.close()
        self._owner.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def remove_leftovers(parent: Path | None = None) -> int:
    """Remove the folders of programs that ended without doing so; returns how many.

    Args:
        parent: where to look; by default among the system's temporary files.
    """
    removed = 0
    for folder in (parent or Path(tempfile.gettempdir())).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if _is_ours(folder) and not _is_in_use(folder):
                shutil.rmtree(folder)
                removed += 1
    return removed


def _is_ours(folder: Path) -> bool:
    about = folder.lstat()
    return folder.is_dir() and not folder.is_symlink() and (os.name != "posix" or about.st_uid == os.getuid())


def _is_in_use(folder: Path) -> bool:
    locks = list((folder / "owner").glob("*.lock"))
    if not locks:
        return time.time() - folder.stat().st_mtime < _YOUNG_S
    owners = Writers(folder / "owner")
    return any(owners.is_alive(lock.stem) for lock in locks)
