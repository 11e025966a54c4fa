"""What pixels say by themselves, on pictures drawn here."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from mmchat.engines.picture_looks import BLANK, CHART, DRAWING, GREY_PHOTO, PHOTO, SCREENSHOT, TEXT, look


def noise(colour: tuple[int, int, int], spread: int = 60, size: tuple[int, int] = (400, 300)) -> Image.Image:
    """As busy as a photo: blurred noise round a colour."""
    grain = np.random.default_rng(1).normal(0, spread * 2.5, (size[1], size[0], 3))
    pixels = np.clip(np.array(colour) + grain, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1.2))


def page(ground: str, ink: str) -> Image.Image:
    image = Image.new("RGB", (850, 1100), ground)
    draw = ImageDraw.Draw(image)
    for row in range(45):
        draw.text(
            (80, 80 + row * 21),
            "the report shows that sales in the north grew while costs fell " * 2,
            ink,
            ImageFont.load_default(15),
        )
    return image


def chart() -> Image.Image:
    image = Image.new("RGB", (640, 480), "white")
    draw = ImageDraw.Draw(image)
    draw.line((60, 40, 60, 430, 600, 430), "#333", 2)
    for bar in range(6):
        draw.rectangle((90 + bar * 80, 400 - bar * 50, 140 + bar * 80, 429), "#3b82f6")
    return image


def drawing() -> Image.Image:
    image = Image.new("RGB", (640, 480), "#8ecae6")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 300, 640, 480), "#2f9e44")
    draw.ellipse((420, 40, 540, 160), "#ffd43b")
    draw.polygon([(120, 300), (220, 180), (320, 300)], "#d9480f")
    return image


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (noise((120, 90, 60)), PHOTO),
        (noise((120, 90, 60)).convert("L").convert("RGB"), GREY_PHOTO),
        (page("white", "black"), TEXT),
        (page("#1e1e2e", "#88ff88"), SCREENSHOT),
        (chart(), CHART),
        (drawing(), DRAWING),
        (Image.new("RGB", (300, 200), "#224488"), BLANK),
    ],
)
def test_the_kind_of_a_picture(image: Image.Image, kind: str) -> None:
    assert look(image).kind == kind
    assert look(image.resize((image.width * 2, image.height * 2))).kind == kind


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ("#d01020", "red"), ("#f08a10", "orange"), ("#f0e020", "yellow"), ("#20a040", "green"), ("#2040d0", "blue"),
        ("#8a2be2", "purple"), ("#ff60b0", "pink"), ("#7a4a20", "brown"), ("#ffffff", "white"), ("#050505", "black"),
        ("#808080", "grey"),
    ],
)  # fmt: skip
def test_the_colours_go_by_their_names(colour: str, name: str) -> None:
    colours = dict(look(Image.new("RGB", (40, 30), colour)).colours)
    assert colours == {name: 1.0}


def test_grass_is_green_below_and_brightness_is_the_mean() -> None:
    assert look(drawing()).grass > 0.7
    assert look(drawing().transpose(Image.Transpose.FLIP_TOP_BOTTOM)).grass < 0.4
    assert look(Image.new("RGB", (9, 9), "black")).brightness == 0
    assert look(Image.new("RGB", (9, 9), "white")).brightness == pytest.approx(1)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3000, 2)])
def test_pictures_of_any_shape_are_measured(size: tuple[int, int]) -> None:
    assert look(Image.new("RGB", size, "red")).kind == BLANK
