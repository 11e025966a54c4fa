"""The order of rows in which llama.cpp keeps some matrices, where transformers has another."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

ARCHITECTURES = ("llama",)
"""Those whose merged files and adapters were compared with transformers, reply by reply."""


def to_llamacpp_order(tensor: Array, heads: int) -> Array:
    """The rows of a query or key projection in the order of llama.cpp's rotary embedding.

    Args:
        tensor: (heads * 2 * n, …) with each head's rows in two halves, as transformers rotates them.
        heads: of queries or of keys.

    Returns:
        The same rows, those that turn together beside each other.

    Source: the two conventions of RoPE, as in `LlamaModel.permute` of llama.cpp's converter (MIT).
    """
    halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(tensor.shape))
