"""How well the vision model sees: tags, calibration, time. Prints one JSON object.

    python benchmarks/vision.py --data ../shared/data/images/coco-cc.jsonl
    python benchmarks/vision.py --data ../shared/data/images/coco-cc.jsonl --fit      # the committed numbers

Retrieval is `mmchat eval`'s business.

Rows are {"image", "captions", "objects"?}. A tag names a listed object when it is the same word or one of
SYNONYMS; the looser count also takes FAMILIES. A (picture, word) pair is true when the word names a listed
object so or stands in a caption (TRUE_IF for words that captions put differently).
Weights must be there already: mmchat models pull lite2-minilm.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmchat import paths
from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec
from mmchat.engines.image_io import open_image
from mmchat.engines.registry import load_engine
from mmchat.engines.vision_tags import MIN_EVIDENCE, NOISE_FLOOR, softmax
from mmchat.weights.store import WeightsStore

SYNONYMS = {
    "potted plant": {"plant"},
    "sports ball": {"baseball", "soccer ball", "tennis ball", "basketball", "volleyball", "golf ball", "rugby ball"},
    "wine glass": {"glass"},
    "handbag": {"bag"},
    "suitcase": {"bag"},
    "tv": {"monitor"},
    "stop sign": {"street sign"},
    "cell phone": {"telephone"},
    "person": {"man", "woman", "child", "baby", "crowd"},
}
FAMILIES = {
    "animal": {"bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"},
    "vehicle": {"bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"},
    "food": {"banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake"},
}
TRUE_IF = {
    "person": "man|men|woman|women|person|people|boy|girl|child|players?|pitcher|family|guy|kid",
    "street": "street|road|sidewalk|intersection",
    "sea": "sea|ocean|beach|boat|water",
    "water": "water|lake|sea|ocean",
    "food": "food|pizza|cake|meal|broccoli|noodles|sandwich",
    "vehicle": "bus|car|truck|plane|motorcycle|bike",
    "animal": "dog|cat|bird|horses?|bear|elephant",
    "office": "office|desk",
    "pasta": "pasta|noodles",
    "dining table": "table",
    "sport": "baseball|tennis|skateboard|skateboarding|frisbee|pitcher",
    "couch": "couch|sofa",
    "street sign": "signs?",
}


@dataclass(frozen=True)
class Row:
    """One picture with its captions and object names."""

    path: Path
    captions: tuple[str, ...]
    objects: tuple[str, ...]

    def lists(self, label: str, *, is_loose: bool = False) -> bool:
        """Whether the label names a listed object."""
        if any(label == name or label in SYNONYMS.get(name, ()) for name in self.objects):
            return True
        return is_loose and any(name in FAMILIES.get(label, ()) for name in self.objects)

    def supports(self, label: str) -> bool:
        """Whether the label is true going by objects and captions."""
        pattern = TRUE_IF.get(label, re.escape(label.lower()) + "(e?s)?")
        return self.lists(label, is_loose=True) or bool(re.search(rf"\b({pattern})\b", " ".join(self.captions).lower()))


def read_rows(path: Path, limit: int | None) -> list[Row]:
    """The data file's rows."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()][:limit]
    return [Row(path.parent / row["image"], tuple(row["captions"]), tuple(row.get("objects", ()))) for row in lines]


def best_scale(image_rows: NDArray[np.float32], text_rows: NDArray[np.float32]) -> int:
    """The softmax scale with the least negative log likelihood, one caption per picture, both ways."""

    def loss(scale: int) -> float:
        similarities = np.asarray(image_rows @ text_rows.T * scale, dtype=np.float32)
        return float(-np.log(np.diag(softmax(similarities)) * np.diag(softmax(similarities.T))).sum())

    return min(range(2, 100), key=loss)


def fit_curve(evidence: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and offset by Newton's method, drawn a little to slope 1 and offset 0 (weights 0.3 and 0.03)."""
    clipped = np.clip(evidence, 1e-4, 1 - 1e-4)
    inputs = np.stack([np.log(clipped / (1 - clipped)), np.ones(len(clipped))], axis=1)
    weights, start, pull = np.array([1.0, 0.0]), np.array([1.0, 0.0]), np.diag([0.6, 0.06])
    for _ in range(50):
        scores = 1 / (1 + np.exp(-inputs @ weights))
        gradient = inputs.T @ (scores - truth) + pull @ (weights - start)
        curvature = (inputs * (scores * (1 - scores))[:, None]).T @ inputs + pull
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step / max(1.0, float(np.abs(step).max()) / 0.5)  # bounded: full steps can overshoot
    return float(weights[0]), float(weights[1])


def fit_curves(reader: Any, rows: list[Row], images: list[Any]) -> dict[str, Any]:
    """The curves per kind of word, and their Brier score when each picture is left out of its own fit."""
    pairs: dict[str, list[tuple[float, float, int]]] = {}
    for number, (row, image) in enumerate(zip(rows, images, strict=True)):
        above = np.clip(reader.class_probabilities(image) - NOISE_FLOOR, 0, None)
        for word in reader.vocabulary.words:
            evidence = float(above[list(word.classes)].sum())
            if evidence >= MIN_EVIDENCE:
                pairs.setdefault(word.kind, []).append((evidence, float(row.supports(word.label)), number))
    fitted: dict[str, Any] = {}
    for kind, found in pairs.items():
        evidence, truth, number = (np.array(column) for column in zip(*found, strict=True))
        held_out = np.zeros(len(truth))
        for each in np.unique(number):
            slope, offset = fit_curve(evidence[number != each], truth[number != each])
            clipped = np.clip(evidence[number == each], 1e-4, 1 - 1e-4)
            held_out[number == each] = 1 / (1 + np.exp(-(slope * np.log(clipped / (1 - clipped)) + offset)))
        slope, offset = fit_curve(evidence, truth)
        fitted[kind] = {
            "slope": round(slope, 3),
            "offset": round(offset, 3),
            "pairs": len(truth),
            "true_share": round(float(truth.mean()), 3),
            "brier_left_out": round(float(((held_out - truth) ** 2).mean()), 3),
            "brier_raw": round(float(((evidence - truth) ** 2).mean()), 3),
            "brier_constant": round(float(truth.var()), 3),
        }
    return fitted


def tag_scores(reader: Any, rows: list[Row], images: list[Any]) -> dict[str, Any]:
    """How often the first five tags name a listed object, and how honest their scores are."""
    tags = [reader.tag(image, top_k=5) for image in images]
    labels = [[tag.label for tag in each] for each in tags]
    pairs = [(tag.score, row.supports(tag.label)) for each, row in zip(tags, rows, strict=True) for tag in each]
    bins: dict[str, dict[str, float]] = {}
    for low, high in ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.01)):
        inside = [pair for pair in pairs if low <= pair[0] < high]
        if inside:
            means = np.mean(inside, axis=0).round(2)
            bins[f"{low:.2f}-{min(high, 1):.2f}"] = {"said": means[0], "true": means[1], "tags": len(inside)}

    def share(count: int, *, is_loose: bool) -> float:
        said = zip(labels, rows, strict=True)
        hits = [any(row.lists(label, is_loose=is_loose) for label in each[:count]) for each, row in said]
        return round(100 * float(np.mean(hits)), 1)

    firsts = [row.supports(each[0]) for each, row in zip(labels, rows, strict=True) if each]
    return {
        "pictures": len(rows),
        "first_five_name_an_object": share(5, is_loose=False),
        "same_with_families": share(5, is_loose=True),
        "first_names_an_object": share(1, is_loose=False),
        "first_tag_true": round(100 * float(np.mean(firsts)), 1),
        "reliability": bins,
    }


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="lite2-minilm")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--fit", action="store_true", help="also fit the curves and the scale")
    parser.add_argument("--show", action="store_true", help="print each picture's tags first")
    options = parser.parse_args()

    entry, engine = load_models_file().resolve(options.model)
    weights = WeightsStore(paths.weights_dir()).prepared(entry, engine)
    started = time.perf_counter()
    reader = load_engine("vision", EngineSpec(name=entry.name, engine=engine, path=weights, device="cpu"))
    report: dict[str, Any] = {"model": entry.name, "load_s": round(time.perf_counter() - started, 2)}
    rows = read_rows(options.data, options.limit)
    images = [open_image(row.path) for row in rows]

    started = time.perf_counter()
    image_rows = reader.embed_images(images)
    report["embed_image_s"] = round((time.perf_counter() - started) / len(rows), 3)
    if all(row.objects for row in rows):
        report["tags"] = tag_scores(reader, rows, images)
        if options.show:
            for row, image in zip(rows, images, strict=True):
                print(row.objects, [(tag.label, round(tag.score, 2)) for tag in reader.tag(image)])
    if options.fit:
        columns = list(zip(*(row.captions for row in rows), strict=False))
        report["logit_scale"] = [best_scale(image_rows, reader.embed_texts(column)) for column in columns]
        report["curves"] = fit_curves(reader, rows, images)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
