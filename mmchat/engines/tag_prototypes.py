"""One weight row per class of the open vocabulary: read from the model's folder, or made once and cached."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from mmchat import paths
from mmchat.picture_vocabulary import WORDS_KEY, Vocabulary

IMAGENET_CLASSES = 1000
"""The first of a vocabulary's classes: those that the default image tower was trained on."""


@dataclass(frozen=True, slots=True)
class Prototypes:
    """Linear classifier over image features."""

    rows: NDArray[np.float32]
    """(K, D)."""
    biases: NDArray[np.float32]
    """(K,)."""
    is_unit: bool
    """Whether features are brought to unit length first (cosine), or taken as they are."""

    def logits(self, feature: NDArray[np.float32]) -> NDArray[np.float32]:
        """(K,) for a (D,) feature."""
        scaled = feature / max(float(np.linalg.norm(feature)), 1e-12) if self.is_unit else feature
        return np.asarray(self.rows @ scaled + self.biases, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class ClassPrototypes:
    """The image network's own classifier, where the model was assembled from one."""

    prototypes: Prototypes
    text_gain: float
    """Length that a unit text feature needs to stand beside the rows."""
    words: Mapping[str, NDArray[np.float32]]
    """Unit text features of words that no class covers; those that are not here are asked of the text encoder."""


def word_directions(prototypes: Prototypes, vocabulary: Vocabulary) -> NDArray[np.float32]:
    """(W, D) unit rows: the mean direction of the classes behind each word; zero for a word without classes.

    Directions are taken from the middle of all classes: what they share says nothing of any.
    """
    rows = unit_rows(prototypes.rows - prototypes.rows[:IMAGENET_CLASSES].mean(axis=0))
    directions = np.zeros((len(vocabulary.words), rows.shape[1]), dtype=np.float32)
    for number, word in enumerate(vocabulary.words):
        # A text's direction is a guess; where the network has classes of its own, they alone are asked.
        known = [index for index in word.classes if index < IMAGENET_CLASSES] or list(word.classes)
        if known:
            directions[number] = rows[known].mean(axis=0)
    return unit_rows(directions)


def unit_rows(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, D) rows brought to unit length; zeros stay zeros."""
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.asarray(matrix / np.maximum(norms, 1e-12), dtype=np.float32)


def read_class_prototypes(folder: Path) -> ClassPrototypes | None:
    """What `weights.prepare_dual_encoder` left in the folder; None for other models.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / "class_prototypes.safetensors"
    if not path.is_file():
        return None
    try:
        tensors = load_file(path)
        prototypes = Prototypes(tensors["rows"], tensors["biases"], is_unit=False)
        with safe_open(path, "numpy") as file:
            names = (file.metadata() or {}).get(WORDS_KEY, "").splitlines()
        words = dict(zip(names, tensors["words"], strict=True)) if names else {}
        return ClassPrototypes(prototypes, float(tensors["text_gain"]), words)
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error


def read_prototypes(folder: Path | None, vocabulary: Vocabulary) -> Prototypes | None:
    """The cached prototypes for exactly these weights and this vocabulary, if they are whole."""
    path = _cache_path(folder, vocabulary)
    if path is None or not path.is_file():
        return None
    try:
        tensors = load_file(path)
        prototypes = Prototypes(tensors["rows"], tensors["biases"], bool(tensors["is_unit"]))
    except (SafetensorError, KeyError, OSError):
        return None  # made anew: this is a cache
    return prototypes if len(prototypes.rows) == len(vocabulary.class_names) else None


def save_prototypes(prototypes: Prototypes, folder: Path | None, vocabulary: Vocabulary) -> None:
    """Keep them for the next start. A cache folder that cannot be written costs time, nothing else."""
    path = _cache_path(folder, vocabulary)
    if path is None:
        return
    tensors: dict[str, NDArray[Any]] = {
        "rows": prototypes.rows,
        "biases": prototypes.biases,
        "is_unit": np.array(prototypes.is_unit, dtype=np.uint8),
    }
    try:
        paths.private_dir(path.parent)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        os.close(descriptor)
        save_file(tensors, temporary)
        os.replace(temporary, path)
    except OSError:
        return


def _cache_path(folder: Path | None, vocabulary: Vocabulary) -> Path | None:
    """A name that changes with the weights' place, size and date, and with the words."""
    if folder is None:
        return None
    digest = hashlib.sha256("\n".join(vocabulary.class_names).encode())
    for path in sorted(each for each in folder.iterdir() if each.is_file()):
        status = path.stat()
        digest.update(f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return paths.cache_dir() / "vision" / f"{digest.hexdigest()[:32]}.safetensors"
