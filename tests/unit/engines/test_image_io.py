"""Reading pictures: what is accepted comes out upright and RGB; what is not ends in words."""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmchat.engines import image_io
from mmchat.engines.image_io import TARGET_PX, decode_image, open_image
from mmchat.errors import ImageError


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def two_halves(size: tuple[int, int] = (40, 20)) -> Image.Image:
    """Left red, right blue."""
    image = Image.new("RGB", size, (255, 0, 0))
    image.paste((0, 0, 255), (size[0] // 2, 0, size[0], size[1]))
    return image


def pixel(image: Image.Image, at: tuple[int, int]) -> tuple[int, ...]:
    """The pixel of a picture that has several channels."""
    value = image.getpixel(at)
    assert isinstance(value, tuple)
    return value


def is_near(found: tuple[int, ...], colour: tuple[int, ...], tolerance: int = 12) -> bool:
    return all(abs(one - other) <= tolerance for one, other in zip(found, colour, strict=True))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "ICO", "AVIF"])
def test_formats_come_out_as_rgb(form: str) -> None:
    options = {"quality": 95, "subsampling": 0} if form == "JPEG" else {"lossless": True} if form == "WEBP" else {}
    image = decode_image(encoded(two_halves((32, 32)), form, **options), "x")
    assert image.mode == "RGB"
    assert is_near(pixel(image, (2, 10)), (255, 0, 0))
    assert is_near(pixel(image, (29, 10)), (0, 0, 255))


@pytest.mark.parametrize("size", [(40, 20), (TARGET_PX * 3, 64)])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
def test_exif_orientation_turns_the_picture(form: str, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
    image = decode_image(encoded(two_halves(size), form, exif=exif), "x")
    assert image.height > image.width
    assert is_near(pixel(image, (image.width // 2, 1)), (255, 0, 0), 30)
    assert is_near(pixel(image, (image.width // 2, image.height - 2)), (0, 0, 255), 30)


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=20)
    assert is_near(pixel(decode_image(data, "x"), (3, 3)), (255, 0, 0))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_are_white(mode: str) -> None:
    data = encoded(Image.new(mode, (6, 6), 0), "PNG")
    assert decode_image(data, "x").getpixel((2, 2)) == (255, 255, 255)


def test_transparent_palette_entry_is_white_even_when_shrunk() -> None:
    image = Image.new("P", (TARGET_PX * 2, 8), 0)
    image.putpalette([10, 20, 30, 200, 0, 0] + [0] * 762)
    data = encoded(image, "PNG", transparency=0)
    result = decode_image(data, "x")
    assert result.width == TARGET_PX
    assert result.getpixel((5, 1)) == (255, 255, 255)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    values = np.full((4, 4), 32768, dtype=np.uint16)
    data = encoded(Image.fromarray(values), "PNG")
    assert is_near(pixel(decode_image(data, "x"), (1, 1)), (128, 128, 128), 1)


def test_cmyk_and_bilevel() -> None:
    cyan = encoded(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG", quality=95)
    assert pixel(decode_image(cyan, "x"), (4, 4))[0] < 60
    assert decode_image(encoded(Image.new("1", (8, 8), 1), "PNG"), "x").getpixel((0, 0)) == (255, 255, 255)


def test_large_jpeg_is_decoded_small(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("RGB", (8192, 4096), (9, 90, 200)), "JPEG")
    decoded: list[tuple[int, int]] = []
    load = Image.Image.load

    def watched(self: Image.Image) -> object:
        decoded.append(self.size)
        return load(self)

    monkeypatch.setattr(Image.Image, "load", watched)
    assert max(decode_image(data, "x").size) <= TARGET_PX
    assert max(max(size) for size in decoded) <= TARGET_PX  # never held at full size


def test_too_many_pixels_is_refused_before_decoding() -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    data += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(ImageError, match="too many pixels"):
        decode_image(data, "bomb.png")


def test_errors_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.txt").write_text("just words")
    (tmp_path / "empty.png").touch()
    (tmp_path / "cut.jpg").write_bytes(encoded(two_halves((400, 300)), "JPEG")[:2500])
    (tmp_path / "drawing.svg").write_text('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>')
    (tmp_path / "page.pdf").write_bytes(b"%PDF-1.7 ...")
    (tmp_path / "photo.heic").write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(40))
    monkeypatch.setitem(sys.modules, "pi_heif", None)  # as where the plugin is not installed
    (tmp_path / "evil.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    said = {}
    for name in (
        "missing.png",
        "notes.txt",
        "empty.png",
        "cut.jpg",
        "drawing.svg",
        "page.pdf",
        "photo.heic",
        "evil.jpg",
    ):
        with pytest.raises(ImageError) as caught:
            open_image(tmp_path / name)
        assert name in caught.value.message
        assert caught.value.hint
        said[name] = caught.value.message
    assert len(set(said.values())) == len(said)
    assert "no file" in said["missing.png"]
    assert "not a picture" in said["notes.txt"]
    assert "cut off" in said["cut.jpg"]
    assert "SVG" in said["drawing.svg"]
    assert "HEIC" in said["photo.heic"]
    with pytest.raises(ImageError, match="folder"):
        open_image(tmp_path)
    monkeypatch.setattr(image_io, "MAX_FILE_BYTES", 10)
    with pytest.raises(ImageError, match="MB"):
        open_image(tmp_path / "cut.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="not a file"):
        open_image(tmp_path / "pipe.png")


SAMPLES = [
    encoded(two_halves(), "PNG"),
    encoded(two_halves(), "JPEG"),
    encoded(two_halves(), "GIF"),
    encoded(two_halves(), "WEBP"),
    encoded(two_halves(), "TIFF", compression="tiff_lzw"),
    encoded(two_halves(), "BMP"),
    encoded(two_halves(), "TGA"),
    encoded(two_halves(), "JPEG2000"),
]
MAGICS = [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\x20\x00\x00\x00WEBPVP8 ", b"II*\x00", b"BM"]


def never_crashes(data: bytes) -> None:
    try:
        image = decode_image(data, "fuzz")
    except ImageError:  # anything else fails the test
        return
    assert image.mode == "RGB"
    assert max(image.size) <= TARGET_PX


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(MAGICS), st.binary(max_size=200))
def test_random_bytes_end_in_image_error(magic: bytes, rest: bytes) -> None:
    never_crashes(magic + rest)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SAMPLES), st.data())
def test_cut_and_altered_files_never_crash(sample: bytes, data: st.DataObject) -> None:
    damaged = bytearray(sample[: data.draw(st.integers(1, len(sample)))])
    for _ in range(data.draw(st.integers(0, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    never_crashes(bytes(damaged))
