"""When memory runs out under torch: how it shows, what is said, and how much there is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from mmchat.errors import DeviceError, MmchatError
from mmchat.free_memory import available_memory_bytes

_WORDS_OF_ALLOCATORS = ("can't allocate memory", "out of memory")
_UNKNOWN_FREE_BYTES = 2 << 30


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a library's exception means that memory ran out, on the GPU or in the CPU's allocator."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS_OF_ALLOCATORS)


def out_of_memory(name: str) -> DeviceError:
    """The error for it."""
    return DeviceError(
        f"There is not enough memory for '{name}'.", hint='Choose a smaller model, or set device = "cpu".'
    )


@contextmanager
def translated_failures(name: str) -> Iterator[None]:
    """Turn what torch raises while a model works into `DeviceError`.

    Raises:
        DeviceError: out of memory, or the library failed.
    """
    try:
        yield
    except MmchatError:
        raise
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(name) from error
        raise DeviceError(f"'{name}' failed while replying: {first_line(error)}") from error


def free_bytes(device: str) -> int:
    """Memory that could be had on a device now."""
    if device == "cuda":
        unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()  # torch's own pool, free for tensors
        return int(torch.cuda.mem_get_info()[0]) + unused
    return available_memory_bytes() or _UNKNOWN_FREE_BYTES


def cache_bytes_per_token(model: Any) -> int:
    """Keys and values of one token in all layers; an upper bound for models that keep only a window of them."""
    config = model.config.get_text_config(decoder=True)

    def first(*names: str) -> int:
        return next((value for name in names if isinstance(value := getattr(config, name, None), int) and value), 0)

    heads = first("num_attention_heads", "decoder_attention_heads", "num_heads", "n_head") or 1
    width = first("head_dim", "d_kv") or first("hidden_size", "d_model", "n_embd") // heads
    layers = first("num_hidden_layers", "decoder_layers", "num_decoder_layers", "num_layers", "n_layer") or 1
    return 2 * layers * (first("num_key_value_heads") or heads) * max(width, 1) * int(model.dtype.itemsize)


def first_line(error: BaseException) -> str:
    """What a library says, without its further advice."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
