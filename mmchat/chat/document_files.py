"""Which files below a folder are documents, and whether they changed since they were read."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mmchat.documents.kinds import kind_of

MAX_FILES = 10_000
"""Below what is added: whoever adds a whole disk did not mean it."""
_NO_DOCUMENTS_IN = frozenset(
    ("node_modules", "bower_components", "__pycache__", "__macosx", "venv", "site-packages", "$recycle.bin",
     "system volume information", "lost+found")
)  # fmt: skip
"""Folders of things that programs put there; hidden ones (.git, .venv) are left out anyway."""
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FileAt:
    """A file as it is on the disk now."""

    root: Path
    """What was added: the file itself, or a folder that it lies in."""
    path: Path
    size_bytes: int
    modified_ns: int


class TooManyFiles(Exception):
    """More documents lie below a folder than are taken in."""


def files_below(root: Path) -> Iterator[FileAt]:
    """The documents below a folder, or the file that it is, by path. Folders that cannot be looked into are left out.

    Links to files are followed where they stay within the folder, links to folders never: they may lead in circles.

    Raises:
        TooManyFiles: there are more than `MAX_FILES`.
    """
    if root.is_file():
        if (found := _file_at(root, root)) is not None:
            yield found
        return
    count = 0
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not is_left_out(name))
        for name in sorted(names):
            path = Path(folder, name)
            if is_left_out(name) or kind_of(path) is None or not _is_within(root, path):
                continue
            if (found := _file_at(root, path)) is not None:
                count += 1
                if count > MAX_FILES:
                    raise TooManyFiles
                yield found


def passed_over(root: Path) -> list[Path]:
    """The files below a folder that are no documents, going by their names; those that tools put there are not told."""
    found: list[Path] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not is_left_out(name))
        paths = [Path(folder, name) for name in sorted(names) if not is_left_out(name)]
        found += [path for path in paths if kind_of(path) is None]
    return found


def is_left_out(name: str) -> bool:
    """Whether a file or folder is none of the user's own: hidden, a lock file of an office program, made by tools."""
    return name.startswith((".", "~$")) or name.lower() in _NO_DOCUMENTS_IN


def hash_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def outermost_first(roots: Iterable[Path]) -> list[Path]:
    """Each once; folders before what lies in them."""
    return sorted(dict.fromkeys(roots), key=lambda path: (len(path.parts), str(path)))


def is_gone(root: Path) -> bool:
    """Whether what was added was removed, and not only taken away with the disk that it lies on."""
    return not root.exists() and root.parent.exists()


def _file_at(root: Path, path: Path) -> FileAt | None:
    try:
        status = path.stat()
    except OSError:  # a link that leads nowhere or in a circle, or gone just now
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return FileAt(root, path, status.st_size, status.st_mtime_ns)


def _is_within(root: Path, path: Path) -> bool:
    try:
        return not path.is_symlink() or path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a circle of links
        return False
