"""What an image tower sees in each part of a picture, before all of it becomes one vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from open_clip.timm_model import TimmModel
from torch import Tensor
from torch.nn import functional

from mmchat.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

    from mmchat.engines.vision_open_clip import OpenClipReader


@torch.inference_mode()
def patch_features(reader: OpenClipReader, images: Sequence[Image], grid: int) -> Tensor:
    """Features of the patches of pictures, averaged within a grid.

    Args:
        reader: whose image tower looks.
        images: P of them, RGB and oriented.
        grid: patches along each side of what the tower looks at.

    Returns:
        (P, grid × grid, F) float32 on the CPU, row by row from the top left.

    Raises:
        UsageError: a tower without patches.
    """
    visual = reader.network.visual
    weights = next(visual.parameters())
    pixels = reader.pixels(images).to(weights.device, weights.dtype)
    fields = functional.adaptive_avg_pool2d(_field(visual, pixels, reader.name).float(), grid)
    return fields.flatten(2).transpose(1, 2).cpu().contiguous()


def _field(visual: Any, pixels: Tensor, name: str) -> Tensor:
    """(P, F, H, W): the last map of features, patches at their places."""
    if isinstance(visual, TimmModel):
        features: Tensor = visual.trunk.forward_features(pixels)
        if features.ndim == 4:
            return features if features.shape[-1] == features.shape[-2] else features.permute(0, 3, 1, 2)
        return _square(features[:, int(getattr(visual.trunk, "num_prefix_tokens", 0)) :])
    if hasattr(visual, "forward_intermediates"):
        found: Tensor = visual.forward_intermediates(pixels, indices=1, intermediates_only=True)["image_intermediates"][
            0
        ]
        return found
    raise UsageError(
        f"The image tower of '{name}' gives no features of patches.",
        hint="Choose another vision model, such as lite2-minilm.",
    )


def _square(tokens: Tensor) -> Tensor:
    """(P, F, S, S) of the S² tokens of each picture, (P, S², F)."""
    side = int(tokens.shape[1] ** 0.5)
    return tokens.transpose(1, 2).reshape(len(tokens), tokens.shape[2], side, side)
