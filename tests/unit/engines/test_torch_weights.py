"""Weights in fewer bits: what they compute, where, and what is said where they cannot be had."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from mmchat.engines.torch_weights import Int4Linear, Int8Linear, narrow, wanted_format
from mmchat.errors import ConfigError


def layer(width: int, height: int, *, has_bias: bool = False) -> nn.Linear:
    torch.manual_seed(width + height)
    return nn.Linear(width, height, bias=has_bias, dtype=torch.bfloat16)


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize(("kind", "most_error"), [(Int8Linear, 0.02), (Int4Linear, 0.15)])
@torch.inference_mode()
def test_narrow_layer_computes_nearly_what_the_wide_one_does(kind: Any, most_error: float, has_bias: bool) -> None:
    linear = layer(64, 48, has_bias=has_bias)
    inputs = torch.randn(2, 20, 64, dtype=torch.bfloat16)
    right = linear(inputs).float()
    made = kind(linear)(inputs)

    assert made.shape == right.shape
    assert float((made.float() - right).norm() / right.norm()) < most_error


@pytest.mark.parametrize("kind", [Int8Linear, Int4Linear])
@torch.inference_mode()
def test_a_token_alone_and_a_prompt_are_computed_alike(kind: Any) -> None:
    narrowed = kind(layer(96, 64, has_bias=True))
    inputs = torch.randn(1, 16, 96, dtype=torch.bfloat16)

    together = narrowed(inputs).float()
    alone = torch.cat([narrowed(inputs[:, place : place + 1]) for place in range(16)], dim=1).float()

    # Both round their sums to bfloat16, eight bits, in another order.
    torch.testing.assert_close(alone, together, rtol=0.03, atol=0.02)


@torch.inference_mode()
def test_weights_that_have_four_bits_lose_nothing() -> None:
    linear = layer(32, 16)
    numbers = torch.randint(0, 16, (16, 32)).float()
    numbers[:, 0], numbers[:, 1] = 0, 15  # each row uses the whole range
    linear.weight.copy_(numbers / 8 - 1)
    inputs = torch.randn(1, 10, 32, dtype=torch.bfloat16)

    assert torch.equal(Int4Linear(linear)(inputs), linear(inputs))


def test_the_head_and_uneven_layers_keep_eight_bits() -> None:
    model = nn.ModuleDict({"even": layer(64, 32), "uneven": layer(40, 32), "lm_head": layer(64, 320)})

    narrow(model, "int4")

    kinds = {name: type(each) for name, each in model.items()}
    assert kinds == {"even": Int4Linear, "uneven": Int8Linear, "lm_head": Int8Linear}


@pytest.mark.parametrize(
    ("options", "device", "dtype", "adapter", "said"),
    [
        ({"weights": "int3"}, "cpu", "auto", None, 'weights = "int3" is not known'),
        ({"weights": "int8"}, "cuda", "auto", None, "not for cuda"),
        ({"weights": "int8"}, "cpu", "float32", None, "computes in bfloat16, not in float32"),
        ({"weights": "int4"}, "cpu", "auto", "folder", "without an adapter"),
        ({"weights": "int4", "projector": True}, "cpu", "auto", None, "without an adapter"),
    ],
)
def test_what_cannot_be_had_is_said(
    options: dict[str, object], device: str, dtype: str, adapter: object, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        wanted_format("mine", options, device=device, dtype=dtype, adapter=adapter)

    assert "'mine'" in caught.value.message
    assert caught.value.hint


def test_nothing_asked_for_is_nothing() -> None:
    assert wanted_format("mine", {}, device="cuda", dtype="float32", adapter="folder") == ""
