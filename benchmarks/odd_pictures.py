"""Damaged, hostile and odd picture files, drawn here; the same for the same seed."""

from __future__ import annotations

import base64
import gzip
import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw


@dataclass(frozen=True, slots=True)
class Odd:
    """A file to be made."""

    kind: str
    """Row of the table."""
    name: str
    data: bytes


Encode = Callable[[Image.Image], bytes]
HEIC = (
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAAAA"
    "AERAAAEAAQAAAAABoQABAAAAAAAAACQAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/WlwcnAAAADd"
    "aXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAA"
    "AwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xh"
    "cAAAAEAAAAABAAAAMAAAAAEAAAAAAAAAAv////AAAAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAACxtZGF0AAAA"
    "ICgBrxmA70mlv//fX9/0B6/4mshf/32Z3y4Qf8UZjbW8"
)


def scene(rng: random.Random, size: tuple[int, int] = (200, 150)) -> Image.Image:
    """Sky, ground, a sun and some noise."""
    image = Image.new("RGB", size, (150, 190, 230))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, size[1] * 2 // 3, size[0], size[1]), fill=(70, 140, 60))
    x = rng.randrange(size[0])
    draw.ellipse((x - 20, 10, x + 20, 50), fill=(250, 220, 80))
    noise = np.random.default_rng(rng.randrange(1 << 30)).integers(-12, 12, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.asarray(image, dtype=np.int16) + noise, 0, 255).astype(np.uint8))


def _as(form: str, **options: object) -> Encode:
    def encode(image: Image.Image) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, form, **options)
        return buffer.getvalue()

    return encode


FORMATS: dict[str, Encode] = {
    "png": _as("PNG"),
    "jpg": _as("JPEG", quality=80),
    "jpeg": _as("JPEG", quality=80, progressive=True),
    "gif": _as("GIF"),
    "webp": _as("WEBP", quality=80),
    "bmp": _as("BMP"),
    "tif": _as("TIFF", compression="tiff_deflate"),
    "avif": _as("AVIF", quality=50, speed=10),
    "ico": _as("ICO", sizes=[(64, 64)]),
    "jp2": _as("JPEG2000"),
    "heic": lambda image: base64.b64decode("".join(HEIC)),
}


def odd_pictures(seed: int, *, is_quick: bool = False) -> Iterator[Odd]:
    """All of them; or those that are made and read in no time."""
    rng = random.Random(seed)
    yield from _damaged(rng)
    yield from _sizes(rng)
    yield from _metadata(rng)
    yield from _unusual(rng)
    yield from _strangers(rng)
    if not is_quick:
        yield from _large()
        yield from _bombs(rng)


def _damaged(rng: random.Random) -> Iterator[Odd]:
    for suffix, encode in FORMATS.items():
        yield from damaged(rng, suffix, encode(scene(rng)), turned_bits=(1, 11, 21), kept_bytes=32, noise_bytes=4000)


def damaged(
    rng: random.Random, suffix: str, whole: bytes, *, turned_bits: Sequence[int], kept_bytes: int, noise_bytes: int
) -> Iterator[Odd]:
    """A whole file as it comes off a bad disk or a broken line."""
    for share in (0.1, 0.5, 0.95):
        yield Odd("cut short", f"cut-{int(share * 100)}.{suffix}", whole[: int(len(whole) * share)])
    for number, count in enumerate(turned_bits):
        data = bytearray(whole)
        for _ in range(count):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        yield Odd("bits turned", f"bits-{number}.{suffix}", bytes(data))
    yield Odd("noise after a true beginning", f"noise.{suffix}", whole[:kept_bytes] + rng.randbytes(noise_bytes))
    yield Odd("second half zeros", f"zeros.{suffix}", whole[: len(whole) // 2] + bytes(len(whole) // 2))


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG file, with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes, *extra: bytes, colour: int = 2, depth: int = 8) -> bytes:
    """A PNG of compressed scanlines that need not fit its size."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")


def _zeros(count: int) -> bytes:
    """So many zeros, compressed, without ever being in memory."""
    packer = zlib.compressobj(9)
    piece = bytes(1 << 20)
    parts = [packer.compress(piece) for _ in range(count >> 20)]
    return b"".join([*parts, packer.compress(bytes(count & 0xFFFFF)), packer.flush()])


def _sizes(rng: random.Random) -> Iterator[Odd]:
    small = zlib.compress(b"\0" * 31)
    for width, height in ((0, 0), (0, 9), (100_000, 100_000), (2**31 - 1, 2**31 - 1), (65_535, 65_535)):
        yield Odd("a size that cannot be", f"size-{width}x{height}.png", png(width, height, small))
    jpg = bytearray(FORMATS["jpg"](scene(rng)))
    at = jpg.index(b"\xff\xc0")
    jpg[at + 5 : at + 9] = struct.pack(">HH", 65_500, 65_500)
    yield Odd("a size that cannot be", "size.jpg", bytes(jpg))
    gif = bytearray(FORMATS["gif"](scene(rng)))
    gif[6:10] = struct.pack("<HH", 65_535, 65_535)
    yield Odd("a size that cannot be", "size.gif", bytes(gif))
    for number, size in enumerate(((2**31 - 1, 2**31 - 1), (-200, 150), (200, -(2**31)))):
        bmp = bytearray(FORMATS["bmp"](scene(rng)))
        bmp[18:26] = struct.pack("<ii", *size)
        yield Odd("a size that cannot be", f"size-{number}.bmp", bytes(bmp))
    ico = bytearray(FORMATS["ico"](scene(rng)))
    at = ico.index(b"IHDR")
    ico[at + 4 : at + 12] = struct.pack(">II", 60_000, 60_000)
    yield Odd("a size that cannot be", "size.ico", bytes(ico))
    for size in ((1, 1), (1, 20_000), (20_000, 1), (2, 2), (3, 3000)):
        yield Odd("very small or very long", f"{size[0]}x{size[1]}.png", FORMATS["png"](Image.new("RGB", size, "red")))


def _large() -> Iterator[Odd]:
    line = 12_000 * 3 + 1
    yield Odd("108 megapixels", "108.png", png(12_000, 9_000, _zeros(line * 9_000)))
    yield Odd("108 megapixels", "108-alpha.png", png(12_000, 9_000, _zeros((12_000 * 4 + 1) * 9_000), colour=6))
    yield Odd("108 megapixels", "108.jpg", _as("JPEG", quality=20)(Image.new("RGB", (12_000, 9_000), "teal")))
    yield Odd("more pixels than allowed", "400.png", png(20_000, 20_000, _zeros(20_000 * 60_001)))
    yield Odd(
        "more pixels than allowed", "144.webp", _as("WEBP", quality=10, method=0)(Image.new("RGB", (12_000, 12_000)))
    )


def _bombs(rng: random.Random) -> Iterator[Odd]:
    kind = "a bomb"
    picture = FORMATS["png"](scene(rng))
    head, rest = picture[:33], picture[33:]
    gigabyte = _zeros(1 << 30)
    yield Odd(kind, "text-1gb.png", head + png_chunk(b"zTXt", b"Comment\0\0" + gigabyte) + rest)
    yield Odd(kind, "itext-1gb.png", head + png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + gigabyte) + rest)
    yield Odd(kind, "profile-1gb.png", head + png_chunk(b"iCCP", b"icc\0\0" + gigabyte) + rest)
    yield Odd(kind, "pixels-1gb.png", png(10, 10, gigabyte))
    yield Odd(kind, "texts.png", head + png_chunk(b"tEXt", b"a\0" + b"b" * 90) * 200_000 + rest)
    yield Odd(kind, "zlib-end.png", png(200, 150, zlib.compress(bytes(100))))
    frames = [Image.new("P", (8, 8), index % 3) for index in range(3)]
    gif = _as("GIF", save_all=True, append_images=frames[1:], duration=10)(frames[0])
    at, end = gif.index(b"\x21\xf9"), len(gif) - 1
    yield Odd(kind, "frames.gif", gif[:at] + gif[at:end] * 30_000 + gif[end:])
    large = [Image.new("P", (5000, 5000), index % 3) for index in range(2)]
    gif = _as("GIF", save_all=True, append_images=large[1:], duration=10)(large[0])
    at, end = gif.index(b"\x21\xf9"), len(gif) - 1
    yield Odd(kind, "large-frames.gif", gif[:at] + gif[at:end] * 300 + gif[end:])
    shades = [Image.new("RGB", (300, 300), (index % 256, 9, 9)) for index in range(400)]
    yield Odd(
        kind, "frames.webp", _as("WEBP", save_all=True, append_images=shades[1:], duration=10, method=0)(shades[0])
    )
    yield Odd(kind, "frames.png", _as("PNG", save_all=True, append_images=shades[1:], duration=10)(shades[0]))
    tiff = FORMATS["tif"](scene(rng))
    yield Odd(kind, "loop.tif", _looped_tiff(tiff))
    yield Odd(kind, "strip-1gb.tif", _tiff(200, 150, gigabyte))
    yield Odd(kind, "size.tif", _tiff(100_000, 1_000, gigabyte))
    pages = [Image.new("1", (10, 10)) for _ in range(600)]
    yield Odd(kind, "pages.tif", _as("TIFF", save_all=True, append_images=pages[1:])(pages[0]))
    jpg = FORMATS["jpg"](scene(rng))
    yield Odd(kind, "comments.jpg", jpg[:2] + (b"\xff\xfe\xff\xff" + b"x" * 65_533) * 900 + jpg[2:])
    yield Odd(kind, "segments.jpg", jpg[:2] + b"\xff\xe5\x00\x02" * 400_000 + jpg[2:])
    yield Odd(kind, "scans.jpeg", _many_scans(FORMATS["jpeg"](scene(rng, (1600, 1200)))))


def _tiff(width: int, height: int, strip: bytes) -> bytes:
    """A TIFF of one deflated strip."""
    tags = [
        (256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 8), (262, 3, 1),
        (273, 4, 0), (277, 3, 1), (278, 4, height), (279, 4, len(strip)),
    ]  # fmt: skip
    start = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, start if tag == 273 else value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + strip


def _looped_tiff(tiff: bytes) -> bytes:
    """Its page names itself as the next one."""
    data = bytearray(tiff)
    at = struct.unpack("<I", data[4:8])[0]
    count = struct.unpack("<H", data[at : at + 2])[0]
    data[at + 2 + 12 * count : at + 6 + 12 * count] = struct.pack("<I", at)
    return bytes(data)


def _many_scans(jpeg: bytes) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    at = jpeg.rindex(b"\xff\xda")
    return jpeg[:-2] + jpeg[at:-2] * 400 + jpeg[-2:]


def _metadata(rng: random.Random) -> Iterator[Odd]:
    image = scene(rng)
    for number, exif in enumerate(
        (
            b"Exif\0\0",
            b"Exif\0\0" + rng.randbytes(400),
            b"Exif\0\0MM\0*\xff\xff\xff\xff",
            b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0\x01\0\0\0\x06\0\0\0",
            b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",  # points to itself
            b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\xff\xff\xff\x7f\x08\0\0\0\0\0\0\0",
            b"Exif\0\0" + bytes(60_000),
        )
    ):
        yield Odd("broken metadata", f"exif-{number}.jpg", _as("JPEG", exif=exif)(image))
    for value in (0, 9, 65_535):
        exif_values = Image.Exif()
        exif_values[0x0112] = value
        yield Odd("broken metadata", f"turn-{value}.jpg", _as("JPEG", exif=exif_values)(image))
    yield Odd("broken metadata", "profile.jpg", _as("JPEG", icc_profile=rng.randbytes(3000))(image))
    jpg = FORMATS["jpg"](image)
    xmp = b"http://ns.adobe.com/xap/1.0/\0" + b"<a>" * 20_000
    yield Odd("broken metadata", "xmp.jpg", jpg[:2] + b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp + jpg[2:])
    for value in range(1, 9):
        exif_values = Image.Exif()
        exif_values[0x0112] = value
        yield Odd("turned by its metadata", f"turned-{value}.jpg", _as("JPEG", exif=exif_values)(image))


def _unusual(rng: random.Random) -> Iterator[Odd]:
    kind = "unusual but sound"
    image = scene(rng)
    grey = np.asarray(image.convert("L"), dtype=np.float32)
    odd = grey.copy()
    odd[::7] = np.nan
    odd[::11] = np.inf
    yield Odd(kind, "16-bit.png", _as("PNG")(Image.fromarray((grey * 257).astype(np.uint16))))
    yield Odd(kind, "1-bit.png", _as("PNG")(image.convert("1")))
    yield Odd(kind, "grey-alpha.png", _as("PNG")(image.convert("LA")))
    yield Odd(kind, "palette.png", _as("PNG", transparency=3)(image.convert("P")))
    yield Odd(kind, "clear.png", _as("PNG")(Image.new("RGBA", (90, 90))))
    yield Odd(kind, "cmyk.jpg", _as("JPEG")(image.convert("CMYK")))
    yield Odd(kind, "grey.jpg", _as("JPEG")(image.convert("L")))
    yield Odd(kind, "float.tif", _as("TIFF")(Image.fromarray(grey / 255)))
    yield Odd(kind, "nan.tif", _as("TIFF")(Image.fromarray(odd)))
    yield Odd(kind, "lab.tif", _as("TIFF")(image.convert("LAB")))
    yield Odd(kind, "int32.tif", _as("TIFF")(Image.fromarray((grey * 1e6).astype(np.int32))))
    yield Odd(kind, "lzw.tif", _as("TIFF", compression="tiff_lzw")(image))
    yield Odd(kind, "fax.tif", _as("TIFF", compression="group4")(image.convert("1")))
    yield Odd(kind, "jpeg.tif", _as("TIFF", compression="jpeg")(image))
    yield Odd(kind, "palette.bmp", _as("BMP")(image.convert("P")))
    yield Odd(kind, "plain.ppm", b"P3\n2 2\n255\n" + b"255 0 0  0 255 0\n0 0 255  9 9 9\n")
    yield Odd(kind, "icons.icns", _as("ICNS")(image.resize((128, 128))))
    yield Odd(kind, "icons.ico", _as("ICO", sizes=[(16, 16), (32, 32), (128, 128)])(image.resize((128, 128))))
    yield Odd(kind, "lossless.webp", _as("WEBP", lossless=True)(image.convert("RGBA")))
    yield Odd(kind, "quick.qoi", _as("QOI")(image))
    blank = Image.new("RGB", image.size)
    for suffix, encode in (
        ("gif", _as("GIF", save_all=True, append_images=[image, blank], duration=50)),
        ("png", _as("PNG", save_all=True, append_images=[image, blank], duration=50)),
        ("webp", _as("WEBP", save_all=True, append_images=[image, blank], duration=50)),
        ("avif", _as("AVIF", save_all=True, append_images=[image, blank], duration=50, speed=10)),
    ):
        yield Odd("an animation that begins in black", f"begins-black.{suffix}", encode(blank))
    yield Odd("several pages", "pages.tif", _as("TIFF", save_all=True, append_images=[blank, image])(image))
    yield Odd("several pages", "phone.jpg", _as("MPO", save_all=True, append_images=[blank])(image))
    for name, suffix in (
        ("png", "jpg"),
        ("jpg", "png"),
        ("gif", "webp"),
        ("tif", "heic"),
        ("heic", "jpg"),
        ("avif", "gif"),
    ):
        yield Odd("another picture format than its name says", f"is-{name}.{suffix}", FORMATS[name](image))


def _strangers(rng: random.Random) -> Iterator[Odd]:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>'
    laughs = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">' + b"".join(
        b'<!ENTITY %c "%s">' % (98 + step, b"&%c;" % (97 + step) * 10) for step in range(10)
    )
    kinds = {
        "drawing.svg": svg,
        "drawing.png": svg,
        "laughs.svg": laughs + b"]><svg>&k;</svg>",
        "drawing-packed.png": gzip.compress(svg, mtime=0),
        "page.pdf": b"%PDF-1.7\n1 0 obj\n",
        "page.jpg": b"%PDF-1.7\n1 0 obj\n",
        "script.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(/etc/passwd) run\n",
        "script.eps": b"\xc5\xd0\xd3\xc6" + bytes(40),
        "page.png": b"<!doctype html><html><body>404 Not Found</body></html>",
        "words.png": "Just words. 只是文字。".encode(),
        "program.jpg": b"MZ" + rng.randbytes(2000),
        "archive.jpg": b"PK\x03\x04" + rng.randbytes(2000),
        "noise.jpg": rng.randbytes(3000),
        "noise-large.png": rng.randbytes(3_000_000),
        "zeros.png": bytes(100_000),
        "truevision.png": b"\0\0\x02" + bytes(9) + struct.pack("<HHBB", 60_000, 60_000, 24, 0) + bytes(99),
        "metafile.png": b"\xd7\xcd\xc6\x9a" + bytes(40),
        "layers.jpg": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 30_000, 8, 3) + bytes(99),
        "video.jpg": b"\0\0\0\x20ftypisom" + bytes(400),
        "nothing.png": b"",
        "one-byte.jpg": b"\xff",
        "signature.png": b"\x89PNG\r\n\x1a\n",
    }
    for name, data in kinds.items():
        yield Odd("no picture, or of a kind that is not read", name, data)
