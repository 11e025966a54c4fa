"""Language models on transformers: decoders with their cache kept between turns, and encoder–decoders."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event, Lock
from typing import Any, Protocol

import torch
import transformers
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    DynamicCache,
    EncoderDecoderCache,
)

from mmchat.domain import EngineSpec, FinishReason, GenerateOptions, GenerationDone, Message, TextDelta
from mmchat.engines.device import DeviceName, resolve_device, usable_threads
from mmchat.engines.lm_adapters import require_adapter, with_adapter
from mmchat.engines.lm_base import ReplyClock, TokenCounts, engine_closed, prompt_too_long, require_messages
from mmchat.engines.lm_prompts import (
    ChatTemplateFormat,
    InstructionFormat,
    JoinedTurnsFormat,
    PlainFormat,
    PromptFormat,
    TokenText,
)
from mmchat.engines.reply_text import ReplyText
from mmchat.engines.torch_sampling import Sampler
from mmchat.errors import ConfigError, DeviceError, MmchatError, ModelNotFound, WeightsError

log = logging.getLogger(__name__)

_PREFILL_TOKENS = 512
"""Prompt tokens between two looks at `cancel`."""
_DEFAULT_SEQ2SEQ_TOKENS = 512


class Steps(Protocol):
    """One model's forward passes for one reply after another."""

    max_reply_tokens: int | None
    """A limit of the decoder's own; None where prompt and reply share the context."""
    cached_tokens: int
    """Of the last prompt, how much was still held."""

    def begin(self, prompt_ids: Sequence[int], *, may_reuse: bool) -> Iterator[torch.Tensor | None]:
        """Read the prompt piece by piece; yields None after each piece and at last the logits, (V,)."""
        ...

    def next(self, token: int) -> torch.Tensor:
        """The logits after one more token, (V,)."""
        ...


class TransformersModel:
    """A language model with its tokenizer."""

    engine = "transformers"
    accepts_images = False

    def __init__(
        self, name: str, steps: Steps, prompt_format: PromptFormat, tokenizer: Any, limits: Limits, device: str
    ) -> None:
        self.name = name
        self.device = device
        self.context_tokens = limits.context_tokens
        self._limits = limits
        self._steps: Steps | None = steps
        self._format = prompt_format
        self._tokenizer = tokenizer
        self._counts = TokenCounts(lambda messages: len(prompt_format.encode(messages)))
        self._lock = Lock()

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self._counts(messages)

    def stream(
        self, messages: Sequence[Message], options: GenerateOptions, cancel: Event
    ) -> Iterator[TextDelta | GenerationDone]:
        require_messages(messages)
        with self._lock:
            if self._steps is None:
                raise engine_closed(self.name)
            with_context = _translate_memory_errors(self.name, self._reply(self._steps, messages, options, cancel))
            yield from with_context

    def _reply(
        self, steps: Steps, messages: Sequence[Message], options: GenerateOptions, cancel: Event
    ) -> Iterator[TextDelta | GenerationDone]:
        clock = ReplyClock()
        prompt_ids = self._format.encode(messages)
        room = self._room(steps, len(prompt_ids), options.max_new_tokens)
        # Sums in bfloat16 depend on how many tokens are read at once, so a wanted seed reads the prompt whole.
        may_reuse = options.seed is None or self._limits.is_exact
        logits: torch.Tensor | None = None
        for step in steps.begin(prompt_ids, may_reuse=may_reuse):
            logits = step
            if cancel.is_set():
                break
        sampler = Sampler(options, prompt_ids)
        text = TokenText(self._tokenizer)
        reply = ReplyText((*self._format.stop, *options.stop), is_thinking=self._format.opens_thought)
        reason: FinishReason = "length"
        while clock.reply_tokens < room:
            if cancel.is_set() or logits is None:
                reason = "cancelled"
                break
            token = sampler.draw(logits)
            clock.tick()
            if token in self._limits.end_ids:
                reason = "stop"
                break
            if shown := reply.push(text.push(token)):
                yield TextDelta(shown)
            if reply.ended_by is not None:
                reason = reply.ended_by
                break
            if clock.reply_tokens < room and not cancel.is_set():
                logits = steps.next(token)
        if shown := reply.flush():
            yield TextDelta(shown)
        yield clock.done(reason, len(prompt_ids), steps.cached_tokens)

    def _room(self, steps: Steps, prompt_tokens: int, wanted: int) -> int:
        """Tokens the reply may have.

        Raises:
            UsageError: none, the prompt is too long.
        """
        if steps.max_reply_tokens is not None:
            if prompt_tokens > self.context_tokens:
                raise prompt_too_long(self.name, prompt_tokens, self.context_tokens + 1)
            return min(wanted, steps.max_reply_tokens)
        if prompt_tokens >= self.context_tokens:
            raise prompt_too_long(self.name, prompt_tokens, self.context_tokens)
        return min(wanted, self.context_tokens - prompt_tokens)

    def close(self) -> None:
        with self._lock:
            self._steps = None
        if self.device == "cuda":
            torch.cuda.empty_cache()


class Limits:
    """What the weights say about a model."""

    def __init__(self, context_tokens: int, end_ids: frozenset[int], *, is_exact: bool) -> None:
        self.context_tokens = context_tokens
        self.end_ids = end_ids
        self.is_exact = is_exact
        """Whether the numbers come out the same, for all practical purposes, with and without the cache."""


class DecoderSteps:
    """A decoder. Keys and values of the last prompt and reply are kept for the next prompt that begins alike."""

    max_reply_tokens: int | None = None

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache = DynamicCache()
        self._held: list[int] = []
        self.cached_tokens = 0

    def begin(self, prompt_ids: Sequence[int], *, may_reuse: bool) -> Iterator[torch.Tensor | None]:
        # The last token is always read anew: its logits are what the reply starts from.
        self.cached_tokens = _common_prefix(self._held, prompt_ids[:-1]) if may_reuse else 0
        if self.cached_tokens:
            self._cache.crop(self.cached_tokens - len(self._held))  # a negative number removes that many
            del self._held[self.cached_tokens :]
        else:
            self._cache = DynamicCache()  # every layer whole, also those with a sliding window, so it can be cropped
            self._held = []
        rest = list(prompt_ids[self.cached_tokens :])
        for start in range(0, len(rest), _PREFILL_TOKENS):
            piece = rest[start : start + _PREFILL_TOKENS]
            logits = self._forward(piece)
            yield logits if start + len(piece) == len(rest) else None

    def next(self, token: int) -> torch.Tensor:
        return self._forward([token])

    @torch.inference_mode()
    def _forward(self, ids: list[int]) -> torch.Tensor:
        held, self._held = self._held, []  # should the pass fail, the cache is not to be trusted
        output = self._model(
            input_ids=torch.tensor([ids], device=self._model.device),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._held = held + ids
        logits: torch.Tensor = output.logits[0, -1]
        return logits


class Seq2SeqSteps:
    """An encoder–decoder. The encoder sees both ways, so nothing of an older prompt can be kept."""

    cached_tokens = 0

    def __init__(self, model: Any, max_reply_tokens: int) -> None:
        self._model = model
        self._encoded: Any = None
        self._cache: Any = None
        self.max_reply_tokens: int | None = max_reply_tokens

    def begin(self, prompt_ids: Sequence[int], *, may_reuse: bool) -> Iterator[torch.Tensor | None]:
        self._encode(prompt_ids)
        self._cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        start = self._model.generation_config.decoder_start_token_id
        yield self.next(self._model.config.decoder_start_token_id if start is None else start)

    @torch.inference_mode()
    def _encode(self, prompt_ids: Sequence[int]) -> None:
        ids = torch.tensor([list(prompt_ids)], device=self._model.device)
        self._encoded = self._model.get_encoder()(input_ids=ids, return_dict=True)

    @torch.inference_mode()
    def next(self, token: int) -> torch.Tensor:
        output = self._model(
            encoder_outputs=self._encoded,
            decoder_input_ids=torch.tensor([[token]], device=self._model.device),
            past_key_values=self._cache,
            use_cache=True,
        )
        logits: torch.Tensor = output.logits[0, -1]
        return logits


def load(spec: EngineSpec) -> Any:
    """Load a folder of safetensors; the loader of `engines.registry`. Nothing is fetched, no pickle is opened.

    Decoder, encoder–decoder or vision model is found from the folder's configuration. Options:
    `thinking` (bool) lets models that can think do so before they answer; what they think is not part of
    the reply.

    Raises:
        ModelNotFound: no such folder, or not the adapter's.
        WeightsError: the folder does not hold a model that transformers can read, or the adapter does not fit it.
        DeviceError: it does not fit into memory, or the device is not there.
    """
    path = spec.path
    if path is None or not path.is_dir():
        raise ModelNotFound(
            f"The weights of '{spec.name}' are not on this machine: {path}.", hint=f"mmchat models pull {spec.name}"
        )
    require_adapter(spec)
    quieten()
    device = resolve_device(spec.device)
    if device == "cpu":
        torch.set_num_threads(spec.threads or usable_threads())
    try:
        config = AutoConfig.from_pretrained(path, local_files_only=True)
        if hasattr(config, "vision_config"):
            # Deferred: image processing is only imported for models that see.
            from mmchat.engines.lm_vision_transformers import load_vision_model

            return load_vision_model(spec, path, config, device, pick_dtype(spec.dtype, device))
        return _load_text_model(spec, path, config, device)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(spec.name) from error
        raise WeightsError(
            f"'{spec.name}' cannot be loaded from {path}: {_first_line(error)}", hint=f"mmchat models check {spec.name}"
        ) from error


def _load_text_model(spec: EngineSpec, path: Path, config: Any, device: DeviceName) -> TransformersModel:
    dtype = pick_dtype(spec.dtype, device)
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    is_seq2seq = bool(config.is_encoder_decoder)
    auto_class = AutoModelForSeq2SeqLM if is_seq2seq else AutoModelForCausalLM
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice to developers (tied weights, dtype names), nothing for a user
        model = auto_class.from_pretrained(path, dtype=dtype, local_files_only=True, use_safetensors=True)
    model = with_adapter(model, spec).to(device).eval()
    limits = Limits(
        spec.context_tokens or _context_of(config, is_seq2seq),
        end_ids(model, tokenizer),
        is_exact=dtype == torch.float32,
    )
    steps: Steps
    prompt_format: PromptFormat
    if is_seq2seq:
        steps = Seq2SeqSteps(model, max_reply_tokens=getattr(config, "max_position_embeddings", None) or 1024)
        is_blenderbot = str(config.model_type).startswith("blenderbot")
        prompt_format = InstructionFormat(tokenizer)
        if is_blenderbot:
            prompt_format = JoinedTurnsFormat(tokenizer)
    else:
        steps = DecoderSteps(model)
        if tokenizer.chat_template:
            prompt_format = ChatTemplateFormat(tokenizer, is_thinking=bool(spec.options.get("thinking", False)))
        else:
            prompt_format = PlainFormat(tokenizer)
    log.info("loaded %s with transformers: %s, %s on %s", path.name, type(model).__name__, dtype, device)
    return TransformersModel(spec.name, steps, prompt_format, tokenizer, limits, device)


def quieten() -> None:
    """Keep transformers' progress bars and advice off the screen; errors still come as exceptions."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def pick_dtype(wanted: str, device: str) -> torch.dtype:
    """The number format for `auto | float32 | bfloat16 | float16` on a device.

    Raises:
        ConfigError: no such format.
    """
    formats = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if wanted in formats:
        return formats[wanted]
    if wanted != "auto":
        raise ConfigError(f"'{wanted}' is not a number format.", hint=f"One of: auto, {', '.join(formats)}.")
    return torch.bfloat16 if device in ("cuda", "mps") or _cpu_multiplies_bfloat16() else torch.float32


def _cpu_multiplies_bfloat16() -> bool:
    if not hasattr(torch.cpu, "get_capabilities"):  # newer than our oldest torch
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a reply."""
    configured = model.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in [*ids, tokenizer.eos_token_id] if token is not None)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a library's exception means that memory ran out, on the GPU or in the CPU's allocator."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def out_of_memory(name: str) -> DeviceError:
    """The error for it."""
    return DeviceError(
        f"There is not enough memory for '{name}'.", hint='Choose a smaller model, or set device = "cpu".'
    )


def _translate_memory_errors(
    name: str, events: Iterator[TextDelta | GenerationDone]
) -> Iterator[TextDelta | GenerationDone]:
    try:
        yield from events
    except MmchatError:
        raise
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(name) from error
        raise DeviceError(f"'{name}' failed while replying: {_first_line(error)}") from error


def _context_of(config: Any, is_seq2seq: bool) -> int:
    for key in ("max_position_embeddings", "n_positions"):
        value = getattr(config, key, None)
        if isinstance(value, int) and value > 0:
            return value
    return _DEFAULT_SEQ2SEQ_TOKENS if is_seq2seq else 2048


def _common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return index
    return min(len(left), len(right))


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
