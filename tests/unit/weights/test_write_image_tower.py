"""The written image tower computes what timm's does, whatever the size of the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import timm
import torch
from torch.nn.functional import avg_pool2d

from mmchat.weights.write_image_tower import write_image_tower


@pytest.mark.parametrize("size", [(96, 128), (97, 130)], ids=["even", "odd"])
def test_features_are_those_of_the_network(tmp_path: Path, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    trunk: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    with torch.no_grad():
        for name, each in trunk.state_dict().items():
            if "running" in name or ".bn" in name:  # a fresh normalisation does nothing, and would prove nothing
                each.copy_((0.5 + torch.rand(each.shape, generator=generator)).to(each.dtype))
    centre = torch.rand(1280, generator=generator)
    write_image_tower(trunk, centre, tmp_path / "tower.onnx", {"weights": "these"})
    session = onnxruntime.InferenceSession(str(tmp_path / "tower.onnx"), providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map == {"weights": "these"}
    pixels = torch.randn(2, 3, *size, generator=generator)
    windows, whole = session.run(["windows", "whole"], {"pixels": pixels.numpy()})
    with torch.inference_mode():
        maps = trunk.forward_features(pixels)
        expected = avg_pool2d(maps, 3, stride=1).flatten(2).transpose(1, 2)
    tolerance = 1e-4 * float(maps.abs().max())
    np.testing.assert_allclose(whole, (maps.mean(dim=(2, 3)) - centre).numpy(), atol=tolerance)
    np.testing.assert_allclose(windows, (expected - centre).numpy(), atol=tolerance)


def test_a_layer_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not known"):
        write_image_tower(
            timm.create_model("tf_efficientnet_b0", pretrained=False), torch.zeros(1280), tmp_path / "tower.onnx", {}
        )
