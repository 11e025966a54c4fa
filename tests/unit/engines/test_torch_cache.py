"""A cache with room: holds what transformers' own holds, and copies nothing for a token."""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache

from mmchat.engines.torch_cache import roomy_cache


def states(tokens: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values of different widths, as some models have them."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, 2, tokens, 8, generator=generator), torch.randn(1, 2, tokens, 4, generator=generator)


def held(cache: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(keys, values) for keys, values, *_ in cache]


def test_holds_what_the_librarys_own_holds() -> None:
    roomy, plain = roomy_cache(), DynamicCache()
    for step, tokens in enumerate([7, 1, 1, -4, 300, 1, -200, 2, 900, 1]):
        for cache in (roomy, plain):
            if tokens < 0:
                cache.crop(tokens)
                continue
            for index in range(3):
                keys, values = cache.update(*states(tokens, 10 * step + index), index)
                assert keys.shape[-2] == values.shape[-2] == cache.get_seq_length()
        for ours, theirs in zip(held(roomy), held(plain), strict=True):
            assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_a_token_is_written_into_the_room_that_is_there() -> None:
    cache: Any = roomy_cache()
    cache.update(*states(100, 0), 0)
    begin = cache.layers[0].keys.data_ptr()

    for number in range(200):
        cache.update(*states(1, number), 0)
    cache.crop(-50)
    cache.update(*states(60, 1), 0)

    assert cache.get_seq_length() == 310
    assert cache.layers[0].keys.data_ptr() == begin
