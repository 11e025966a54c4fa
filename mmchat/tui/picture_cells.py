"""Pictures as cells of a terminal: half blocks anywhere, real pixels where the terminal has a protocol for them."""

from __future__ import annotations

import base64
import itertools
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from mmchat.chat.previews import Thumbnail
from mmchat.tui.sixel import sixel_rows

Graphics = Literal["blocks", "kitty", "sixel"]
PreviewChoice = Literal["auto", "blocks", "off"]
"""What the user may choose; `auto` is the best that the terminal is known to answer to."""

HALF = "▀"
BLOCK_ASPECT = 2.0
"""Height by width of a cell where the terminal does not say."""
_PLACEHOLDER = "\U0010eeee"
_MAX_CHUNK = 4096
# Marks without width. Behind kitty's placeholder they stand for 0, 1, 2, …: its row and its column in the picture.
# Source: the table `rowcolumn-diacritics.txt` of kitty's protocol documentation, its first entries.
_MARKS = (
    "\u0305\u030d\u030e\u0310\u0312\u033d\u033e\u033f\u0346\u034a\u034b\u034c\u0350\u0351\u0352\u0357\u035b\u0363\u0364"
    "\u0365\u0366\u0367\u0368\u0369\u036a\u036b\u036c\u036d\u036e\u036f\u0483\u0484\u0485\u0486\u0487\u0592\u0593\u0594"
    "\u0595\u0597\u0598\u0599\u059c\u059d\u059e\u059f\u05a0\u05a1\u05a8\u05a9\u05ab\u05ac\u05af\u05c4\u0610\u0611\u0612"
    "\u0613\u0614\u0615\u0616\u0617\u0657\u0658"
)
MAX_KITTY_CELLS = len(_MARKS)
"""So many rows and columns can be told with these marks."""


@dataclass(frozen=True, slots=True)
class CellSize:
    """Pixels of a cell; zeros where the terminal does not say."""

    width: int = 0
    height: int = 0

    @property
    def aspect(self) -> float:
        """Height by width."""
        return self.height / self.width if self.width and self.height else BLOCK_ASPECT


NO_PIXELS = CellSize()


@dataclass(frozen=True, slots=True)
class PictureCells:
    """A picture that fills a rectangle of cells."""

    columns: int
    rows: tuple[Strip, ...]
    number: int = 0
    """By which the terminal knows it, if it keeps it."""
    upload: str = ""
    """What the terminal must be sent once before the rows mean anything."""
    stripes: Mapping[str, str] = field(default_factory=dict)
    """Marks in the rows, and what is written in their place."""


def fit(thumbnail: Thumbnail, columns: int, rows: int, aspect: float) -> tuple[int, int]:
    """The largest (columns, rows) within a box that keep a picture's shape; never less than one cell."""
    scale = min(columns / thumbnail.width, rows * aspect / thumbnail.height)
    return (
        min(max(round(thumbnail.width * scale), 1), columns),
        min(max(math.ceil(thumbnail.height * scale / aspect - 0.25), 1), rows),
    )


def half_blocks(thumbnail: Thumbnail, columns: int, rows: int) -> PictureCells:
    """Two pixels to a cell, one above the other: its foreground and its background."""
    from PIL import Image

    pixels = thumbnail.image().resize((columns, 2 * rows), Image.Resampling.BOX).tobytes()
    stride = 3 * columns
    strips = []
    for row in range(rows):
        top, bottom = (pixels[start : start + stride] for start in (2 * row * stride, (2 * row + 1) * stride))
        segments = [
            Segment(
                HALF,
                Style(
                    color=Color.from_rgb(*top[at : at + 3]),
                    bgcolor=Color.from_rgb(*bottom[at : at + 3]),
                ),
            )
            for at in range(0, stride, 3)
        ]
        strips.append(Strip(segments, columns))
    return PictureCells(columns, tuple(strips))


def kitty_cells(thumbnail: Thumbnail, columns: int, rows: int, cell: CellSize, number: int) -> PictureCells:
    """Placeholders that kitty fills with the picture: to everybody else they are letters, so they scroll as letters do.

    Args:
        thumbnail: the picture.
        columns: how many cells it is wide.
        rows: how many it is high; neither is more than `MAX_KITTY_CELLS`.
        cell: a cell's pixels.
        number: its id in the terminal, 1 to 2²⁴-1; it is told by the colour of the placeholders.

    Source: kitty's graphics protocol, "Unicode placeholders".
    """
    image = thumbnail.image().resize((columns * cell.width, rows * cell.height))
    data = base64.b64encode(zlib.compress(image.tobytes(), 3)).decode()
    head = f"a=T,U=1,q=2,f=24,o=z,i={number},s={image.width},v={image.height},c={columns},r={rows}"
    chunks = [data[at : at + _MAX_CHUNK] for at in range(0, len(data), _MAX_CHUNK)]
    upload = "".join(
        f"\x1b_G{head + ',' if not at else ''}m={int(at < len(chunks) - 1)};{chunk}\x1b\\"
        for at, chunk in enumerate(chunks)
    )
    style = Style(color=Color.from_rgb(number >> 16, number >> 8 & 255, number & 255))
    # Each cell tells its place, so that a row which is cut anywhere still shows the right part.
    strips = [
        Strip([Segment("".join(_PLACEHOLDER + row + column for column in _MARKS[:columns]), style)], columns)
        for row in _MARKS[:rows]
    ]
    return PictureCells(columns, tuple(strips), number, upload)


def kitty_forget(number: int) -> str:
    """What makes kitty drop a picture."""
    return f"\x1b_Ga=d,d=I,q=2,i={number}\x1b\\"


def sixel_cells(thumbnail: Thumbnail, columns: int, rows: int, cell: CellSize, background: str) -> PictureCells:
    """Blank cells, and behind each row of them a mark for its stripe of the picture: any row can be drawn by itself.

    A stripe itself cannot stand in a strip: nobody there knows that it takes no cells.
    """
    image = thumbnail.image().resize((columns * cell.width, rows * cell.height))
    blank = Style(bgcolor=background)
    strips, stripes = [], {}
    for stripe in sixel_rows(image, cell.height):
        mark = new_mark()
        # Back to the first of the blank cells, the stripe, and where the cursor was.
        stripes[mark] = f"\x1b7\x1b[{columns}D{stripe}\x1b8"
        strips.append(Strip([Segment(" " * columns + mark, blank)], columns))
    return PictureCells(columns, tuple(strips), stripes=stripes)


_numbers = itertools.count()
_MARK = re.compile(f"\x1c([{_MARKS}]+)\x1d")


def new_mark() -> str:
    """Letters without width that stand for what is to be written in their place; no text that is shown holds such."""
    number, digits = next(_numbers), ""
    while not digits or number:
        number, digit = divmod(number, len(_MARKS))
        digits += _MARKS[digit]
    return f"\x1c{digits}\x1d"


def with_stripes(data: str, stripes: Mapping[str, str]) -> str:
    """What is written to the terminal, with each mark replaced."""
    return _MARK.sub(lambda match: stripes.get(match[0], ""), data) if "\x1c" in data else data
