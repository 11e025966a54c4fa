"""Weights in 8 or 4 bits on a processor: a token is drawn as fast as the weights can be read.

Only the linear layers' weights are rounded; everything is computed in bfloat16. 8 bits: one scale for each row of a
weight. 4 bits: a scale and an offset for every 32 numbers, as in llama.cpp's Q4_1; the head, which decides between
words, keeps 8. The products of few rows are torch's own kernels for such weights. With many rows those fall behind:
they read a prompt of SmolLM2-135M at a quarter of bfloat16's speed, so for one the weights are spread out first.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from mmchat.errors import ConfigError

FORMATS = ("int8", "int4")
_GROUP = 32
_ROWS_OF_4_BITS = 16
"""The 4-bit kernel takes so many rows of a weight at once."""
_FEW = 8
"""Up to so many rows of inputs the kernels for narrow weights are used."""


class Int8Linear(nn.Module):
    """A linear layer whose weight is int8, (out, in), with a scale for each row."""

    weight: torch.Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        wide = linear.weight.detach().float()
        scales = wide.abs().amax(dim=1).clamp(min=1e-9) / 127
        self.register_buffer("weight", (wide / scales[:, None]).round().to(torch.int8))
        self.register_buffer("scales", scales.to(torch.bfloat16))
        self.bias = linear.bias

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        rows = inputs.reshape(-1, inputs.shape[-1])
        scales = self.get_buffer("scales")
        if len(rows) > _FEW:
            return functional.linear(inputs, self.weight.to(inputs.dtype) * scales[:, None], self.bias)
        made: torch.Tensor = torch._weight_int8pack_mm(rows, self.weight, scales)
        return _shaped(made, inputs, self.bias)


class Int4Linear(nn.Module):
    """A linear layer whose weight has 4 bits a number, with a scale and an offset for every 32 of a row."""

    weight = None
    """Models that look at a layer's number format find none here."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        groups = linear.weight.detach().float().view(linear.out_features, -1, _GROUP)
        least, most = groups.amin(dim=2), groups.amax(dim=2)
        scales = ((most - least) / 15).clamp(min=1e-9).to(torch.bfloat16)
        # The kernel takes 8 off each number, so its offset is the middle one; all is rounded as it will be used.
        middles = (least + scales.float() * 8).to(torch.bfloat16)
        steps = ((groups - middles[..., None].float()) / scales[..., None].float()).round() + 8
        numbers = steps.clamp(0, 15).to(torch.int32).flatten(1)
        self.register_buffer("packed", torch._convert_weight_to_int4pack_for_cpu(numbers, 1))
        # The kernel's own order is not ours to know, so what a prompt is read with is kept beside it.
        self.register_buffer("pairs", (numbers[:, ::2] | (numbers[:, 1::2] << 4)).to(torch.uint8))
        self.register_buffer("scales", torch.stack([scales, middles], dim=2).transpose(0, 1).contiguous())
        self.bias = linear.bias

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        rows = inputs.reshape(-1, inputs.shape[-1])
        if len(rows) > _FEW:
            return functional.linear(inputs, self._wide(), self.bias)
        made: torch.Tensor = torch._weight_int4pack_mm_for_cpu(
            rows, self.get_buffer("packed"), _GROUP, self.get_buffer("scales")
        )
        return _shaped(made, inputs, self.bias)

    def _wide(self) -> torch.Tensor:
        """The weight in bfloat16, (out, in)."""
        pairs, scales = self.get_buffer("pairs"), self.get_buffer("scales").transpose(0, 1)
        numbers = torch.stack([pairs & 15, pairs >> 4], dim=2).view(len(pairs), -1, _GROUP)
        wide = (numbers.to(torch.bfloat16) - 8) * scales[..., :1] + scales[..., 1:]
        return wide.flatten(1)


def _shaped(rows: torch.Tensor, inputs: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    made = rows.view(*inputs.shape[:-1], -1)
    return made if bias is None else made + bias


def wanted_format(name: str, options: Any, *, device: str, dtype: str, adapter: object) -> str:
    """What the option `weights` of an entry asks for; empty where it asks for nothing.

    Args:
        name: of the model, for messages.
        options: the entry's.
        device: where it is going to work.
        dtype: as the entry says it.
        adapter: what is to lie on it, None for nothing.

    Raises:
        ConfigError: there is no such format, or it cannot be had with the rest.
    """
    if "weights" not in options:
        return ""
    wanted, known = str(options["weights"]), " or ".join(f'"{each}"' for each in FORMATS)
    if wanted not in FORMATS:
        raise ConfigError(f"'{name}': weights = \"{wanted}\" is not known.", hint=f"One of {known}, or leave it out.")
    if device != "cpu":
        raise ConfigError(
            f"'{name}': weights = \"{wanted}\" is for a processor, not for {device}.",
            hint='Leave the option out, or set device = "cpu".',
        )
    if dtype not in ("auto", "bfloat16"):
        raise ConfigError(
            f"'{name}': weights = \"{wanted}\" computes in bfloat16, not in {dtype}.", hint="Leave dtype out."
        )
    if adapter is not None or "projector" in options:
        raise ConfigError(
            f"'{name}': weights = \"{wanted}\" is for a model without an adapter.", hint="Leave the option out."
        )
    return wanted


@torch.inference_mode()
def narrow(model: nn.Module, wanted: str) -> None:
    """Put the weights of a model's linear layers into a format of `FORMATS`, one layer after the other."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear:
                setattr(module, name, _narrowed(child, wanted, is_head=name == "lm_head"))


def _narrowed(linear: nn.Linear, wanted: str, *, is_head: bool) -> nn.Module:
    is_even = linear.in_features % _GROUP == 0 and linear.out_features % _ROWS_OF_4_BITS == 0
    return Int4Linear(linear) if wanted == "int4" and is_even and not is_head else Int8Linear(linear)
