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
from mmchat.engines.see import see_all
from mmchat.engines.vision_tags import COLOURFUL, LOOKS_SCORES, MIN_EVIDENCE, softmax, word_evidence
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
    "person": "man|men|woman|women|person|people|boys?|girls?|child|children|players?|pitcher|family|guys?|kids?|baby"
    "|toddler|lady|ladies|couple|crowd|bikers?|climbers?|surfers?|skiers?|skateboarders?|cyclists?|team|runners?",
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
    "grass": "grass|grassy|grasses|lawn|field",
    "snow": "snow|snowy|ski|skis|skiing",
    "lake": "lake|pond",
    "swimming pool": "pool",
    "playground": "playground|swings?|slide",
    "sports field": "field|stadium|court|game|pitch",
    "beach": "beach|shore|sand|sandy",
    "hat": "hats?|cap",
    "playing baseball": "baseball|pitcher|batter",
    "playing tennis": "tennis",
    "playing basketball": "basketball",
    "playing soccer": "soccer",
    "playing football": "football|rugby",
    "playing volleyball": "volleyball",
    "playing hockey": "hockey",
    "playing golf": "golf",
    "skiing": "ski|skis|skiing|skier|skiers",
    "sledding": "sled|sledding|sleds",
    "swimming": "swim|swims|swimming|swimmers?",
    "rowing": "rowing|canoe|kayaks?|kayaking|kayaker|raft|rafting|paddling|paddles?|rows",
    "sailing": "sail|sailing|sailboats?",
    "riding a bicycle": "(rid(ing|es|e)|on) (a|his|her|their|the)( [a-z]+)? (bike|bicycle)s?|bik(ing|ers?)|cyclists?"
    "|bicyclists?",
    "riding a motorcycle": "(rid(ing|es|e)|on) (a|his|her|their|the)( [a-z]+)? (motorcycle|motorbike|dirt bike)s?"
    "|motocross|motorcyclists?|bikers?",
    "riding a horse": "(rid(ing|es|e)|on) (a|his|her|their|the)?( [a-z]+)? ?horses?|horseback|rodeo",
    "racing": "rac(e|es|ing|er|ers)",
    "cooking": "cook(s|ing)?|grill|grilling|preparing|prepares?",
    "eating": "eat(s|ing)?|meal|lunch|dinner|breakfast",
    "playing the guitar": "guitars?|guitarist",
    "playing music": "music|musicians?|band|guitars?|drums?|violin|piano|instruments?|trumpet|accordion",
    "hiking": "hik(e|es|ing|er|ers)|backpackers?|backpacking",
    "climbing": "climb(s|ing|er|ers)?",
    "shopping": "shop(s|ping|pers?)?|market|store",
    "using a computer": "computers?|laptops?",
    "getting married": "wedding|bride|groom|married",
    "parachuting": "parachut(e|ing|es)|parasailing|paragliders?|skydiv(ing|er)",
    "camping": "camp(ing|s|site)?|tents?",
    "doing gymnastics": "gymnasts?|gymnastics|balance beam",
    "lifting weights": "weights?|weightlift(er|ing)|barbell",
}
SURE_ENOUGH = 0.5


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


def curve_inputs(evidence: NDArray[np.float64], likeness: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3): what a curve weighs. Likeness in tenths, so that all weights are of a size."""
    clipped = np.clip(evidence, 1e-4, 1 - 1e-4)
    return np.stack([np.log(clipped / (1 - clipped)), likeness * 10, np.ones(len(clipped))], axis=1)


def fit_weights(inputs: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slope, pull and offset by Newton's method, drawn a little to slope 1 and the others 0."""
    weights = start = np.array([1.0, 0.0, 0.0])
    held = np.diag([0.6, 0.3, 0.06])
    for _ in range(60):
        scores = 1 / (1 + np.exp(-inputs @ weights))
        gradient = inputs.T @ (scores - truth) + held @ (weights - start)
        curvature = (inputs * (scores * (1 - scores))[:, None]).T @ inputs + held
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step / max(1.0, float(np.abs(step).max()) / 0.5)  # bounded: full steps can overshoot
    return weights


def scored_pairs(reader: Any, rows: list[Row], images: list[Any]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """For each kind of word its (picture, word) pairs with evidence: inputs of the curve, truth, picture's number."""
    found: dict[str, list[tuple[float, float, float, int]]] = {}
    for number, (row, sight) in enumerate(zip(rows, reader.sights(images), strict=True)):
        evidence = word_evidence(sight, reader.vocabulary)
        for index, word in enumerate(reader.vocabulary.words):
            if evidence[index] >= MIN_EVIDENCE or word.kind == "person":
                likeness = float(sight.likeness[index]) if sight.likeness is not None else 0.0
                pair = (float(evidence[index]), likeness, float(row.supports(word.label)), number)
                found.setdefault(word.kind, []).append(pair)
    pairs = {}
    for kind, each in found.items():
        evidence, likeness, truth, numbers = (np.array(column) for column in zip(*each, strict=True))
        pairs[kind] = {"inputs": curve_inputs(evidence, likeness), "truth": truth, "picture": numbers, "raw": evidence}
    return pairs


def fit_curves(pairs: dict[str, dict[str, NDArray[np.float64]]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The curves per kind of word, and what they say of pictures that were left out of their own fit."""
    fitted: dict[str, Any] = {}
    all_held_out: list[NDArray[np.float64]] = []
    for kind, each in pairs.items():
        inputs, truth, picture = each["inputs"], each["truth"], each["picture"]
        held_out = np.zeros(len(truth))
        for number in np.unique(picture):
            weights = fit_weights(inputs[picture != number], truth[picture != number])
            held_out[picture == number] = 1 / (1 + np.exp(-inputs[picture == number] @ weights))
        slope, pull, offset = fit_weights(inputs, truth)
        fitted[kind] = {
            "curve": f"Curve({slope:.3f}, {offset:.3f}, {10 * pull:.3f})",
            "pairs": len(truth),
            "true": int(truth.sum()),
            "brier_left_out": round(float(((held_out - truth) ** 2).mean()), 3),
            "brier_raw": round(float(((each["raw"] - truth) ** 2).mean()), 3),
            "brier_constant": round(float(truth.var()), 3),
        }
        all_held_out.append(np.stack([held_out, truth], axis=1))
    return fitted, reliability(np.concatenate(all_held_out))


def reliability(pairs: NDArray[np.float64]) -> dict[str, Any]:
    """How often what is said with some score is true, and the mean gap between both (expected calibration error)."""
    bins: dict[str, Any] = {}
    gap = 0.0
    for low, high in ((0.0, 0.25), (0.25, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.01)):
        inside = pairs[(pairs[:, 0] >= low) & (pairs[:, 0] < high)]
        if len(inside):
            said, true = (float(value) for value in inside.mean(axis=0))
            bins[f"{low:.2f}-{min(high, 1):.2f}"] = {"said": round(said, 2), "true": round(true, 2), "n": len(inside)}
            gap += abs(said - true) * len(inside) / len(pairs)
    return {"bins": bins, "expected_calibration_error": round(gap, 3), "pairs": len(pairs)}


def tag_scores(reader: Any, rows: list[Row], images: list[Any]) -> dict[str, Any]:
    """How often the tags are true, name a listed object, and how honest their scores are."""
    # What is in the picture, not how it looks: no listed object and few captions say "black-and-white photo".
    looks = {*LOOKS_SCORES, "darkness", *(f"mostly {colour}" for colour in COLOURFUL)}
    tags = [[tag for tag in each if tag.label not in looks] for each in reader.tag_batch(images, top_k=5)]
    pairs = [
        [(tag.score, float(row.supports(tag.label))) for tag in each] for each, row in zip(tags, rows, strict=True)
    ]
    flat = np.array([pair for each in pairs for pair in each])
    sure = flat[flat[:, 0] >= SURE_ENOUGH]
    report: dict[str, Any] = {
        "pictures": len(rows),
        "tags_a_picture": round(len(flat) / len(rows), 2),
        "nothing_said": sum(not each for each in tags),
        "tags_true": round(100 * float(flat[:, 1].mean()), 1),
        "tags_true_from_half": [round(100 * float(sure[:, 1].mean()), 1), len(sure)],
        "first_tag_true": round(100 * float(np.mean([each[0][1] if each else 0 for each in pairs])), 1),
        "reliability": reliability(flat),
    }
    if all(row.objects for row in rows):
        for name, count, is_loose in (("first_five", 5, False), ("first_five_or_family", 5, True), ("first", 1, False)):
            hits = [
                any(row.lists(tag.label, is_loose=is_loose) for tag in each[:count])
                for each, row in zip(tags, rows, strict=True)
            ]
            report[f"{name}_name_an_object"] = round(100 * float(np.mean(hits)), 1)
        named = [
            sum(any(Row(row.path, (), (name,)).lists(tag.label) for tag in each) for name in row.objects)
            for each, row in zip(tags, rows, strict=True)
        ]
        report["objects_named"] = round(100 * sum(named) / sum(len(row.objects) for row in rows), 1)
    return report


def label_scores(reader: Any, rows: list[Row], images: list[Any]) -> dict[str, Any]:
    """Zero-shot: the names of all rows' objects as labels; a picture is right when its best label is one it lists."""
    labels = sorted({name for row in rows for name in row.objects})
    ranked = [[tag.label for tag in each] for each in reader.tag_batch(images, labels=labels)]
    firsts = [each[0] in row.objects for each, row in zip(ranked, rows, strict=True)]
    precisions = []
    for each, row in zip(ranked, rows, strict=True):
        ranks = sorted(each.index(name) for name in row.objects)
        precisions.append(np.mean([(count + 1) / (rank + 1) for count, rank in enumerate(ranks)]))
    return {
        "labels": len(labels),
        "first_label_listed": round(100 * float(np.mean(firsts)), 1),
        "mean_average_precision": round(100 * float(np.mean(precisions)), 1),
    }


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="lite2-minilm")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--fit", action="store_true", help="also fit the curves and the scale")
    parser.add_argument("--show", action="store_true", help="print each picture's tags and sentence first")
    options = parser.parse_args()

    entry, engine = load_models_file().resolve(options.model)
    weights = WeightsStore(paths.weights_dir()).prepared(entry, engine)
    started = time.perf_counter()
    reader = load_engine("vision", EngineSpec(name=entry.name, engine=engine, path=weights, device="cpu"))
    report: dict[str, Any] = {"model": entry.name, "load_s": round(time.perf_counter() - started, 2)}
    rows = read_rows(options.data, options.limit)
    images = [open_image(row.path) for row in rows]

    started = time.process_time()
    image_rows = reader.embed_images(images)
    report["embed_image_cpu_s"] = round((time.process_time() - started) / len(rows), 3)
    started = time.process_time()
    report["tags"] = tag_scores(reader, rows, images)
    report["tag_image_cpu_s"] = round((time.process_time() - started) / len(rows), 3)
    if all(row.objects for row in rows):
        report["zero_shot"] = label_scores(reader, rows, images)
    if options.show:
        for row, seen in zip(rows, see_all(reader, images), strict=True):
            print(row.path.name, row.objects, [(tag.label, round(tag.score, 2)) for tag in seen.tags], seen.caption)
    if options.fit:
        columns = list(zip(*(row.captions for row in rows), strict=False))
        report["logit_scale"] = [best_scale(image_rows, reader.embed_texts(column)) for column in columns]
        report["curves"], report["left_out"] = fit_curves(scored_pairs(reader, rows, images))
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
