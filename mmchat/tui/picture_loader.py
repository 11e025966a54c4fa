"""Pictures made into cells off the interface thread, and kept as long as they are likely to be looked at."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmchat.chat.previews import Previews, Thumbnail
from mmchat.errors import ImageError
from mmchat.tui.picture_cells import (
    MAX_KITTY_CELLS,
    CellSize,
    Graphics,
    PictureCells,
    fit,
    half_blocks,
    kitty_cells,
    kitty_forget,
    sixel_cells,
)

KEPT = 128


@dataclass(frozen=True, slots=True)
class Wish:
    """A picture, and the box of cells that it should fill as far as its shape allows."""

    path: Path
    columns: int
    rows: int
    background: str = "#000000"
    """Behind pixels, where the terminal lays a picture over cells."""


Made = PictureCells | ImageError
OnReady = Callable[[Wish, Made], object]


class PictureLoader:
    """One thread makes what was wished for last first, because that is what is seen.

    Args:
        graphics: how pictures are drawn.
        cell: a cell's pixels.
        write: sends the terminal what it must know before it can draw.
    """

    def __init__(self, graphics: Graphics, cell: CellSize, write: Callable[[str], object]) -> None:
        self._best = graphics if cell.width and cell.height else "blocks"
        self.graphics: Graphics = self._best
        self._cell = cell
        self._write = write
        self._thumbnails = Previews()
        self._kept: OrderedDict[Wish, Made] = OrderedDict()
        self.stripes: dict[str, str] = {}
        """What is written to the terminal in place of the marks in the cells."""
        # Numbers are the terminal's, not ours: where we begin should not be where another program did.
        self._last_number = (os.getpid() & 0xFF) << 16
        self._wishes: deque[tuple[Wish, Graphics, OnReady]] = deque()
        self._pending: set[Wish] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def cell_aspect(self) -> float:
        """Height by width of a cell."""
        return self._cell.aspect

    def use(self, *, blocks_only: bool) -> None:
        """Draw with half blocks, or as well as the terminal can."""
        self.forget_all()
        self.graphics = "blocks" if blocks_only else self._best

    def get(self, wish: Wish, on_ready: OnReady) -> Made | None:
        """A picture's cells, or why there are none; None while they are being made.

        Args:
            wish: what is wanted.
            on_ready: called from the thread with what was made, which `keep` must be given. It is called once,
                however often the same is wished for meanwhile.
        """
        made = self._kept.get(wish)
        if made is not None:
            self._kept.move_to_end(wish)
            return made
        with self._changed:
            if wish not in self._pending:
                self._pending.add(wish)
                self._wishes.append((wish, self.graphics, on_ready))
                self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
                self._thread.start()
        return None

    def keep(self, wish: Wish, made: Made) -> None:
        """Take over what was made; on the interface thread."""
        if wish in self._kept:
            return  # it was wished for again before the first came
        if isinstance(made, PictureCells):
            self.stripes |= made.stripes
            if made.upload:
                self._write(made.upload)
        self._kept[wish] = made
        while len(self._kept) > KEPT:
            self._forget(next(iter(self._kept)))

    def forget_all(self) -> None:
        """Let go of all pictures, also in the terminal's memory."""
        for wish in tuple(self._kept):
            self._forget(wish)

    def _forget(self, wish: Wish) -> None:
        made = self._kept.pop(wish)
        if isinstance(made, PictureCells):
            for mark in made.stripes:
                self.stripes.pop(mark, None)
            if made.number:
                self._write(kitty_forget(made.number))

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wishes)
                wish, graphics, on_ready = self._wishes.pop()
            made: Made
            try:
                made = self._make(wish, graphics, self._thumbnails.thumbnail(wish.path))
            except ImageError as error:
                made = error
            finally:
                with self._changed:
                    self._pending.discard(wish)
            on_ready(wish, made)

    def _make(self, wish: Wish, graphics: Graphics, thumbnail: Thumbnail) -> PictureCells:
        columns, rows = wish.columns, wish.rows
        if graphics == "kitty":
            columns, rows = min(columns, MAX_KITTY_CELLS), min(rows, MAX_KITTY_CELLS)
        columns, rows = fit(thumbnail, columns, rows, self._cell.aspect)
        if graphics == "kitty":
            self._last_number += 1
            return kitty_cells(thumbnail, columns, rows, self._cell, self._last_number)
        if graphics == "sixel":
            return sixel_cells(thumbnail, columns, rows, self._cell, wish.background)
        return half_blocks(thumbnail, columns, rows)
