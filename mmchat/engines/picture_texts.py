"""Texts in the space of the default dual encoder, without loading it: no torch, no seconds of waiting.

Its text side is the sentence embedder and a linear map (`weights.prepare_dual_encoder`). Recall has the embedder at
hand anyway, so the map alone is read from the model's file. That the two are the same network is not believed but
compared, tensor by tensor: a finetuned text tower is told apart.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmchat.engines.base import TextEmbedder

log = logging.getLogger(__name__)

_MODEL_NAME = "open_clip_model.safetensors"
_MAP = "text.proj.weight"
_TOWER = "text.transformer."
_COMPARED = ("embeddings.LayerNorm.weight", "attention.self.query.weight", "output.dense.bias")
"""Endings of the tensors that are compared, in every layer: training changes all of them."""


class MappedTexts:
    """Puts texts where the pictures they describe are. Keeps `engines.base.PictureTexts`."""

    def __init__(self, name: str, embedder: TextEmbedder, text_map: NDArray[np.float32]) -> None:
        """`name` is the dual encoder's, `text_map` its (D, E) map from E numbers of `embedder`."""
        self.name = name
        self._embedder = embedder
        self._map = text_map

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(B, D) float32, unit rows: to rounding what the dual encoder itself makes of the texts."""
        return self.map_sentences(self._embedder.embed(texts))

    def map_sentences(self, sentences: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same from the embedder's vectors, (B, E), of the texts."""
        rows = sentences @ self._map.T
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)


def mapped_texts(name: str, folder: Path, embedder: TextEmbedder, embedder_dir: Path) -> MappedTexts | None:
    """The text side of the dual encoder in `folder`; None where it is more than `embedder` and a map.

    Args:
        name: of the dual encoder, as its pictures' vectors are stored under.
        folder: what `engines.vision_open_clip` loads.
        embedder: the loaded sentence embedder.
        embedder_dir: the folder with the embedder's original weights, at any depth.
    """
    originals = sorted(embedder_dir.rglob("model.safetensors"))
    if not (folder / _MODEL_NAME).is_file() or not originals or not _is_mean_and_map(folder):
        return None
    try:
        with safe_open(folder / _MODEL_NAME, "numpy") as model, safe_open(originals[0], "numpy") as original:
            names, own = set(model.keys()), set(original.keys())
            compared = [key for key in own if key.endswith(_COMPARED)]
            is_same = bool(compared) and all(
                _TOWER + key in names and np.array_equal(model.get_tensor(_TOWER + key), original.get_tensor(key))
                for key in compared
            )
            text_map = model.get_tensor(_MAP) if is_same and _MAP in names else None
    except (OSError, SafetensorError) as error:
        log.warning("the text side of %s cannot be read: %s", name, error)
        return None
    if text_map is None or text_map.ndim != 2 or text_map.shape[1] != embedder.embedding_dim:
        return None
    return MappedTexts(name, embedder, np.asarray(text_map, np.float32))


def _is_mean_and_map(folder: Path) -> bool:
    try:
        config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
        text = config["model_cfg"]["text_cfg"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(text.get("hf_pooler_type") == "mean_pooler" and text.get("hf_proj_type") == "linear")
