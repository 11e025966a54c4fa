"""Adapters of the prompt on decoders: virtual tokens, which stand in the cache before everything else is read.

Prefix tuning learns keys and values of every layer, prompt tuning the embeddings of tokens that no text has. A decoder
sees both only through its cache. So the model is read without peft's wrapper, with a cache that already holds them;
peft's own `forward` would put them anew before each piece. Sources: peft's `PeftModelForCausalLM`; Li and Liang 2021,
"Prefix-Tuning"; Lester et al. 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache

from mmchat.adapter_files import made_for_another
from mmchat.engines.torch_cache import roomy_cache

Layers = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of each layer, each (1, heads, T, width)."""


class VirtualTokens:
    """What every cache of a model begins with; nothing, for most models."""

    def __init__(self, layers: Sequence[tuple[torch.Tensor, torch.Tensor]] = ()) -> None:
        self._layers = tuple(layers)
        self.count = int(layers[0][0].shape[2]) if layers else 0

    def cache(self, rows: int = 1) -> DynamicCache:
        """A new cache; every layer whole, also those with a sliding window, so that it can be cropped."""
        if not self._layers:
            return DynamicCache()
        return DynamicCache(
            [(keys.repeat(rows, 1, 1, 1), values.repeat(rows, 1, 1, 1)) for keys, values in self._layers]
        )

    def growing_cache(self) -> DynamicCache:
        """A new cache of one row, for a conversation that may get long."""
        cache = roomy_cache()
        for index, (keys, values) in enumerate(self._layers):
            cache.update(keys, values, index)
        return cache


@torch.inference_mode()
def taken_out(model: Any, name: str, path: Path | None) -> tuple[Any, VirtualTokens]:
    """The model that an adapter of the prompt lies on, and the adapter's virtual tokens.

    A model with another adapter, or with none, comes back as it is.

    Args:
        model: as `lm_adapters.with_adapter` made it, where it is to work.
        name: of the model, for messages.
        path: of the adapter, for messages.

    Raises:
        WeightsError: the adapter was made for another model.
    """
    if path is None or not model.active_peft_config.is_prompt_learning:
        return model, VirtualTokens()
    base, count = model.get_base_model(), int(model.active_peft_config.num_virtual_tokens)
    wanted = _layers_of(base, input_ids=torch.zeros(1, 1, dtype=torch.long, device=base.device))
    if model.active_peft_config.peft_type.value == "PROMPT_TUNING":
        embedded = model.get_prompt(1).to(base.dtype)
        width = int(base.get_input_embeddings().weight.shape[1])
        if embedded.shape[2] != width:
            raise made_for_another(name, path, f"its tokens have {embedded.shape[2]} numbers, the model's {width}")
        return base, VirtualTokens(_layers_of(base, inputs_embeds=embedded))
    layers = [(keys, values) for keys, values, *_ in model.get_prompt(1)]
    if [_form(each) for each in layers] != [_form(each) for each in wanted]:
        raise made_for_another(name, path, "the layers differ in number, heads or width")
    return base, VirtualTokens([(_whole(keys, count), _whole(values, count)) for keys, values in layers])


def _layers_of(model: Any, **inputs: torch.Tensor) -> Layers:
    """What the model keeps of an input."""
    cache = DynamicCache()
    model(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return [(keys, values) for keys, values, *_ in cache]


def _form(layer: tuple[torch.Tensor, torch.Tensor]) -> list[tuple[int, int]]:
    return [(each.shape[1], each.shape[3]) for each in layer]


def _whole(states: torch.Tensor, count: int) -> torch.Tensor:
    """Put back the places that peft leaves out where the sliding window is too short for anything to see them."""
    return torch.nn.functional.pad(states, (0, 0, count - states.shape[2], 0))
