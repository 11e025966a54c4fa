"""Tells intents with a head that was trained on rows with labels, and when a message is none of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mmchat.domain import OUT_OF_SCOPE, Likely
from mmchat.engines.intents_examples import likeliest
from mmchat.engines.intents_scope import Scale, Trial, fit_scale

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

OUT_OF_SCOPE_LABELS = frozenset({"oos", "ood", "out_of_scope", "out-of-scope", "out of scope"})
"""Labels of rows that people use for what is none of the others, in small letters."""
USUAL = Scale(1.0, 4.8, 0.0)
"""For a head that learnt no scope: the heads of CLINC150 and Banking77 come to about this."""
UNKNOWN_WEIGHT = 0.15
"""What held-out rows of an unknown intent count where the others count 1."""


class Scorer(Protocol):
    """What is needed of a loaded head; `engines.head_fused.FusedHead` is one."""

    name: str
    labels: tuple[str, ...]
    needs_text: bool
    needs_image: bool

    @property
    def scope(self) -> tuple[float, float, float] | None:
        """Numbers of a `Scale`."""
        ...

    def scores(self, texts: Sequence[str], images: Sequence[Image]) -> NDArray[np.float64]:
        """(B, L) logits, calibrated among the labels."""
        ...


class HeadIntents:
    """Keeps `engines.base.IntentReader` over a head. Safe from any thread."""

    def __init__(self, head: Scorer) -> None:
        self.name = head.name
        self._head = head
        self._scale = USUAL if head.scope is None else Scale(*head.scope)
        self._outside = np.array([is_out_of_scope(label) for label in head.labels])
        self._labels = (*(label for label in head.labels if not is_out_of_scope(label)), OUT_OF_SCOPE)

    def read(self, text: str, image: Image | None = None) -> tuple[Likely, ...]:
        """The likeliest intents; see `engines.base.IntentReader`.

        None at all where a text or a picture is missing that the head was trained on: it cannot tell then.
        """
        if (self._head.needs_text and not text.strip()) or (self._head.needs_image and image is None):
            return ()
        texts = [text] if self._head.needs_text else []
        scores = self._head.scores(texts, [image] if self._head.needs_image and image is not None else [])
        chances = self._scale.probabilities(scores, _likeness(scores, self._outside))[0]
        inside = chances[:-1][~self._outside]
        return likeliest(self._labels, np.append(inside, 1 - inside.sum()))


def is_out_of_scope(label: str) -> bool:
    """Whether rows of this label are of none of the other labels."""
    return label.strip().casefold() in OUT_OF_SCOPE_LABELS


def fit_scope(
    scores: NDArray[np.float64], wanted: NDArray[np.int64], labels: Sequence[str] = ()
) -> tuple[float, float, float]:
    """Learn what "none of these" looks like from rows that are one of them, as if their own label were not known.

    What is left of a row's logits without its own label's is about what a message of an unknown intent gets: on
    CLINC150 a little more than its out-of-scope queries do, so that nearly all of those are told.

    Args:
        scores: (N, L) calibrated logits of rows that were not trained on.
        wanted: (N,) their columns.
        labels: names of the columns, of which some may mean out of scope; empty: none does.

    Returns:
        The numbers of a `Scale`.
    """
    outside = np.array([is_out_of_scope(label) for label in labels] or [False] * scores.shape[1])
    bare = scores.copy()
    bare[np.arange(len(bare)), wanted] = scores.min(axis=1) - 1
    bare = bare[~outside[wanted]]
    none = np.full(len(bare), scores.shape[1])
    known = Trial(scores, _likeness(scores, outside), wanted, np.ones(len(wanted), bool), 1.0)
    unknown = Trial(bare, _likeness(bare, outside), none, np.ones(len(none), bool), UNKNOWN_WEIGHT)
    scale = fit_scale([known, unknown], USUAL)
    return scale.sharpness, scale.strangeness, scale.nearness


def _likeness(scores: NDArray[np.float64], outside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(B,) the best logit of an intent: far from all, all are low.

    Source: Hendrycks et al. 2022, "Scaling Out-of-Distribution Detection for Real-World Settings", section 3.
    """
    return np.asarray(scores[:, ~outside].max(axis=1))
