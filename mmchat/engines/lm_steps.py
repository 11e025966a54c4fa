"""One reply's forward passes on transformers, token by token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from transformers import DynamicCache, EncoderDecoderCache

from mmchat.engines.lm_virtual_tokens import VirtualTokens

_PREFILL_TOKENS = 512
"""Prompt tokens between two looks at `cancel`."""


class Steps(Protocol):
    """One model's forward passes for one reply after another."""

    cached_tokens: int
    """Of the last prompt, how much was still held."""

    def begin(self, prompt_ids: Sequence[int], *, may_reuse: bool) -> Iterator[torch.Tensor | None]:
        """Read the prompt piece by piece; yields None after each piece and at last the logits, (V,)."""
        ...

    def next(self, token: int) -> torch.Tensor:
        """The logits after one more token, (V,)."""
        ...


class DecoderSteps:
    """A decoder. Keys and values of the last prompt and reply are kept for the next prompt that begins alike."""

    def __init__(self, model: Any, virtual: VirtualTokens) -> None:
        self._model = model
        self._virtual = virtual
        self._cache = virtual.growing_cache()
        self._held: list[int] = []
        self.cached_tokens = 0

    def begin(self, prompt_ids: Sequence[int], *, may_reuse: bool) -> Iterator[torch.Tensor | None]:
        # The last token is always read anew: its logits are what the reply starts from.
        self.cached_tokens = common_prefix(self._held, prompt_ids[:-1]) if may_reuse else 0
        if self.cached_tokens:
            self._cache.crop(self.cached_tokens - len(self._held))  # a negative number removes that many
            del self._held[self.cached_tokens :]
        else:
            self._cache = self._virtual.growing_cache()
            self._held = []
        rest = list(prompt_ids[self.cached_tokens :])
        for start in range(0, len(rest), _PREFILL_TOKENS):
            piece = rest[start : start + _PREFILL_TOKENS]
            logits = self._forward(piece)
            yield logits if start + len(piece) == len(rest) else None

    def next(self, token: int) -> torch.Tensor:
        return self._forward([token])

    @torch.inference_mode()
    def _forward(self, ids: list[int]) -> torch.Tensor:
        held, self._held = self._held, []  # should the pass fail, the cache is not to be trusted
        output = self._model(
            input_ids=torch.tensor([ids], device=self._model.device),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._held = held + ids
        logits: torch.Tensor = output.logits[0, -1]
        return logits


class Seq2SeqSteps:
    """An encoder–decoder. The encoder sees both ways, so nothing of an older prompt can be kept."""

    cached_tokens = 0

    def __init__(self, model: Any) -> None:
        self._model = model
        self._encoded: Any = None
        self._cache: Any = None

    def begin(self, prompt_ids: Sequence[int], *, may_reuse: bool) -> Iterator[torch.Tensor | None]:
        self._encode(prompt_ids)
        self._cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        yield self.next(self._model.generation_config.decoder_start_token_id)

    @torch.inference_mode()
    def _encode(self, prompt_ids: Sequence[int]) -> None:
        ids = torch.tensor([list(prompt_ids)], device=self._model.device)
        self._encoded = self._model.get_encoder()(input_ids=ids, return_dict=True)

    @torch.inference_mode()
    def next(self, token: int) -> torch.Tensor:
        output = self._model(
            encoder_outputs=self._encoded,
            decoder_input_ids=torch.tensor([[token]], device=self._model.device),
            past_key_values=self._cache,
            use_cache=True,
        )
        logits: torch.Tensor = output.logits[0, -1]
        return logits


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two rows begin with alike."""
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return index
    return min(len(left), len(right))
