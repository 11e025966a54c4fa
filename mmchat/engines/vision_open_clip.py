"""OpenCLIP dual encoders from a local folder: the assembled default and any hub model through the same code.

Importing open_clip takes seconds (torch, torchvision, timm and transformers come with it), so this module is
imported by the registry alone, when a picture has to be seen.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.hf_model import HFTextEncoder
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL.Image import Image
from safetensors import SafetensorError
from torch import Tensor
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

from mmchat.domain import EngineSpec, Tag
from mmchat.engines.device import resolve_device, usable_threads
from mmchat.engines.picture_looks import look
from mmchat.engines.tag_prototypes import (
    Prototypes,
    read_class_prototypes,
    read_prototypes,
    save_prototypes,
    unit_rows,
    word_directions,
)
from mmchat.engines.vision_tags import ASSEMBLED_CURVES, RAW_CURVES, Curves, Sight, above_noise, softmax, tag_words
from mmchat.engines.vision_views import (
    SQUARE,
    UPRIGHT,
    WIDE,
    cell_features,
    has_cells,
    is_assembled,
    shape_of,
    shaped_pixels,
)
from mmchat.engines.vocabulary import Vocabulary, build_vocabulary, plain_label
from mmchat.errors import DeviceError, EngineUnavailable, ModelNotFound, WeightsError

IMAGE_BATCH = 16
TEXT_BATCH = 64
PROMPTS = ("a photo of a {}.", "{}")
"""A word is embedded in each and averaged."""
SETTINGS_NAME = "mmchat_vision.json"
"""Beside an assembled model: what OpenCLIP's own configuration cannot say."""

Batch = TypeVar("Batch")

logging.getLogger("open_clip").setLevel(logging.ERROR)


class OpenClipReader:
    """A dual encoder. Keeps `engines.base.ImageReader`."""

    engine = "open_clip"

    def __init__(
        self,
        spec: EngineSpec,
        model: Any,
        tokenizer: Any,
        transform: Callable[[Image], Tensor],
        curves: Curves,
    ) -> None:
        self.name = spec.name
        weights = next(model.parameters())
        self.device = str(weights.device.type)
        self.dtype = str(weights.dtype).removeprefix("torch.")
        self._folder = spec.path
        self._model = model
        self._tokenizer = tokenizer
        self._transform = transform
        self._curves = curves
        self._lock = Lock()
        self.vocabulary = build_vocabulary(open_clip.IMAGENET_CLASSNAMES)
        self._prototypes: Prototypes | None = None
        self._directions: NDArray[np.float32] | None = None
        self._dtype = weights.dtype
        self.embedding_dim = int(self._encode_texts(["a"]).shape[1])

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
        if self._curves is RAW_CURVES or not has_cells(self._loaded()):
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

    def _encode_cells(self, images: Sequence[Image]) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """For each picture (N, D) features of its windows and (D,) of the whole."""
        config, found = PreprocessCfg(**open_clip.get_model_preprocess_cfg(self._loaded())), {}
        for shape in (WIDE, UPRIGHT, SQUARE):
            rows = [row for row, image in enumerate(images) if shape_of(image) == shape]
            for start in range(0, len(rows), IMAGE_BATCH):
                batch = rows[start : start + IMAGE_BATCH]
                pixels = shaped_pixels([images[row] for row in batch], shape, config.mean, config.std)
                joined = self._run(self._cell_features, pixels)
                found.update({row: (each[:-1], each[-1]) for row, each in zip(batch, joined, strict=True)})
        return [found[row] for row in range(len(images))]

    def _cell_features(self, model: Any, pixels: Tensor) -> Tensor:
        windows, whole = cell_features(model, pixels.to(self.device, self._dtype))
        return torch.cat([windows, whole.unsqueeze(1)], dim=1)

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

    def close(self) -> None:
        """Free the weights; calling it twice is harmless."""
        with self._lock:
            self._model = None
            self._prototypes = self._directions = None

    # --- for training -----------------------------------------------------------------------------

    @property
    def network(self) -> Any:
        """The OpenCLIP model itself. Whoever changes it has this reader for himself."""
        return self._loaded()

    def pixels(self, images: Sequence[Image]) -> Tensor:
        """(B, 3, H, W) as the image tower takes them."""
        return torch.stack([self._transform(image.convert("RGB")) for image in images])

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """(B, T) int64 as the text tower takes them, without columns that are padding alone."""
        return self._tokens(self._loaded(), list(texts))

    def prototypes(self) -> Prototypes:
        """What turns the feature of a picture into tags."""
        if self._prototypes is None:
            self._prototypes = self._load_prototypes()
        return self._prototypes

    # --- the towers -------------------------------------------------------------------------------

    def _logit_scale(self) -> float:
        with self._lock:
            return float(self._loaded().logit_scale.detach().exp().max())

    def _encode_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """(B, D) features before they are brought to unit length."""
        batches = []
        for start in range(0, len(images), IMAGE_BATCH):
            batches.append(self._run(self._image_features, self.pixels(images[start : start + IMAGE_BATCH])))
        return np.concatenate(batches) if batches else np.zeros((0, self.embedding_dim), dtype=np.float32)

    def _encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        batches = []
        for start in range(0, len(texts), TEXT_BATCH):
            clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts[start : start + TEXT_BATCH]]
            batches.append(self._run(self._text_features, clean))
        return np.concatenate(batches) if batches else np.zeros((0, self.embedding_dim), dtype=np.float32)

    def _image_features(self, model: Any, pixels: Tensor) -> Tensor:
        features: Tensor = model.encode_image(pixels.to(self.device, self._dtype))
        return features

    def _text_features(self, model: Any, texts: list[str]) -> Tensor:
        features: Tensor = model.encode_text(self._tokens(model, texts))
        return features

    def _tokens(self, model: Any, texts: list[str]) -> Tensor:
        tokens: Tensor = self._tokenizer(texts)
        text_tower = getattr(model, "text", None)
        if isinstance(text_tower, HFTextEncoder):
            # OpenCLIP pads every text to the full length, and masks the padding by its id: columns of padding
            # alone change nothing but the time.
            used = (tokens != text_tower.config.pad_token_id).any(dim=0).nonzero()
            tokens = tokens[:, : int(used.max()) + 1 if used.numel() else 1]
        return tokens.to(self.device)

    def _run(self, encode: Callable[[Any, Batch], Tensor], batch: Batch) -> NDArray[np.float32]:
        with self._lock, torch.inference_mode():
            try:
                return encode(self._loaded(), batch).float().cpu().numpy()
            except torch.OutOfMemoryError as error:
                raise DeviceError(
                    f"The {self.device} has too little memory for '{self.name}'.", hint='Set device = "cpu" for it.'
                ) from error

    def _loaded(self) -> Any:
        if self._model is None:
            raise EngineUnavailable(f"The vision model '{self.name}' was closed.")
        return self._model

    # --- the open vocabulary ----------------------------------------------------------------------

    def _embed_words(self, words: Sequence[str]) -> NDArray[np.float32]:
        views = [self.embed_texts([prompt.format(word) for word in words]) for prompt in PROMPTS]
        return unit_rows(np.mean(views, axis=0, dtype=np.float32))

    def _embed_labels(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """Labels as texts; where the image tower has classes for one, their mean direction counts as much.

        Only as the model was assembled: a trained map has moved away from the classes.
        """
        rows = self._embed_words(labels)
        if self._curves is RAW_CURVES or not has_cells(self._loaded()) or not is_assembled(self._loaded()):
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
        """The classes' weights, from the cache, or computed once (about a thousand texts) and kept there."""
        vocabulary = self.vocabulary
        known = read_prototypes(self._folder, vocabulary)
        if known is None:
            known = self._make_prototypes(vocabulary)
            save_prototypes(known, self._folder, vocabulary)
        return known

    def _make_prototypes(self, vocabulary: Vocabulary) -> Prototypes:
        own = read_class_prototypes(self._folder) if self._folder else None
        if own is None:
            rows = self._embed_words(vocabulary.class_names) * np.float32(self._logit_scale())
            return Prototypes(rows, np.zeros(len(rows), dtype=np.float32), is_unit=True)
        count = len(own.prototypes.rows)
        words = self._embed_words(vocabulary.class_names[count:]) * np.float32(own.text_gain)
        return Prototypes(
            np.concatenate([own.prototypes.rows, words]),
            np.concatenate(
                [own.prototypes.biases, np.full(len(words), own.prototypes.biases.mean(), dtype=np.float32)]
            ),
            is_unit=False,
        )


def load(spec: EngineSpec) -> OpenClipReader:
    """Load an OpenCLIP folder (open_clip_config.json and weights); nothing is fetched.

    Raises:
        ModelNotFound: the folder or its configuration is missing.
        WeightsError: the files cannot be used.
        DeviceError: the wanted device is not there.
    """
    folder = spec.path
    if folder is None or not (folder / "open_clip_config.json").is_file():
        raise ModelNotFound(
            f"The weights of '{spec.name}' are not at {folder}.", hint=f"Fetch them: mmchat models pull {spec.name}"
        )
    device = resolve_device(spec.device)
    if device == "cpu":
        torch.set_num_threads(spec.threads or usable_threads())
    try:
        config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
        model = _create_model(folder, config["model_cfg"], device, _precision(spec, device))
        tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        settings = _read_settings(folder)
        transform = _transform(model, settings)
        curves = ASSEMBLED_CURVES if settings.get("curves") == "assembled" else RAW_CURVES
        return OpenClipReader(spec, model, tokenizer, transform, curves)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, AssertionError, SafetensorError) as error:
        raise WeightsError(
            f"The weights of '{spec.name}' at {folder} cannot be loaded: {error}",
            hint=f"Fetch them again: mmchat models remove {spec.name}, then mmchat models pull {spec.name}",
        ) from error


def _create_model(folder: Path, config: Mapping[str, Any], device: str, precision: str) -> Any:
    text_config = dict(config["text_cfg"])
    overrides: dict[str, Any] = {}
    if text_config.get("hf_model_name"):
        # OpenCLIP would ask the hub for the text tower's architecture; its description lies in the folder.
        if not (folder / "config.json").is_file():
            raise ValueError("the text tower's config.json is not in the folder")
        text_config |= {"hf_model_name": str(folder), "hf_model_pretrained": False}
        overrides["text_cfg"] = text_config
    checkpoints = [path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin", ".pt", ".pth")]
    if not [path for path in checkpoints if path.name.startswith(("open_clip", "model", "pytorch_model"))]:
        raise ValueError("there is no open_clip_model.safetensors")
    model = open_clip.create_model(
        f"local-dir:{folder}",
        precision=precision,
        device=device,
        require_pretrained=True,
        pretrained_text=False,
        weights_only=True,
        **overrides,
    )
    return model.eval()


def _precision(spec: EngineSpec, device: str) -> str:
    if spec.dtype == "bfloat16":
        return "pure_bf16"
    return "pure_fp16" if spec.dtype == "float16" and device != "cpu" else "fp32"


def _read_settings(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS_NAME
    settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return settings


def _transform(model: Any, settings: Mapping[str, Any]) -> Callable[[Image], Tensor]:
    config = PreprocessCfg(**open_clip.get_model_preprocess_cfg(model))
    resize_px = settings.get("resize_px")
    if resize_px is None:
        transform: Callable[[Image], Tensor] = image_transform_v2(config, is_train=False)
        return transform
    # OpenCLIP resizes and crops to one size; this network was trained with a margin cut off.
    margin_cut: Callable[[Image], Tensor] = Compose(
        [
            Resize(int(resize_px), InterpolationMode.BICUBIC),
            CenterCrop(config.size),
            ToTensor(),
            Normalize(config.mean, config.std),
        ]
    )
    return margin_cut
