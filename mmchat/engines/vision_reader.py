"""What every dual encoder does with its vectors: tags from an open vocabulary, labels ranked. No torch."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmchat.domain import EngineSpec, Tag
from mmchat.engines.picture_looks import look
from mmchat.engines.tag_prototypes import (
    ClassPrototypes,
    Prototypes,
    read_class_prototypes,
    read_prototypes,
    save_prototypes,
    unit_rows,
    word_directions,
)
from mmchat.engines.vision_tags import ASSEMBLED_CURVES, RAW_CURVES, Curves, Sight, above_noise, softmax, tag_words
from mmchat.engines.vision_views import SQUARE, UPRIGHT, WIDE, shape_of
from mmchat.errors import WeightsError
from mmchat.picture_vocabulary import PROMPTS, Vocabulary, build_vocabulary, plain_label

if TYPE_CHECKING:
    from PIL.Image import Image

SETTINGS_NAME = "mmchat_vision.json"
"""Beside an assembled model: what OpenCLIP's own configuration cannot say."""


class DualEncoder(ABC):
    """A dual encoder, whatever computes it. Keeps `engines.base.ImageReader`."""

    engine = "open_clip"
    image_batch = 16
    """Pictures computed together."""
    device: str
    dtype: str
    embedding_dim: int

    def __init__(self, spec: EngineSpec, class_names: Sequence[str], curves: Curves) -> None:
        """`class_names`: those of ImageNet's 1,000 classes, in its order."""
        self.name = spec.name
        self.vocabulary = build_vocabulary(class_names)
        self._folder = spec.path
        self._curves = curves
        self._lock = Lock()
        self._prototypes: Prototypes | None = None
        self._directions: NDArray[np.float32] | None = None

    def embed_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """(B, D) float32, unit rows. Images are RGB and already oriented (`image_io.open_image`)."""
        return unit_rows(self._encode_images(images))

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(B, D) float32, unit rows, comparable with `embed_images` by dot product."""
        return unit_rows(self._encode_texts(texts))

    def tag(self, image: Image, *, top_k: int = 5, labels: Sequence[str] | None = None) -> tuple[Tag, ...]:
        """The best tags, best first: at most `top_k` from the open vocabulary, or all of `labels`.

        Scores of labels are the model's own softmax over them (they sum to 1); scores of open tags are
        each word's probability of being true, calibrated for the default model only.
        """
        return self.tag_batch([image], top_k=top_k, labels=labels)[0]

    def tag_batch(
        self, images: Sequence[Image], *, top_k: int = 5, labels: Sequence[str] | None = None
    ) -> list[tuple[Tag, ...]]:
        """`tag` of each picture, looked at together."""
        if labels is not None:
            return self._rank(self.embed_images(images), list(dict.fromkeys(labels)))
        return [tag_words(sight, self.vocabulary, self._curves, top_k) for sight in self.sights(images)]

    def sights(self, images: Sequence[Image]) -> list[Sight]:
        """What the tags are made from: evidence for each class and word of `vocabulary`, and the pixels' looks."""
        prototypes, looks = self.prototypes(), [look(image) for image in images]
        if self._curves is RAW_CURVES or not self.has_cells:
            features = self._encode_images(images)
            return [
                Sight(above_noise(softmax(prototypes.logits(each))), None, seen)
                for each, seen in zip(features, looks, strict=True)
            ]
        directions, sights = self.directions(), []
        for (windows, whole), seen in zip(self._encode_cells(images), looks, strict=True):
            parts = softmax(windows @ prototypes.rows.T + prototypes.biases)
            likeness = directions @ unit_rows(whole[None])[0]
            above = above_noise(softmax(prototypes.logits(whole)), parts)
            sights.append(Sight(above, likeness.astype(np.float64), seen))
        return sights

    def _rank(self, images: NDArray[np.float32], labels: list[str]) -> list[tuple[Tag, ...]]:
        """The labels for each of (B, D) unit rows."""
        if not labels:
            return [() for _ in images]
        words = self._embed_labels(labels) * np.float32(self._logit_scale())
        ranked = []
        for image in images:
            scores = softmax(np.asarray(words @ image, dtype=np.float32))
            order = np.argsort(-scores, kind="stable")
            ranked.append(tuple(Tag(labels[row], float(scores[row])) for row in order))
        return ranked

    def prototypes(self) -> Prototypes:
        """What turns the feature of a picture into tags."""
        if self._prototypes is None:
            self._prototypes = self._load_prototypes()
        return self._prototypes

    @abstractmethod
    def close(self) -> None:
        """Free the weights; calling it twice is harmless."""

    # --- the towers, each reader's own --------------------------------------------------------------

    @property
    @abstractmethod
    def has_cells(self) -> bool:
        """Whether the image tower can tell the parts of a picture apart."""

    @abstractmethod
    def _is_assembled(self) -> bool:
        """Whether the image tower's own classes still lie where the model was assembled with them."""

    @abstractmethod
    def _logit_scale(self) -> float: ...

    @abstractmethod
    def _encode_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """(B, D) features before they are brought to unit length."""

    @abstractmethod
    def _encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]: ...

    @abstractmethod
    def _cell_features(
        self, images: Sequence[Image], shape: tuple[int, int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features of windows of cells, (B, N, D), and of the whole, (B, D), of pictures brought to one shape."""

    def _encode_cells(self, images: Sequence[Image]) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """For each picture (N, D) features of its windows and (D,) of the whole."""
        found: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
        for shape in (WIDE, UPRIGHT, SQUARE):
            rows = [row for row, image in enumerate(images) if shape_of(image) == shape]
            for start in range(0, len(rows), self.image_batch):
                batch = rows[start : start + self.image_batch]
                windows, wholes = self._cell_features([images[row] for row in batch], shape)
                found.update(zip(batch, zip(windows, wholes, strict=True), strict=True))
        return [found[row] for row in range(len(images))]

    # --- the open vocabulary ----------------------------------------------------------------------

    def _embed_words(self, words: Sequence[str]) -> NDArray[np.float32]:
        views = [self.embed_texts([prompt.format(word) for word in words]) for prompt in PROMPTS]
        return unit_rows(np.mean(views, axis=0, dtype=np.float32))

    def _embed_labels(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """Labels as texts; where the image tower has classes for one, their mean direction counts as much.

        Only as the model was assembled: a trained map has moved away from the classes.
        """
        rows = self._embed_words(labels)
        if self._curves is RAW_CURVES or not self.has_cells or not self._is_assembled():
            return rows
        known = {
            word.label: direction for word, direction in zip(self.vocabulary.words, self.directions(), strict=True)
        }
        zero = np.zeros(rows.shape[1], dtype=np.float32)
        return unit_rows(rows + np.stack([known.get(plain_label(label), zero) for label in labels]))

    def directions(self) -> NDArray[np.float32]:
        """(W, D) where the pictures of each word lie, by the image tower's own classes."""
        if self._directions is None:
            self._directions = word_directions(self.prototypes(), self.vocabulary)
        return self._directions

    def _load_prototypes(self) -> Prototypes:
        """The classes' weights, from the model's folder or the cache, or computed once and kept there."""
        vocabulary = self.vocabulary
        own = read_class_prototypes(self._folder) if self._folder else None
        if own is not None and set(vocabulary.class_names[len(own.prototypes.rows) :]) <= set(own.words):
            return self._joined(own)
        known = read_prototypes(self._folder, vocabulary)
        if known is None:
            known = self._joined(own) if own is not None else self._made_prototypes(vocabulary)
            save_prototypes(known, self._folder, vocabulary)
        return known

    def _made_prototypes(self, vocabulary: Vocabulary) -> Prototypes:
        rows = self._embed_words(vocabulary.class_names) * np.float32(self._logit_scale())
        return Prototypes(rows, np.zeros(len(rows), dtype=np.float32), is_unit=True)

    def _joined(self, own: ClassPrototypes) -> Prototypes:
        """The image tower's own classes, and words beside them."""
        names = self.vocabulary.class_names[len(own.prototypes.rows) :]
        if not names:  # a finetuned model keeps all rows together
            return own.prototypes
        missing = [name for name in names if name not in own.words]
        rows = {**own.words, **dict(zip(missing, self._embed_words(missing), strict=True))} if missing else own.words
        words = np.stack([rows[name] for name in names]) * np.float32(own.text_gain)
        biases = np.full(len(words), own.prototypes.biases.mean(), dtype=np.float32)
        return Prototypes(
            np.concatenate([own.prototypes.rows, words]), np.concatenate([own.prototypes.biases, biases]), is_unit=False
        )


def curves_of(settings: Mapping[str, Any]) -> Curves:
    """From evidence to probability, as the settings beside a model name it."""
    return ASSEMBLED_CURVES if settings.get("curves") == "assembled" else RAW_CURVES


def damaged(spec: EngineSpec, folder: Path, error: Exception) -> WeightsError:
    """What is said of weights that cannot be used."""
    return WeightsError(
        f"The weights of '{spec.name}' at {folder} cannot be loaded: {error}",
        hint=f"Fetch them again: mmchat models remove {spec.name}, then mmchat models pull {spec.name}",
    )


def read_settings(folder: Path) -> dict[str, Any]:
    """What stands beside an assembled model; empty for any other."""
    path = folder / SETTINGS_NAME
    settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return settings
