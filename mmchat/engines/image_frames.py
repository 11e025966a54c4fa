"""Pictures of several frames or pages: how many there are, and which one to look at."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

LOOKED_AT = 4
"""Frames of an animation that are compared, spread over its length: many begin with an empty or a black one."""
MAX_DECODED_PIXELS = 150_000_000
"""To come to a frame, those before it have to be decoded. Later ones than this allows are not looked at."""
MAX_COUNTED_FRAMES = 2_000
"""Pillow walks through a GIF to count its frames; a longer one is only estimated."""
CLEARLY_MORE = 1.15
ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
PAGED = ("TIFF",)
"""Others with several pictures (a phone's MPO, icons) hold the same thing several times."""
_PART = "mmchat_part"
_GIF_FRAME = re.compile(rb"\x21\xf9\x04.{4}\x00[\x2c\x21]", re.DOTALL)

DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,  # Pillow's word for a broken header
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    ZeroDivisionError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise on broken files; each was or may be met on random bytes."""


def best_frame(picture: Image, data: bytes, render: Callable[[Image], Image]) -> Image:
    """The first page, or the frame of an animation that shows most of a few.

    Args:
        picture: opened, nothing of it decoded.
        data: its bytes.
        render: makes RGB of the frame at hand; its errors on the first frame are passed on.
    """
    count, is_paged = _count(picture, data)
    best, number, most = render(picture), 0, 0.0
    if count > 1 and not is_paged:
        most = _detail(best)
        affordable = max(1, MAX_DECODED_PIXELS // max(1, picture.width * picture.height))
        for index in sorted({count * each // LOOKED_AT for each in range(1, LOOKED_AT)} - {0}):
            if index >= affordable:
                break
            try:
                picture.seek(index)
                frame = render(picture)
            except DECODER_ERRORS:  # a damaged end takes nothing from what came before it
                break
            detail = _detail(frame)
            if detail > CLEARLY_MORE * most:
                best, number, most = frame, index, detail
    best.info = {_PART: f"{'page' if is_paged else 'frame'} {number + 1} of {count:,}"} if count > 1 else {}
    return best


def part_of(image: Image) -> str:
    """Which part of its file a decoded picture is ("frame 7 of 24", "page 1 of 3"); empty where it is the whole."""
    return str(image.info.get(_PART, ""))


def _count(picture: Image, data: bytes) -> tuple[int, bool]:
    is_paged = picture.format in PAGED
    if not is_paged and picture.format not in ANIMATED:
        return 1, False
    if picture.format == "GIF":
        estimate = sum(1 for _ in _GIF_FRAME.finditer(data))
        if estimate > MAX_COUNTED_FRAMES:
            return estimate, False
    try:
        return int(getattr(picture, "n_frames", 1)), is_paged
    except DECODER_ERRORS:
        return 1, is_paged


def _detail(image: Image) -> float:
    """Bits of its grey histogram, small: 0 for one colour, up to 8."""
    return float(image.convert("L").resize((64, 64)).entropy())
