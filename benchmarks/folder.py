"""How fast a folder of pictures is looked at: one by one, in batches, and the second time.

python -m benchmarks.folder ../shared/data/images/coco-cc.jsonl FOLDER [--pictures 1000] [--compared 100]

Makes crops of the photos in FOLDER, all different, one in ten of them a copy of another. Batches are compared on the
first `--compared` of them in alternation, each way twice; then `mmchat see FOLDER --json` looks at all, twice.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from threading import Event

from PIL import Image

from mmchat.chat import gallery
from mmchat.chat.gallery import Gallery, Look, pictures_in
from mmchat.wiring import WiringOptions, open_hub

BATCHES = (1, 4, 16)


def make(rows: Path, folder: Path, count: int) -> None:
    """Crops of the photos, named so that equal ones do not stand together."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(7)
    sources = [rows.parent / json.loads(line)["image"] for line in rows.read_text(encoding="utf-8").splitlines()]
    for number in range(count):
        path = folder / f"{number:04}.jpg"
        if path.exists():
            continue
        if number % 10 == 9:
            path.write_bytes((folder / f"{number - rng.randrange(1, 9):04}.jpg").read_bytes())
            continue
        with Image.open(sources[number % len(sources)]) as photo:
            width, height = (int(side * rng.uniform(0.6, 0.95)) for side in photo.size)
            left, top = rng.randrange(photo.width - width), rng.randrange(photo.height - height)
            photo.convert("RGB").crop((left, top, left + width, top + height)).save(path, quality=90)


def compare(paths: list[Path], *, should_read_text: bool) -> None:
    """Print pictures per processor second and per second for each size of a batch."""
    hub = open_hub(WiringOptions(should_read_text=should_read_text), kinds=("vision",))
    list(Gallery(hub, Look()).look_at(paths[:2], Event()))  # loads the models
    taken: dict[int, list[tuple[float, float]]] = {size: [] for size in BATCHES}
    for _ in range(2):
        for size in BATCHES:
            gallery.CPU_BATCH = size
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            list(Gallery(hub, Look()).look_at(paths, Event()))
            taken[size].append((time.process_time() - cpu_s, time.perf_counter() - wall_s))
    for size, each in taken.items():
        cpu_s, wall_s = (len(paths) / median(column) for column in zip(*each, strict=True))
        how = "read" if should_read_text else "not read"
        print(f"batches of {size:2}, text {how}: {cpu_s:.1f} pictures per processor second, {wall_s:.1f} per second")
    hub.close()


def command(folder: Path, *extra: str) -> None:
    """`mmchat see` itself."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    argv = [sys.executable, "-m", "mmchat", "see", str(folder), "--json", *extra]
    out = subprocess.run(argv, capture_output=True, text=True, check=True, env=os.environ).stdout
    wall_s = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    rows = json.loads(out)
    known = sum(row["known"] for row in rows)
    print(
        f"mmchat see FOLDER {' '.join(extra)}: {len(rows)} pictures, {known} known, {cpu_s:.0f} s of processor time,"
        f" {wall_s:.0f} s, most memory of a child so far {after.ru_maxrss >> 10} MB"
    )


def main() -> None:
    """Make, measure, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--compared", type=int, default=100)
    arguments = parser.parse_args()
    make(arguments.rows, arguments.folder, arguments.pictures)
    paths = pictures_in([arguments.folder])[: arguments.compared]
    if paths:
        compare(paths, should_read_text=False)
        compare(paths, should_read_text=True)
    command(arguments.folder)
    command(arguments.folder)


if __name__ == "__main__":
    main()
