"""A first look for text: most photos hold none, and then the library that reads it need not even be imported.

Importing RapidOCR takes 1.5 s of processor time (it reads a list of all its models twice, in YAML, and brings OpenCV).
Its network that finds lines runs without it. A picture in which no point looks like a letter holds no line, by the
library's own rule; only the others are its business.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidProtobuf, NoSuchFile
from PIL.Image import Resampling

from mmchat.engines.device import usable_threads
from mmchat.engines.onnx_options import quiet_options
from mmchat.errors import EngineUnavailable, ModelNotFound

if TYPE_CHECKING:
    from PIL.Image import Image

    from mmchat.engines.base import TextReader

GLANCE_PX = 480
"""Longest side of the copy in which text is looked for first: it costs a fifth of reading.
A line of 13 px letters on a screen of 1,920 x 1,080 is still found (`benchmarks/picture_texts.py`)."""
POINT_FLOOR = 0.3
"""The library builds lines of points that look like letters by more than that."""
STRIDE_PX = 32
"""What the network takes is a multiple of it, on each side."""
MIN_SIDE_PX, MAX_ASPECT = 10, 60
"""Thinner ones have no room for letters, and the library would enlarge them to any length."""
MEND = "Install it anew: pip install --force-reinstall --no-deps 'rapidocr~=3.10'"
DO_WITHOUT = "Do without: read_text = false in settings.toml."
MODELS = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
}


class GlancingReader:
    """Keeps `engines.base.TextReader`; loads the library for the first picture that may hold text."""

    name = "PP-OCRv6-small"
    engine = "rapidocr"

    def __init__(self, finder: InferenceSession, threads: int) -> None:
        self._finder = finder
        self._threads = threads
        self._lock = Lock()
        self._reader: TextReader | None = None
        self._is_closed = False

    def read(self, image: Image) -> str:
        """The text of a picture, a row of it a line, from top to bottom; empty where there is none to be sure of.

        Args:
            image: RGB and oriented (`image_io.open_image`).

        Raises:
            EngineUnavailable: it was closed, or the library failed.
        """
        if min(image.size) < MIN_SIDE_PX or max(image.size) > MAX_ASPECT * min(image.size):
            return ""
        with self._lock:
            if self._is_closed:
                raise EngineUnavailable("The reader of text in pictures was closed.")
            points = self._points(image)
            if not (points > POINT_FLOOR).any():
                return ""
            from mmchat.engines import text_rapidocr  # seconds, see above

            if not text_rapidocr.holds_lines(points):
                return ""
            if self._reader is None:
                self._reader = text_rapidocr.load(self._finder, self._threads)
        return self._reader.read(image)

    def close(self) -> None:
        """Free the weights; calling it twice is harmless."""
        with self._lock:
            self._is_closed = True
            if self._reader is not None:
                self._reader.close()

    def _points(self, image: Image) -> NDArray[np.float32]:
        """(1, 1, H, W) how much each point of a small copy looks like a letter, in [0, 1]."""
        factor = min(1.0, GLANCE_PX / max(image.size))
        size = [max(STRIDE_PX, round(side * factor / STRIDE_PX) * STRIDE_PX) for side in image.size]
        small = image.convert("RGB").resize((size[0], size[1]), Resampling.BILINEAR, reducing_gap=2.0)
        pixels = np.asarray(small, dtype=np.float32)[None, :, :, ::-1].transpose(0, 3, 1, 2) / np.float32(127.5) - 1
        try:
            points = self._finder.run(None, {self._finder.get_inputs()[0].name: np.ascontiguousarray(pixels)})[0]
        except (RuntimeError, Fail) as error:
            raise EngineUnavailable(
                f"Text in the picture cannot be looked for: {str(error).strip().splitlines()[-1]}",
                hint=DO_WITHOUT,
            ) from error
        return np.asarray(points, dtype=np.float32)


def load(threads: int = 0) -> GlancingReader:
    """The reader, ready to look for text. `threads`: 0 for as many as this process may use.

    Raises:
        ModelNotFound: the installed package lacks its models.
        EngineUnavailable: they cannot be loaded.
    """
    threads = threads or usable_threads()
    return GlancingReader(network("Det", threads), threads)


def network(part: str, threads: int) -> InferenceSession:
    """One of `MODELS`.

    Made here, it never comes from a server, not even where a file is missing, and its threads sleep while they wait:
    those of the library's own spin, which on a busy machine cost twice the processor's time.

    Raises:
        ModelNotFound: the installed package lacks it.
        EngineUnavailable: it cannot be loaded.
    """
    path = models_dir() / MODELS[part]
    if not path.is_file():
        raise ModelNotFound(f"The package rapidocr has no '{path.name}'.", hint=MEND)
    options = quiet_options(threads)
    options.enable_cpu_mem_arena = False
    try:
        return InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (RuntimeError, ValueError, Fail, InvalidProtobuf, NoSuchFile) as error:
        raise EngineUnavailable(f"The reader of text in pictures cannot be loaded: {error}", hint=MEND) from error


def models_dir() -> Path:
    """Where the package keeps its models, found without importing it."""
    spec = find_spec("rapidocr")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    if not places:
        raise EngineUnavailable("The package rapidocr is not installed.", hint=MEND)
    return Path(places[0]) / "models"
