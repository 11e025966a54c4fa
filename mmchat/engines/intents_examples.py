"""Tells intents from a few messages of each: nothing is trained that a user would see, and no library but numpy.

Sentence vectors, where an embedder is at hand and knows the language, and character n-grams together say how alike
two messages are; kernel ridge regression over the examples gives each intent a score, and its leave-one-out scores,
which cost nothing more, say how far scores can be trusted. Whole intents left out, and messages that belong to no
role, teach what "none of them" looks like. Measured in docs/results.md ("Intents and moods").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmchat.domain import OUT_OF_SCOPE, Likely
from mmchat.engines.intents_background import BACKGROUND
from mmchat.engines.intents_grams import SharedGrams
from mmchat.engines.intents_scope import Scale, Trial, fit_scale
from mmchat.script import is_mostly_chinese

if TYPE_CHECKING:
    from PIL.Image import Image

    from mmchat.engines.base import TextEmbedder

NAME = "examples"
VECTOR_SHARE = 0.6
"""Of the likeness of two messages that both have vectors; the rest is n-grams'."""
RIDGE = 0.3
PARTS = 4
"""In how many parts whole intents are left out."""
TOO_NEAR = 0.5
"""Messages of no role that are as near as this to an example are left aside: this role has an intent for them."""
NONE_WEIGHT = 0.5
"""What all messages of no known intent count where the others count 1: most messages to a role are for it."""
TOLD_INTENTS = 5
"""The likeliest few that are told; out of scope is always among them."""
MIN_OWN = 3
"""Fewer examples than these of one kind, with or without vectors, have no scale of their own."""
ALONE = 5.0
"""A single intent always scores high: what is none of it has that much more to make up."""
USUAL = {True: Scale(7.0, 1.9, 6.3), False: Scale(7.0, 0.0, 6.0)}
"""By whether messages have vectors: what roles of 4 to 12 intents out of CLINC150 come to."""

Rows: TypeAlias = "NDArray[np.float32]"
Doubles: TypeAlias = "NDArray[np.float64]"
Flags: TypeAlias = "NDArray[np.bool_]"
Vectors = Callable[[Sequence[str]], Rows]
"""Texts to (B, D) unit rows."""


@dataclass(frozen=True, slots=True)
class _Told:
    """Texts as the reader compares them."""

    vectors: Rows
    """(B, D) unit rows; zeros where the embedder does not know the language, or is not there."""
    has_vector: Flags
    """(B,)."""
    shared: Rows
    """(B, N) cosine of the n-grams with each example's."""

    def part(self, rows: slice) -> _Told:
        """Some of the texts."""
        return _Told(self.vectors[rows], self.has_vector[rows], self.shared[rows])


class ExampleIntents:
    """Keeps `engines.base.IntentReader`. Safe from any thread: after the fit nothing changes."""

    name = NAME

    def __init__(
        self,
        examples: Mapping[str, Sequence[str]],
        embedder: TextEmbedder | None = None,
        vectors: Vectors | None = None,
    ) -> None:
        """Fit to the examples: some milliseconds, beside the vectors.

        Args:
            examples: intent → messages; an intent without any is never told. Those of `OUT_OF_SCOPE` are messages
                of none of the others.
            embedder: for vectors of messages; None: n-grams alone.
            vectors: for those of the examples, where they are kept somewhere; by default, the embedder's.
        """
        self._embedder = embedder
        self._is_multilingual = bool(getattr(embedder, "is_multilingual", False))
        rows = [(text, intent) for intent, own in examples.items() for text in dict.fromkeys(own) if text.strip()]
        inside = [row for row in rows if row[1] != OUT_OF_SCOPE]
        self.intents = tuple(dict.fromkeys(intent for _, intent in inside))
        if not inside:
            return
        texts = [text for text, _ in inside]
        outside = [text for text, intent in rows if intent == OUT_OF_SCOPE]
        self._columns = np.array([self.intents.index(intent) for _, intent in inside])
        self._grams = SharedGrams(texts)
        told = self._tell([*texts, *outside, *_background(texts)], vectors or self._embed)
        self._own = told.part(slice(len(texts)))
        self._fit(told.part(slice(len(texts), None)), len(outside))

    def read(self, text: str, image: Image | None = None) -> tuple[Likely, ...]:
        """The likeliest intents, best first, `OUT_OF_SCOPE` among them; see `engines.base.IntentReader`."""
        if not self.intents or not text.strip():
            return (Likely(OUT_OF_SCOPE, 1.0),)
        told = self._tell([text], self._embed)
        likeness = self._likeness(told)
        scale = self._scales[bool(told.has_vector[0])]
        chances = scale.probabilities((likeness + 1) @ self._weights, likeness.max(axis=1))[0]
        return likeliest((*self.intents, OUT_OF_SCOPE), chances)

    # --- how alike messages are -------------------------------------------------------------------

    def _embed(self, texts: Sequence[str]) -> Rows:
        assert self._embedder is not None
        return self._embedder.embed(texts)

    def _tell(self, texts: Sequence[str], vectors: Vectors) -> _Told:
        if self._embedder is None:
            return _Told(np.zeros((len(texts), 1), np.float32), np.zeros(len(texts), bool), self._grams(texts))
        # An English model's vectors of Chinese are noise that looks like nearness.
        readable = np.array([self._is_multilingual or not is_mostly_chinese(text) for text in texts], bool)
        found = np.zeros((len(texts), self._embedder.embedding_dim), np.float32)
        if readable.any():
            found[readable] = vectors([text for text, is_read in zip(texts, readable, strict=True) if is_read])
        return _Told(found, readable, self._grams(texts))

    def _likeness(self, told: _Told) -> Rows:
        """(B, N) with each example, in about [0, 1]: a kernel, as the sum of two.

        A text without a vector is all n-grams; of a pair's likeness, each part is the geometric mean of its shares
        in the two.
        """
        ours, theirs = (VECTOR_SHARE * each.has_vector for each in (told, self._own))
        by_vectors = np.sqrt(np.outer(ours, theirs)) * (told.vectors @ self._own.vectors.T)
        by_grams = np.sqrt(np.outer(1 - ours, 1 - theirs)) * told.shared
        return np.asarray(by_vectors + by_grams, np.float32)

    # --- fitting ------------------------------------------------------------------------------------

    def _fit(self, rest: _Told, outside: int) -> None:
        """`rest`: messages of no intent, of which the first `outside` are the role's own."""
        likeness = self._likeness(self._own)
        targets = np.where(self._columns[:, None] == np.arange(len(self.intents)), 1.0, -1.0)
        # One more in the kernel is a constant: the regression's intercept.
        kernel = likeness.astype(np.float64) + 1 + RIDGE * np.eye(len(targets))
        inverse: Doubles = np.asarray(np.linalg.inv(kernel), np.float64)
        weights: Doubles = inverse @ targets
        self._weights = weights.astype(np.float32)
        # The leave-one-out formula for kernel ridge regression: each example as if it had not been learnt from.
        scores = targets - weights / np.diag(inverse)[:, None]
        others = likeness - 2 * np.eye(len(targets), dtype=np.float32)
        known = Trial(scores.astype(np.float32), others.max(axis=1), self._columns, self._own.has_vector, 1.0)
        unknown = [*self._intents_left_out(likeness, inverse, weights, targets), *self._of_no_role(rest, outside)]
        total = sum(each.weight for each in unknown)
        trials = [known, *(replace(each, weight=NONE_WEIGHT * each.weight / total) for each in unknown)]
        more = ALONE if len(self.intents) == 1 else 0.0
        usual = {has: replace(each, strangeness=each.strangeness + more) for has, each in USUAL.items()}
        self._scales = {has: _scale(trials, has, each) for has, each in usual.items()}

    def _intents_left_out(self, likeness: Rows, inverse: Doubles, weights: Doubles, targets: Doubles) -> list[Trial]:
        """How messages score whose intents are unknown: what a user wants that the role has no intent for."""
        parts = min(PARTS, len(self.intents))
        trials = []
        for part in range(parts if parts > 1 else 0):
            left = self._columns % parts == part
            # The same formula for a block: as if none of these had been learnt from.
            scores = targets[left] - np.linalg.solve(inverse[np.ix_(left, left)], weights[left])
            scores[:, part::parts] = -1
            near = likeness[np.ix_(left, ~left)].max(axis=1)
            trials.append(self._unknown(scores.astype(np.float32), near, self._own.has_vector[left], 1 / parts))
        return trials

    def _of_no_role(self, rest: _Told, outside: int) -> list[Trial]:
        """How messages score that belong to no role, and those that the role calls out of scope."""
        likeness = self._likeness(rest)
        near = likeness.max(axis=1)
        kept = (near < TOO_NEAR) | (np.arange(len(near)) < outside)
        if not kept.any():
            return []
        return [self._unknown((likeness[kept] + 1) @ self._weights, near[kept], rest.has_vector[kept], 1.0)]

    def _unknown(self, scores: Rows, near: Rows, has_vector: Flags, weight: float) -> Trial:
        return Trial(scores, near, np.full(len(near), len(self.intents)), has_vector, weight)


def likeliest(labels: Sequence[str], chances: NDArray[np.floating]) -> tuple[Likely, ...]:
    """The few best, and `OUT_OF_SCOPE` wherever it stands.

    Args:
        labels: of the intents, `OUT_OF_SCOPE` being the last.
        chances: (L,) their probabilities.
    """
    order = [int(place) for place in np.argsort(-chances, kind="stable")]
    told = order[:TOLD_INTENTS]
    last = len(labels) - 1
    return tuple(Likely(labels[place], float(chances[place])) for place in (told if last in told else [*told, last]))


def _background(texts: Sequence[str]) -> list[str]:
    """Messages of no role, in the languages of these: others would be told apart too easily to teach anything."""
    languages = {is_mostly_chinese(text) for text in texts}
    return [text for text in BACKGROUND if is_mostly_chinese(text) in languages]


def _scale(trials: Sequence[Trial], has_vector: bool, usual: Scale) -> Scale:
    """For texts with or without vectors, whose likenesses lie apart."""
    own = [each.only(each.has_vector == has_vector) for each in trials]
    return fit_scale(own, usual) if len(own[0].wanted) >= MIN_OWN else usual
