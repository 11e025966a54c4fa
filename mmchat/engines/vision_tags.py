"""From class probabilities to a few everyday words with a calibrated doubt. Pure arithmetic, no model.

A word's evidence is the summed probability of its classes above a noise floor, averaged over the picture; its
likeness is how near the whole picture lies to the mean of its classes. A logistic curve per kind of word turns both
into the probability that the word is true. How well that holds is measured by `benchmarks/vision.py`, which also
fits the numbers. What the pixels say by themselves (`picture_looks`) is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmchat.domain import Tag
from mmchat.engines.picture_looks import BLANK, CHART, DARK, DRAWING, GREY_PHOTO, SCREENSHOT, TEXT, Looks
from mmchat.picture_vocabulary import Vocabulary, Word, WordKind

NOISE_FLOOR = 1e-3
"""An even share among 1,000 classes. Without it the 118 dog breeds add up to a dog in every picture."""
MIN_EVIDENCE = 0.01
"""Less is not a tag; the curves were fitted on what is above. People alone may be told by likeness: no class is a
person."""
MIN_SCORE = 0.25
"""A word that is wrong three times of four is no tag: what is left may be nothing, and that is said."""
MIN_ASIDE = 0.5
"""Places, families, doings and people, at most one of each, have to be likelier than not, not to crowd out things.
"animal" is not said beside a word for one that is likelier than not itself: "horse" says it better."""
MIN_FINE_SHARE = 0.5
"""A fine name ("Golden Retriever") follows its word where it holds at least that much of the word's evidence."""
MIN_FINE_SCORE = 0.7
ASIDES: tuple[WordKind, ...] = ("place", "family", "doing", "person")
COLOURFUL = ("red", "orange", "yellow", "green", "blue", "purple", "pink")
MIN_COLOUR = 0.5
"""A colour is a tag where it fills at least half of the picture; its score is that share."""
DARK_SCORE = 0.9
LOOKS_SCORES = {BLANK: 0.98, TEXT: 0.95, SCREENSHOT: 0.85, CHART: 0.9, DRAWING: 0.85, GREY_PHOTO: 0.9}
"""How often the pixels are right about it, a little less than measured, because what was measured was drawn here.
Source: `benchmarks/picture_kinds.py`."""
GRAPHIC_DOUBT = 2.5
"""Taken off the log odds of a drawing's words: the network was trained on photos. Of seven words said of the twelve
drawings this project ships with 1.5 taken off, two were true."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Probability of being true = sigmoid(slope * logit(evidence) + pull * likeness + offset)."""

    slope: float
    offset: float
    pull: float = 0.0

    def __call__(
        self, evidence: NDArray[np.float64], likeness: NDArray[np.float64] | float = 0.0, shift: float = 0.0
    ) -> NDArray[np.float64]:
        clipped = np.clip(evidence, 1e-4, 1 - 1e-4)
        odds = self.slope * np.log(clipped / (1 - clipped)) + self.pull * likeness + self.offset + shift
        scores: NDArray[np.float64] = 1 / (1 + np.exp(-odds))
        return scores


Curves = Mapping[WordKind, Curve]
ASSEMBLED_CURVES: Curves = {
    "thing": Curve(0.658, 0.037, 5.422),
    "person": Curve(0.500, 2.568, 8.937),
    "family": Curve(1.048, 2.357, 12.258),
    "place": Curve(0.451, -1.147, 7.439),
    "doing": Curve(0.586, -2.150, 7.837),
    "ground": Curve(1.629, 0.055, 0.000),
}
"""For the default model. Source: `benchmarks/vision.py --fit` on the 51 CC BY and CC BY-SA photos of COCO with
their object names and captions; 3 parameters per kind."""
RAW_CURVES: Curves = dict.fromkeys(("thing", "person", "family", "place", "doing", "ground"), Curve(1.0, 0.0))
"""For every other model: the softmax as it is. Nothing was measured, so nothing is claimed beyond it."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What the model and the pixels say of one picture."""

    above: NDArray[np.float64]
    """(K,) probability of each class above the noise floor, averaged over the picture."""
    likeness: NDArray[np.float64] | None
    """(W,) cosine of the picture and each word's mean class; None where the model has no classes of its own."""
    looks: Looks | None = None


def above_noise(whole: NDArray[np.float64], windows: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """(K,) evidence of classes from their probabilities: (K,) of the whole and, half and half, (N, K) of its parts."""
    above = np.clip(whole - NOISE_FLOOR, 0.0, None)
    if windows is not None:
        above = (above + np.clip(windows - NOISE_FLOOR, 0.0, None).mean(axis=0)) / 2
    return np.asarray(above, dtype=np.float64)


def word_evidence(sight: Sight, vocabulary: Vocabulary) -> NDArray[np.float64]:
    """(W,) the evidence for each word."""
    looks = sight.looks
    evidence = [
        (looks.grass if looks is not None else 0.0) if word.kind == "ground" else sight.above[list(word.classes)].sum()
        for word in vocabulary.words
    ]
    return np.array(evidence, dtype=np.float64)


def tag_words(sight: Sight, vocabulary: Vocabulary, curves: Curves, top_k: int) -> tuple[Tag, ...]:
    """The words most likely to be true of a picture, best first; none where nothing is likely enough.

    Args:
        sight: over the vocabulary's classes and words.
        vocabulary: the classes and the words made of them.
        curves: evidence to probability, per kind of word.
        top_k: at most so many tags.
    """
    tags = list(_looks_tags(sight.looks))
    if sight.looks is None or sight.looks.kind not in (BLANK, TEXT, SCREENSHOT, CHART):
        tags += _said_words(sight, vocabulary, curves, top_k)
    best = {tag.label: tag for tag in sorted(tags, key=lambda tag: tag.score)}
    return tuple(sorted(best.values(), key=lambda tag: -tag.score)[:top_k])


def _said_words(sight: Sight, vocabulary: Vocabulary, curves: Curves, top_k: int) -> list[Tag]:
    evidence, scores = word_evidence(sight, vocabulary), np.zeros(len(vocabulary.words))
    shift = -GRAPHIC_DOUBT if sight.looks is not None and sight.looks.is_graphic else 0.0
    for kind, curve in curves.items():
        rows = [row for row, word in enumerate(vocabulary.words) if word.kind == kind]
        scores[rows] = curve(evidence[rows], sight.likeness[rows] if sight.likeness is not None else 0.0, shift)
    people = max((scores[row] for row, word in enumerate(vocabulary.words) if word.kind == "person"), default=0.0)
    said: list[Tag] = []
    asides: set[WordKind] = set()
    for row in np.argsort(-scores, kind="stable"):
        word = vocabulary.words[row]
        if len(said) >= top_k or scores[row] < MIN_SCORE:
            break
        if evidence[row] < MIN_EVIDENCE and word.kind != "person":
            continue
        score = float(min(scores[row], people) if word.kind == "doing" else scores[row])
        if word.kind in ASIDES:
            is_said_better = word.kind == "family" and _is_said_better(word, scores, vocabulary)
            if word.kind in asides or score < MIN_ASIDE or is_said_better:
                continue
            asides.add(word.kind)
        said.append(Tag(word.label, score))
        if word.kind == "thing" and len(said) < top_k:
            said.extend(_fine_tag(word, sight.above, vocabulary, score))
    return said


def _looks_tags(looks: Looks | None) -> list[Tag]:
    if looks is None:
        return []
    tags = [Tag(looks.kind, LOOKS_SCORES[looks.kind])] if looks.kind in LOOKS_SCORES else []
    tags += [Tag(f"mostly {name}", share) for name, share in looks.colours if name in COLOURFUL and share >= MIN_COLOUR]
    if looks.brightness < DARK and not looks.is_graphic:
        tags.append(Tag("darkness", DARK_SCORE))
    return tags


def _is_said_better(family: Word, scores: NDArray[np.float64], vocabulary: Vocabulary) -> bool:
    members = set(family.classes)
    return any(
        word.kind == "thing"
        and scores[row] >= MIN_ASIDE
        and len(members.intersection(word.classes)) * 2 >= len(word.classes)
        for row, word in enumerate(vocabulary.words)
    )


def _fine_tag(word: Word, above: NDArray[np.float64], vocabulary: Vocabulary, score: float) -> list[Tag]:
    """The finer name, as sure as its word by its share of the evidence."""
    if len(word.classes) == 1:
        return []
    best = max(word.classes, key=lambda index: above[index])
    name, share = vocabulary.class_names[best], above[best] / above[list(word.classes)].sum()
    is_news = word.label.lower() not in name.lower() and name.lower() not in {each.label for each in vocabulary.words}
    is_clear = share >= MIN_FINE_SHARE and score * share >= MIN_FINE_SCORE
    return [Tag(name, float(score * share))] if is_news and is_clear else []


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """(…, K) logits to probabilities along the last axis, in float64 so that they sum to 1 closely."""
    shifted = np.asarray(logits, dtype=np.float64) - np.max(logits, axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True), dtype=np.float64)
