"""Draws pictures with questions about them whose answers need both: label rows for a classification head.

    python benchmarks/draw_questions.py FOLDER [--train 600] [--test 200] [--talks]

Each picture shows one shape of some colour, large or small, somewhere on a plain ground. The question alone tells
only what kind of answer is wanted; the picture alone does not tell what is asked. With --talks the rows are dialogue,
for a language model that is to see.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from PIL import Image, ImageDraw

PX = 160
COLOURS = ("red", "green", "blue", "yellow", "black", "purple")
SHAPES = ("circle", "square", "triangle", "cross")
GROUNDS = ("white", "lightgray", "beige", "lightblue")
QUESTIONS = {
    "colour": ("What colour is it?", "Which colour does the shape have?", "Tell me its colour.", "The colour, please?"),
    "shape": ("What shape is it?", "Which figure is drawn here?", "What is this figure called?", "What is drawn?"),
    "side": ("On which side is it?", "Is it left or right?", "Which half is it in?", "Where is it, left or right?"),
}


def draw(chance: random.Random) -> tuple[Image.Image, dict[str, str]]:
    """A picture and the answer to each kind of question."""
    colour, shape, side = chance.choice(COLOURS), chance.choice(SHAPES), chance.choice(("left", "right"))
    picture = Image.new("RGB", (PX, PX), chance.choice(GROUNDS))
    pen = ImageDraw.Draw(picture)
    half = chance.randint(PX // 8, PX // 5)
    x = chance.randint(half, PX // 2 - half // 2) if side == "left" else chance.randint(PX // 2 + half // 2, PX - half)
    y = chance.randint(half, PX - half)
    box = (x - half, y - half, x + half, y + half)
    if shape == "circle":
        pen.ellipse(box, fill=colour)
    elif shape == "square":
        pen.rectangle(box, fill=colour)
    elif shape == "triangle":
        pen.polygon([(x, y - half), (x - half, y + half), (x + half, y + half)], fill=colour)
    else:
        pen.line((x - half, y, x + half, y), fill=colour, width=half // 2)
        pen.line((x, y - half, x, y + half), fill=colour, width=half // 2)
    return picture, {"colour": colour, "shape": shape, "side": side}


def talk(place: str, question: str, answer: str) -> dict[str, object]:
    """A question about a picture and its answer as a row of dialogue."""
    asked = [{"type": "image", "image": place}, {"type": "text", "text": question}]
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": f"{answer.title()}."}]}


def write_rows(folder: Path, name: str, count: int, seed: int, *, are_talks: bool) -> None:
    """`count` pictures, each with one question of each kind."""
    chance = random.Random(seed)
    (folder / name).mkdir(parents=True, exist_ok=True)
    lines = []
    for index in range(count):
        picture, answers = draw(chance)
        place = f"{name}/{index:04}.png"
        picture.save(folder / place)
        for kind, answer in answers.items():
            question = chance.choice(QUESTIONS[kind])
            label = {"image": place, "text": question, "label": answer}
            lines.append(json.dumps(talk(place, question, answer) if are_talks else label))
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Write `train.jsonl` and `test.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=600)
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--talks", action="store_true", help="dialogue instead of labels")
    options = parser.parse_args()
    write_rows(options.folder, "train", options.train, seed=1, are_talks=options.talks)
    write_rows(options.folder, "test", options.test, seed=2, are_talks=options.talks)


if __name__ == "__main__":
    main()
