"""Keys and values of a conversation that grows: written into room that is there, not copied for every token."""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

_LEAST_ROOM_TOKENS = 256


class _RoomyLayer(DynamicLayer):
    """One layer. What it holds is the beginning of a larger tensor; a crop only shows less of it."""

    _room: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add (B, heads, T, width) keys and values; all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        held = int(self.get_seq_length())
        end = held + int(key_states.shape[-2])
        if self._room is None or self._room[0].shape[-2] < end:
            # A quarter more than is needed: each token is then copied four times at most, however long it gets.
            tokens = end + max(_LEAST_ROOM_TOKENS, end // 4)
            self._room = (
                _larger(self.keys, key_states, held, tokens),
                _larger(self.values, value_states, held, tokens),
            )
        keys, values = self._room
        keys[..., held:end, :] = key_states
        values[..., held:end, :] = value_states
        self.keys, self.values = keys[..., :end, :], values[..., :end, :]
        return self.keys, self.values


def _larger(old: torch.Tensor | None, like: torch.Tensor, held: int, tokens: int) -> torch.Tensor:
    """Room for so many tokens in the form of `like`, the first of them filled."""
    made = like.new_empty(*like.shape[:-2], tokens, like.shape[-1])
    if old is not None and held:
        made[..., :held, :] = old
    return made


def roomy_cache() -> DynamicCache:
    """An empty cache that takes one token in the same time however many it holds.

    transformers' own puts all keys and values together anew for each token: with SmolLM2-135M in bfloat16 that
    takes 1.7 ms a token after 1,000 tokens and 5.3 ms after 3,000. It may be cropped; rows may not be reordered.
    """
    cache = DynamicCache()
    cache.layer_class_to_replicate = _RoomyLayer
    return cache
