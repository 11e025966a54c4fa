"""Pictures beside each other, drawn only while they are seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.segment import Segment
from textual import events, on
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from mmchat.domain import Attachment
from mmchat.tui.picture_cells import PictureCells
from mmchat.tui.picture_loader import Made, Wish
from mmchat.tui.text import elide, elide_middle, one_line

if TYPE_CHECKING:
    from mmchat.tui.app import MmchatApp

GAP = 2
NARROWEST = 14
"""Columns of a picture among others; more of them than fit so are told by their number."""
FEWEST_ROWS, MOST_ROWS = 5, 12
MORE_CELLS = 11
"""What "+12 more" takes."""
WIDEST = 16 / 9
"""Shape of the widest box: a panorama is drawn smaller, so that it leaves room for others."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture that is shown."""

    path: Path
    name: str
    attachment_id: str = ""
    """Of a stored one: a click opens it."""


def shown_pictures(attachments: Sequence[Attachment]) -> tuple[Shown, ...]:
    """The pictures among some files."""
    return tuple(Shown(each.path, one_line(each.name), each.id) for each in attachments if each.kind == "image")


@dataclass(frozen=True, slots=True)
class _Box:
    """Where a picture is drawn."""

    picture: Shown
    left: int
    columns: int
    made: Made | None


class PictureRow(Widget, can_focus=False):
    """One row of pictures, as high as its style says, with their names below if there are several.

    A click opens a stored one.
    """

    app: MmchatApp

    @dataclass
    class Ready(Message):
        """A picture was made into cells."""

        wish: Wish
        made: Made

    def __init__(self, pictures: Sequence[Shown], *, classes: str = "") -> None:
        super().__init__(classes=f"pictures {classes}".strip())
        self.pictures = tuple(pictures)

    def show(self, pictures: Sequence[Shown]) -> None:
        """Show others."""
        self.pictures = tuple(pictures)
        self.refresh()

    @on(Ready)
    def _ready(self, event: Ready) -> None:
        event.stop()
        self.app.pictures.keep(event.wish, event.made)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """A row of cells of all pictures, or their names."""
        style = self.rich_style
        width, height = self.size
        boxes, left_out = self._boxes()
        has_names = len(self.pictures) > 1
        line: list[Segment] = []
        at = 0
        for box in boxes:
            line.append(Segment(" " * (box.left - at), style))
            at = box.left
            if has_names and y == height - 1:
                name = elide_middle(box.picture.name, box.columns)
                cells = Strip([Segment(name, style)]).adjust_cell_length(box.columns, style)
            else:
                cells = self._cells(box, y).adjust_cell_length(box.columns, style)
            line += cells
            at += box.columns
        if left_out and y == height - 1:
            words = elide(f"  +{left_out} more", max(width - at, 0))
            line.append(Segment(words, style))
        return Strip(line).adjust_cell_length(width, style)

    def _cells(self, box: _Box, y: int) -> Strip:
        style = self.rich_style
        if isinstance(box.made, PictureCells):
            if box.made.stripes and not self.screen.is_active:
                return Strip.blank(box.columns, style)  # pixels would lie over the dialog that covers them
            return box.made.rows[y] if y < len(box.made.rows) else Strip.blank(box.columns, style)
        words = ("" if box.made is None else "(no preview)") if y == 0 else ""
        return Strip([Segment(elide(words, box.columns), style)])

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """A third of the screen, or what the pictures need; it is known before they are, so that nothing jumps."""
        rows = min(max(viewport.height // 3, FEWEST_ROWS), MOST_ROWS)
        _, columns = self._shares(width)
        # A square fills its box; what is higher is drawn narrower.
        return min(rows, math.ceil(columns / self.app.pictures.cell_aspect)) + (len(self.pictures) > 1)

    def _shares(self, width: int) -> tuple[int, int]:
        """How many pictures have room, and the columns of each."""
        count = len(self.pictures)
        fitting = max((width + GAP) // (NARROWEST + GAP), 1)
        if count > fitting:
            fitting = max((width - MORE_CELLS + GAP) // (NARROWEST + GAP), 1)
            width -= MORE_CELLS
        shown = max(min(count, fitting), 1)
        return shown, max((width - GAP * (shown - 1)) // shown, 1)

    def _boxes(self) -> tuple[list[_Box], int]:
        """Where the pictures stand, and how many there is no room for."""
        width, height = self.size
        count = len(self.pictures)
        rows = max(height - (count > 1), 1)
        shown, columns = self._shares(width)
        columns = min(columns, max(round(rows * self.app.pictures.cell_aspect * WIDEST), 1))
        background = self.background_colors[1].hex6
        boxes: list[_Box] = []
        left = 0
        for picture in self.pictures[:shown]:
            wish = Wish(picture.path, columns, rows, background)
            made = self.app.pictures.get(wish, lambda wish, made: self.post_message(self.Ready(wish, made)))
            taken = columns
            if isinstance(made, PictureCells):
                taken = made.columns if count == 1 else max(made.columns, min(NARROWEST, columns))
            boxes.append(_Box(picture, left, taken, made))
            left += taken + GAP
        return boxes, count - shown

    def on_click(self, event: events.Click) -> None:
        """Open the picture that was clicked."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        for box in self._boxes()[0]:
            if box.left <= offset.x < box.left + box.columns and box.picture.attachment_id:
                event.stop()
                self.app.action_open_file(box.picture.attachment_id)
                return
