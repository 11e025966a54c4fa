"""The image tower of a prepared OpenCLIP folder as a file of its own, and what tells whose it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOWER_NAME = "image_tower.onnx"
"""Beside `open_clip_model.safetensors`: `weights.write_image_tower` made it, `engines.vision_exported` runs it."""
FINGERPRINT_KEY = "weights"
"""Under which the file keeps the fingerprint of the weights that it was made of."""
WINDOW = 3
"""Cells a side of a tower's last map that are averaged, to be looked at as one: one alone sees too little around it."""
_COMPARED = (
    *("visual.trunk.conv_stem.weight", "visual.trunk.conv_head.weight", "visual.trunk.bn2.bias"),
    *("visual.trunk.bn2.running_mean", "visual.head.proj.weight", "visual.head.proj.bias"),
)
"""Training changes at least one of them, whatever part it trains."""


def tower_fingerprint(tensor: Callable[[str], NDArray[np.float32]]) -> str:
    """What tells an image tower from every other, without reading all of it.

    Args:
        tensor: name → values, as in `open_clip_model.safetensors`.
    """
    digest = hashlib.sha256()
    for name in _COMPARED:
        digest.update(np.ascontiguousarray(tensor(name), dtype=np.float32).tobytes())
    return digest.hexdigest()[:32]
