"""What a picture's pixels say by themselves: photo or graphic, colours, light, grass. Pure arithmetic, no model.

An image network trained on photos names nothing sensible in a page of text or a chart, and no colours at all. Both
are plain in the pixels: graphics have flat areas and hard edges between few colours, photos hardly any. The
limits were chosen on 51 COCO photos and on pictures drawn for it (`benchmarks/picture_kinds.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE_PX = 448
"""Looked at this large at most: noise and compression are averaged away, letters keep their edges."""
MAX_COLOURS = 2
MIN_COLOUR_SHARE = 0.35
"""A colour that fills less of the picture does not stand for it."""
DARK = 0.2
"""Mean brightness, of 1, below which a picture is called dark."""

BLANK, TEXT, SCREENSHOT, CHART, DRAWING = "blank picture", "page of text", "screenshot", "chart", "drawing"
GREY_PHOTO, PHOTO = "black-and-white photo", "photo"
GRAPHICS = (BLANK, TEXT, SCREENSHOT, CHART, DRAWING)

HUES = ((12, "red"), (42, "orange"), (68, "yellow"), (168, "green"), (258, "blue"), (292, "purple"), (345, "pink"))
"""Up to that many degrees; what is beyond is red again."""


@dataclass(frozen=True, slots=True)
class Looks:
    """What the pixels say."""

    kind: str
    """`PHOTO`, `GREY_PHOTO` or one of `GRAPHICS`."""
    colours: tuple[tuple[str, float], ...]
    """Colours that fill much of the picture, with their share of it, largest first."""
    brightness: float
    """Mean, of 1."""
    grass: float
    """Share of green in the lower half."""

    @property
    def is_graphic(self) -> bool:
        """Whether it was not taken with a camera."""
        return self.kind in GRAPHICS


def look(image: Image) -> Looks:
    """Measure a picture (RGB, any size)."""
    from PIL.Image import Resampling

    small = image.copy()
    small.thumbnail((SIDE_PX, SIDE_PX), Resampling.BOX)
    pixels = np.asarray(small, dtype=np.int16)
    hue, saturation, value = _hsv(small)
    colours = tuple(_colours(hue, saturation, value))
    green = (hue > 60) & (hue < 165) & (saturation > 0.2) & (value > 0.12)
    lower_half = green[len(green) // 2 :]
    kind = _kind(pixels, saturation, value)
    return Looks(kind, colours, float(value.mean()), float(lower_half.mean()))


def _hsv(image: Image) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    """Hue in degrees, saturation and value of 1; each (H, W)."""
    values = np.asarray(image.convert("HSV"), dtype=np.float32) / np.float32(255)
    return values[..., 0] * np.float32(360), values[..., 1], values[..., 2]


def _kind(pixels: NDArray[np.int16], saturation: NDArray[np.floating], value: NDArray[np.floating]) -> str:
    steps = [np.abs(np.diff(pixels, axis=axis)).max(axis=-1) for axis in (0, 1)]
    flat = float(np.mean([(step <= 1).mean() for step in steps if step.size] or [1]))
    soft = float(((steps[1] > 3) & (steps[1] <= 40)).mean()) if steps[1].size else 0.0
    hard = float(np.mean([(step > 40).mean() for step in steps if step.size] or [0]))
    codes = (pixels // 16).reshape(-1, 3) @ np.array([256, 16, 1])
    shares = np.sort(np.bincount(codes, minlength=4096))[::-1] / len(codes)
    ground, main = float(shares[0]), float(shares[:4].sum())
    vivid = float(np.percentile(saturation * value, 98))
    if ground >= 0.985 and hard < 0.002:
        return BLANK
    is_few_colours = ground >= 0.55 or (main >= 0.4 and flat >= 0.6)
    if not is_few_colours or not (soft <= 0.15 or (ground >= 0.6 and soft <= 0.26)):
        return GREY_PHOTO if vivid < 0.05 else PHOTO
    light = float(((saturation < 0.2) & (value > 0.8)).mean())
    if hard >= 0.035 and ground >= 0.55:
        return TEXT if light >= 0.6 and vivid < 0.12 else SCREENSHOT
    return CHART if ground >= 0.6 and light >= 0.6 else DRAWING


def _colours(
    hue: NDArray[np.floating], saturation: NDArray[np.floating], value: NDArray[np.floating]
) -> list[tuple[str, float]]:
    names = ["black", "grey", "white", "brown", *dict.fromkeys(name for _, name in HUES)]
    index = {name: number for number, name in enumerate(names)}
    limits = np.array([limit for limit, _ in HUES])
    wheel = np.array([*(index[name] for _, name in HUES), index["red"]])
    kinds = wheel[np.searchsorted(limits, hue)]
    kinds[(kinds == index["orange"]) & (value < 0.65)] = index["brown"]
    kinds[saturation < 0.18] = index["grey"]
    kinds[(saturation < 0.12) & (value > 0.8)] = index["white"]
    kinds[value < 0.18] = index["black"]
    shares = np.bincount(kinds.ravel(), minlength=len(names)) / kinds.size
    order = np.argsort(-shares, kind="stable")[:MAX_COLOURS]
    return [(names[each], float(shares[each])) for each in order if shares[each] >= MIN_COLOUR_SHARE]
