"""An EfficientNet image tower as an ONNX file, so that looking at a picture needs neither torch nor seconds of imports.

Written node by node: torch's own exporter writes the padding of these networks ("same", as TensorFlow means it) as
arithmetic on the picture's size, which keeps ONNX Runtime from its fastest convolutions (28 ms a picture instead of
15; torch: 59), and needs three packages more.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from mmchat.image_tower import WINDOW

OPSET, IR_VERSION = 17, 8
"""Old enough for every ONNX Runtime that mmchat allows."""


def write_image_tower(trunk: Any, centre: Tensor, path: Path, metadata: dict[str, str]) -> None:
    """Write the network up to its features, which are centred as the model's own head does it.

    `pixels` (B, 3, H, W) become `windows` (B, N, D), features of windows of cells, and `whole` (B, D).

    Args:
        trunk: timm's EfficientNet, without squeeze-and-excite layers, as the Lite variants are.
        centre: (D,) taken off the features.
        path: the file.
        metadata: kept in it.

    Raises:
        ValueError: the network has a layer that is not known here.
    """
    graph = _Graph()
    name = graph.convolution("pixels", trunk.conv_stem, trunk.bn1)
    for block in (block for stage in trunk.blocks for block in stage):
        name = _block(graph, block, name)
    name = graph.convolution(name, trunk.conv_head, trunk.bn2)
    graph.constant("centre", centre.detach().numpy())
    graph.constant("cells", np.array([0, len(centre), -1], dtype=np.int64))
    graph.node("AveragePool", [name], "pooled", kernel_shape=[WINDOW, WINDOW], strides=[1, 1])
    graph.node("Reshape", ["pooled", "cells"], "flat")
    graph.node("Transpose", ["flat"], "rows", perm=[0, 2, 1])
    graph.node("Sub", ["rows", "centre"], "windows")
    graph.node("GlobalAveragePool", [name], "mean")
    graph.node("Flatten", ["mean"], "plain", axis=1)
    graph.node("Sub", ["plain", "centre"], "whole")
    width = len(centre)
    shapes: dict[str, list[str | int | None]] = {
        "pixels": ["B", 3, "H", "W"],
        "windows": ["B", "N", width],
        "whole": ["B", width],
    }
    values = {key: helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in shapes.items()}
    made = helper.make_graph(
        graph.nodes, "image_tower", [values["pixels"]], [values["windows"], values["whole"]], graph.constants
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


class _Graph:
    """Nodes and constants as they are added."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        for name, value in (("zero", 0), ("six", 6)):
            self.constant(name, np.array(value, dtype=np.float32))

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=f"make_{name}", **attributes))
        return name

    def convolution(self, before: str, layer: nn.Conv2d, scaling: Any) -> str:
        """A convolution with its normalisation worked into its weights, and what bends its numbers, if anything."""
        name = f"x{len(self.nodes)}"
        deviation = (scaling.running_var.double() + scaling.eps).sqrt()
        gain = scaling.weight.detach().double() / deviation
        weight = layer.weight.detach().double() * gain[:, None, None, None]
        shift = scaling.bias.detach().double() - scaling.running_mean.double() * gain
        if layer.bias is not None:
            shift += layer.bias.detach().double() * gain
        inputs = [before, self.constant(f"{name}_weight", weight.float().numpy())]
        inputs.append(self.constant(f"{name}_shift", shift.float().numpy()))
        self.node(
            "Conv",
            inputs,
            name,
            kernel_shape=list(layer.kernel_size),
            strides=list(layer.stride),
            dilations=list(layer.dilation),
            group=layer.groups,
            auto_pad="SAME_UPPER",
        )
        act = getattr(scaling, "act", None)
        if isinstance(act, nn.ReLU6):
            return self.node("Clip", [name, "zero", "six"], f"{name}_clipped")
        if act is not None and not isinstance(act, nn.Identity):
            raise ValueError(f"{type(act).__name__} is not known here")
        return name


def _block(graph: _Graph, block: Any, before: str) -> str:
    layers = {
        "DepthwiseSeparableConv": (("conv_dw", "bn1"), ("conv_pw", "bn2")),
        "InvertedResidual": (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3")),
    }.get(type(block).__name__)
    if layers is None or not isinstance(getattr(block, "se", nn.Identity()), nn.Identity):
        raise ValueError(f"{type(block).__name__} is not known here")
    name = before
    for layer, scaling in layers:
        name = graph.convolution(name, getattr(block, layer), getattr(block, scaling))
    return graph.node("Add", [name, before], f"{name}_added") if block.has_skip else name
