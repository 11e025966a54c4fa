"""OpenCLIP dual encoders from a local folder: the assembled default and any hub model through the same code.

Importing open_clip takes seconds (torch, torchvision, timm and transformers come with it), so this module is
imported by the registry alone, when a picture has to be seen.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
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
from torch.nn.functional import avg_pool2d

from mmchat.domain import EngineSpec
from mmchat.engines.device import resolve_device, usable_threads
from mmchat.engines.vision_reader import DualEncoder, curves_of, damaged, read_settings
from mmchat.engines.vision_tags import Curves
from mmchat.engines.vision_views import Scaling, shaped_pixels, square_pixels
from mmchat.errors import DeviceError, EngineUnavailable, ModelNotFound
from mmchat.image_tower import WINDOW

TEXT_BATCH = 64

Batch = TypeVar("Batch")

logging.getLogger("open_clip").setLevel(logging.ERROR)


class OpenClipReader(DualEncoder):
    """A dual encoder in torch."""

    def __init__(
        self,
        spec: EngineSpec,
        model: Any,
        tokenizer: Any,
        transform: Callable[[Image], Tensor],
        curves: Curves,
    ) -> None:
        super().__init__(spec, open_clip.IMAGENET_CLASSNAMES, curves)
        weights = next(model.parameters())
        self.device = str(weights.device.type)
        self.dtype = str(weights.dtype).removeprefix("torch.")
        self._model = model
        self._tokenizer = tokenizer
        self._transform = transform
        self._dtype = weights.dtype
        self.embedding_dim = int(self._encode_texts(["a"]).shape[1])

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

    # --- the towers -------------------------------------------------------------------------------

    @property
    def has_cells(self) -> bool:
        """Whether the image tower is a convolutional network of timm's with a linear head."""
        return _has_cells(self._loaded())

    def _is_assembled(self) -> bool:
        """Whether the map behind the image tower is still the identity that the model was assembled with."""
        weight = self._loaded().visual.head.proj.weight
        identity = torch.eye(len(weight), device=weight.device)
        return weight.shape[0] == weight.shape[1] and bool((weight == identity).all())

    def _cell_features(
        self, images: Sequence[Image], shape: tuple[int, int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        config = PreprocessCfg(**open_clip.get_model_preprocess_cfg(self._loaded()))
        scaling = Scaling(tuple(config.mean), tuple(config.std), 0, 0)
        joined = self._run(self._joined_features, torch.from_numpy(shaped_pixels(images, shape, scaling)))
        return joined[:, :-1], joined[:, -1]

    def _joined_features(self, model: Any, pixels: Tensor) -> Tensor:
        """(B, N + 1, D) of windows of cells, and at the end of the whole, all as `encode_image` would give them."""
        maps = model.visual.trunk.forward_features(pixels.to(self.device, self._dtype))
        windows = avg_pool2d(maps, WINDOW, stride=1).flatten(2).transpose(1, 2)
        return torch.cat([model.visual.head(windows), model.visual.head(maps.mean(dim=(2, 3))).unsqueeze(1)], dim=1)

    def _logit_scale(self) -> float:
        with self._lock:
            return float(self._loaded().logit_scale.detach().exp().max())

    def _encode_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """(B, D) features before they are brought to unit length."""
        batches = []
        for start in range(0, len(images), self.image_batch):
            batches.append(self._run(self._image_features, self.pixels(images[start : start + self.image_batch])))
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


def _has_cells(model: Any) -> bool:
    visual = getattr(model, "visual", None)
    trunk = getattr(visual, "trunk", None)
    return hasattr(trunk, "forward_features") and hasattr(getattr(visual, "head", None), "proj")


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
        settings = read_settings(folder)
        return OpenClipReader(spec, model, tokenizer, _transform(model, settings), curves_of(settings))
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, AssertionError, SafetensorError) as error:
        raise damaged(spec, folder, error) from error


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
    if device == "cpu" and _has_cells(model):
        model.visual.to(memory_format=torch.channels_last)  # a picture of 384 x 288 in 35 ms instead of 59
    return model.eval()


def _precision(spec: EngineSpec, device: str) -> str:
    if spec.dtype == "bfloat16":
        return "pure_bf16"
    return "pure_fp16" if spec.dtype == "float16" and device != "cpu" else "fp32"


def _transform(model: Any, settings: Mapping[str, Any]) -> Callable[[Image], Tensor]:
    config = PreprocessCfg(**open_clip.get_model_preprocess_cfg(model))
    resize_px = settings.get("resize_px")
    if resize_px is None:
        transform: Callable[[Image], Tensor] = image_transform_v2(config, is_train=False)
        return transform
    # OpenCLIP resizes and crops to one size; this network was trained with a margin cut off.
    size_px = config.size if isinstance(config.size, int) else config.size[0]
    scaling = Scaling(tuple(config.mean), tuple(config.std), size_px, int(resize_px))
    return lambda image: torch.from_numpy(square_pixels([image], scaling)[0])
