"""Whisper weights in the file format of whisper.cpp, so that all engines are measured on the same numbers.

Layout, little-endian: magic, eleven counts, mel filters, the vocabulary's byte strings in order of their ids, then
each tensor as (dimensions, length of name, 0 for float32 or 1 for float16), its sizes from the last to the first, its
name and its numbers. Source: whisper.cpp's `models/README.md` and `whisper_model_load` (MIT).
"""

from __future__ import annotations

import base64
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
import whisper

MAGIC = 0x67676D6C
KEPT_LARGE = (
    "encoder.positional_embedding",
    "decoder.positional_embedding",
    "encoder.conv1.bias",
    "encoder.conv2.bias",
)
"""Of two dimensions in the file, and read as float32 all the same."""


def write_ggml(checkpoint: Path, path: Path) -> None:
    """Write an openai-whisper checkpoint (`model.pt`) as `path`, matrices in float16."""
    loaded = torch.load(checkpoint, map_location="cpu", weights_only=True)
    sizes, tensors = loaded["dims"], loaded["model_state_dict"]
    order = ("n_vocab", "n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer")
    order += ("n_text_ctx", "n_text_state", "n_text_head", "n_text_layer", "n_mels")
    assets = Path(whisper.__file__).parent / "assets"
    filters = np.load(assets / "mel_filters.npz")[f"mel_{sizes['n_mels']}"].astype(np.float32)
    is_multilingual = sizes["n_vocab"] >= 51865
    with path.open("wb") as file:
        file.write(struct.pack("<12i", MAGIC, *(sizes[name] for name in order), 1))
        file.write(struct.pack("<2i", *filters.shape) + filters.tobytes())
        _write_vocabulary(file, assets / ("multilingual.tiktoken" if is_multilingual else "gpt2.tiktoken"))
        for name, tensor in tensors.items():
            _write_tensor(file, name, tensor.float().numpy())


def _write_vocabulary(file: BinaryIO, source: Path) -> None:
    ranked = [line.split() for line in source.read_bytes().splitlines() if line]
    tokens = [base64.b64decode(text) for text, rank in sorted(ranked, key=lambda each: int(each[1]))]
    file.write(struct.pack("<i", len(tokens)))
    for token in tokens:
        file.write(struct.pack("<i", len(token)) + token)


def _write_tensor(file: BinaryIO, name: str, values: np.ndarray) -> None:
    if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
        values = values.reshape(-1, 1)
    is_half = values.ndim >= 2 and name not in KEPT_LARGE
    values = np.ascontiguousarray(values, dtype=np.float16 if is_half else np.float32)
    spelled = name.encode()
    file.write(struct.pack("<3i", values.ndim, len(spelled), int(is_half)))
    file.write(struct.pack(f"<{values.ndim}i", *reversed(values.shape)) + spelled + values.tobytes())
