"""Any picture file as an upright RGB image, within bounds; hostile files end in an error, never in a crash."""

from __future__ import annotations

import io
import stat
import struct
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from mmchat.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

MAX_FILE_BYTES = 200 * 2**20
MAX_PIXELS = 120_000_000
"""A 108-megapixel phone photo passes; decoded as RGB that is 360 MB, once."""
TARGET_PX = 2048
"""Longest side handed on. JPEGs are decoded at a fraction of their size where that suffices."""
MIN_SIDE_PX = 1
READABLE = "Pictures: png, jpg, webp, gif, bmp, tiff."
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")

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


def open_image(path: Path) -> Image.Image:
    """Read a picture: the first frame, turned upright, on white where it is transparent, as RGB.

    Args:
        path: a file of any format that Pillow can read; the content decides, not the name.

    Returns:
        RGB, its longest side at most `TARGET_PX`.

    Raises:
        ImageError: missing, no picture, too large, or cut off; said apart.
    """
    return decode_image(_read_file(path.expanduser()), path.name)


def decode_image(data: bytes, name: str) -> Image.Image:
    """As `open_image`, from bytes. `name` is for the errors."""
    from PIL import Image, UnidentifiedImageError

    _refuse_known_strangers(data, name)
    try:
        with warnings.catch_warnings():
            # Pillow warns above half its own limit and about odd metadata; our limit is checked below.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as picture:
                _check_size(picture.size, name)
                return _to_upright_rgb(picture)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"'{name}' is not a picture that can be read.", hint=READABLE) from error
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(name) from error
    except MemoryError as error:
        raise ImageError(f"There is too little memory to decode '{name}'.", hint="Make it smaller first.") from error
    except DECODER_ERRORS as error:
        if "truncated" in str(error).lower() or isinstance(error, EOFError):
            raise ImageError(
                f"'{name}' is cut off: part of the picture is missing.", hint="Copy or download it again."
            ) from error
        raise ImageError(f"'{name}' is damaged and cannot be decoded.", hint="Copy or download it again.") from error


def _read_file(path: Path) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"'{path}' is a folder, not a picture.", hint="Name a picture in it.")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"'{path}' is not a file.", hint=READABLE)  # a pipe or device might never end
        if status.st_size > MAX_FILE_BYTES:
            raise ImageError(
                f"'{path.name}' is {status.st_size / 2**20:.0f} MB; pictures may have {MAX_FILE_BYTES // 2**20} MB.",
                hint="Make it smaller first.",
            )
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(f"There is no file '{path}'.", hint="Check the path.") from error
    except PermissionError as error:
        raise ImageError(f"'{path}' may not be read.", hint="Check the file's permissions.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ImageError(f"'{path}' cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not data:
        raise ImageError(f"'{path.name}' is empty.", hint="Copy or download it again.")
    return data


def _refuse_known_strangers(data: bytes, name: str) -> None:
    """Say more than "not a picture" where the format is known but not ours."""
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<svg") or (start.startswith((b"<?xml", b"<!doctype", b"<!--")) and b"<svg" in start):
        raise ImageError(f"'{name}' is a vector drawing (SVG), not a photo.", hint="Export it as PNG first.")
    if start.startswith(b"%pdf"):
        raise ImageError(f"'{name}' is a PDF, not a picture.", hint="Export the page as PNG first.")
    if start.startswith((b"%!ps", b"\xc5\xd0\xd3\xc6")):
        # Pillow would hand PostScript, a programming language, to Ghostscript.
        raise ImageError(f"'{name}' is PostScript, not a picture.", hint="Export it as PNG first.")
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS and not _can_read_heif():
        raise ImageError(
            f"'{name}' is a HEIC photo, which needs a plugin.",
            hint="Install it with 'pip install pillow-heif', or export the photo as JPEG.",
        )


def _can_read_heif() -> bool:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width < MIN_SIDE_PX or height < MIN_SIDE_PX:
        raise ImageError(f"'{name}' has no pixels ({width} x {height}).", hint="Copy or download it again.")
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(name, f" ({width} x {height})")


def _too_many_pixels(name: str, size: str = "") -> ImageError:
    return ImageError(
        f"'{name}' has too many pixels{size}; {MAX_PIXELS // 10**6} million are the limit.",
        hint="Make it smaller first.",
    )


def _to_upright_rgb(picture: Image.Image) -> Image.Image:
    from PIL import Image, ImageOps

    # A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, for a fraction of the memory and the time.
    if max(picture.size) > TARGET_PX:
        picture.draft("RGB", _fit(picture.size))
    picture.load()
    frame: Image.Image = picture
    if max(frame.size) > TARGET_PX:
        box = _fit(frame.size)
        # reducing_gap needs no second full copy; palettes are not resampled, so they turn to colours first.
        frame = (_on_white(frame) if frame.mode in ("P", "1", "PA") else frame).resize(
            box, Image.Resampling.BICUBIC, reducing_gap=3.0
        )
    frame.info.update({key: value for key, value in picture.info.items() if key == "transparency"})
    upright = _turned(frame, picture) if frame is not picture else ImageOps.exif_transpose(picture)
    return _on_white(upright)


def _turned(frame: Image.Image, source: Image.Image) -> Image.Image:
    """`frame`, which lost its metadata, turned as `source`'s metadata says."""
    from PIL import Image, ImageOps

    orientation = source.getexif().get(0x0112)
    if orientation in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        frame.info["exif"] = exif.tobytes()
    return ImageOps.exif_transpose(frame)


def _fit(size: tuple[int, int]) -> tuple[int, int]:
    factor = TARGET_PX / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _on_white(image: Image.Image) -> Image.Image:
    """RGB, whatever it was: 16-bit scaled to 8, transparent parts white."""
    from PIL import Image

    if image.mode in ("I", "I;16", "I;16L", "I;16B", "I;16N", "F"):
        image = _to_8_bit(image)
    has_alpha = image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info
    if not has_alpha:
        return image.convert("RGB")
    layered = image.convert("RGBA")
    ground = Image.new("RGBA", layered.size, (255, 255, 255, 255))
    ground.alpha_composite(layered)
    return ground.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Deep greys to 8 bits, which Pillow would clip: by 16 bits' range, or by their own where they leave it."""
    import numpy as np
    from PIL import Image

    values = np.asarray(image, dtype=np.float64)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if image.mode != "F" and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0 if high > 255 else 255.0
    elif low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    scaled = (values - low) * (255.0 / max(high - low, 1e-12))
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))
