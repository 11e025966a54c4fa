"""Text in pictures through RapidOCR.

PaddleOCR's PP-OCRv6 small models, for Chinese, English and more, come in its wheel; nothing is fetched. Importing it
takes a second and more, so `text_glance` imports this module when a picture may hold text, and not before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray
from omegaconf import flag_override
from onnxruntime import InferenceSession
from PIL.Image import Image
from rapidocr import RapidOCR
from rapidocr.ch_ppocr_det.utils import DBPostProcess
from rapidocr.inference_engine.onnxruntime.main import ONNXRuntimeError

from mmchat.engines.text_glance import DO_WITHOUT, POINT_FLOOR, network
from mmchat.errors import EngineUnavailable

_GLANCE = DBPostProcess(thresh=POINT_FLOOR, box_thresh=0.3, unclip_ratio=1.6, use_dilation=True)
"""A line in the small copy need not be as sure as one that is read."""
READ_PX = 1280
"""Longest side in which lines are found; they are then read from the picture itself. Small pictures are not enlarged:
in their blur the detector sees text."""
LINE_FLOOR = 0.8
"""A line less sure than that is left out: on photos it is a pattern taken for letters more often than not."""
SHORT_CHARS, SHORT_FLOOR = 2, 0.9
"""One or two characters are the usual shape of such a mistake."""


class RapidTextReader:
    """Keeps `engines.base.TextReader`."""

    name = "PP-OCRv6-small"
    engine = "rapidocr"

    def __init__(self, reader: RapidOCR, models: _Models) -> None:
        self._reader: RapidOCR | None = reader
        self._models = models
        self._lock = Lock()

    def read(self, image: Image) -> str:
        """The text of a picture, a row of it a line, from top to bottom; empty where there is none to be sure of.

        Args:
            image: RGB and oriented (`image_io.open_image`).

        Raises:
            EngineUnavailable: it was closed, or the library failed.
        """
        with self._lock:
            if self._reader is None:
                raise EngineUnavailable("The reader of text in pictures was closed.")
            try:
                self._models.give("Rec", "Cls")
                found = self._reader(
                    _bgr(image), use_det=True, use_cls=True, use_rec=True, text_score=LINE_FLOOR, box_thresh=0.5
                )
            except (ONNXRuntimeError, cv2.error, ValueError, MemoryError) as error:
                raise EngineUnavailable(
                    f"Text in the picture cannot be read: {str(error).strip().splitlines()[-1]}",
                    hint=DO_WITHOUT,
                ) from error
        # Where there are no lines the library answers with another class, without texts.
        return _in_rows(getattr(found, "boxes", None), getattr(found, "txts", None), getattr(found, "scores", None))

    def close(self) -> None:
        """Free the weights; calling it twice is harmless."""
        with self._lock:
            self._reader = None


def holds_lines(points: NDArray[np.float32]) -> bool:
    """Whether the library makes a line of letters of any points that look like them.

    Args:
        points: (1, 1, H, W) likelihoods in [0, 1] from the network that finds lines.

    Raises:
        EngineUnavailable: the library failed.
    """
    try:
        boxes, _ = _GLANCE(points, points.shape[2:])
    except (cv2.error, ValueError, MemoryError) as error:
        raise EngineUnavailable(
            f"Text in the picture cannot be looked for: {str(error).strip().splitlines()[-1]}", hint=DO_WITHOUT
        ) from error
    return len(boxes) > 0


def load(finder: InferenceSession, threads: int) -> RapidTextReader:
    """The reader, ready to find lines with `finder`, the network "Det".

    Raises:
        ModelNotFound: the installed package lacks its other models.
        EngineUnavailable: they cannot be loaded.
    """
    reader = RapidOCR(params={"Global.log_level": "critical", "Det.limit_type": "max", "Det.limit_side_len": READ_PX})
    models = _Models(reader, {"Det": finder}, threads)
    models.give("Det")
    return RapidTextReader(reader, models)


class _Models:
    """Gives the library its networks."""

    def __init__(self, reader: RapidOCR, loaded: Mapping[str, InferenceSession], threads: int) -> None:
        self._reader = reader
        self._loaded = loaded
        self._threads = threads
        self._given: set[str] = set()

    def give(self, *parts: str) -> None:
        """Load parts of `MODELS`, each once."""
        for part in parts:
            if part in self._given:
                continue
            session = self._loaded.get(part) or network(part, self._threads)
            with flag_override(self._reader.cfg, "allow_objects", True):
                self._reader.cfg[part].session = session
            self._given.add(part)


def _bgr(image: Image) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])


def _in_rows(boxes: NDArray[np.float32] | None, texts: Sequence[str] | None, scores: Sequence[float] | None) -> str:
    """Lines side by side joined to rows, as on a receipt.

    Args:
        boxes: (N, 4, 2) corners in pixels.
        texts: N lines.
        scores: N, in [0, 1].
    """
    if boxes is None or texts is None or scores is None:
        return ""
    rows: list[_Row] = []
    kept = [
        (float(box[:, 1].min()), float(box[:, 1].max()), float(box[:, 0].min()), " ".join(text.split()))
        for box, text, score in zip(boxes, texts, scores, strict=True)
        if score >= (SHORT_FLOOR if len(text.strip()) <= SHORT_CHARS else LINE_FLOOR)
    ]
    for top, bottom, left, text in sorted(kept, key=lambda line: line[0] + line[1]):
        if rows and rows[-1].holds(top, bottom):
            rows[-1].lines.append((left, text))
        else:
            rows.append(_Row(top, bottom, left, text))
    return "\n".join(row.text() for row in rows)


class _Row:
    """Lines of the same height on the page."""

    def __init__(self, top: float, bottom: float, left: float, text: str) -> None:
        self._top, self._bottom = top, bottom
        self.lines = [(left, text)]

    def holds(self, top: float, bottom: float) -> bool:
        """Whether a line lies beside it: the middle of each is within the other."""
        middle, own = (top + bottom) / 2, (self._top + self._bottom) / 2
        return self._top < middle < self._bottom and top < own < bottom

    def text(self) -> str:
        return " ".join(text for _, text in sorted(self.lines))
