"""What a finetune left, made into files of its own: a GGUF for llama.cpp, or safetensors.

An adapter is merged layer by layer in float32, so that no more than one matrix is ever held in that width.
A GGUF takes its tokenizer, chat template and measures from the base's own file, so that a finetuned model
is told exactly what the base is told; only the tensors are new. llama.cpp turns neighbouring pairs of a
head's numbers where transformers turns its two halves, so the rows of the query and key projections of the
Llama architecture change places (`to_llamacpp_order`).

Before anything is written, the base's tensors, mapped the same way, are compared with those of the base's
GGUF. A mapping that is wrong for an architecture is thus an error, not a model that babbles.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from gguf import MODEL_ARCH, GGMLQuantizationType, GGUFReader, TensorNameMap, get_tensor_name_map
from gguf.constants import GGML_QUANT_SIZES, MODEL_ARCH_NAMES, Keys
from gguf.quants import dequantize, quantize
from safetensors import SafetensorError, safe_open

from mmchat.adapter_files import attach_adapter
from mmchat.errors import WeightsError
from mmchat.weights.llamacpp_order import ARCHITECTURES, Array, to_llamacpp_order
from mmchat.weights.prepare_gguf import PlannedTensor, Report, file_type, only_gguf, open_gguf, write_gguf

GGUF_FORMATS = {
    "q8_0": GGMLQuantizationType.Q8_0,
    "f16": GGMLQuantizationType.F16,
    "bf16": GGMLQuantizationType.BF16,
}
_COPIED = frozenset({"rope_freqs.weight"})
"""Tensors that conversion computes from the configuration; training does not touch them."""
_LEAST_LIKENESS = 0.9
"""Cosine between a base's matrix and the same one in its GGUF: 0.996 for Q4_1, about 0 with rows in another order."""

_BIAS_KEYS = {"self_attn": "attention_bias", "mlp": "mlp_bias"}
"""Block of a layer → what a configuration says when its projections have biases."""


class Tensors(Protocol):
    """The weights of a finetuned model by their transformers names."""

    config: dict[str, Any]

    def names(self) -> list[str]: ...

    def shape(self, name: str) -> tuple[int, ...]: ...

    def take(self, name: str) -> Array:
        """The finetuned tensor, float32."""
        ...

    def original(self, name: str) -> Array:
        """The base's, as far as it is still known; float32."""
        ...


def to_gguf(
    source_dir: Path, target_dir: Path, report: Report, name: str, gguf_dir: str, adapter: str, format_name: str
) -> None:
    """Write `NAME.FORMAT.gguf` into `target_dir`.

    Args:
        source_dir: transformers' folder of the base, or with `adapter` empty of the finetuned weights.
        target_dir: created as needed.
        report: told how far it is.
        name: of the finetuned model.
        gguf_dir: holds the base's GGUF file.
        adapter: folder of the PEFT adapter; may be empty.
        format_name: a key of `GGUF_FORMATS`.

    Raises:
        WeightsError: an architecture that was never compared, or weights that do not fit the base's GGUF.
    """
    target_dir.mkdir(parents=True, exist_ok=True)
    reader = open_gguf(only_gguf(Path(gguf_dir)))
    architecture = str(reader.fields[Keys.General.ARCHITECTURE].contents())
    if architecture not in ARCHITECTURES:
        raise WeightsError(
            f"'{name}' is a finetuned model of the architecture {architecture}, which is not merged into GGUF here.",
            hint=f"Use {name}@transformers.",
        )
    report("reading the adapter" if adapter else "reading the weights")
    with _open(source_dir, adapter, name) as tensors:
        plan = _Plan(name, reader, tensors)
        plan.check_base()
        format_ = GGUF_FORMATS[format_name]
        target = target_dir / f"{name}.{format_.name}.gguf"
        changes = {Keys.General.FILE_TYPE: file_type(format_), Keys.General.NAME: name}
        write_gguf(reader, target, plan.tensors(format_), changes, report, f"merging to {format_.name}")


def to_safetensors(
    source_dir: Path, target_dir: Path, report: Report, name: str, adapter: str, format_name: str
) -> None:
    """Merge an adapter and write a folder that transformers loads: safetensors, tokenizer, chat template.

    Args:
        source_dir: transformers' folder of the base.
        target_dir: created as needed.
        report: told how far it is.
        name: of the finetuned model.
        adapter: folder of the PEFT adapter.
        format_name: `f16`, `bf16` or `f32`.

    Raises:
        WeightsError: the adapter does not fit.
    """
    from transformers import AutoTokenizer

    dtype = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32}[format_name]
    report("reading the adapter")
    adapted = AdaptedModel(source_dir, Path(adapter), name)
    model = adapted.merged(dtype, report)
    report("writing safetensors")
    model.save_pretrained(target_dir)
    AutoTokenizer.from_pretrained(source_dir, local_files_only=True).save_pretrained(target_dir)


# --- from transformers' tensors to llama.cpp's ----------------------------------------------------


@dataclass(frozen=True)
class _Heads:
    """How many heads the attention has."""

    queries: int
    keys: int


class _Plan:
    """Which tensor of the new file comes from where."""

    def __init__(self, name: str, reader: GGUFReader, tensors: Tensors) -> None:
        self._name = name
        self._reader = reader
        self._tensors = tensors
        architecture = str(reader.fields[Keys.General.ARCHITECTURE].contents())
        self._heads = _Heads(
            self._count(Keys.Attention.HEAD_COUNT, architecture),
            self._count(Keys.Attention.HEAD_COUNT_KV, architecture),
        )
        names = get_tensor_name_map(_architecture(architecture), self._count(Keys.LLM.BLOCK_COUNT, architecture))
        self._sources = {self._gguf_name(names, each): each for each in tensors.names()}
        self._reconcile()

    def _count(self, key: str, architecture: str) -> int:
        return int(self._reader.fields[key.format(arch=architecture)].contents())

    def _gguf_name(self, names: TensorNameMap, name: str) -> str:
        found = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise self._error(f"llama.cpp has no place for the tensor {name}")
        return found

    def _reconcile(self) -> None:
        """Make the two lists of tensors agree, or say where they do not."""
        there = {tensor.name: tensor for tensor in self._reader.tensors}
        if self._tensors.config.get("tie_word_embeddings"):
            if "output.weight" not in there:
                self._sources.pop("output.weight", None)
            else:
                self._sources.setdefault("output.weight", self._sources["token_embd.weight"])
        for name, tensor in there.items():
            if name in _COPIED:
                continue
            if name not in self._sources:
                raise self._error(f"it lacks {name}")
            shape = self._tensors.shape(self._sources[name])
            if shape != (expected := _shape_of(tensor)):
                raise self._error(f"{self._sources[name]} is {shape}, not {expected}")

    def check_base(self) -> None:
        """Compare the matrices of the first layer with those of the base's GGUF."""
        for tensor in self._reader.tensors:
            if not tensor.name.startswith("blk.0.") or tensor.name not in self._sources or len(_shape_of(tensor)) < 2:
                continue
            mine = self._ordered(tensor.name, self._tensors.original(self._sources[tensor.name])).ravel()
            theirs = dequantize(tensor.data, tensor.tensor_type).ravel()
            likeness = float(mine @ theirs) / (float(np.linalg.norm(mine) * np.linalg.norm(theirs)) or 1.0)
            if likeness < _LEAST_LIKENESS:
                raise self._error(f"{tensor.name} is not the base's (likeness {likeness:.2f})")

    def tensors(self, format_: GGMLQuantizationType) -> list[PlannedTensor]:
        """The base's tensors in their order, then those that only the finetuned model has."""
        there = {tensor.name: tensor for tensor in self._reader.tensors}
        names = [*there, *(name for name in self._sources if name not in there)]
        planned = []
        for name in names:
            if name in self._sources:
                planned.append(self._planned(name, format_))
            else:
                tensor = there[name]
                planned.append(
                    PlannedTensor(name, _shape_of(tensor), tensor.tensor_type, lambda tensor=tensor: tensor.data)  # type: ignore[misc]
                )
        return planned

    def _planned(self, name: str, wanted: GGMLQuantizationType) -> PlannedTensor:
        shape = self._tensors.shape(self._sources[name])
        format_ = wanted if len(shape) > 1 else GGMLQuantizationType.F32
        if shape[-1] % GGML_QUANT_SIZES[format_][0]:
            format_ = GGMLQuantizationType.F16  # rows that do not divide into blocks
        return PlannedTensor(name, shape, format_, self._maker(name, format_))

    def _maker(self, name: str, format_: GGMLQuantizationType) -> Callable[[], Array]:
        def make() -> Array:
            tensor = self._ordered(name, self._tensors.take(self._sources[name]))
            if not np.isfinite(tensor).all():
                raise self._error(f"{self._sources[name]} holds numbers that are not finite")
            return tensor if format_ == GGMLQuantizationType.F32 else quantize(tensor, format_)

        return make

    def _ordered(self, name: str, tensor: Array) -> Array:
        layer_part = name.split(".", 2)[-1].rpartition(".")[0]
        heads = {"attn_q": self._heads.queries, "attn_k": self._heads.keys}.get(layer_part)
        return to_llamacpp_order(tensor, heads) if heads else tensor

    def _error(self, what: str) -> WeightsError:
        return WeightsError(
            f"'{self._name}' does not fit the GGUF file of its base: {what}.", hint=f"Use {self._name}@transformers."
        )


def _architecture(name: str) -> MODEL_ARCH:
    return next(each for each, text in MODEL_ARCH_NAMES.items() if text == name)


def _shape_of(tensor: Any) -> tuple[int, ...]:
    return tuple(int(length) for length in reversed(tensor.shape))


# --- where the tensors come from ------------------------------------------------------------------


@contextmanager
def _open(source_dir: Path, adapter: str, name: str) -> Iterator[Tensors]:
    yield AdaptedModel(source_dir, Path(adapter), name) if adapter else WeightsFolder(source_dir)


class WeightsFolder:
    """A folder of safetensors, read tensor by tensor."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoConfig

        self._folder = folder
        self._files: dict[str, Any] = {}
        try:
            self.config: dict[str, Any] = AutoConfig.from_pretrained(folder, local_files_only=True).to_dict()
            for path in sorted(folder.glob("*.safetensors")):
                file: Any = safe_open(str(path), "pt")
                self._files.update(dict.fromkeys(file.keys(), file))
        except (OSError, ValueError, SafetensorError) as error:
            raise WeightsError(f"The weights in {folder} cannot be read: {error}", hint="Make them again.") from error

    def names(self) -> list[str]:
        return list(self._files)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._files[name].get_slice(name).get_shape())

    def take(self, name: str) -> Array:
        tensor: Array = self._files[name].get_tensor(name).float().numpy()
        return tensor

    def original(self, name: str) -> Array:
        """The base's is not known; a finetuned matrix is still much like it."""
        return self.take(name)


class AdaptedModel:
    """A base with an adapter on it, merged matrix by matrix as they are asked for."""

    def __init__(self, base_dir: Path, adapter_dir: Path, name: str) -> None:
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging as transformers_logging

        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        try:
            base: Any = AutoModelForCausalLM.from_pretrained(
                base_dir, dtype="auto", local_files_only=True, use_safetensors=True
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise WeightsError(
                f"The base of '{name}' cannot be read: {error}", hint=f"Look into {base_dir}."
            ) from error
        self._name = name
        self._names = [each for each, _ in base.named_parameters()]
        self.config = base.config.to_dict()
        self._adapted = attach_adapter(base, name, adapter_dir)
        self._base = self._adapted.get_base_model()
        self._refuse_changed_vocabulary()
        for layer, module in self._tuned():
            self._give_bias(layer, module)

    def names(self) -> list[str]:
        return list(self._names)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._parameter(name).shape)

    def original(self, name: str) -> Array:
        tensor: Array = self._parameter(name).detach().float().numpy()
        return tensor

    def take(self, name: str) -> Array:
        layer = self._module(name)
        if not hasattr(layer, "get_base_layer"):
            return self.original(name)
        module = layer.get_base_layer()
        dtype = module.weight.dtype
        if not layer.merged:
            self._merge(layer)
        tensor: Array = self._parameter(name).detach().float().numpy().copy()
        if name.endswith(".weight"):
            module.weight.data = module.weight.data.to(dtype)
        return tensor

    def merged(self, dtype: torch.dtype, report: Report) -> Any:
        """The model itself, without a trace of the adapter, its weights in `dtype`."""
        self._declare_biases()
        layers = self._tuned()
        for index, (_, layer) in enumerate(layers):
            if index % 10 == 0:
                report(f"merging: {index * 100 // len(layers)}%")
            self._merge(layer)
            module = layer.get_base_layer()
            module.to(dtype)
        return self._adapted.unload().to(dtype)

    def _merge(self, layer: Any) -> None:
        layer.get_base_layer().float()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # advice to developers
                layer.merge(safe_merge=True)
        except (ValueError, NotImplementedError) as error:
            raise WeightsError(
                f"The adapter of '{self._name}' cannot be merged: {error}", hint=f"Use {self._name}@transformers."
            ) from error

    def _tuned(self) -> list[tuple[str, Any]]:
        return [(name, layer) for name, layer in self._base.named_modules() if hasattr(layer, "get_base_layer")]

    def _module(self, name: str) -> Any:
        module: Any = self._base.get_submodule(name.rpartition(".")[0])
        replaced = getattr(module, "modules_to_save", None)
        return module if replaced is None else replaced["default"]

    def _parameter(self, name: str) -> Any:
        module = self._module(name)
        if hasattr(module, "get_base_layer"):
            module = module.get_base_layer()
        return getattr(module, name.rpartition(".")[2])

    def _refuse_changed_vocabulary(self) -> None:
        """One matrix cannot be both the embedding and its finetuned twin."""
        ends = (self._base.get_input_embeddings(), self._base.get_output_embeddings())
        if not self.config.get("tie_word_embeddings"):
            return
        if any(hasattr(each, "get_base_layer") or hasattr(each, "modules_to_save") for each in ends):
            raise WeightsError(
                f"The adapter of '{self._name}' changes the vocabulary's matrix, which the model uses twice.",
                hint=f"Use {self._name}@transformers.",
            )

    def _give_bias(self, name: str, layer: Any) -> None:
        """An adapter of biases needs one to be merged into, which Llama's layers lack."""
        if hasattr(layer, "beft_bias") and layer.get_base_layer().bias is None:
            _add_zero_bias(layer.get_base_layer())
            self._names.append(f"{name}.bias")

    def _declare_biases(self) -> None:
        """Say in the configuration that there are biases now: transformers drops what it does not expect."""
        blocks = {name.rsplit(".", 2)[-2] for name, layer in self._tuned() if hasattr(layer, "beft_bias")}
        for block in blocks:
            key = _BIAS_KEYS.get(block)
            if key is None or not hasattr(self._base.config, key):
                raise WeightsError(
                    f"The biases of '{self._name}' have no place in safetensors of its base.",
                    hint="Export the adapter: --to adapter.",
                )
            setattr(self._base.config, key, True)
            for name, module in self._base.named_modules():
                if f".{block}." in name and type(module) is torch.nn.Linear and getattr(module, "bias", 0) is None:
                    _add_zero_bias(module)


def _add_zero_bias(module: torch.nn.Linear) -> None:
    module.bias = torch.nn.Parameter(torch.zeros(module.out_features, dtype=torch.float32), requires_grad=False)
