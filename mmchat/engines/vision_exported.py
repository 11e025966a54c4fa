"""The image tower of a prepared OpenCLIP folder in ONNX Runtime: there in a tenth of a second instead of six.

What only OpenCLIP can do, texts above all, it does: it is loaded when it is first asked for. On a GPU, in another
number format or with weights that were trained here, it does everything.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf, NoSuchFile
from safetensors import SafetensorError, safe_open

from mmchat.domain import EngineSpec
from mmchat.engines.device import resolve_device, usable_threads
from mmchat.engines.onnx_options import quiet_options
from mmchat.engines.vision_reader import DualEncoder, curves_of, damaged, read_settings
from mmchat.engines.vision_views import Scaling, shaped_pixels, square_pixels
from mmchat.errors import EngineUnavailable
from mmchat.image_tower import FINGERPRINT_KEY, TOWER_NAME, tower_fingerprint

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

_MODEL_NAME = "open_clip_model.safetensors"
_CONFIG_NAME = "open_clip_config.json"


class ExportedReader(DualEncoder):
    """A dual encoder whose pictures ONNX Runtime looks at."""

    device = "cpu"
    dtype = "float32"
    image_batch = 4
    """Of twice as many, each takes a third longer: the caches overflow."""

    def __init__(self, spec: EngineSpec, session: InferenceSession, scaling: Scaling) -> None:
        """`spec.path` has what `weights.prepare_dual_encoder` makes."""
        assert spec.path is not None
        settings = read_settings(spec.path)
        super().__init__(spec, settings["class_names"], curves_of(settings))
        self._spec = spec
        self._session: InferenceSession | None = session
        self._scaling = scaling
        self._whole: DualEncoder | None = None
        self._loading = Lock()
        self.embedding_dim = int(session.get_outputs()[1].shape[1])

    def close(self) -> None:
        with self._loading:
            if self._whole is not None:
                self._whole.close()
                self._whole = None
            with self._lock:
                self._session = None
                self._prototypes = self._directions = None

    @property
    def has_cells(self) -> bool:
        return True

    def _is_assembled(self) -> bool:
        return True

    def _logit_scale(self) -> float:
        return self._open_clip()._logit_scale()

    def _encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not texts:
            return np.zeros((0, self.embedding_dim), dtype=np.float32)
        return self._open_clip()._encode_texts(texts)

    def _encode_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        batches = [
            self._run(square_pixels(images[start : start + self.image_batch], self._scaling))[1]
            for start in range(0, len(images), self.image_batch)
        ]
        return np.concatenate(batches) if batches else np.zeros((0, self.embedding_dim), dtype=np.float32)

    def _cell_features(
        self, images: Sequence[Image], shape: tuple[int, int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self._run(shaped_pixels(images, shape, self._scaling))

    def _run(self, pixels: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with self._lock:
            if self._session is None:
                raise self._closed()
            windows, whole = self._session.run(["windows", "whole"], {"pixels": pixels})
        return np.asarray(windows, dtype=np.float32), np.asarray(whole, dtype=np.float32)

    def _open_clip(self) -> DualEncoder:
        """The same weights in OpenCLIP, loaded at the first call."""
        with self._loading:
            if self._session is None:
                raise self._closed()
            if self._whole is None:
                from mmchat.engines.vision_open_clip import load as load_open_clip  # seconds, and seldom needed

                self._whole = load_open_clip(self._spec)
            return self._whole

    def _closed(self) -> EngineUnavailable:
        return EngineUnavailable(f"The vision model '{self.name}' was closed.")


def load(spec: EngineSpec) -> DualEncoder:
    """Load an OpenCLIP folder: its exported image tower where it has one that fits, else all of it.

    Raises:
        ModelNotFound: the folder or its configuration is missing.
        WeightsError: the files cannot be used.
        DeviceError: the wanted device is not there.
    """
    folder, is_plain = spec.path, spec.dtype in ("", "auto", "float32")
    if folder is None or not is_plain or not (folder / TOWER_NAME).is_file() or resolve_device(spec.device) != "cpu":
        return _load_open_clip(spec)
    try:
        session = InferenceSession(
            str(folder / TOWER_NAME),
            quiet_options(spec.threads or usable_threads()),
            providers=["CPUExecutionProvider"],
        )
        with safe_open(folder / _MODEL_NAME, "numpy") as model:
            fingerprint = tower_fingerprint(model.get_tensor)
        if session.get_modelmeta().custom_metadata_map.get(FINGERPRINT_KEY) != fingerprint:
            log.warning("%s is not made of the weights beside it: it is not used", folder / TOWER_NAME)
            return _load_open_clip(spec)
        return ExportedReader(spec, session, _scaling(folder))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, *_UNREADABLE) as error:
        raise damaged(spec, folder, error) from error


_UNREADABLE = (Fail, InvalidGraph, InvalidProtobuf, NoSuchFile)


def _load_open_clip(spec: EngineSpec) -> DualEncoder:
    from mmchat.engines.vision_open_clip import load as load_open_clip  # seconds, and not for the exported tower

    return load_open_clip(spec)


def _scaling(folder: Path) -> Scaling:
    """As `prepare_dual_encoder` wrote it down."""
    pixels = json.loads((folder / _CONFIG_NAME).read_text(encoding="utf-8"))["preprocess_cfg"]
    resize_px = int(read_settings(folder)["resize_px"])
    return Scaling(tuple(pixels["mean"]), tuple(pixels["std"]), int(pixels["size"][0]), resize_px)
