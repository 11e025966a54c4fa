"""Any picture file as an upright RGB image, within bounds; hostile files end in an error, never in a crash."""

from __future__ import annotations

import io
import math
import stat
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mmchat.engines.image_frames import DECODER_ERRORS, best_frame
from mmchat.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

MAX_FILE_BYTES = 200 * 2**20
MAX_PIXELS = 120_000_000
"""A 108-megapixel phone photo passes; decoded that is 430 MB, once."""
MAX_PIXELS_OF = {"WEBP": 40_000_000, "JPEG2000": 30_000_000, "AVIF": 60_000_000, "HEIF": 60_000_000}
"""Their decoders hold several copies: 14, 18, 9 and 9 bytes a pixel, measured. A 48-megapixel HEIC photo passes."""
TARGET_PX = 2048
"""Longest side handed on. JPEGs are decoded at a fraction of their size where that suffices."""
MIN_SIDE_PX = 1
BAND_PIXELS = 4_000_000
DEEP_GREYS = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
_ORIENTATION_TAG = 0x0112
READABLE = "Pictures: png, jpg, webp, gif, bmp, tiff, avif."
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "AVIF", "ICO", "ICNS", "PPM", "JPEG2000", "QOI")
"""Others of Pillow's are no pictures one shows, run programs (PostScript), or take any bytes for theirs (TGA)."""
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def open_image(path: Path) -> Image.Image:
    """Read a picture, turned upright, on white where it is transparent, as RGB.

    Of a TIFF's pages it is the first; of an animation the one of a few spread frames that shows most.

    Args:
        path: a file of any format that Pillow can read; the content decides, not the name.

    Returns:
        RGB, its longest side at most `TARGET_PX`. `image_frames.part_of` says which page or frame it is.

    Raises:
        ImageError: missing, no picture, too large, or cut off; said apart.
    """
    return decode_image(read_picture_file(path), path.name)


def decode_image(data: bytes, name: str) -> Image.Image:
    """As `open_image`, from bytes. `name` is for the errors."""
    from PIL import Image, UnidentifiedImageError

    _refuse_known_strangers(data, name)
    try:
        with warnings.catch_warnings():
            # Pillow warns above half its own limit and about odd metadata; our limit is checked below.
            warnings.simplefilter("ignore")
            Image.init()  # a build of Pillow need not have them all
            formats = [each for each in (("HEIF",) if _is_heif(data) else FORMATS) if each in Image.OPEN]
            with Image.open(io.BytesIO(data), formats=formats) as picture:
                _check_size(picture.size, name, picture.format or "")
                return best_frame(picture, data, partial(_to_upright_rgb, name=name))
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


def read_picture_file(path: Path) -> bytes:
    """The bytes of a file that may be a picture. Raises ImageError: missing, no file, empty, too large; said apart."""
    path = path.expanduser()
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
    if _is_heif(data) and not _can_read_heif():
        raise ImageError(
            f"'{name}' is a HEIC photo, which needs a plugin.",
            hint="Install it with 'pip install pi-heif', or export the photo as JPEG.",
        )


def _is_heif(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS and b"avif" not in data[12:64]


def _can_read_heif() -> bool:
    try:
        from pi_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _check_size(size: tuple[int, int], name: str, form: str) -> None:
    width, height = size
    if width < MIN_SIDE_PX or height < MIN_SIDE_PX:
        raise ImageError(f"'{name}' has no pixels ({width} x {height}).", hint="Copy or download it again.")
    limit = MAX_PIXELS_OF.get(form, MAX_PIXELS)
    if width * height > limit:
        raise _too_many_pixels(name, f" ({width} x {height})", limit)


def _too_many_pixels(name: str, size: str = "", limit: int = MAX_PIXELS) -> ImageError:
    return ImageError(
        f"'{name}' has too many pixels{size}; {limit // 10**6} million are the limit.",
        hint="Make it smaller first.",
    )


def _to_upright_rgb(picture: Image.Image, name: str) -> Image.Image:
    # A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, for a fraction of the memory and the time.
    if max(picture.size) > TARGET_PX:
        picture.draft("RGB", _fit(picture.size))
    picture.load()
    _check_size(picture.size, name, picture.format or "")  # containers of icons say the size of one and hold another
    orientation = _orientation(picture)
    frame = _shrunk(picture) if max(picture.size) > TARGET_PX else _on_white(picture)
    return frame if orientation is None else frame.transpose(orientation)


def _orientation(picture: Image.Image) -> Image.Transpose | None:
    """How to turn it upright; nothing where its metadata is broken, which harms no pixel."""
    from PIL import Image

    turns = (
        *(Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM),
        *(Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE),
        Image.Transpose.ROTATE_90,
    )
    try:
        value = picture.getexif().get(_ORIENTATION_TAG, 1)
    except DECODER_ERRORS:
        return None
    return turns[value - 2] if isinstance(value, int) and 2 <= value <= 8 else None


def _shrunk(picture: Image.Image) -> Image.Image:
    """RGB of at most `TARGET_PX`, made in bands: colours, transparency and deep greys never need a second full copy."""
    from PIL import Image

    step = max(1, max(picture.size) // (2 * TARGET_PX))
    rows = max(step, BAND_PIXELS // picture.width // step * step)
    small = Image.new("RGB", (-(-picture.width // step), -(-picture.height // step)))
    scale = _grey_range(picture) if picture.mode in DEEP_GREYS else None
    for top in range(0, picture.height, rows):
        band = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        band.info.update({key: value for key, value in picture.info.items() if key == "transparency"})
        small.paste(_on_white(band, scale).reduce(step), (0, top // step))
    return small.resize(_fit(picture.size), Image.Resampling.BICUBIC)


def _fit(size: tuple[int, int]) -> tuple[int, int]:
    factor = TARGET_PX / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _on_white(image: Image.Image, scale: tuple[float, float] | None = None) -> Image.Image:
    """RGB, whatever it was: transparent parts white, deep greys in 8 bits (by `scale`, or by their own range)."""
    from PIL import Image

    if image.mode in DEEP_GREYS:
        image = _to_8_bit(image, scale or _grey_range(image))
    has_alpha = image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info
    if not has_alpha:
        return image.convert("RGB")
    layered = image.convert("RGBA")
    ground = Image.new("RGBA", layered.size, (255, 255, 255, 255))
    ground.alpha_composite(layered)
    return ground.convert("RGB")


def _grey_range(image: Image.Image) -> tuple[float, float]:
    """What is black and what is white: 16 bits' range, or the picture's own where it leaves it."""
    low, high = (float(value) for value in cast("tuple[float, float]", image.getextrema()))
    if not (math.isfinite(low) and math.isfinite(high)):
        return 0.0, 1.0
    if image.mode != "F" and low >= 0 and high <= 65535:
        return 0.0, 65535.0 if high > 255 else 255.0
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return low, high


def _to_8_bit(image: Image.Image, scale: tuple[float, float]) -> Image.Image:
    """Deep greys to 8 bits, which Pillow would clip."""
    import numpy as np
    from PIL import Image

    low, high = scale
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), nan=low, posinf=high, neginf=low)
    scaled = (values - low) * (255.0 / max(high - low, 1e-12))
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))
