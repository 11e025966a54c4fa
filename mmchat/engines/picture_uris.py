"""Pictures as data URIs, the form in which llama.cpp and servers take them.

A file is never handed on as it is: it is decoded by `image_io`, which knows more formats, turns it upright and
bounds it, and written anew. So no other decoder ever meets a hostile file.
"""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from pathlib import Path

from mmchat.engines.image_io import open_image
from mmchat.errors import ImageError

SHOWN_PX = 1536
"""Longest side. Models scale what is larger down themselves, or spend thousands of tokens on it."""
_KEPT = 8
"""A prompt is counted and sent several times; the pictures of the last few are kept, up to 3 MB each."""
_JPEG_QUALITY = 92
_LOSSY_STARTS = (b"\xff\xd8", b"RIFF")  # JPEG, WebP; HEIC is told by its fifth byte


def data_uri(path: Path) -> str:
    """A picture file as `data:image/…;base64,…`, upright RGB, at most `SHOWN_PX` a side.

    Raises:
        ImageError: missing, no picture, too large, or cut off.
    """
    return _encoded(path, *_version(path))[0]


def shown_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels of what `data_uri` gives.

    Raises:
        ImageError: as for `data_uri`.
    """
    return _encoded(path, *_version(path))[1]


def _version(path: Path) -> tuple[int, int]:
    """What tells a file from another one that later takes its name."""
    try:
        status = path.stat()
    except OSError as error:
        raise ImageError(f"{path.name} cannot be read: {error.strerror}.") from error
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=_KEPT)
def _encoded(path: Path, size_bytes: int, changed_ns: int) -> tuple[str, tuple[int, int]]:
    with path.open("rb") as file:
        start = file.read(12)
    image = open_image(path)
    image.thumbnail((SHOWN_PX, SHOWN_PX))
    is_photo = start.startswith(_LOSSY_STARTS) or start[4:8] == b"ftyp"
    kind = "jpeg" if is_photo else "png"  # letters on a screenshot do not survive JPEG well
    written = io.BytesIO()
    image.save(written, kind, quality=_JPEG_QUALITY)
    return f"data:image/{kind};base64,{base64.b64encode(written.getvalue()).decode()}", image.size
