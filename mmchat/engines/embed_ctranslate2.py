"""Sentence embeddings through CTranslate2: no torch, a small start, the same vectors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import ctranslate2
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mmchat.domain import EngineSpec
from mmchat.engines.device import usable_threads
from mmchat.errors import EngineUnavailable, ModelNotFound, WeightsError

BATCH_SIZE = 32
"""Texts per forward pass, of like length; more gains nothing on a CPU and holds the lock longer."""


@dataclass(frozen=True, slots=True)
class Pooling:
    """What a model wants around the bare encoder: `pooling.json` in its folder."""

    max_tokens: int
    prefix: str = ""
    """Put before every text."""
    common: NDArray[np.float32] | None = None
    """(D,) what all vectors have in common, taken away from each."""
    is_multilingual: bool = False
    compute_type: str = "float32"
    """On a CPU."""

    @classmethod
    def read(cls, path: Path) -> Pooling:
        """Read the file; keys that are missing have their defaults."""
        fields = json.loads(path.read_text(encoding="utf-8"))
        common = fields.get("common")
        return cls(
            int(fields["max_tokens"]),
            str(fields.get("prefix", "")),
            None if common is None else np.array(common, np.float32),
            "multilingual" in fields.get("languages", ()),
            str(fields.get("compute_type", "float32")),
        )


class Ctranslate2Embedder:
    """Mean-pooled, unit-length sentence vectors. Keeps `engines.base.TextEmbedder`."""

    engine = "ctranslate2"

    def __init__(
        self, name: str, encoder: ctranslate2.Encoder, tokenizer: Tokenizer, embedding_dim: int, pooling: Pooling
    ) -> None:
        self.name = name
        self.is_multilingual = pooling.is_multilingual
        self.embedding_dim = embedding_dim
        self.dtype = str(encoder.compute_type)
        self._encoder: ctranslate2.Encoder | None = encoder
        self._tokenizer = tokenizer
        self._pooling = pooling
        self._lock = Lock()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed sentences; each is cut after the model's length (256 tokens).

        Args:
            texts: any number of them; an empty text has a vector too (that of the bare special tokens).

        Returns:
            (B, D) float32, unit rows, in the order of `texts`.
        """
        vectors = np.zeros((len(texts), self.embedding_dim), dtype=np.float32)
        token_ids = [encoding.ids for encoding in self._tokenizer.encode_batch(self._prefixed(texts))]
        # Sorted by length, so that a batch is padded little.
        order = sorted(range(len(texts)), key=lambda index: len(token_ids[index]))
        for start in range(0, len(order), BATCH_SIZE):
            rows = order[start : start + BATCH_SIZE]
            vectors[rows] = self._embed_batch([token_ids[row] for row in rows])
        return vectors

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, also of what `embed` cuts off, without the marks around it."""
        encodings = self._tokenizer.encode_batch([_clean(text) for text in texts], add_special_tokens=False)
        return [sum(len(part.ids) for part in (encoding, *encoding.overflowing)) for encoding in encodings]

    def _embed_batch(self, token_ids: list[list[int]]) -> NDArray[np.float32]:
        with self._lock:
            if self._encoder is None:
                raise EngineUnavailable(f"The embedding model '{self.name}' was closed.")
            output = self._encoder.forward_batch(token_ids)
            hidden = np.array(output.last_hidden_state, dtype=np.float32)  # (B, T, D)
        lengths = np.array([len(ids) for ids in token_ids])
        is_token = np.arange(hidden.shape[1])[None, :] < lengths[:, None]
        pooled = np.where(is_token[:, :, None], hidden, 0).sum(axis=1) / lengths[:, None]
        if self._pooling.common is None:
            return _unit(pooled)
        return _unit(_unit(pooled) - self._pooling.common)

    def _prefixed(self, texts: Sequence[str]) -> list[str]:
        return [self._pooling.prefix + _clean(text) for text in texts]

    def close(self) -> None:
        """Free the weights; calling it twice is harmless."""
        with self._lock:
            self._encoder = None


def load(spec: EngineSpec) -> Ctranslate2Embedder:
    """Load a folder made by `weights.prepare_minilm` or `weights.prepare_e5`.

    Raises:
        ModelNotFound: the folder or one of its files is missing.
        WeightsError: the files cannot be used.
    """
    if spec.path is None or not (spec.path / "model.bin").is_file():
        raise ModelNotFound(
            f"The weights of '{spec.name}' are not at {spec.path}.", hint=f"Fetch them: mmchat models pull {spec.name}"
        )
    try:
        pooling = Pooling.read(spec.path / "pooling.json")
        tokenizer = Tokenizer.from_file(str(spec.path / "tokenizer.json"))
        encoder = _open_encoder(spec, spec.path, pooling)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise _unusable(spec, error) from error
    except Exception as error:
        # tokenizers raises plain Exception (its Rust errors have no class of their own); anything else is a bug.
        if type(error) is not Exception:
            raise
        raise _unusable(spec, error) from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(pooling.max_tokens)
    probe = np.array(encoder.forward_batch([tokenizer.encode("a").ids]).last_hidden_state)
    return Ctranslate2Embedder(spec.name, encoder, tokenizer, embedding_dim=int(probe.shape[-1]), pooling=pooling)


def _open_encoder(spec: EngineSpec, path: Path, pooling: Pooling) -> ctranslate2.Encoder:
    # The CPU unless told otherwise: a sentence takes milliseconds there, and a GPU belongs to the language model.
    device = "cuda" if spec.device.startswith("cuda") else "cpu"
    compute_type = "float16" if device == "cuda" and spec.dtype == "float16" else pooling.compute_type
    return ctranslate2.Encoder(
        str(path), device=device, compute_type=compute_type, intra_threads=spec.threads or usable_threads()
    )


def _unusable(spec: EngineSpec, error: Exception) -> WeightsError:
    return WeightsError(
        f"The weights of '{spec.name}' at {spec.path} cannot be loaded: {error}",
        hint=f"Fetch them again: mmchat models remove {spec.name}, then mmchat models pull {spec.name}",
    )


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def _clean(text: str) -> str:
    """Text that UTF-8 can hold: a lone surrogate (from a file name, say) becomes a replacement mark."""
    return text.encode("utf-8", "replace").decode("utf-8")
