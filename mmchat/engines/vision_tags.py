"""From class probabilities to a few everyday words with a calibrated doubt. Pure arithmetic, no model.

A word's evidence is the summed probability of its classes above a noise floor; a logistic curve per kind of
word turns it into the probability that the word is true of the picture. How well that holds is measured by
`benchmarks/vision.py`, which also fits the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmchat.domain import Tag
from mmchat.engines.vocabulary import Vocabulary, WordKind

NOISE_FLOOR = 1e-3
"""An even share among 1,000 classes. Without it the 118 dog breeds add up to a dog in every picture."""
MIN_EVIDENCE = 0.01
"""Less is not a tag; the curves were fitted on what is above."""
FAMILY_SHARE = 0.6
""" "animal" is said only where no single word holds that much of its evidence: then "horse" says it better."""
MIN_ASIDE = 0.5
"""Places and families, at most one of each, have to be likelier than not: they must not crowd out things."""
MIN_FINE_SHARE = 0.5
"""A fine name ("Golden Retriever") follows its word where it holds at least that much of the word's evidence."""
MIN_FINE_SCORE = 0.7


@dataclass(frozen=True, slots=True)
class Curve:
    """Probability of being true = sigmoid(slope * logit(evidence) + offset)."""

    slope: float
    offset: float

    def __call__(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        clipped = np.clip(evidence, 1e-4, 1 - 1e-4)
        logit = np.log(clipped / (1 - clipped))
        scores: NDArray[np.float64] = 1 / (1 + np.exp(-(self.slope * logit + self.offset)))
        return scores


ASSEMBLED_CURVES: Mapping[WordKind, Curve] = {
    "thing": Curve(0.698, 1.148),
    "person": Curve(1.022, 3.913),
    "family": Curve(1.137, 3.670),
    "place": Curve(0.499, 0.522),
}
"""For the default model. Source: `benchmarks/vision.py --fit` on the 51 CC BY and CC BY-SA photos of COCO with
their object names and captions; 2 parameters per kind from 336, 19, 62 and 59 (picture, word) pairs."""
RAW_CURVES: Mapping[WordKind, Curve] = dict.fromkeys(("thing", "person", "family", "place"), Curve(1.0, 0.0))
"""For every other model: the softmax as it is. Nothing was measured, so nothing is claimed beyond it."""


def tag_words(
    probabilities: NDArray[np.float64], vocabulary: Vocabulary, curves: Mapping[WordKind, Curve], top_k: int
) -> tuple[Tag, ...]:
    """The words most likely to be true of a picture, best first.

    Args:
        probabilities: (K,) over the vocabulary's classes, summing to 1.
        vocabulary: the classes and the words made of them.
        curves: evidence to probability, per kind of word.
        top_k: at most so many tags; fewer where the evidence runs out.
    """
    above = np.clip(probabilities - NOISE_FLOOR, 0.0, None)
    evidence = np.array([above[list(word.classes)].sum() for word in vocabulary.words])
    scores = np.zeros(len(vocabulary.words))
    for kind, curve in curves.items():
        rows = [row for row, word in enumerate(vocabulary.words) if word.kind == kind]
        scores[rows] = curve(evidence[rows])
    tags: list[Tag] = []
    asides: set[WordKind] = set()
    for row in np.argsort(-scores, kind="stable"):
        word = vocabulary.words[row]
        if len(tags) >= top_k:
            break
        if evidence[row] < MIN_EVIDENCE:
            continue
        if word.kind in ("place", "family"):
            is_said_better = word.kind == "family" and _is_said_better(int(row), evidence, vocabulary)
            if word.kind in asides or scores[row] < MIN_ASIDE or is_said_better:
                continue
            asides.add(word.kind)
        tags.append(Tag(word.label, float(scores[row])))
        if word.kind == "thing" and len(tags) < top_k:
            tags.extend(_fine_tag(word.label, word.classes, above, vocabulary, curves["thing"]))
    return tuple(sorted(tags, key=lambda tag: -tag.score))


def _is_said_better(row: int, evidence: NDArray[np.float64], vocabulary: Vocabulary) -> bool:
    family = set(vocabulary.words[row].classes)
    shares = [
        evidence[other]
        for other, word in enumerate(vocabulary.words)
        if word.kind == "thing" and family.issuperset(word.classes)
    ]
    return bool(shares) and max(shares) >= FAMILY_SHARE * evidence[row]


def _fine_tag(
    label: str, classes: tuple[int, ...], above: NDArray[np.float64], vocabulary: Vocabulary, curve: Curve
) -> list[Tag]:
    if len(classes) == 1:
        return []
    best = max(classes, key=lambda index: above[index])
    name = vocabulary.class_names[best]
    score = float(curve(np.array([above[best]]))[0])
    is_news = label.lower() not in name.lower() and name.lower() not in {word.label for word in vocabulary.words}
    is_clear = above[best] >= MIN_FINE_SHARE * above[list(classes)].sum() and score >= MIN_FINE_SCORE
    return [Tag(name, score)] if is_news and is_clear else []


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """(…, K) logits to probabilities along the last axis, in float64 so that they sum to 1 closely."""
    shifted = np.asarray(logits, dtype=np.float64) - np.max(logits, axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True), dtype=np.float64)
