"""GGUF files made ready for the engine that is to read them, once, at pull time.

llama.cpp multiplies whole prompts fastest with formats whose blocks it can lay out anew for the CPU.
Measured with SmolLM2-135M (see `docs/performance-log.md`): the published Q4_1 file prefills at about half
the speed of the same weights as Q8_0. Every Q4_1 block of 32 weights holds 16 evenly spaced values,
which Q8_0 keeps to within 1/254 of the block's range, so nothing noticeable is lost; the file grows
from 94 to 137 MB. Q4_0 would decode a little faster still but rounds the weights again, so it is not
chosen.

transformers can read GGUF itself but takes about 13 s each time; a converted folder loads in 0.3 s.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, ReaderTensor
from gguf.constants import Keys, LlamaFileType
from gguf.quants import dequantize, quant_shape_to_byte_shape, quantize

from mmchat.errors import WeightsError
from mmchat.gguf_names import is_model, is_projector
from mmchat.openmp import bring_runtime

Report = Callable[[str], None]

SLOW_FORMATS = frozenset({GGMLQuantizationType.Q4_1, GGMLQuantizationType.Q5_0, GGMLQuantizationType.Q5_1})
"""Formats for which llama.cpp has no rearranged blocks on a CPU."""
LARGEST_REQUANTISED = 1_000_000_000
"""Weights. Above it decoding waits for memory, and doubling the bytes costs more than prefill gains."""


def for_llamacpp(source_dir: Path, target_dir: Path, report: Report) -> None:
    """Write the best GGUF file for this CPU into `target_dir`: requantised to Q8_0, or as published.

    A file that lets the model take pictures ("mmproj") stays as it is.

    Raises:
        WeightsError: not exactly one GGUF file in `source_dir`, or one that cannot be read.
    """
    source = only_gguf(source_dir)
    target_dir.mkdir(parents=True, exist_ok=True)
    for projector in source.parent.glob("*.gguf"):
        if is_projector(projector.name):
            _place(projector, target_dir / projector.name)
    reader = open_gguf(source)
    if not (_is_worth_requantising(reader) and has_wide_integer_kernels()):
        report("kept as published")
        _place(source, target_dir / source.name)
        return
    target = target_dir / f"{_stem_without_format(source)}.Q8_0.gguf"
    unfinished = target.with_suffix(".part")
    write_requantised(reader, unfinished, GGMLQuantizationType.Q8_0, report)
    os.replace(unfinished, target)


def for_transformers(source_dir: Path, target_dir: Path, report: Report) -> None:
    """Write safetensors with configuration, tokenizer and chat template into `target_dir`.

    A source that already holds safetensors is left where it is and nothing is written.

    Raises:
        WeightsError: not exactly one GGUF file in `source_dir`, or an architecture transformers does not read.
    """
    if any(source_dir.glob("*.safetensors")):
        report("already safetensors")
        return
    source = only_gguf(source_dir)

    # Deferred: torch and transformers take seconds to import and the other function needs neither.
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    target_dir.mkdir(parents=True, exist_ok=True)
    report("reading GGUF")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source_dir, gguf_file=source.name, local_files_only=True)
        loaded = AutoModelForCausalLM.from_pretrained(
            source_dir, gguf_file=source.name, dtype=torch.bfloat16, local_files_only=True
        )
        # transformers calls what came from GGUF quantised and will not save it; the same tensors in a model
        # made from the bare configuration are what they are: plain bfloat16.
        config = loaded.config
        for key in ("quantization_config", "_pre_quantization_dtype"):
            if hasattr(config, key):
                delattr(config, key)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        model.load_state_dict(loaded.state_dict(), strict=True)
        model.generation_config = loaded.generation_config
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"{source.name} cannot be turned into safetensors: {error}", hint="Use the engine 'llamacpp' for this file."
        ) from error
    report("writing safetensors")
    model.save_pretrained(target_dir)
    tokenizer.save_pretrained(target_dir)


def write_requantised(reader: GGUFReader, target: Path, format_: GGMLQuantizationType, report: Report) -> None:
    """Copy a GGUF file with its quantised matrices in another format; everything else stays as it is."""

    def plan(tensor: ReaderTensor) -> PlannedTensor:
        old, new = tensor.tensor_type, _new_format(tensor.tensor_type, tensor.data.shape, format_)
        shape = tuple(int(length) for length in reversed(tensor.shape))
        is_kept = new == old
        return PlannedTensor(
            tensor.name, shape, new, lambda: tensor.data if is_kept else quantize(dequantize(tensor.data, old), new)
        )

    planned = [plan(tensor) for tensor in reader.tensors]
    write_gguf(reader, target, planned, {Keys.General.FILE_TYPE: file_type(format_)}, report, "requantising")


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A tensor of a file to be written: its bytes are made when their turn comes."""

    name: str
    shape: tuple[int, ...]
    """Rows first, as NumPy has it."""
    format: GGMLQuantizationType
    make: Callable[[], np.ndarray[Any, Any]]
    """In `format` already."""


def write_gguf(
    reader: GGUFReader,
    target: Path,
    planned: Sequence[PlannedTensor],
    changes: Mapping[str, object],
    report: Report,
    doing: str,
) -> None:
    """Write `planned` tensors one by one under the metadata of another file.

    Args:
        reader: the file whose tokenizer, chat template and measures are taken over.
        target: where to write.
        planned: in the order of the file.
        changes: metadata that get another value; those the other file lacks are left out.
        report: told how far it is.
        doing: what it is told to be doing.
    """
    writer = GGUFWriter(
        target, arch=str(reader.fields[Keys.General.ARCHITECTURE].contents()), endianess=reader.endianess
    )
    _copy_metadata(reader, writer, changes)
    for tensor in planned:
        dtype = np.dtype({"F32": np.float32, "F16": np.float16}.get(tensor.format.name, np.uint8))
        is_plain = tensor.format.name in ("F32", "F16")
        shape = tensor.shape if is_plain else quant_shape_to_byte_shape(tensor.shape, tensor.format)
        writer.add_tensor_info(tensor.name, shape, dtype, int(np.prod(shape)) * dtype.itemsize, raw_dtype=tensor.format)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for index, tensor in enumerate(planned):
        if index % 10 == 0:
            report(f"{doing}: {index * 100 // len(planned)}%")
        writer.write_tensor_data(tensor.make())
    writer.close()


def file_type(format_: GGMLQuantizationType) -> int:
    """What the metadata say of a file whose matrices are mostly in `format_`."""
    return int(LlamaFileType[f"MOSTLY_{format_.name}"])


def has_wide_integer_kernels() -> bool:
    """Whether this CPU runs llama.cpp's fast Q8_0 kernels: AVX2 on x86, NEON on ARM (always there)."""
    # Deferred: the compiled library is only needed to ask what it found in this CPU.
    bring_runtime()
    import xllamacpp

    flags = xllamacpp.get_system_info()
    return "AVX2 = 1" in flags or "NEON = 1" in flags


def _copy_metadata(reader: GGUFReader, writer: GGUFWriter, changes: Mapping[str, object]) -> None:
    for field in reader.fields.values():
        # "GGUF.*" is the header's own; the writer has set the architecture already.
        if field.name.startswith("GGUF.") or field.name == Keys.General.ARCHITECTURE:
            continue
        value = changes.get(field.name, field.contents())
        kind = field.types[0]
        element = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, value, kind, sub_type=element)


def _new_format(
    old: GGMLQuantizationType, shape: tuple[int, ...], wanted: GGMLQuantizationType
) -> GGMLQuantizationType:
    return wanted if old in SLOW_FORMATS and len(shape) > 1 else old


def _is_worth_requantising(reader: GGUFReader) -> bool:
    """Whether most of the weights are in a slow format and the model is small enough to gain."""
    total = sum(int(tensor.n_elements) for tensor in reader.tensors)
    slow = sum(int(tensor.n_elements) for tensor in reader.tensors if tensor.tensor_type in SLOW_FORMATS)
    return slow > total / 2 and total <= LARGEST_REQUANTISED


def only_gguf(folder: Path) -> Path:
    """The one GGUF file of a folder that holds a language model.

    Raises:
        WeightsError: there is none, or more than one.
    """
    files = [path for path in sorted(folder.glob("*.gguf")) or sorted(folder.rglob("*.gguf")) if is_model(path.name)]
    if len(files) != 1:
        names = ", ".join(path.name for path in files) or "none"
        raise WeightsError(f"Expected one GGUF file in {folder}, found {names}.", hint="mmchat models pull MODEL")
    return files[0]


def open_gguf(path: Path) -> GGUFReader:
    """A file's metadata and tensors, mapped into memory.

    Raises:
        WeightsError: it is no whole GGUF file.
    """
    try:
        return GGUFReader(path)
    except (ValueError, IndexError, KeyError, OSError, UnicodeDecodeError) as error:
        raise WeightsError(
            f"{path.name} is not a whole GGUF file: {error}", hint="Remove the model and pull it again."
        ) from error


def _place(source: Path, target: Path) -> None:
    """The same bytes at a second place, without a second copy where the file system allows."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _stem_without_format(path: Path) -> str:
    stem, _, ending = path.stem.rpartition(".")
    return stem if stem and ending.upper() in GGMLQuantizationType.__members__ else path.stem
