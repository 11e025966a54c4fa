"""How fast pictures are looked at: through mmchat, and through bare open_clip on the same weights.

    python -m benchmarks.see [--data ../shared/data/images/coco-cc.jsonl] [--folder 1000]

Rows are `{"image": path}`; without `--data`, pictures are drawn. How well it sees is `benchmarks/vision.py`'s business.
`--folder N`: `mmchat see` of a folder of N crops, one in ten of them a copy of another; then again, then interrupted.
Weights come from the weights folder (`mmchat models pull lite2-minilm`).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.figures import Report, Spread, Table, interleaved, ratio_of
from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec
from mmchat.engines.device import usable_threads
from mmchat.engines.image_io import open_image
from mmchat.engines.registry import load_engine
from mmchat.engines.text_glance import load as load_text_reader
from mmchat.engines.vision_views import shape_of
from mmchat.paths import weights_dir
from mmchat.weights.store import WeightsStore

MODEL = "lite2-minilm"
BATCHES = (1, 4, 16)
BARE_OPEN_CLIP = """
import json, sys
from pathlib import Path
import open_clip, torch
from PIL import Image
folder, threads, picture = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(threads)
text = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]
text |= {"hf_model_name": str(folder), "hf_model_pretrained": False}
model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}", text_cfg=text, pretrained_text=False)
model.eval()
with torch.inference_mode():
    features = model.encode_image(transform(Image.open(picture).convert("RGB"))[None])
print(features.shape)
"""
"""The shortest program that makes a vector of a picture with the same weights."""


def bare_open_clip(folder: Path) -> Callable[[Sequence[Image.Image]], Any]:
    """Pictures → features, as open_clip's own documentation does it."""
    import open_clip
    import torch

    torch.set_num_threads(usable_threads())
    text = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))["model_cfg"]["text_cfg"]
    text |= {"hf_model_name": str(folder), "hf_model_pretrained": False}
    model, _, transform = open_clip.create_model_and_transforms(
        f"local-dir:{folder}", text_cfg=text, pretrained_text=False
    )
    model.eval()

    def features(images: Sequence[Image.Image]) -> Any:
        with torch.inference_mode():
            return model.encode_image(torch.stack([transform(image) for image in images])).numpy()

    return features


def drawn(count: int, folder: Path) -> list[Path]:
    """Pictures of 640 x 480 with coloured shapes."""
    rng = np.random.default_rng(7)
    paths = []
    for number in range(count):
        image = (
            Image.fromarray(rng.integers(60, 200, (480, 640, 3), dtype=np.uint8)).resize((64, 48)).resize((640, 480))
        )
        pen = ImageDraw.Draw(image)
        for _ in range(12):
            left, top = (int(each) for each in rng.integers(0, 480, 2))
            right, bottom = left + int(rng.integers(20, 160)), top + int(rng.integers(20, 160))
            pen.ellipse((left, top, right, bottom), fill=tuple(int(each) for each in rng.integers(0, 256, 3)))
        image.save(folder / f"{number}.jpg", quality=90)
        paths.append(folder / f"{number}.jpg")
    return paths


def crops(sources: Sequence[Path], folder: Path, count: int) -> None:
    """All different but one in ten, named so that equal ones do not stand together."""
    folder.mkdir(parents=True)
    rng = random.Random(7)
    for number in range(count):
        path = folder / f"{number:04}.jpg"
        if number % 10 == 9:
            path.write_bytes((folder / f"{number - rng.randrange(1, 9):04}.jpg").read_bytes())
            continue
        with Image.open(sources[number % len(sources)]) as photo:
            width, height = (int(side * rng.uniform(0.6, 0.95)) for side in photo.size)
            left, top = rng.randrange(photo.width - width), rng.randrange(photo.height - height)
            photo.convert("RGB").crop((left, top, left + width, top + height)).save(path, quality=90)


def timed(job: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and processor seconds of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - wall, time.process_time() - cpu


@dataclass(frozen=True, slots=True)
class Ran:
    """What a program took."""

    wall_s: float
    cpu_s: float
    memory_mb: int
    """The most it held at once."""
    out: str


def command(*argv: str) -> Ran:
    """Run a program to its end.

    Raises:
        SystemExit: it failed.
    """
    started = time.perf_counter()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        out = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(argv[:4])} ended with {process.returncode}")
    return Ran(time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss >> 10, out)


def measure_first(folder: Path, picture: Path, rounds: int, report: Report) -> None:
    """From nothing to the first picture, as programs."""
    mmchat = (sys.executable, "-m", "mmchat", "see", str(picture), "--again")
    bare = (sys.executable, "-c", BARE_OPEN_CLIP, str(folder), str(usable_threads()), str(picture))
    programs = {"mmchat see": mmchat, "mmchat see --no-text": (*mmchat, "--no-text"), "open_clip, a vector": bare}
    cpu: dict[str, list[float]] = {name: [] for name in programs}
    memory_mb: dict[str, int] = {}

    def run(name: str) -> float:
        ran = command(*programs[name])
        cpu[name].append(ran.cpu_s)
        memory_mb[name] = max(memory_mb.get(name, 0), ran.memory_mb)
        return ran.wall_s

    wall = interleaved({name: (lambda name=name: run(name)) for name in programs}, rounds)
    rows: list[list[Any]] = [
        [name, Spread.of(wall[name]).cell(), Spread.of(cpu[name]).cell(), f"{memory_mb[name]:,} MB"]
        for name in programs
    ]
    columns = ("", "s", "processor s", "most memory")
    report.tables.append(Table("The first picture, from the start of a program", columns, rows))
    for ours in ("mmchat see", "mmchat see --no-text"):
        report.ratios.append(
            ratio_of(f"first picture, {ours}", "bare open_clip", cpu[ours], cpu["open_clip, a vector"], "processor s")
        )


def measure_next(folder: Path, paths: Sequence[Path], rounds: int, report: Report) -> None:
    """Pictures after the first: one by one and in batches, features and tags."""
    spec = EngineSpec(MODEL, "open_clip", folder, device="cpu")
    reader, bare, texts = load_engine("vision", spec), bare_open_clip(folder), load_text_reader()
    images = [open_image(path) for path in paths]
    commonest = Counter(map(shape_of, images)).most_common(1)[0][0]  # tags are made of batches of one shape
    images = [image for image in images if shape_of(image) == commonest][:16]
    cpu: dict[str, list[float]] = {}

    def over(name: str, job: Callable[[Sequence[Image.Image]], object], size: int) -> Callable[[], float]:
        def run() -> float:
            batches = [images[start : start + size] for start in range(0, len(images), size)]
            wall_s, cpu_s = timed(lambda: [job(batch) for batch in batches])
            cpu.setdefault(name, []).append(cpu_s / len(images))
            return wall_s / len(images)

        return run

    tasks: dict[str, Callable[[], float]] = {"decoding and bringing to size": lambda: _decode_s(paths)}
    for size in BATCHES:
        how = "one by one" if size == 1 else f"in batches of {size}"
        tasks[f"mmchat, vectors, {how}"] = over(f"mmchat, vectors, {how}", reader.embed_images, size)
        tasks[f"open_clip, vectors, {how}"] = over(f"open_clip, vectors, {how}", bare, size)
        tasks[f"mmchat, tags, {how}"] = over(f"mmchat, tags, {how}", reader.tag_batch, size)
    name = "mmchat, text looked for and read"
    tasks[name] = over(name, lambda batch: [texts.read(each) for each in batch], 1)
    wall = interleaved(tasks, rounds, warm_up=1)
    rows: list[list[Any]] = [
        [
            name,
            Spread.of([1000 * each for each in wall[name]]).cell(1),
            1000 * median(cpu[name][1:]) if name in cpu else None,
        ]
        for name in tasks
    ]
    columns = ("", "ms a picture", "processor ms")
    report.tables.append(Table(f"The next pictures ({len(images)}, decoded before, float32)", columns, rows))
    for size in BATCHES:
        how = "one by one" if size == 1 else f"in batches of {size}"
        ours, theirs = wall[f"mmchat, vectors, {how}"], wall[f"open_clip, vectors, {how}"]
        report.ratios.append(ratio_of(f"vectors of pictures, {how}", "bare open_clip", ours, theirs, "s"))


def _decode_s(paths: Sequence[Path]) -> float:
    return timed(lambda: [open_image(path) for path in paths])[0] / len(paths)


def measure_folder(sources: Sequence[Path], home: Path, count: int, report: Report) -> None:
    """`mmchat see` of a folder: for the first time, again, and interrupted."""
    folder = home / "pictures"
    crops(sources, folder, count)
    argv = (sys.executable, "-m", "mmchat", "see", str(folder), "--json")
    rows: list[list[Any]] = []
    for title in ("for the first time", "again"):
        ran = command(*argv)
        known = sum(row["known"] for row in json.loads(ran.out))
        each = [1000 * ran.wall_s / count, 1000 * ran.cpu_s / count]
        rows.append([title, ran.wall_s, ran.cpu_s, *each, known, f"{ran.memory_mb:,} MB"])
    columns = ("", "s", "processor s", "ms a picture", "processor ms", "known", "most memory")
    report.tables.append(Table(f"`mmchat see` of a folder of {count} pictures, text read", columns, rows))
    started = time.perf_counter()
    with subprocess.Popen((*argv, "--again"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        time.sleep(min(10.0, rows[0][1] / 2))
        asked = time.perf_counter()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate()
    report.notes.append(
        f"Interrupted after {asked - started:.0f} s, it ended {time.perf_counter() - asked:.1f} s later with status"
        f" {process.returncode} and told what it had seen in {len(json.loads(out))} pictures."
    )


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="JSON Lines of images; absent: pictures are drawn")
    parser.add_argument("--folder", type=int, default=60, help="pictures in the folder; 0: none")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    report = Report("Seeing", f"{MODEL}, {usable_threads()} threads, float32, the same weights everywhere.")
    with tempfile.TemporaryDirectory() as kept:
        os.environ.update(MMCHAT_WEIGHTS=str(weights_dir()), MMCHAT_HOME=f"{kept}/home")
        folder = WeightsStore(weights_dir()).prepared(load_models_file()[MODEL], "open_clip")
        if arguments.data is not None:
            lines = arguments.data.read_text(encoding="utf-8").splitlines()
            paths = [arguments.data.parent / json.loads(line)["image"] for line in lines]
        else:
            paths = drawn(32, Path(kept))
        measure_first(folder, paths[0], min(arguments.rounds, 3), report)
        if arguments.folder:  # before torch is loaded here: a child's memory counts from its parent's
            measure_folder(paths, Path(kept), arguments.folder, report)
        measure_next(folder, paths[:32], arguments.rounds, report)
    report.finish(arguments.json)


if __name__ == "__main__":
    main()
