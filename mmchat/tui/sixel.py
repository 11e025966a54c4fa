"""Sixel: pixels for terminals that answer that they know it (foot, iTerm2, WezTerm, Windows Terminal, mlterm, …).

Source: DEC, "VT330/VT340 Programmer Reference Manual", volume 2, chapter 14.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

COLOURS = 64
BAND_PX = 6
"""A band is six pixels high: a character for each column tells which of them have a colour."""


def sixel_rows(image: Image.Image, height_px: int) -> Iterator[str]:
    """A picture as stripes of a height, from the top, all in one palette.

    Args:
        image: RGB, its height a multiple of `height_px`.
        height_px: how high a stripe is.
    """
    import numpy as np
    from PIL import Image as Images

    reduced = image.quantize(COLOURS, method=Images.Quantize.MEDIANCUT, dither=Images.Dither.FLOYDSTEINBERG)
    flat = (reduced.getpalette() or [])[: 3 * COLOURS]
    palette = [tuple(round(part * 100 / 255) for part in flat[at : at + 3]) for at in range(0, len(flat), 3)]
    indices = np.asarray(reduced, dtype=np.uint8)
    for top in range(0, image.height, height_px):
        stripe = indices[top : top + height_px]
        used = [int(colour) for colour in np.unique(stripe)]
        registers = "".join(f"#{colour};2;{';'.join(map(str, palette[colour]))}" for colour in used)
        bands = []
        for first in range(0, height_px, BAND_PX):
            band = stripe[first : first + BAND_PX]
            weights = (1 << np.arange(band.shape[0], dtype=np.uint8))[:, None]
            lines = []
            for colour in np.unique(band):
                bits = ((band == colour) * weights).sum(axis=0)
                lines.append(f"#{colour}{_run_lengths(bits.tolist())}")
            bands.append("$".join(lines))
        body = "-".join(bands)
        yield f'\x1bP0;1;0q"1;1;{image.width};{height_px}{registers}{body}\x1b\\'


def _run_lengths(bits: list[int]) -> str:
    parts = []
    for value, run in groupby(bits):
        count = sum(1 for _ in run)
        letter = chr(63 + value)
        parts.append(f"!{count}{letter}" if count > 3 else letter * count)
    return "".join(parts)
