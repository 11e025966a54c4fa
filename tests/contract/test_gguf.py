"""GGUF files: made ready for the engines, and refused in words when they are no good."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter
from gguf.quants import dequantize, quantize

from mmchat.domain import EngineSpec
from mmchat.engines.lm_llamacpp import load
from mmchat.errors import ConfigError, MmchatError, ModelNotFound, WeightsError
from mmchat.weights import prepare_gguf

QUARTER = GGMLQuantizationType.Q4_1


def small_gguf(path: Path, format_: GGMLQuantizationType = QUARTER) -> Path:
    """A file that holds two matrices and a vector, but no model that anybody could run."""
    random = np.random.default_rng(0)
    writer = GGUFWriter(path, arch="llama")
    writer.add_string("tokenizer.chat_template", "{{ messages }}")
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "你"])
    writer.add_file_type(3)
    for name in ("blk.0.attn_q.weight", "blk.0.attn_k.weight"):
        matrix = random.normal(size=(8, 64)).astype(np.float32)
        writer.add_tensor(name, quantize(matrix, format_), raw_dtype=format_)
    writer.add_tensor("output_norm.weight", np.ones(64, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_requantising_keeps_words_and_numbers(tmp_path: Path) -> None:
    reader = GGUFReader(small_gguf(tmp_path / "m.gguf"))
    prepare_gguf.write_requantised(reader, tmp_path / "new.gguf", GGMLQuantizationType.Q8_0, lambda _: None)
    made = GGUFReader(tmp_path / "new.gguf")
    assert made.fields["tokenizer.chat_template"].contents() == "{{ messages }}"
    assert made.fields["tokenizer.ggml.tokens"].contents() == ["a", "b", "你"]
    assert made.fields["general.file_type"].contents() == 7
    for old, new in zip(reader.tensors, made.tensors, strict=True):
        assert (old.name, list(old.shape)) == (new.name, list(new.shape))
        before, after = dequantize(old.data, old.tensor_type), dequantize(new.data, new.tensor_type)
        # Half a step of Q8_0: 1/254 of the largest weight of a block, here below 4.
        np.testing.assert_allclose(after, before, atol=4 / 254)
    assert [tensor.tensor_type.name for tensor in made.tensors] == ["Q8_0", "Q8_0", "F32"]


def test_a_file_in_a_fast_format_is_kept(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    small_gguf(source / "m.Q8_0.gguf", GGMLQuantizationType.Q8_0)
    prepare_gguf.for_llamacpp(source, tmp_path / "made", lambda _: None)
    assert (tmp_path / "made/m.Q8_0.gguf").read_bytes() == (source / "m.Q8_0.gguf").read_bytes()


def test_the_file_that_sees_comes_along_as_it_is(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    small_gguf(source / "m.Q4_1.gguf")
    small_gguf(source / "mmproj-m.F16.gguf")
    prepare_gguf.for_llamacpp(source, tmp_path / "made", lambda _: None)
    made = sorted(path.name for path in (tmp_path / "made").iterdir())
    assert made == ["m.Q8_0.gguf", "mmproj-m.F16.gguf"]
    assert (tmp_path / "made/mmproj-m.F16.gguf").read_bytes() == (source / "mmproj-m.F16.gguf").read_bytes()


def test_no_file_and_two_files(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="none"):
        prepare_gguf.for_llamacpp(tmp_path, tmp_path / "made", lambda _: None)
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).touch()
    with pytest.raises(WeightsError, match=r"a\.gguf, b\.gguf"):
        prepare_gguf.for_llamacpp(tmp_path, tmp_path / "made", lambda _: None)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (None, ModelNotFound, "not on this machine"),
        (b"nope", WeightsError, "not a GGUF file"),
        (b"GGUF" + bytes(40), WeightsError, "damaged"),
    ],
)
def test_files_that_cannot_be_loaded(
    tmp_path: Path, content: bytes | None, error: type[MmchatError], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=words):
        load(EngineSpec("m", "llamacpp", path))
    assert capfd.readouterr() == ("", "")


def test_a_file_without_a_model(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WeightsError, match="architecture llama"):
        load(EngineSpec("m", "llamacpp", small_gguf(tmp_path / "m.gguf")))
    assert capfd.readouterr() == ("", "")


def test_an_adapter_for_another_engine(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    with pytest.raises(ConfigError, match="not in GGUF form"):
        load(EngineSpec("m", "llamacpp", small_gguf(tmp_path / "m.gguf"), adapter_path=tmp_path / "adapter"))
