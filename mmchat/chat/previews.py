"""Small copies of pictures, for showing them in the terminal."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

KEPT = 32
"""Small copies held in memory, at most 0.8 MB each."""
THUMBNAIL_PX = (640, 400)


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small copy of a picture, upright and without transparency."""

    width: int
    height: int
    rgb: bytes
    """(H, W, 3) uint8."""

    def image(self) -> Image.Image:
        """As Pillow has it."""
        from PIL import Image

        return Image.frombytes("RGB", (self.width, self.height), self.rgb)


class Previews:
    """Makes small copies, and holds those that were wanted last. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, Thumbnail] = OrderedDict()

    def thumbnail(self, path: Path) -> Thumbnail:
        """Slow the first time. A small copy of a picture file.

        Raises:
            ImageError: it cannot be read.
        """
        with self._lock:
            known = self._kept.get(path)
            if known is not None:
                self._kept.move_to_end(path)
                return known
        from mmchat.engines.image_io import open_image

        image = open_image(path)
        image.thumbnail(THUMBNAIL_PX)
        made = Thumbnail(image.width, image.height, image.tobytes())
        with self._lock:
            self._kept[path] = made
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return made
