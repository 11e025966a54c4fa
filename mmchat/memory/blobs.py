"""Kept copies of attachments: files named by the hash of their bytes, written whole or not at all."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mmchat.domain import AttachmentKind
from mmchat.errors import MediaError, MemoryStoreError
from mmchat.memory.ids import new_id
from mmchat.paths import private_dir, sync_dir

_CHUNK_BYTES = 1 << 20

# Endings only help other programs to open a kept file; the hash alone names it.
_ENDINGS = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/bmp": ".bmp",
    "image/tiff": ".tiff",
    "image/heic": ".heic",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/mpeg": ".mp3",
    "audio/flac": ".flac",
    "audio/mp4": ".m4a",
    "audio/x-m4a": ".m4a",
    "audio/ogg": ".ogg",
    "audio/webm": ".webm",
}


@dataclass(frozen=True, slots=True)
class NewAttachment:
    """A file about to be kept."""

    path: Path
    kind: AttachmentKind
    media_type: str
    name: str


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that are safe on disk."""

    sha256: str
    size_bytes: int
    file: str
    """Path inside the folder of blobs, with forward slashes."""


class BlobFolder:
    """A folder of content-addressed files, 0600 in folders of 0700."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, file: str) -> Path:
        """Where a blob lies."""
        return self.folder / file

    def keep(self, source: Path, media_type: str) -> Blob:
        """Copy a file in. Bytes and names are synced to the disk before this returns.

        Raises:
            MediaError: the file cannot be read.
            MemoryStoreError: the copy cannot be written.
        """
        try:
            opened = source.open("rb")
        except OSError as error:
            raise MediaError(
                f"{source} cannot be read: {error.strerror or error}.", hint="Check the path and its permissions."
            ) from error
        try:
            with opened:
                return self._copy(opened, media_type)
        except OSError as error:
            raise MemoryStoreError(
                f"{source.name} could not be kept in {self.folder}: {error.strerror or error}.",
                hint="Free some space or check the folder's permissions; the file itself was not touched.",
            ) from error

    def remove(self, file: str) -> None:
        """Delete a blob; one that is already gone is fine."""
        self.path(file).unlink(missing_ok=True)

    def problems(self, file: str, size_bytes: int) -> list[str]:
        """What is wrong with a blob, in words."""
        path = self.path(file)
        if not path.is_file():
            return [f"the kept file {path} is missing"]
        if path.stat().st_size != size_bytes:
            return [f"the kept file {path} does not have its {size_bytes} bytes"]
        return []

    def _copy(self, opened: BinaryIO, media_type: str) -> Blob:
        if not self.folder.is_dir():
            sync_dir(private_dir(self.folder).parent)
        temporary = self.folder / f".{new_id()}.part"
        digest = hashlib.sha256()
        size_bytes = 0
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
                while chunk := opened.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    size_bytes += len(chunk)
                    copy.write(chunk)
                copy.flush()
                os.fsync(copy.fileno())
            sha256 = digest.hexdigest()
            file = f"{sha256[:2]}/{sha256}{_ENDINGS.get(media_type, '')}"
            target = self.path(file)
            private_dir(target.parent)
            temporary.replace(target)
            sync_dir(target.parent)
            sync_dir(self.folder)
        finally:
            temporary.unlink(missing_ok=True)
        return Blob(sha256, size_bytes, file)
