"""A CTranslate2 Whisper folder as an openai-whisper checkpoint: the same numbers under other names.

`model.bin`, little-endian: version (u32), spec name, revision (u32), count (u32); then per variable its name,
rank (u8), dimensions (u32 each), dtype (u8), byte count (u32) and bytes; then a count of aliases and pairs of
names. A string is a u16 length and that many bytes, a zero among them.
"""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmchat.errors import WeightsError

CHECKPOINT_NAME = "model.pt"
_SPEC_NAME = "WhisperSpec"
_DTYPES: dict[int, np.dtype[Any]] = {
    0: np.dtype("<f4"),
    1: np.dtype("<i1"),
    2: np.dtype("<i2"),
    3: np.dtype("<i4"),
    4: np.dtype("<f2"),
}
_MAX_RANK = 8

Variables = Mapping[str, NDArray[Any]]


def for_openai_whisper(source_dir: Path, target_dir: Path, report: Callable[[str], None] | None = None) -> None:
    """Write `target_dir/model.pt`, which `whisper.load_model` reads without executing pickles.

    Args:
        source_dir: a CTranslate2 Whisper folder with unquantised weights.
        target_dir: created when missing.
        report: told in words what is being done.

    Raises:
        WeightsError: the folder holds no such weights, or the disk is full.
    """
    say = report or (lambda _: None)
    say("reading the CTranslate2 weights")
    checkpoint = as_checkpoint(source_dir)
    say("writing the openai-whisper checkpoint")
    temporary: Path | None = None
    try:
        target_dir.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target_dir, prefix=".model-", suffix=".pt")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            torch.save(checkpoint, file)
        temporary.chmod(0o644)
        temporary.replace(target_dir / CHECKPOINT_NAME)
    except (OSError, RuntimeError) as error:  # torch's writer reports a full disk as RuntimeError
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise WeightsError(
            f"The converted speech model could not be written to '{target_dir}': {error}.",
            hint="Check the free space and the folder's permissions.",
        ) from error


def read_ctranslate2(path: Path, mode: Literal["r", "r+"] = "r") -> dict[str, NDArray[Any]]:
    """Every variable of a CTranslate2 Whisper `model.bin`, by name, without copying it into memory.

    With the mode "r+", what is written into them is written into the file.

    Raises:
        WeightsError: missing, of another kind, or cut short.
    """
    try:
        with path.open("rb") as file:
            return _read_variables(file, np.memmap(path, dtype=np.uint8, mode=mode))
    except (OSError, struct.error, ValueError) as error:
        raise WeightsError(
            f"'{path}' cannot be read as a CTranslate2 model: {error}.", hint="Remove the model and pull it again."
        ) from error


def _read_variables(file: BinaryIO, data: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    def number(code: str) -> int:
        size = struct.calcsize("<" + code)
        return int(struct.unpack("<" + code, file.read(size))[0])

    def text() -> str:
        return file.read(number("H")).rstrip(b"\0").decode("utf-8")

    version, spec_name, _revision = number("I"), text(), number("I")
    if spec_name != _SPEC_NAME or version < 4:
        raise ValueError(f"it holds a {spec_name or 'nameless model'} of version {version}, not Whisper")
    variables: dict[str, NDArray[Any]] = {}
    for _ in range(number("I")):
        name, rank = text(), number("B")
        if rank > _MAX_RANK:
            raise ValueError(f"'{name}' has {rank} dimensions")
        shape = tuple(number("I") for _ in range(rank))
        code, size = number("B"), number("I")
        dtype = _DTYPES.get(code)
        if dtype is None:
            raise ValueError(f"'{name}' is of an unknown number type ({code})")
        start = file.tell()
        if start + size > data.size or size != int(np.prod(shape, dtype=np.int64)) * dtype.itemsize:
            raise ValueError(f"'{name}' is cut short")
        variables[name] = data[start : start + size].view(dtype).reshape(shape)
        file.seek(size, os.SEEK_CUR)
    return variables


def _dims(variables: Variables) -> dict[str, int]:
    """openai-whisper's ModelDimensions, from the shapes."""
    mels = variables["encoder/conv1/weight"].shape
    audio = variables["encoder/position_encodings/encodings"].shape
    text = variables["decoder/position_encodings/encodings"].shape
    return {
        "n_mels": int(mels[1]),
        "n_audio_ctx": int(audio[0]),
        "n_audio_state": int(audio[1]),
        "n_audio_head": int(variables["encoder/num_heads"]),
        "n_audio_layer": _layer_count(variables, "encoder"),
        "n_vocab": int(variables["decoder/embeddings/weight"].shape[0]),
        "n_text_ctx": int(text[0]),
        "n_text_state": int(text[1]),
        "n_text_head": int(variables["decoder/num_heads"]),
        "n_text_layer": _layer_count(variables, "decoder"),
    }


def _layer_count(variables: Variables, side: str) -> int:
    return len({name.split("/")[1] for name in variables if name.startswith(f"{side}/layer_") and name.count("/") > 2})


def as_checkpoint(source_dir: Path) -> dict[str, Any]:
    """A CTranslate2 Whisper folder as openai-whisper's `{"dims", "model_state_dict"}`.

    Raises:
        WeightsError: it holds no such weights, or quantised ones.
    """
    variables = read_ctranslate2(source_dir / "model.bin")
    try:
        return {"dims": _dims(variables), "model_state_dict": _state_dict(variables)}
    except KeyError as error:
        raise WeightsError(
            f"'{source_dir}' is not a Whisper model that can be converted: {error} is missing.",
            hint="Use the faster-whisper engine for it.",
        ) from error


def write_ctranslate2(state: Mapping[str, Tensor], source_dir: Path, target_dir: Path) -> None:
    """Copy a CTranslate2 Whisper folder with other numbers in it.

    Args:
        state: openai-whisper's `model_state_dict`, of the same shapes.
        source_dir: what is copied.
        target_dir: must not be there yet; afterwards it is there whole.

    Raises:
        WeightsError: the folder holds no such weights, or the disk is full.
    """
    draft = target_dir.with_name(f".{target_dir.name}.{os.getpid()}")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(source_dir, draft)
        variables = read_ctranslate2(draft / "model.bin", mode="r+")
        for name, place in _places(variables).items():
            place[...] = state[name].detach().to(torch.float32).cpu().numpy().astype(place.dtype)
        draft.replace(target_dir)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise WeightsError(
            f"The speech model could not be written to '{target_dir}': {error}.",
            hint="Check the free space and the folder's permissions.",
        ) from error


def _state_dict(variables: Variables) -> dict[str, Tensor]:
    """Copies of all numbers, by openai-whisper's names."""
    return {name: torch.from_numpy(np.array(place)) for name, place in _places(variables).items()}


def _places(variables: Variables) -> dict[str, NDArray[Any]]:
    """Where the numbers of each of openai-whisper's parameters are: views of `variables`."""
    places: dict[str, NDArray[Any]] = {}

    def put(name: str, values: NDArray[Any]) -> None:
        if not np.issubdtype(values.dtype, np.floating):
            raise WeightsError(
                "The speech model is quantised, which openai-whisper cannot use.",
                hint="Use the faster-whisper engine for it, or weights in float16.",
            )
        places[name] = values

    def linear(target: str, source: str) -> None:
        put(f"{target}.weight", variables[f"{source}/weight"])
        put(f"{target}.bias", variables[f"{source}/bias"])

    def norm(target: str, source: str) -> None:
        put(f"{target}.weight", variables[f"{source}/gamma"])
        put(f"{target}.bias", variables[f"{source}/beta"])

    def fused(targets: tuple[str, ...], source: str) -> None:
        weights = np.split(variables[f"{source}/weight"], len(targets))
        biases = np.split(variables[f"{source}/bias"], len(targets))
        for target, weight, bias in zip(targets, weights, biases, strict=True):
            put(f"{target}.weight", weight)
            if not target.endswith(".key"):  # Whisper's key has no bias: CTranslate2 stores zeros for it
                put(f"{target}.bias", bias)

    def self_attention(target: str, source: str) -> None:
        fused(tuple(f"{target}.attn.{part}" for part in ("query", "key", "value")), f"{source}/self_attention/linear_0")
        linear(f"{target}.attn.out", f"{source}/self_attention/linear_1")
        norm(f"{target}.attn_ln", f"{source}/self_attention/layer_norm")

    def cross_attention(target: str, source: str) -> None:
        linear(f"{target}.cross_attn.query", f"{source}/attention/linear_0")
        fused((f"{target}.cross_attn.key", f"{target}.cross_attn.value"), f"{source}/attention/linear_1")
        linear(f"{target}.cross_attn.out", f"{source}/attention/linear_2")
        norm(f"{target}.cross_attn_ln", f"{source}/attention/layer_norm")

    def feed_forward(target: str, source: str) -> None:
        linear(f"{target}.mlp.0", f"{source}/ffn/linear_0")
        linear(f"{target}.mlp.2", f"{source}/ffn/linear_1")
        norm(f"{target}.mlp_ln", f"{source}/ffn/layer_norm")

    for side in ("encoder", "decoder"):
        put(f"{side}.positional_embedding", variables[f"{side}/position_encodings/encodings"])
        for index in range(_layer_count(variables, side)):
            target, source = f"{side}.blocks.{index}", f"{side}/layer_{index}"
            self_attention(target, source)
            if side == "decoder":
                cross_attention(target, source)
            feed_forward(target, source)
    linear("encoder.conv1", "encoder/conv1")
    linear("encoder.conv2", "encoder/conv2")
    norm("encoder.ln_post", "encoder/layer_norm")
    norm("decoder.ln", "decoder/layer_norm")
    put("decoder.token_embedding.weight", variables["decoder/embeddings/weight"])
    return places
