"""Files of several frames or pages, phones' own formats, and metadata that is wrong."""

from __future__ import annotations

import base64
import io
import sys

import pytest
from PIL import Image, ImageDraw

from mmchat.engines import image_frames, image_io
from mmchat.engines.image_frames import part_of
from mmchat.engines.image_io import TARGET_PX, decode_image
from mmchat.errors import ImageError

HEIC = (
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "ACJpbG9jAAAAAERAAAEAAQAAAAABoQABAAAAAAAAACQAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRt"
    "AAAAAAABAAAA/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMA"
    "AAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5j"
    "bHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAAEAAAAABAAAAMAAAAAEAAAAAAAAAAv////AAAAACAAAAEHBp"
    "eGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAACxtZGF0AAAAICgBrxmA70mlv//fX9/0B6/4mshf/32Z3y4Qf8UZ"
    "jbW8"
)
"""64 x 48 pixels, the left half red, the right one blue."""


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def plain(colour: str) -> Image.Image:
    return Image.new("RGB", (60, 40), colour)


def busy(colour: str) -> Image.Image:
    """Stripes of several shades."""
    image = plain(colour)
    draw = ImageDraw.Draw(image)
    for step in range(0, 60, 6):
        draw.rectangle((step, 0, step + 3, 40), fill=(step * 4, 255 - step * 4, 80))
    return image


def animation(form: str, frames: list[Image.Image]) -> bytes:
    return encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=40)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_frame_that_shows_something_is_looked_at(form: str) -> None:
    image = decode_image(animation(form, [plain("black"), plain("gray"), busy("white"), plain("white")]), "x")
    assert part_of(image) == "frame 3 of 4"
    assert image.convert("L").entropy() > 2


def test_where_all_frames_show_as_much_it_is_the_first() -> None:
    image = decode_image(animation("GIF", [busy("red"), busy("blue"), busy("green")]), "x")
    assert part_of(image) == "frame 1 of 3"


def test_of_a_tiff_it_is_the_first_page() -> None:
    image = decode_image(animation("TIFF", [plain("red"), busy("white")]), "x")
    assert part_of(image) == "page 1 of 2"
    assert image.getpixel((5, 5)) == (255, 0, 0)


def test_a_still_is_the_whole_of_its_file() -> None:
    assert part_of(decode_image(encoded(busy("red"), "JPEG"), "x")) == ""


def test_a_damaged_end_leaves_the_frames_before_it() -> None:
    data = animation("GIF", [plain("black"), *[busy(colour) for colour in ("red", "blue", "green", "white")]])
    image = decode_image(data[: len(data) * 2 // 3], "x")
    assert image.size == (60, 40)


def test_a_gif_of_very_many_frames_is_not_walked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_frames, "MAX_COUNTED_FRAMES", 3)
    frames = [busy(colour) for colour in ("red", "blue", "green", "white", "black")]
    assert part_of(decode_image(animation("GIF", frames), "x")) == "frame 1 of 5"


def test_frames_that_cost_too_much_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_frames, "MAX_DECODED_PIXELS", 60 * 40)
    image = decode_image(animation("GIF", [plain("black"), plain("gray"), busy("white"), plain("white")]), "x")
    assert part_of(image) == "frame 1 of 4"


def test_heic_photos_are_read_with_the_plugin() -> None:
    image = decode_image(base64.b64decode("".join(HEIC)), "photo.heic")
    assert image.size == (64, 48)
    left, right = image.getpixel((10, 20)), image.getpixel((50, 20))
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    assert left[0] > 150 > left[2]
    assert right[2] > 150 > right[0]


def test_without_the_plugin_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(ImageError) as caught:
        decode_image(base64.b64decode("".join(HEIC)), "photo.heic")
    assert "pip install pi-heif" in caught.value.hint


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"]
)
def test_broken_metadata_harms_no_picture(exif: bytes) -> None:
    image = decode_image(encoded(busy("red"), "JPEG", exif=exif), "x")
    assert image.size == (60, 40)


def test_an_orientation_that_does_not_exist_turns_nothing() -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    assert decode_image(encoded(busy("red"), "JPEG", exif=exif), "x").size == (60, 40)


@pytest.mark.parametrize("mode", ["P", "L", "1", "RGBA", "LA", "I;16", "CMYK"])
def test_large_pictures_of_every_mode_are_shrunk_in_bands(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_io, "BAND_PIXELS", 200_000)  # several bands
    size = (TARGET_PX * 2 + 3, 400)
    white = Image.new("I;16", size, 65535) if mode == "I;16" else Image.new("RGB", size, "white")
    white.paste(0 if mode == "I;16" else "black", (0, 200, size[0], 400))
    if mode != "I;16":
        white = white.convert(mode)
    image = decode_image(encoded(white, "TIFF" if mode in ("CMYK", "I;16") else "PNG"), "x")
    assert image.mode == "RGB"
    assert image.size == (TARGET_PX, 200)
    assert image.getpixel((TARGET_PX - 1, 10)) == (255, 255, 255)
    assert image.getpixel((TARGET_PX - 1, 190)) == (0, 0, 0)


def test_an_icon_that_holds_more_than_it_says_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(encoded(busy("red").resize((64, 64)), "ICO", sizes=[(64, 64)]))
    data[6:8] = bytes((16, 16))  # the directory says 16 x 16, the picture in it has 64 x 64
    monkeypatch.setattr(image_io, "MAX_PIXELS", 16 * 16)
    with pytest.raises(ImageError, match="too many pixels"):
        decode_image(bytes(data), "x.ico")


@pytest.mark.parametrize(("form", "size"), [("WEBP", (64, 64)), ("AVIF", (64, 64)), ("JPEG2000", (64, 64))])
def test_formats_whose_decoders_need_more_memory_have_a_limit_of_their_own(
    form: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(image_io.MAX_PIXELS_OF, form, 64 * 64 - 1)
    with pytest.raises(ImageError, match="too many pixels"):
        decode_image(encoded(busy("red").resize(size), form), "x")
