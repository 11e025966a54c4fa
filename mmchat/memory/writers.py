"""Who is writing a reply: a token whose lock file is held for as long as its process lives.

The kernel drops the lock when the process ends, however it ends, so a reply left `streaming` by a
killed process is told from one that another living process is still writing. A process id would not
do: they are reused, and a container sees other ids than its host.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from threading import Lock
from typing import IO

from mmchat.memory.ids import new_id
from mmchat.memory.store_errors import unusable_folder

_LITTER_AGE_S = 60.0

if sys.platform == "win32":
    import msvcrt

    def try_lock(file: IO[bytes]) -> bool:
        """Hold a file for as long as it is open; False where another has it."""
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def try_lock(file: IO[bytes]) -> bool:
        """Hold a file for as long as it is open; False where another has it."""
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class Writers:
    """The tokens of all processes that share a database, seen from one of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._token = ""
        self._file: IO[bytes] | None = None
        self._lock = Lock()

    def own_token(self) -> str:
        """This store's token, taken at the first reply.

        Raises:
            MemoryStoreError: no lock file can be made.
        """
        with self._lock:
            if self._file is None:
                try:
                    self._take_token()
                except OSError as error:
                    raise unusable_folder(self._folder, error) from error
            return self._token

    def is_alive(self, token: str) -> bool:
        """Whether the process that took `token` still runs."""
        if not token:
            return False
        if self._file is not None and token == self._token:
            return True
        return self._is_held(self._path(token))

    def close(self) -> None:
        """Give the token back."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
                self._path(self._token).unlink(missing_ok=True)

    def leftovers(self) -> list[Path]:
        """Lock files of processes that are gone."""
        # Young files are spared: their owner may be between creating and locking them.
        found = []
        for path in self._folder.glob("*.lock"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _LITTER_AGE_S and not self._is_held(path):
                    found.append(path)
        return found

    def _take_token(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self.leftovers():
            path.unlink(missing_ok=True)
        self._token = new_id()
        path = self._path(self._token)
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        if not try_lock(file):
            file.close()
            raise RuntimeError(f"a new lock file is already held: {path}")
        self._file = file

    def _path(self, token: str) -> Path:
        return self._folder / f"{token}.lock"

    @staticmethod
    def _is_held(path: Path) -> bool:
        try:
            with path.open("r+b" if os.name == "nt" else "rb") as file:  # the latter also where nothing may be written
                return not try_lock(file)
        except FileNotFoundError:
            return False
