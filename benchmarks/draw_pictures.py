"""Draws the pictures that the shipped dialogues talk about, the same bytes every time.

Run `python benchmarks/draw_pictures.py` to draw them again after a change; look at each one afterwards, because
the dialogues of `mmchat/evals/data/talk-*.jsonl` must stay true of them. Another release of Pillow may pack or
smooth a file a little differently, so the pictures are committed as well.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import picture_indoors
import picture_outdoors
from picture_canvas import Canvas

PICTURES_DIR = Path(__file__).parents[1] / "mmchat" / "evals" / "data" / "pictures"
PICTURES: dict[str, Callable[[], Canvas]] = {
    "bicycle": picture_outdoors.bicycle,
    "apples": picture_indoors.apples,
    "street": picture_outdoors.street,
    "chart": picture_indoors.chart,
    "note": picture_indoors.note,
    "cat": picture_indoors.cat,
    "beach": picture_outdoors.beach,
    "station": picture_outdoors.station,
    "bookshelf": picture_indoors.bookshelf,
    "soup": picture_indoors.soup,
    "noodles": picture_indoors.noodles,
    "kite": picture_outdoors.kite,
}


def main() -> None:
    """Draw every picture into a folder."""
    parser = argparse.ArgumentParser(description="Draw the pictures of the shipped evaluation set.")
    parser.add_argument("--out", type=Path, default=PICTURES_DIR, help="folder (default: where mmchat ships them)")
    out_dir: Path = parser.parse_args().out
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        path = out_dir / f"{name}.png"
        draw().save(path)
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
