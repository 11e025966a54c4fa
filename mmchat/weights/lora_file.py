"""LoRA adapters as files of llama.cpp's: put on and taken off a loaded base, where a merged file would be loaded anew.

A file holds the adapter's matrices alone, in float16: 10 MB at rank 16 for SmolLM2-135M, whose merged file has 145.
What merging needs on top is not needed here: neither transformers, nor its folder of the base, nor torch's matrices.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from mmchat.adapter_files import CONFIG_NAME, WEIGHTS_NAME, adapter_kind, made_for_another, require_adapter
from mmchat.errors import WeightsError
from mmchat.gguf_names import is_model

_PREFIX = "base_model.model."
_PLAIN: dict[str, tuple[object, ...]] = {
    "bias": ("none",),
    "use_dora": (False, None),
    "lora_bias": (False, None),
    "modules_to_save": (None, []),
    "rank_pattern": ({}, None),
    "alpha_pattern": ({}, None),
    "alora_invocation_tokens": (None,),
    "trainable_token_indices": (None,),
    "target_parameters": (None, []),
}
"""What llama.cpp's LoRA can be: matrices of one scale, and nothing beside them."""
_MAKER = "1"
"""Part of a file's name: another number makes all files anew."""


def can_be_worn(path: Path) -> bool:
    """Whether an adapter's folder holds a LoRA that llama.cpp can put on. Reads its configuration alone.

    Raises:
        WeightsError: the configuration cannot be read.
    """
    if not (path / CONFIG_NAME).is_file() or adapter_kind(path) != "LORA":
        return False
    config = _config(path)
    return all(config.get(key, allowed[0]) in allowed for key, allowed in _PLAIN.items())


def lora_file(name: str, adapter: Path, gguf_dir: Path, folder: Path) -> Path:
    """The adapter as a GGUF file, written now where it is missing or the adapter is another one by now.

    Args:
        name: of the finetuned model.
        adapter: folder of the PEFT adapter, one that `can_be_worn`.
        gguf_dir: holds the base's GGUF file.
        folder: where the file goes; older ones there are removed.

    Raises:
        ModelNotFound: the adapter is not there.
        WeightsError: it does not fit the base, or the base is of an architecture that was never compared.
    """
    require_adapter(name, adapter)
    stamps = [(adapter / each).stat() for each in (CONFIG_NAME, WEIGHTS_NAME)]
    words = "\n".join([_MAKER, str(adapter), *(f"{each.st_size} {each.st_mtime_ns}" for each in stamps)])
    target = folder / f"{name}.lora-{sha256(words.encode()).hexdigest()[:12]}.gguf"
    if target.is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".{os.getpid()}.part")
    try:
        _write(name, adapter, next(each for each in sorted(gguf_dir.glob("*.gguf")) if is_model(each.name)), part)
        for old in folder.glob(f"{name}.lora-*.gguf"):
            old.unlink(missing_ok=True)
        part.replace(target)
    except OSError as error:
        raise WeightsError(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def _config(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / CONFIG_NAME).read_text(encoding="utf-8"))
    return found


def _write(name: str, adapter: Path, base: Path, target: Path) -> None:
    # Deferred: only needed once for each adapter.
    import numpy as np
    from gguf import GGUFReader, GGUFWriter, Keys
    from safetensors import SafetensorError, safe_open

    reader = GGUFReader(base)
    architecture = str(reader.fields[Keys.General.ARCHITECTURE].contents())
    place_of = _places(name, reader, architecture)
    writer = GGUFWriter(target, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", _alpha(_config(adapter)))
    try:
        with safe_open(adapter / WEIGHTS_NAME, "numpy") as file:
            for key in sorted(file.keys()):
                module, _, part = key.removeprefix(_PREFIX).removesuffix(".weight").rpartition(".lora_")
                if part not in ("A", "B"):
                    raise made_for_another(name, adapter, f"llama.cpp has no place for {key}")
                matrix = place_of(module, part, file.get_tensor(key))
                writer.add_tensor(matrix[0], np.ascontiguousarray(matrix[1], dtype=np.float16))
    except (SafetensorError, TypeError) as error:  # the second: numbers that numpy does not have
        raise WeightsError(
            f"The adapter {adapter} cannot be read: {error}.", hint=f"Use {name}@transformers."
        ) from error
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _alpha(config: dict[str, Any]) -> float:
    """Such that alpha by rank is the scale, as llama.cpp has it."""
    alpha, rank = float(config["lora_alpha"]), int(config["r"])
    return alpha * rank**0.5 if config.get("use_rslora") else alpha


def _places(name: str, reader: Any, architecture: str) -> Callable[[str, str, Any], tuple[str, Any]]:
    """Where llama.cpp has the matrices of a module, in the order of rows that it keeps them in."""
    from gguf import MODEL_ARCH, Keys, get_tensor_name_map

    # Deferred: numpy, and a start need not wait for it.
    from mmchat.weights.llamacpp_order import ARCHITECTURES, to_llamacpp_order

    if architecture not in ARCHITECTURES:
        raise WeightsError(
            f"'{name}' is an adapter for the architecture {architecture}, which is not put on in llama.cpp here.",
            hint=f"Use {name}@transformers.",
        )

    def count(key: str) -> int:
        return int(reader.fields[key.format(arch=architecture)].contents())

    heads = {"attn_q": count(Keys.Attention.HEAD_COUNT), "attn_k": count(Keys.Attention.HEAD_COUNT_KV)}
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, count(Keys.LLM.BLOCK_COUNT))
    shapes = {tensor.name: tuple(int(length) for length in tensor.shape) for tensor in reader.tensors}

    def place(module: str, part: str, matrix: Any) -> tuple[str, Any]:
        found = names.get_name(f"{module}.weight", try_suffixes=(".weight",)) or ""
        into, out = shapes.get(found, (0, 0))[:2]
        if matrix.shape[1 if part == "A" else 0] != (into if part == "A" else out):
            why = f"{module} is {tuple(matrix.shape)} on {out} × {into}" if found else f"it knows no {module}"
            raise WeightsError(
                f"The adapter of '{name}' does not fit the GGUF file of its base: {why}.",
                hint=f"Use {name}@transformers.",
            )
        turned = heads.get(found.split(".")[-2], 0) if part == "B" else 0
        return f"{found}.lora_{part.lower()}", to_llamacpp_order(matrix, turned) if turned else matrix

    return place
