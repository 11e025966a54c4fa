"""A CTranslate2 folder becomes openai-whisper's checkpoint, every tensor in its place."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import whisper
from numpy.typing import NDArray
from whisper.model import ModelDimensions, Whisper

from mmchat.errors import WeightsError
from mmchat.weights.prepare_whisper import as_checkpoint, for_openai_whisper, write_ctranslate2

DIMS = ModelDimensions(
    n_mels=80,
    n_audio_ctx=20,
    n_audio_state=8,
    n_audio_head=2,
    n_audio_layer=2,
    n_vocab=30,
    n_text_ctx=10,
    n_text_state=8,
    n_text_head=2,
    n_text_layer=3,
)
CODES = {"float32": 0, "int8": 1, "int16": 2, "float16": 4}


def write_model_bin(path: Path, variables: dict[str, NDArray[Any]], spec: str = "WhisperSpec") -> None:
    def text(value: str) -> bytes:
        data = value.encode() + b"\0"
        return struct.pack("<H", len(data)) + data

    out = struct.pack("<I", 6) + text(spec) + struct.pack("<II", 3, len(variables))
    for name, values in variables.items():
        out += text(name) + struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
        out += struct.pack("<BI", CODES[values.dtype.name], values.nbytes) + values.tobytes()
    path.write_bytes(out + struct.pack("<I", 0))


def as_ctranslate2(state: dict[str, torch.Tensor], dims: ModelDimensions = DIMS) -> dict[str, NDArray[Any]]:
    """The fused layout, written independently of the code under test: from the checkpoint's names to CTranslate2's."""
    arrays = {name: tensor.numpy().astype(np.float16) for name, tensor in state.items()}
    out: dict[str, NDArray[Any]] = {
        "encoder/num_heads": np.array(dims.n_audio_head, dtype=np.int16),
        "decoder/num_heads": np.array(dims.n_text_head, dtype=np.int16),
        "decoder/pre_norm": np.array(1, dtype=np.int8),
        "decoder/embeddings/weight": arrays["decoder.token_embedding.weight"],
    }

    def copy(target: str, source: str, is_norm: bool = False) -> None:
        names = ("gamma", "beta") if is_norm else ("weight", "bias")
        for name, kind in zip(names, ("weight", "bias"), strict=True):
            out[f"{target}/{name}"] = arrays[f"{source}.{kind}"]

    for side, layers in (("encoder", dims.n_audio_layer), ("decoder", dims.n_text_layer)):
        out[f"{side}/position_encodings/encodings"] = arrays[f"{side}.positional_embedding"]
        for layer in range(layers):
            here, there = f"{side}/layer_{layer}", f"{side}.blocks.{layer}"
            zero = np.zeros(dims.n_text_state, dtype=np.float16)
            attn = [arrays[f"{there}.attn.{part}.weight"] for part in ("query", "key", "value")]
            out[f"{here}/self_attention/linear_0/weight"] = np.concatenate(attn)
            out[f"{here}/self_attention/linear_0/bias"] = np.concatenate(
                [arrays[f"{there}.attn.query.bias"], zero, arrays[f"{there}.attn.value.bias"]]
            )
            copy(f"{here}/self_attention/linear_1", f"{there}.attn.out")
            copy(f"{here}/self_attention/layer_norm", f"{there}.attn_ln", is_norm=True)
            if side == "decoder":
                copy(f"{here}/attention/linear_0", f"{there}.cross_attn.query")
                cross = [arrays[f"{there}.cross_attn.{part}.weight"] for part in ("key", "value")]
                out[f"{here}/attention/linear_1/weight"] = np.concatenate(cross)
                out[f"{here}/attention/linear_1/bias"] = np.concatenate(
                    [zero, arrays[f"{there}.cross_attn.value.bias"]]
                )
                copy(f"{here}/attention/linear_2", f"{there}.cross_attn.out")
                copy(f"{here}/attention/layer_norm", f"{there}.cross_attn_ln", is_norm=True)
            copy(f"{here}/ffn/linear_0", f"{there}.mlp.0")
            copy(f"{here}/ffn/linear_1", f"{there}.mlp.2")
            copy(f"{here}/ffn/layer_norm", f"{there}.mlp_ln", is_norm=True)
    copy("encoder/conv1", "encoder.conv1")
    copy("encoder/conv2", "encoder.conv2")
    copy("encoder/layer_norm", "encoder.ln_post", is_norm=True)
    copy("decoder/layer_norm", "decoder.ln", is_norm=True)
    return out


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    shapes = Whisper(DIMS).state_dict()
    return {name: torch.randn(tensor.shape, generator=generator).half().float() for name, tensor in shapes.items()}


def test_every_tensor_arrives(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    write_model_bin(source / "model.bin", as_ctranslate2(state))
    phrases: list[str] = []

    for_openai_whisper(source, target, phrases.append)

    model = whisper.load_model(str(target / "model.pt"), device="cpu")
    assert model.dims == DIMS
    loaded = model.state_dict()
    assert loaded.keys() == state.keys()
    for name, tensor in state.items():
        assert torch.equal(loaded[name], tensor), name
    assert phrases
    assert [path.name for path in target.iterdir()] == ["model.pt"]


def test_other_numbers_are_written_into_a_copy(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    write_model_bin(source / "model.bin", as_ctranslate2(state))
    (source / "tokenizer.json").write_text("{}")
    before = (source / "model.bin").read_bytes()
    other = {name: -tensor for name, tensor in state.items()}

    write_ctranslate2(other, source, target)

    loaded = as_checkpoint(target)["model_state_dict"]
    assert loaded.keys() == other.keys()
    for name, tensor in other.items():
        assert torch.equal(loaded[name].float(), tensor), name
    write_model_bin(tmp_path / "expected.bin", as_ctranslate2(other))
    assert (target / "model.bin").read_bytes() == (tmp_path / "expected.bin").read_bytes()
    assert sorted(path.name for path in target.iterdir()) == ["model.bin", "tokenizer.json"]
    assert (source / "model.bin").read_bytes() == before


def test_weights_that_do_not_fit_are_refused(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    whole = as_ctranslate2(state)
    target = tmp_path / "target"
    broken: dict[str, tuple[dict[str, NDArray[Any]], str]] = {
        "of another kind": (whole, "TransformerSpec"),
        "without a tensor": ({k: v for k, v in whole.items() if k != "encoder/conv1/weight"}, "WhisperSpec"),
        "quantised": (
            {k: v.astype(np.int8) if k.endswith("conv1/weight") else v for k, v in whole.items()},
            "WhisperSpec",
        ),
    }
    for name, (variables, spec) in broken.items():
        folder = tmp_path / name
        folder.mkdir()
        write_model_bin(folder / "model.bin", variables, spec)
        with pytest.raises(WeightsError):
            for_openai_whisper(folder, target)
    cut = tmp_path / "cut"
    cut.mkdir()
    write_model_bin(cut / "model.bin", whole)
    data = (cut / "model.bin").read_bytes()
    for length in (0, 3, 40, len(data) // 2, len(data) - 1000):
        (cut / "model.bin").write_bytes(data[:length])
        with pytest.raises(WeightsError):
            for_openai_whisper(cut, target)
    with pytest.raises(WeightsError):
        for_openai_whisper(tmp_path / "nowhere", target)
    assert not target.exists() or not list(target.iterdir())


def test_a_folder_that_cannot_be_written(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    write_model_bin(source / "model.bin", as_ctranslate2(state))
    (tmp_path / "file").write_text(json.dumps({}))
    with pytest.raises(WeightsError, match="could not be written"):
        for_openai_whisper(source, tmp_path / "file" / "target")
