"""GGUF files made ready for the engine that is to read them, once, at pull time.

llama.cpp multiplies whole prompts fastest with formats whose blocks it can lay out anew for the CPU.
Measured with SmolLM2-135M (see `docs/performance.md`): the published Q4_1 file prefills at about half
the speed of the same weights as Q8_0. Every Q4_1 block of 32 weights holds 16 evenly spaced values,
which Q8_0 keeps to within 1/254 of the block's range, so nothing noticeable is lost; the file grows
from 94 to 137 MB. Q4_0 would decode a little faster still but rounds the weights again, so it is not
chosen.

transformers can read GGUF itself but takes about 13 s each time; a converted folder loads in 0.3 s.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
from gguf.constants import Keys, LlamaFileType
from gguf.quants import dequantize, quant_shape_to_byte_shape, quantize

from mmchat.errors import WeightsError

Report = Callable[[str], None]

SLOW_FORMATS = frozenset({GGMLQuantizationType.Q4_1, GGMLQuantizationType.Q5_0, GGMLQuantizationType.Q5_1})
"""Formats for which llama.cpp has no rearranged blocks on a CPU."""
LARGEST_REQUANTISED = 1_000_000_000
"""Weights. Above it decoding waits for memory, and doubling the bytes costs more than prefill gains."""


def for_llamacpp(source_dir: Path, target_dir: Path, report: Report) -> None:
    """Write the best GGUF file for this CPU into `target_dir`: requantised to Q8_0, or as published.

    Raises:
        WeightsError: not exactly one GGUF file in `source_dir`, or one that cannot be read.
    """
    source = _only_gguf(source_dir)
    target_dir.mkdir(parents=True, exist_ok=True)
    reader = _open(source)
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
    source = _only_gguf(source_dir)

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
    writer = GGUFWriter(
        target, arch=str(reader.fields[Keys.General.ARCHITECTURE].contents()), endianess=reader.endianess
    )
    _copy_metadata(reader, writer, format_)
    formats = [_new_format(tensor.tensor_type, tensor.data.shape, format_) for tensor in reader.tensors]
    for tensor, new_format in zip(reader.tensors, formats, strict=True):
        shape = [int(length) for length in reversed(tensor.shape)]
        byte_shape = quant_shape_to_byte_shape(shape, new_format) if new_format.name not in ("F32", "F16") else shape
        dtype = np.dtype({"F32": np.float32, "F16": np.float16}.get(new_format.name, np.uint8))
        writer.add_tensor_info(
            tensor.name, byte_shape, dtype, int(np.prod(byte_shape)) * dtype.itemsize, raw_dtype=new_format
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for index, (tensor, new_format) in enumerate(zip(reader.tensors, formats, strict=True)):
        if index % 10 == 0:
            report(f"requantising to {format_.name}: {index * 100 // len(formats)}%")
        data = tensor.data
        if new_format != tensor.tensor_type:
            data = quantize(dequantize(data, tensor.tensor_type), new_format)
        writer.write_tensor_data(data)
    writer.close()


def has_wide_integer_kernels() -> bool:
    """Whether this CPU runs llama.cpp's fast Q8_0 kernels: AVX2 on x86, NEON on ARM (always there)."""
    # Deferred: the compiled library is only needed to ask what it found in this CPU.
    import xllamacpp

    flags = xllamacpp.get_system_info()
    return "AVX2 = 1" in flags or "NEON = 1" in flags


def _copy_metadata(reader: GGUFReader, writer: GGUFWriter, format_: GGMLQuantizationType) -> None:
    for field in reader.fields.values():
        # "GGUF.*" is the header's own; the writer has set the architecture already.
        if field.name.startswith("GGUF.") or field.name == Keys.General.ARCHITECTURE:
            continue
        value = field.contents()
        if field.name == Keys.General.FILE_TYPE:
            value = int(LlamaFileType[f"MOSTLY_{format_.name}"])
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


def _only_gguf(folder: Path) -> Path:
    files = sorted(folder.glob("*.gguf")) or sorted(folder.rglob("*.gguf"))
    if len(files) != 1:
        names = ", ".join(path.name for path in files) or "none"
        raise WeightsError(f"Expected one GGUF file in {folder}, found {names}.", hint="mmchat models pull MODEL")
    return files[0]


def _open(path: Path) -> GGUFReader:
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
