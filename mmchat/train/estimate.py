"""How long a training will take and how much memory, measured on this machine with its own rows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from mmchat.train.methods import count_parameters
from mmchat.train.quiet import quiet
from mmchat.train.sft_trainer import supervised_nats

_ADAM_BYTES = 8
"""Of two float32 averages for each number that learns."""
_CPU_TOKENS = 4096
"""At once on a processor, of which SmolLM2-135M keeps about a megabyte each. Rows of 240 tokens: 8 at once take 0.9 of
the time of 4, and 0.8 of that of 2; longer rows were not timed."""


def useful_rows(device: str, longest: int, on_cpu: int, on_gpu: int) -> int:
    """The most rows at once that are worth their memory.

    Args:
        device: that trains.
        longest: tokens of the longest row, with all that is read with it.
        on_cpu: rows on a processor, where they are short.
        on_gpu: rows on a GPU.
    """
    return max(1, min(on_cpu, _CPU_TOKENS // longest)) if device == "cpu" else on_gpu


@dataclass(frozen=True, slots=True)
class Probe:
    """What one forward and backward pass took."""

    seconds: float
    tokens: int
    """Of the batch, padding counted."""
    activation_bytes: int
    fixed_bytes: int
    """Weights, gradients and the optimiser's averages."""

    def bytes_for(self, tokens: int) -> int:
        """Memory for a micro-batch of so many tokens."""
        return self.fixed_bytes + self.activation_bytes * tokens // max(1, self.tokens)


def probe(model: Any, batch: Mapping[str, torch.Tensor], precision: str, device: str) -> Probe:
    """Run one forward and backward pass; the gradients are forgotten.

    Activations are the tensors that torch keeps for the backward pass, each storage counted once and
    weights not at all.

    Args:
        model: with the method applied.
        batch: a micro-batch as the trainer would give it.
        precision: of the arithmetic.
        device: to run on; the model is moved there.
    """
    model = model.to(device).train()
    known = {each.untyped_storage().data_ptr() for each in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision)
    began = time.perf_counter()
    with (
        quiet(),
        torch.autocast(device, dtype or torch.bfloat16, enabled=dtype is not None),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        nats, _ = supervised_nats(model, {name: tensor.to(device) for name, tensor in batch.items()})
    torch.autograd.backward(nats)
    if device == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    model.zero_grad(set_to_none=True)
    learns, _ = count_parameters(model)
    weights = sum(each.numel() * each.element_size() for each in model.parameters())
    return Probe(seconds, batch["input_ids"].numel(), sum(kept.values()), weights + learns * (4 + _ADAM_BYTES))
