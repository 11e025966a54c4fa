"""Where likeness of pictures begins: changed copies of photos against other photos. Prints one JSON object.

    python benchmarks/image_recall.py --data ../shared/data/images/coco-cc.jsonl

Rows are {"image", "captions", "objects"}; photos without a common object (people apart) count as unrelated.
For each kind of change it says how many copies stay above `picture_recall.ALIKE_FLOOR`, how many have their
own original as the nearest photo, and the cosine that 95 in 100 reach; likewise for pairs of photos.
Weights must be there already: mmchat models pull lite2-minilm.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from mmchat.engines.base import ImageReader
from mmchat.engines.image_io import open_image
from mmchat.memory.picture_recall import ALIKE_FLOOR
from mmchat.wiring import WiringOptions, open_hub


def cut(share: float, at: float = 0.5) -> Callable[[Image.Image], Image.Image]:
    """That share of each side, from the middle (0.5) or a corner (0)."""

    def change(image: Image.Image) -> Image.Image:
        width, height = int(image.width * share), int(image.height * share)
        left, top = int((image.width - width) * at), int((image.height - height) * at)
        return image.crop((left, top, left + width, top + height))

    return change


def squeezed(image: Image.Image) -> Image.Image:
    """Through a JPEG of poor quality."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=15)
    return Image.open(buffer).convert("RGB")


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "a quarter of the size": lambda image: image.resize((image.width // 4, image.height // 4)),
    "96 px": lambda image: ImageOps.contain(image, (96, 96)),
    "JPEG quality 15": squeezed,
    "middle 80%": cut(0.8),
    "middle 60%": cut(0.6),
    "corner 60%": cut(0.6, 0),
    "middle 40%": cut(0.4),
    "mirrored": ImageOps.mirror,
    "grey": lambda image: ImageOps.grayscale(image).convert("RGB"),
    "half as bright": lambda image: ImageEnhance.Brightness(image).enhance(0.5),
    "turned by 15 degrees": lambda image: image.rotate(15, expand=True, fillcolor=(255, 255, 255)),
    "turned by 90 degrees": lambda image: image.rotate(90, expand=True),
    "framed": lambda image: ImageOps.expand(image, border=image.width // 4, fill=(240, 240, 240)),
}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    hub = open_hub(WiringOptions(should_pull=False), kinds=("vision",))
    reader = hub.image_reader()
    photos = [open_image(data.parent / row["image"]) for row in rows]
    originals = embedded(reader, photos)
    copies = {}
    for name, change in CHANGES.items():
        changed = embedded(reader, [change(photo) for photo in photos])
        cosines = changed @ originals.T
        copies[name] = summary(np.diag(cosines)) | {
            "nearest_is_own": round(float((cosines.argmax(axis=1) == np.arange(len(photos))).mean()), 3)
        }
    objects = [set(row["objects"]) - {"person"} for row in rows]
    likeness = originals @ originals.T
    pairs = [(one, other) for one in range(len(rows)) for other in range(one)]
    apart = np.array([likeness[pair] for pair in pairs if not objects[pair[0]] & objects[pair[1]]])
    akin = np.array([likeness[pair] for pair in pairs if objects[pair[0]] & objects[pair[1]]])
    report = {
        "photos": len(rows),
        "floor": ALIKE_FLOOR,
        "copies": copies,
        "pairs_that_share_an_object": summary(akin) | {"pairs": len(akin)},
        "pairs_that_share_none": summary(apart) | {"pairs": len(apart)},
    }
    print(json.dumps(report, indent=1))
    hub.close()


def embedded(reader: ImageReader, images: list[Image.Image]) -> NDArray[np.float32]:
    """(B, D) unit rows."""
    return np.concatenate([reader.embed_images(images[start : start + 16]) for start in range(0, len(images), 16)])


def summary(cosines: NDArray[np.float32]) -> dict[str, float]:
    """Share above the floor, and where most lie."""
    low, middle, high = np.percentile(cosines, (5, 50, 95))
    return {
        "above_floor": round(float((cosines >= ALIKE_FLOOR).mean()), 3),
        "cosine_5": round(float(low), 2),
        "cosine_50": round(float(middle), 2),
        "cosine_95": round(float(high), 2),
    }


if __name__ == "__main__":
    main()
