"""A canvas for flat drawings with smooth edges, saved as small PNG files."""

from __future__ import annotations

import math
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH_PX, HEIGHT_PX = 640, 480
SMOOTHING = 3
"""Drawn this many times larger and scaled down, so that slanted edges come out smooth."""
COLOURS = 80
"""Of the palette: enough for flat drawings, and a file stays under 25 KB."""

Point = tuple[float, float]
Colour = str


class Canvas:
    """A drawing in units of final pixels, (0, 0) at the top left."""

    def __init__(self, background: Colour) -> None:
        self._image = Image.new("RGB", (WIDTH_PX * SMOOTHING, HEIGHT_PX * SMOOTHING), background)
        self._draw = ImageDraw.Draw(self._image)

    def box(self, x: float, y: float, width: float, height: float, colour: Colour, corner: float = 0) -> None:
        """A filled rectangle, its corners rounded by `corner` pixels."""
        self._draw.rounded_rectangle(_scaled([(x, y), (x + width, y + height)]), corner * SMOOTHING, colour)

    def oval(self, x: float, y: float, across: float, down: float, colour: Colour) -> None:
        """A filled ellipse round (x, y) with these half axes."""
        self._draw.ellipse(_scaled([(x - across, y - down), (x + across, y + down)]), colour)

    def ring(self, x: float, y: float, radius: float, colour: Colour, thickness: float) -> None:
        """A circle's line."""
        corners = _scaled([(x - radius, y - radius), (x + radius, y + radius)])
        self._draw.ellipse(corners, outline=colour, width=round(thickness * SMOOTHING))

    def line(self, points: list[Point], colour: Colour, thickness: float) -> None:
        """A line through points, with round ends and joints."""
        self._draw.line(_scaled(points), colour, round(thickness * SMOOTHING), joint="curve")
        for x, y in (points[0], points[-1]):
            self.oval(x, y, thickness / 2, thickness / 2, colour)

    def shape(self, points: list[Point], colour: Colour) -> None:
        """A filled polygon."""
        self._draw.polygon(_scaled(points), colour)

    def slice(self, x: float, y: float, radius: float, degrees: tuple[float, float], colour: Colour) -> None:
        """A filled piece of a disc, from one angle to another, clockwise from three o'clock."""
        corners = _scaled([(x - radius, y - radius), (x + radius, y + radius)])
        self._draw.pieslice(corners, degrees[0], degrees[1], colour)

    def text(self, x: float, y: float, words: str, size: float, colour: Colour) -> None:
        """Words whose middle is at (x, y), in the font that Pillow carries."""
        font = ImageFont.load_default(size * SMOOTHING)
        self._draw.text((x * SMOOTHING, y * SMOOTHING), words, colour, font, anchor="mm")

    def handwriting(self, x: float, y: float, words: str, size: float, chance: random.Random) -> None:
        """Words from (x, y) on, each letter a little turned and shifted."""
        font = ImageFont.load_default(size * SMOOTHING)
        box_px = round(size * 2 * SMOOTHING)
        for letter in words:
            stamp = Image.new("L", (box_px, box_px))
            ImageDraw.Draw(stamp).text((box_px / 2, box_px / 2), letter, 255, font, anchor="mm")
            stamp = stamp.rotate(chance.uniform(-9, 5), resample=Image.Resampling.BICUBIC)
            advance = font.getlength(letter)
            left = round(x * SMOOTHING + advance / 2 - box_px / 2)
            top = round((y + chance.uniform(-2.5, 2.5)) * SMOOTHING - box_px / 2)
            self._image.paste("#1f3a8a", (left, top), stamp)
            x += advance / SMOOTHING + 1.5

    def save(self, path: Path) -> None:
        """Scale down, reduce to a palette and write a PNG."""
        small = self._image.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.LANCZOS)
        small.quantize(COLOURS, Image.Quantize.MEDIANCUT, kmeans=4, dither=Image.Dither.NONE).save(path, optimize=True)


def _scaled(points: list[Point]) -> list[tuple[float, float]]:
    return [(x * SMOOTHING, y * SMOOTHING) for x, y in points]


def turned(x: float, y: float, radius: float, degrees: float) -> Point:
    """The point at a distance from (x, y), clockwise from twelve o'clock."""
    angle = math.radians(degrees)
    return x + radius * math.sin(angle), y - radius * math.cos(angle)
