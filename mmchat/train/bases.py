"""The base model of a training, read from the folder that the chat uses too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig

from mmchat.engines.lm_prompts import PromptFormat
from mmchat.engines.lm_transformers import format_of, pick_dtype
from mmchat.engines.torch_memory import first_line, is_out_of_memory, out_of_memory
from mmchat.errors import UsageError, WeightsError
from mmchat.train.base import BaseModel, MethodName
from mmchat.train.methods import METHODS
from mmchat.train.quiet import quiet

_OPENING = "This is a conversation between a user and a helpful assistant, who reads carefully and answers well."


@dataclass(frozen=True, slots=True)
class TextBase:
    """A language model without its weights."""

    base: BaseModel
    config: Any
    tokenizer: Any
    prompt_format: PromptFormat
    end_ids: frozenset[int] = frozenset()
    """The tokens that end a reply."""

    @property
    def is_seq2seq(self) -> bool:
        """Whether it is an encoder–decoder."""
        return bool(self.config.is_encoder_decoder)

    @property
    def pad_id(self) -> int:
        """A token to fill rows up with; never read."""
        ids = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0)
        return int(next(each for each in ids if each is not None))

    @property
    def opening(self) -> tuple[int, ...]:
        """The tokens of a sentence that suits any conversation."""
        return tuple(self.tokenizer(_OPENING)["input_ids"])


def open_base(base: BaseModel) -> TextBase:
    """Read a base's configuration and tokenizer.

    Raises:
        WeightsError: the folder holds no model that transformers can read.
        UsageError: a base that this task does not train.
    """
    with _translated(base):
        config = AutoConfig.from_pretrained(base.path, local_files_only=True)
        if hasattr(config, "vision_config"):
            raise UsageError(
                f"'{base.name}' sees pictures, and dialogue is learnt by models that read text only.",
                hint="Choose a text model as base, such as smollm2-135m; pictures are then told in words.",
            )
        tokenizer = AutoTokenizer.from_pretrained(base.path, local_files_only=True)
        ends = _end_ids(base, config, tokenizer)
    return TextBase(base, config, tokenizer, format_of(config, tokenizer, ends), ends)


def load_weights(text: TextBase, method: MethodName, precision: str) -> Any:
    """The weights, on the CPU: as they are stored for adapters, float32 where they themselves learn.

    Raises:
        WeightsError: damaged weights.
        DeviceError: they do not fit into memory.
    """
    auto_class = AutoModelForSeq2SeqLM if text.is_seq2seq else AutoModelForCausalLM
    # A copy of all weights in float32 is only worth its memory where their changes are added up in it.
    is_half = METHODS[method].is_adapter and method != "qlora" and precision == "bfloat16"
    more: dict[str, Any] = {}
    if method == "qlora":
        from transformers import BitsAndBytesConfig

        more["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
        )
    with _translated(text.base):
        model = auto_class.from_pretrained(
            text.base.path,
            dtype=torch.bfloat16 if is_half else torch.float32,
            local_files_only=True,
            use_safetensors=True,
            **more,
        )
    model.config.use_cache = False
    return model


def precision_of(wanted: str, device: str) -> str:
    """The number format to calculate in, for `auto | float32 | bfloat16 | float16`.

    Raises:
        UsageError: float16 on a CPU, which cannot train in it.
    """
    if wanted == "float16" and device == "cpu":
        raise UsageError("A CPU cannot train in float16.", hint="Use --dtype bfloat16 or float32.")
    return str(pick_dtype(wanted, device)).removeprefix("torch.")


def _end_ids(base: BaseModel, config: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a reply; the same as `engines.lm_transformers.end_ids`, without the weights."""
    if (base.path / "generation_config.json").is_file():
        generation = GenerationConfig.from_pretrained(base.path, local_files_only=True)
    else:
        generation = GenerationConfig.from_model_config(config)
    configured = generation.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in [*ids, tokenizer.eos_token_id] if token is not None)


@contextmanager
def _translated(base: BaseModel) -> Iterator[None]:
    try:
        with quiet():
            yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(base.name) from error
        raise WeightsError(
            f"'{base.name}' cannot be loaded from {base.path}: {first_line(error)}",
            hint=f"mmchat models check {base.name}",
        ) from error
