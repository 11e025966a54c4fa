"""How many requests llama.cpp works on at once: each has its own part of the keys and values."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmchat.domain import EngineSpec
from mmchat.free_memory import available_memory_bytes

log = logging.getLogger(__name__)

_BYTES_PER_VALUE = 2
"""Keys and values are kept in float16."""
_USABLE_SHARE = 0.5
"""Of the free memory; the rest is for the weights, which are mapped, and for what else runs."""


@dataclass(frozen=True, slots=True)
class Slots:
    """Places for requests that are worked on at once."""

    count: int
    context_tokens: int
    """Of each; 0: what the weights say."""


def slots_for(spec: EngineSpec, path: Path) -> Slots:
    """As many as `spec.parallel` says, or as memory holds: every slot keeps the whole context, whatever the others do.

    A common context for all of them would take less memory, but measured here (SmolLM2-135M, four slots, two busy
    cores) it was so slow that a batch which took 26 s had not ended after 200 s.
    """
    if spec.parallel <= 1:
        return Slots(1, spec.context_tokens)
    # Deferred: takes seconds, and only evaluations ask for it.
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
        weights = _Description(reader)
        context_tokens = spec.context_tokens or weights.integer("context_length")
        per_slot = context_tokens * weights.cache_bytes_per_token()
    except (ValueError, IndexError, KeyError, OSError, UnicodeDecodeError):
        return Slots(1, spec.context_tokens)  # damaged: llama.cpp refuses it in a moment, and `load` says why
    fitting = int(available_memory_bytes() * _USABLE_SHARE) // max(per_slot, 1)
    count = max(1, min(spec.parallel, fitting))
    if count < spec.parallel:
        log.info(
            "%d slots of %d tokens instead of %d: each takes %d bytes", count, context_tokens, spec.parallel, per_slot
        )
    return Slots(count, context_tokens)


class _Description:
    """What a GGUF file says about its model."""

    def __init__(self, reader: Any) -> None:
        self._fields = reader.fields
        self._prefix = str(self._fields["general.architecture"].contents())

    def integer(self, name: str) -> int:
        return int(self._fields[f"{self._prefix}.{name}"].contents())

    def cache_bytes_per_token(self) -> int:
        """Keys and values of one token in all layers."""
        layers, heads = self.integer("block_count"), self.integer("attention.head_count")
        width = self.integer("embedding_length") // heads
        widths = sum(
            self.integer(f"attention.{part}_length")
            if f"{self._prefix}.attention.{part}_length" in self._fields
            else width
            for part in ("key", "value")
        )
        held = self._fields[f"{self._prefix}.attention.head_count_kv"].contents()
        heads_of_all_layers = sum(held) if isinstance(held, list) else int(held) * layers
        return int(heads_of_all_layers * widths * _BYTES_PER_VALUE)
