"""The files of an export, in a folder or a zip: looked up by name, never unpacked to a place that a name tells."""

from __future__ import annotations

import contextlib
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from mmchat.errors import DataError, MediaError
from mmchat.memory.incoming import NewFile

FILE_LIMIT_BYTES = 512 << 20
"""A larger picture or sound is none."""
HEAD_BYTES = 1 << 16
_ID = re.compile(r"(file-[A-Za-z0-9]+|file_[0-9a-f]+)")
"""How ChatGPT names files: an id at the beginning, then a dash, a name and an ending, or nothing."""
_SOUNDS = {
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".flac": "audio/flac",
    ".webm": "audio/webm",
    ".aac": "audio/aac",
}


class Bundle:
    """Files by name."""

    def __init__(self, path: Path, sizes: Mapping[str, int], opener: Callable[[str], BinaryIO]) -> None:
        self.path = path
        self.sizes = sizes
        """Each file's name, with forward slashes, and its size in bytes."""
        self._opener = opener
        self._by_id: dict[str, str] | None = None

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """A file to be read.

        Raises:
            DataError: it cannot be read.
        """
        try:
            with self._opener(name) as file:
                yield file
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            # RuntimeError is how zipfile says that a password is needed.
            raise DataError(
                f"{name} in {self.path} cannot be read: {error}.",
                hint="It may be damaged or have a password; fetch it again.",
            ) from error

    def read(self, name: str, limit_bytes: int = FILE_LIMIT_BYTES) -> bytes:
        """A picture or a sound, or its beginning.

        Raises:
            MediaError: it cannot be read, or is too large.
        """
        if self.sizes[name] > FILE_LIMIT_BYTES:
            raise MediaError(f"{name} is larger than {FILE_LIMIT_BYTES >> 20} MiB.")
        try:
            with self.open(name) as file:
                return file.read(limit_bytes)
        except DataError as error:
            raise MediaError(error.message, hint=error.hint) from error

    def named(self, pattern: str) -> list[str]:
        """Names whose last part matches, those nearest to the top first."""
        wanted = re.compile(pattern)
        found = [name for name in self.sizes if wanted.fullmatch(PurePosixPath(name).name)]
        return sorted(found, key=lambda name: (name.count("/"), name))

    def by_id(self, file_id: str) -> str | None:
        """The file that begins with an id."""
        if self._by_id is None:
            self._by_id = {}
            for name in self.sizes:
                if match := _ID.match(PurePosixPath(name).name):
                    self._by_id.setdefault(match[1], name)
        return self._by_id.get(file_id)

    def picture_or_sound(self, name: str, shown_as: str = "") -> NewFile | None:
        """A file that can be attached; None for one that is neither picture nor sound, or cannot be read."""
        try:
            head = self.read(name, HEAD_BYTES)
        except MediaError:
            return None
        return sensed_file(shown_as or PurePosixPath(name).name, head, lambda: self.read(name))


def folder_bundle(folder: Path, *, is_deep: bool = True) -> Bundle:
    """The files of a folder.

    Raises:
        DataError: it cannot be read.
    """
    sizes: dict[str, int] = {}
    try:
        found = folder.rglob("*") if is_deep else (*folder.glob("file*"), *folder.glob("*/file*"))
        for path in found:
            if path.is_file():
                sizes[path.relative_to(folder).as_posix()] = path.stat().st_size
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read: {error.strerror or error}.", hint="Check its permissions."
        ) from error
    return Bundle(folder, sizes, lambda name: (folder / name).open("rb"))


@contextlib.contextmanager
def zip_bundle(path: Path) -> Iterator[Bundle]:
    """The files of a zip.

    Raises:
        DataError: it is damaged.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read as a zip: {error}.", hint="The download may be cut short; fetch it again."
        ) from error
    with archive:
        sizes = {each.filename: each.file_size for each in archive.infolist() if not each.is_dir()}
        yield Bundle(path, sizes, lambda name: cast(BinaryIO, archive.open(name)))


def sensed_file(name: str, head: bytes, read: Callable[[], bytes]) -> NewFile | None:
    """Bytes as an attachment, by what they are, not by what they are called; None for neither picture nor sound.

    Args:
        name: as the user knows it; its ending tells sounds.
        head: the first `HEAD_BYTES`, or all.
        read: gives all.
    """
    from PIL import Image

    ending = PurePosixPath(name).suffix.lower()
    if ending in _SOUNDS:
        return NewFile("audio", _SOUNDS[ending], name, read=read)
    try:
        with Image.open(io.BytesIO(head)) as picture:
            media_type = picture.get_format_mimetype()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return NewFile("image", media_type or "image/png", name, read=read)
