"""What the pixels alone say a picture is: pages, screens and charts drawn here, the shipped drawings, and photos.

    python -m benchmarks.picture_kinds --photos ../shared/data/images/coco-cc.jsonl

Each drawn picture is looked at as drawn, as a JPEG of quality 75, and as a JPEG at 45 % of its size.
"""

from __future__ import annotations

import argparse
import io
import json
import random
from collections import Counter
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from mmchat.engines.image_io import open_image
from mmchat.engines.picture_looks import look

DRAWINGS_DIR = Path(__file__).parents[1] / "mmchat" / "evals" / "data" / "pictures"
EACH = 8
WORDS = (
    "the",
    "report",
    "shows",
    "that",
    "sales",
    "in",
    "the",
    "north",
    "grew",
    "while",
    "costs",
    "fell",
    "next",
    "year",
)


def page(chance: random.Random) -> Image.Image:
    """Black paragraphs on something like white."""
    width, height = chance.choice([(850, 1100), (1240, 1754), (600, 800), (1000, 700)])
    image = Image.new("RGB", (width, height), chance.choice(["white", "#fdfdfa", "#f6f2e6"]))
    size = chance.choice([14, 18, 22])
    font = ImageFont.load_default(size)
    draw = ImageDraw.Draw(image)
    for row in range(int((height - width / 5) / size / 1.4)):
        line = " ".join(chance.choices(WORDS, k=40)) if row % 6 else ""
        while font.getlength(line) > width * 0.75:
            line = line.rpartition(" ")[0]
        draw.text((width // 9, width // 9 + row * size * 1.4), line, "#1a1a1a", font)
    return image


def terminal(chance: random.Random) -> Image.Image:
    """Coloured words on a dark ground."""
    image = Image.new(
        "RGB", chance.choice([(960, 540), (1280, 720), (800, 600)]), chance.choice(["#0c0c0c", "#1e1e2e"])
    )
    font, draw = ImageFont.load_default(15), ImageDraw.Draw(image)
    for y in range(6, image.height - 20, 20):
        x = 6.0
        for _ in range(chance.randrange(1, 8)):
            words = " ".join(chance.choices(WORDS, k=chance.randrange(1, 4)))
            draw.text((x, y), words, chance.choice(["#ddd", "#8f8", "#8cf", "#fc8"]), font)
            x += font.getlength(words) + 10
    return image


def chart(chance: random.Random) -> Image.Image:
    """Bars between two axes."""
    width, height = chance.choice([(800, 600), (640, 480), (1000, 500)])
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    draw.line([(60, 50), (60, height - 50), (width - 30, height - 50)], "#333", 2)
    step = (width - 120) // EACH
    for bar in range(EACH):
        left, top = 80 + bar * step, chance.randrange(80, height - 60)
        draw.rectangle((left, top, left + step - 14, height - 51), chance.choice(["#3b82f6", "#ef4444", "#10b981"]))
        draw.text((left, height - 44), str(bar + 1), "#333", ImageFont.load_default(14))
    return image


def forms(image: Image.Image) -> list[Image.Image]:
    """As drawn, as a JPEG, and as a small JPEG."""
    small = image.resize((round(image.width * 0.45), round(image.height * 0.45)), Image.Resampling.LANCZOS)
    packed = []
    for each, quality in ((image, 75), (small, 85)):
        file = io.BytesIO()
        each.save(file, "JPEG", quality=quality)
        packed.append(Image.open(file).convert("RGB"))
    return [image, *packed]


def main() -> None:
    """Count what each kind of picture is taken for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="*", default=[], help="JSON Lines with an image each")
    options = parser.parse_args()
    chance = random.Random(3)
    drawn = {draw.__name__: [draw(chance) for _ in range(EACH)] for draw in (page, terminal, chart)}
    drawn["drawing"] = [open_image(path) for path in sorted(DRAWINGS_DIR.glob("*.png"))]
    counts = {
        name: Counter(look(form).kind for each in pictures for form in forms(each)) for name, pictures in drawn.items()
    }
    for path in options.photos:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        counts[path.stem] = Counter(look(open_image(path.parent / row["image"])).kind for row in rows)
    print(json.dumps(counts, indent=2))


if __name__ == "__main__":
    main()
