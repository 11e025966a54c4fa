"""How well text in pictures is read: character error rates on drawn pictures, and what is read in photos.

python -m benchmarks.picture_texts [--photos ../shared/data/images/coco-cc.jsonl]

The pictures are drawn here, in English with DejaVu (matplotlib brings it), in Chinese with the first font of
`CHINESE_FONTS` that is installed. Times are processor seconds of one thread.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import jiwer
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from mmchat.engines.image_io import open_image
from mmchat.engines.text_glance import GlancingReader, load

CHINESE_FONTS = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/System/Library/Fonts/PingFang.ttc",
    "C:/Windows/Fonts/msyh.ttc",
)
ENGLISH = (
    ("The heating will be off on Tuesday,", "14 November, from 8:30 to noon.", "Please close the windows on floor 3."),
    (
        "Pear cake",
        "Melt 120 g of butter with the sugar,",
        "stir in two eggs and a pinch of salt,",
        "bake 40 min at 175 C.",
    ),
    ("Order 58213-B has been shipped.", "Parcel: 2 boxes, 11.4 kg", "Contact: help@brightmill.example"),
    ("def area(width, height):", "    return width * height", "print(area(3, 7))  # 21"),
)
CHINESE = (
    ("通知：周二上午八点半到中午停暖气，", "请关好三楼的窗户，谢谢配合。"),
    ("梨子蛋糕", "黄油一百二十克，加糖加热融化，", "打入两个鸡蛋，烤四十分钟。"),
    ("您的订单58213已发货，", "共两箱，重11.4公斤，", "预计十一月十四日送达。"),
    ("会议室在东楼二层，", "下午三点开始，请带上合同和身份证。"),
)
RECEIPT_EN = (("Bread", "2.40"), ("Apples 1.2 kg", "3.15"), ("Coffee", "7.90"), ("Total", "13.45"))
RECEIPT_ZH = (("面包", "12.00"), ("苹果", "9.80"), ("咖啡", "28.00"), ("合计", "49.80"))


def _font(language: str, size_px: int) -> ImageFont.FreeTypeFont:
    if language == "en":
        import matplotlib

        return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), size_px)
    path = next(each for each in CHINESE_FONTS if Path(each).is_file())
    return ImageFont.truetype(path, size_px)


def page(
    lines: tuple[str, ...], language: str, *, size_px: int = 28, ink: str = "black", paper: str = "white"
) -> Image.Image:
    """Lines below each other, on a sheet that is a third larger."""
    font = _font(language, size_px)
    width = max(int(font.getlength(line)) for line in lines)
    image = Image.new("RGB", (int(width * 1.3) + 40, int(size_px * 1.6 * len(lines) * 1.3) + 40), paper)
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        draw.text((20 + width * 0.1, 20 + row * size_px * 1.6), line, font=font, fill=ink)
    return image


def _receipt(rows: tuple[tuple[str, str], ...], language: str) -> Image.Image:
    image = Image.new("RGB", (420, 260), (250, 248, 240))
    draw = ImageDraw.Draw(image)
    font = _font(language, 22)
    for row, (name, price) in enumerate(rows):
        draw.text((20, 20 + row * 50), name, font=font, fill=(40, 40, 40))
        draw.text((400 - font.getlength(price), 20 + row * 50), price, font=font, fill=(40, 40, 40))
    return image


def _on_screen(image: Image.Image) -> Image.Image:
    """A small window on a large, empty screen."""
    screen = Image.new("RGB", (1920, 1080), (32, 44, 60))
    screen.paste(image, (900, 300))
    return screen


def _photographed(image: Image.Image) -> Image.Image:
    """Turned by four degrees, a little blurred, noisy, unevenly lit, a poor JPEG."""
    turned = image.rotate(4, expand=True, fillcolor=(120, 110, 100), resample=Image.Resampling.BICUBIC)
    pixels = np.asarray(turned.filter(ImageFilter.GaussianBlur(0.8)), dtype=np.float32)
    light = np.linspace(0.55, 1.0, pixels.shape[1], dtype=np.float32)[None, :, None]
    noise = np.random.default_rng(1).normal(0, 8, pixels.shape)
    dim = Image.fromarray(np.clip(pixels * light + noise, 0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    dim.save(buffer, "JPEG", quality=45)
    return Image.open(buffer).convert("RGB")


KINDS: dict[str, Callable[[tuple[str, ...], str], Image.Image]] = {
    "a page, letters of 28 px": lambda lines, language: page(lines, language),
    "small letters, 14 px": lambda lines, language: page(lines, language, size_px=14),
    "white on dark": lambda lines, language: page(lines, language, ink="#e8e8e8", paper="#202030"),
    "a window on a screen of 1,920 x 1,080, 14 px": lambda lines, language: _on_screen(
        page(lines, language, size_px=14)
    ),
    "photographed: aslant, blurred, dim, noisy": lambda lines, language: _photographed(page(lines, language)),
    "upside down": lambda lines, language: page(lines, language).rotate(180),
}


def drawn(language: str) -> Iterator[tuple[str, Image.Image, str]]:
    """Kind, picture and the text in it."""
    for kind, draw in KINDS.items():
        for lines in ENGLISH if language == "en" else CHINESE:
            yield kind, draw(lines, language), "\n".join(lines)
    rows = RECEIPT_EN if language == "en" else RECEIPT_ZH
    yield "a receipt", _receipt(rows, language), "\n".join(" ".join(row) for row in rows)


def _without_spaces(text: str) -> str:
    return "".join(text.split())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--show", action="store_true", help="print what was read wrongly")
    arguments = parser.parse_args()
    started = time.process_time()
    reader = load(threads=1)
    print(f"loaded in {time.process_time() - started:.2f} s of processor time")
    for language in ("en", "zh"):
        _measure_drawn(reader, language, should_show=arguments.show)
    _measure_empty(reader)
    if arguments.photos:
        _measure_photos(reader, arguments.photos)


def _measure_drawn(reader: GlancingReader, language: str, *, should_show: bool) -> None:
    kinds: dict[str, list[tuple[str, str, float]]] = {}
    for kind, image, text in drawn(language):
        started = time.process_time()
        got = reader.read(image)
        kinds.setdefault(kind, []).append((text, got, time.process_time() - started))
        if should_show and _without_spaces(got) != _without_spaces(text):
            print(f"  {kind}: {text!r} -> {got!r}")
    for kind, results in kinds.items():
        truths, reads = [_without_spaces(each[0]) for each in results], [_without_spaces(each[1]) for each in results]
        rate = jiwer.cer(truths, reads)
        print(f"{language}  {kind:48}  CER {100 * rate:5.1f}  {median(each[2] for each in results):.2f} s")


def _measure_empty(reader: GlancingReader) -> None:
    """Noise, gradients, stripes and dots: whatever is read in them is invented."""
    draw = random.Random(3)
    invented = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        noise = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
        stripes = np.zeros((480, 640, 3), np.uint8)
        stripes[:, :: draw.randint(4, 40)] = 255
        for pixels in (noise, np.sort(noise, axis=1), stripes, stripes.transpose(1, 0, 2)):
            text = reader.read(Image.fromarray(np.ascontiguousarray(pixels)))
            invented += bool(text)
    print(f"patterns without text: {invented} of 80 read as text")


def _measure_photos(reader: GlancingReader, rows_path: Path) -> None:
    plain, texts = [], []
    for line in rows_path.read_text(encoding="utf-8").splitlines():
        path = rows_path.parent / json.loads(line)["image"]
        image = open_image(path)
        started = time.process_time()
        text = reader.read(image)
        (texts if text else plain).append(time.process_time() - started)
        if text:
            print(f"  {path.name}: {text!r}")
    print(f"photos: {len(plain)} without text, {median(plain):.2f} s each", end="; ")
    print(f"{len(texts)} with, {median(texts or [0]):.2f} s")


if __name__ == "__main__":
    main()
