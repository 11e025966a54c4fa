"""A trained classification head with the encoders that it was trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmchat.domain import EngineSpec
from mmchat.engines.base import ImageReader, TextEmbedder
from mmchat.engines.head_files import WEIGHTS_NAME, Encoder, HeadConfig, read_config, save_config
from mmchat.engines.head_grams import Grams
from mmchat.engines.head_network import GramBatch, HeadInputs, HeadNetwork
from mmchat.engines.registry import load_engine
from mmchat.errors import EngineUnavailable, UsageError, WeightsError

BATCH = 256
PROBE_TEXT = "Is the small dog in front of the red house?"
MIN_LIKENESS = 0.99
"""Cosine of what an encoder says of the probe now and said in training. A number format moves it by less than 0.001,
another model by far more."""
_WEIGHT_SUFFIXES = (".bin", ".safetensors", ".pt", ".pth")


class FusedHead:
    """Classifies texts, pictures or both. Keeps `engines.base.Classifier`."""

    engine = "fused"

    def __init__(
        self,
        name: str,
        config: HeadConfig,
        network: HeadNetwork,
        grams: Grams | None,
        encoders: Mapping[Encoder, TextEmbedder | ImageReader],
        borrowed: frozenset[Encoder] = frozenset(),
    ) -> None:
        """`borrowed`: encoders that others use too, and that are not closed with the head."""
        self.name = name
        self.device = "cpu"
        self.labels = config.labels
        self.needs_text = config.shape.reads_text
        self.needs_image = config.shape.sees_images
        self._config = config
        self._network: HeadNetwork | None = network
        self._grams = grams
        self._encoders = dict(encoders)
        self._borrowed = borrowed
        self._lock = Lock()

    def classify(self, texts: Sequence[str], images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Probabilities of the labels.

        Args:
            texts: B of them, or none for a head that reads no text.
            images: B of them, RGB and oriented, or none for a head that sees no pictures.

        Returns:
            (B, L) float32 in the order of `labels`, rows summing to 1.

        Raises:
            UsageError: texts or pictures that the head needs are missing.
            EngineUnavailable: it was closed.
        """
        return torch.softmax(torch.from_numpy(self.scores(texts, images)), dim=1).float().numpy()

    @property
    def scope(self) -> tuple[float, float, float] | None:
        """What tells that a row has none of the labels; see `HeadConfig.scope`."""
        return self._config.scope

    def scores(self, texts: Sequence[str], images: Sequence[Image.Image]) -> NDArray[np.float64]:
        """(B, L) float64 logits, of which `classify` takes the softmax; see there."""
        count = self._count(texts, images)
        if not count:
            return np.zeros((0, len(self.labels)))
        with self._lock:
            if self._network is None:
                raise EngineUnavailable(f"The head '{self.name}' was closed.")
            inputs = self._inputs(texts, images)
            found = np.zeros((count, len(self.labels)))
            with torch.inference_mode():
                for start in range(0, count, BATCH):
                    rows = torch.arange(start, min(count, start + BATCH))
                    found[start : start + len(rows)] = self._network(inputs.take(rows)).double().numpy()
        return found / self._config.temperature

    def close(self) -> None:
        """Free the weights, those of its own encoders too; calling it twice is harmless."""
        with self._lock:
            self._network = None
            for kind, encoder in self._encoders.items():
                if kind not in self._borrowed:
                    encoder.close()

    def _count(self, texts: Sequence[str], images: Sequence[Image.Image]) -> int:
        for is_needed, given, what in (
            (self.needs_text, len(texts), "text"),
            (self.needs_image, len(images), "picture"),
        ):
            if is_needed and given < max(len(texts), len(images)):
                raise UsageError(
                    f"The head '{self.name}' was trained on rows with a {what}; {max(len(texts), len(images)) - given} "
                    "have none.",
                    hint=f"Give every row a {what}, or train a head without.",
                )
        return len(texts) if self.needs_text else len(images)

    def _inputs(self, texts: Sequence[str], images: Sequence[Image.Image]) -> Features:
        shape = self._config.shape
        text = image = None
        if shape.text_width:
            text = torch.from_numpy(_embedder(self._encoders).embed(texts))
        if shape.image_width:
            # The same picture may be asked about several times.
            once = {id(each): each for each in images}
            found = torch.from_numpy(embed_views(_reader(self._encoders), list(once.values()), shape.views))
            places = {key: place for place, key in enumerate(once)}
            image = found[[places[id(each)] for each in images]]
        return Features(text, image, None if self._grams is None else self._grams(texts))


class Features:
    """What the encoders say of some rows, from which batches are taken."""

    def __init__(self, text: Tensor | None, image: Tensor | None, grams: Any | None) -> None:
        """`text`: (N, D) float32; `image`: (N, V, D) float32; `grams`: (N, K) sparse rows."""
        self.text = text
        self.image = image
        self.grams = grams

    def __len__(self) -> int:
        whole = next(part for part in (self.text, self.image, self.grams) if part is not None)
        return int(whole.shape[0])

    def take(self, rows: Tensor) -> HeadInputs:
        """The batch of these rows, (B,) int64."""
        grams = None
        if self.grams is not None:
            chosen = self.grams[rows.numpy()]
            grams = GramBatch(
                torch.from_numpy(chosen.indices.astype(np.int64)),
                torch.from_numpy(chosen.data.astype(np.float32)),
                torch.from_numpy(chosen.indptr[:-1].astype(np.int64)),
            )
        return HeadInputs(
            None if self.text is None else self.text[rows], None if self.image is None else self.image[rows], grams
        )


def embed_views(reader: ImageReader, images: Sequence[Image.Image], views: int) -> NDArray[np.float32]:
    """(B, V, D) float32 unit vectors: of each whole picture and, where five are wanted, of its quarters.

    The quarters overlap by a fifth of a side, so that what lies in the middle is whole in one of them.
    """
    crops = [crop for image in images for crop in (_views(image) if views > 1 else [image])]
    return reader.embed_images(crops).reshape(len(images), views, reader.embedding_dim)


def _views(image: Image.Image) -> list[Image.Image]:
    width, height = image.size
    wide, high = max(1, round(width * 0.6)), max(1, round(height * 0.6))
    corners = [(left, top) for top in (0, height - high) for left in (0, width - wide)]
    return [image, *(image.crop((left, top, left + wide, top + high)) for left, top in corners)]


# --- the folder -----------------------------------------------------------------------------------


def save_head(
    folder: Path,
    config: HeadConfig,
    network: HeadNetwork,
    grams: Grams | None,
    encoders: Mapping[Encoder, TextEmbedder | ImageReader],
) -> None:
    """Write a folder that `load` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"network.{name}": tensor.contiguous() for name, tensor in network.state_dict().items()}
    if grams is not None:
        tensors["grams.buckets"] = torch.from_numpy(grams.buckets)
        tensors["grams.weights"] = torch.from_numpy(grams.weights)
    for kind, encoder in encoders.items():
        tensors[f"probe.{kind}"] = torch.from_numpy(_probe(kind, encoder))
    save_file(tensors, folder / WEIGHTS_NAME, metadata={"format": "pt"})
    save_config(config, folder)


def load(spec: EngineSpec) -> FusedHead:
    """Load a head and its encoders.

    Args:
        spec: `path` is the head's folder; `options["encoders"]` maps "embed" and "vision" to the specs of those
            encoders that the head needs; `options["loaded"]` those that are loaded already, and stay so.

    Raises:
        ModelNotFound: there is no head, or an encoder's weights are missing.
        WeightsError: the files cannot be used, or an encoder is not the one that the head was trained on.
    """
    config = read_config(spec.path, spec.name)
    assert spec.path is not None
    try:
        tensors = load_file(spec.path / WEIGHTS_NAME)
        network = HeadNetwork(config.shape)
        own = {name.removeprefix("network."): tensor for name, tensor in tensors.items() if name.startswith("network.")}
        network.load_state_dict(own)
        grams = None
        if config.shape.columns:
            grams = Grams(tensors["grams.buckets"].numpy(), tensors["grams.weights"].numpy())
    except (OSError, SafetensorError, KeyError, RuntimeError, ValueError) as error:
        raise WeightsError(
            f"The weights of the head '{spec.name}' at {spec.path} cannot be loaded: {error}",
            hint="Train the head again.",
        ) from error
    encoders = load_encoders(config, spec)
    for kind, encoder in encoders.items():
        _check_same(spec.name, kind, config, encoder, tensors.get(f"probe.{kind}"))
    return FusedHead(spec.name, config, network.eval(), grams, encoders, frozenset(_loaded(spec)))


def load_encoders(config: HeadConfig, spec: EngineSpec) -> dict[Encoder, TextEmbedder | ImageReader]:
    """The encoders that a head needs, loaded."""
    specs, loaded = spec.options.get("encoders", {}), _loaded(spec)
    assert isinstance(specs, Mapping)
    missing = [kind for kind in config.encoders if kind not in specs and kind not in loaded]
    if missing:
        raise WeightsError(
            f"The head '{spec.name}' needs its {' and '.join(missing)} model, which was not named.",
            hint="Set embed = … and vision = … in its entry of models.toml.",
        )
    return {kind: loaded[kind] if kind in loaded else load_engine(kind, specs[kind]) for kind in config.encoders}


def _loaded(spec: EngineSpec) -> Mapping[Encoder, TextEmbedder | ImageReader]:
    loaded = spec.options.get("loaded", {})
    assert isinstance(loaded, Mapping)
    return loaded


def _check_same(
    name: str, kind: Encoder, config: HeadConfig, encoder: TextEmbedder | ImageReader, before: Tensor | None
) -> None:
    now = _probe(kind, encoder)
    is_same = before is not None and before.shape == now.shape and float(before.numpy() @ now) >= MIN_LIKENESS
    if not is_same:
        wanted = config.encoders[kind].get("name") or "another model"
        raise WeightsError(
            f"The head '{name}' was trained on vectors of '{wanted}'; those of '{encoder.name}' mean other things.",
            hint=f'Set {kind} = "{wanted}" in its entry of models.toml, or train the head again.',
        )


def encoder_checksum(folder: Path) -> str:
    """SHA-256 over an encoder's weight files, by name."""
    digest = hashlib.sha256()
    for path in sorted(each for each in folder.iterdir() if each.suffix in _WEIGHT_SUFFIXES):
        with path.open("rb") as file:
            digest.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _probe(kind: Encoder, encoder: TextEmbedder | ImageReader) -> NDArray[np.float32]:
    """(D,) what an encoder says of a fixed text or a fixed picture."""
    if kind == "embed":
        return np.asarray(_embedder({kind: encoder}).embed([PROBE_TEXT])[0])
    bands = np.indices((96, 96)).sum(axis=0)
    picture = np.stack([bands % 256, (bands * 3) % 256, (bands * 7) % 256], axis=2).astype(np.uint8)
    return np.asarray(_reader({kind: encoder}).embed_images([Image.fromarray(picture)])[0])


def _embedder(encoders: Mapping[Encoder, TextEmbedder | ImageReader]) -> TextEmbedder:
    encoder = encoders["embed"]
    assert isinstance(encoder, TextEmbedder)
    return encoder


def _reader(encoders: Mapping[Encoder, TextEmbedder | ImageReader]) -> ImageReader:
    encoder = encoders["vision"]
    assert isinstance(encoder, ImageReader)
    return encoder
