"""Language models on transformers: decoders with their cache kept between turns, and encoder–decoders."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
)

from mmchat.domain import (
    BatchReply,
    EngineSpec,
    GenerateOptions,
    GenerationDone,
    Likelihood,
    Message,
    TextDelta,
)
from mmchat.engines.device import DeviceName, resolve_device, usable_threads
from mmchat.engines.lm_adapters import require_adapter, with_adapter
from mmchat.engines.lm_base import (
    Precedence,
    ReplyClock,
    TokenCounts,
    engine_closed,
    exchange_too_long,
    prompt_too_long,
    require_messages,
)
from mmchat.engines.lm_batches import BatchWriter, ReplyRow, use_own_decoding
from mmchat.engines.lm_likelihoods import LikelihoodScorer, ScoredRow, summed, windows
from mmchat.engines.lm_prompts import (
    ChatTemplateFormat,
    InstructionFormat,
    JoinedTurnsFormat,
    PlainFormat,
    PromptFormat,
    plain_ids,
)
from mmchat.engines.lm_steps import DecoderSteps, Seq2SeqSteps, Steps
from mmchat.engines.lm_turns import Room
from mmchat.engines.lm_virtual_tokens import taken_out
from mmchat.engines.token_reply import ReplyRules, TokenReply
from mmchat.engines.torch_memory import (
    cache_bytes_per_token,
    first_line,
    free_bytes,
    is_out_of_memory,
    out_of_memory,
    translated_failures,
)
from mmchat.engines.torch_sampling import Sampler
from mmchat.engines.torch_weights import narrow, wanted_format
from mmchat.errors import ConfigError, ModelNotFound, UsageError, WeightsError

log = logging.getLogger(__name__)

_ORDINARY_TOKENS = 400
"""Of a prompt with its reply, in an ordinary evaluation."""
_CPU_ROWS, _GPU_ROWS = 48, 128
_CPU_TOKENS, _GPU_TOKENS = 12_000, 400_000
_CPU_PADDING = 1500
"""A turn of its own costs the fixed part of 64 steps: 2.6 s for SmolLM2-135M on two cores, as reading so many does."""
_DEFAULT_SEQ2SEQ_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Limits:
    """What the weights and the device say about a model."""

    context_tokens: int
    is_exact: bool
    """Whether the numbers come out the same, for all practical purposes, with and without the cache."""
    preferred_batch: int
    max_reply_tokens: int | None = None
    """A limit of the decoder's own; None where prompt and reply share the context."""
    accepts_images: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """What a text model is put together from, and can be put together from anew with another adapter."""

    base: Any
    """The weights, without an adapter."""
    config: Any
    tokenizer: Any
    device: DeviceName
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Workers:
    """What works on one model's weights."""

    steps: Steps
    writer: BatchWriter
    scorer: LikelihoodScorer


class TransformersModel:
    """A language model with its tokenizer."""

    engine = "transformers"

    def __init__(
        self, name: str, workers: Workers, prompt_format: PromptFormat, rules: ReplyRules, limits: Limits, device: str
    ) -> None:
        self.name = name
        self.device = device
        self.accepts_images = limits.accepts_images
        self.context_tokens = limits.context_tokens
        self.reply_tokens = limits.max_reply_tokens or 0
        self.preferred_batch = limits.preferred_batch
        self.is_batch_exact = limits.is_exact
        self.gains_by_reading = limits.max_reply_tokens is None  # an encoder reads both ways: nothing of it is kept
        self._limits = limits
        self._workers: Workers | None = workers
        self._format = prompt_format
        self._rules = rules
        self._counts = TokenCounts(lambda messages: len(prompt_format.encode(messages)))
        self._precedence = Precedence()
        self.dressed: tuple[Any, Parts] | None = None
        """The model with its adapter, and what it is made of; None for one that no other adapter can be put on."""

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self._counts(messages)

    def stream(
        self, messages: Sequence[Message], options: GenerateOptions, cancel: Event
    ) -> Iterator[TextDelta | GenerationDone]:
        require_messages(messages)
        with self._working() as workers:
            yield from self._reply(workers.steps, messages, options, cancel)

    def read_ahead(self, messages: Sequence[Message], cancel: Event) -> None:
        require_messages(messages)
        with self._precedence.spare(cancel) as is_over:
            if is_over is None:
                return
            if self._workers is None:
                raise engine_closed(self.name)
            prompt_ids = self._format.encode(messages)
            self._room(len(prompt_ids), 1)
            with translated_failures(self.name):
                for _ in self._workers.steps.begin(prompt_ids, may_reuse=True):
                    if is_over.is_set():
                        break

    @contextmanager
    def _working(self) -> Iterator[Workers]:
        """The model for one call at a time."""
        with self._precedence.held():
            if self._workers is None:
                raise engine_closed(self.name)
            with translated_failures(self.name):
                yield self._workers

    def _reply(
        self, steps: Steps, messages: Sequence[Message], options: GenerateOptions, cancel: Event
    ) -> Iterator[TextDelta | GenerationDone]:
        clock = ReplyClock()
        prompt_ids = self._format.encode(messages)
        reply = TokenReply(self._rules, options.stop, self._room(len(prompt_ids), options.max_new_tokens))
        # Sums in bfloat16 depend on how many tokens are read at once, so a wanted seed reads the prompt whole.
        may_reuse = options.seed is None or self._limits.is_exact
        logits: torch.Tensor | None = None
        for step in steps.begin(prompt_ids, may_reuse=may_reuse):
            logits = step
            if cancel.is_set():
                break
        sampler = Sampler(options, prompt_ids)
        while reply.reason is None:
            if cancel.is_set() or logits is None:
                break
            token = sampler.draw(logits)
            clock.tick()
            if shown := reply.take(token):
                yield TextDelta(shown)
            if reply.reason is None and not cancel.is_set():
                logits = steps.next(token)
        if shown := reply.flush():
            yield TextDelta(shown)
        yield clock.done(reply.reason or "cancelled", len(prompt_ids), steps.cached_tokens)

    def reply_batch(
        self, prompts: Sequence[Sequence[Message]], options: GenerateOptions, cancel: Event, *, seeds: Sequence[int]
    ) -> tuple[BatchReply, ...]:
        for messages in prompts:
            require_messages(messages)
        rows = [
            self._row(self._format.encode(messages), replace(options, seed=seed))
            for messages, seed in zip(prompts, seeds, strict=True)
        ]
        with self._working() as workers:
            return workers.writer.replies(rows, cancel)

    def _row(self, prompt_ids: Sequence[int], options: GenerateOptions) -> ReplyRow:
        room = self._room(len(prompt_ids), options.max_new_tokens)
        return ReplyRow(
            prompt_ids, room, lambda: (Sampler(options, prompt_ids), TokenReply(self._rules, options.stop, room))
        )

    def likelihoods(
        self, prompts: Sequence[Sequence[Message]], replies: Sequence[str], cancel: Event
    ) -> tuple[Likelihood, ...]:
        texts = [self._scored(messages, reply) for messages, reply in zip(prompts, replies, strict=True)]
        with self._working() as workers:
            parts = workers.scorer.likelihoods([row for rows in texts for row in rows], cancel)
        return summed(parts, [len(rows) for rows in texts])

    def _scored(self, messages: Sequence[Message], reply: str) -> list[ScoredRow]:
        if not messages:
            if self._limits.max_reply_tokens is not None:
                raise UsageError(
                    f"'{self.name}' answers a text it has read first, so it has no likelihood of a text alone.",
                    hint="Score rows of dialogue, or choose a decoder such as smollm2-135m.",
                )
            return windows(plain_ids(self._rules.tokenizer, reply), self.context_tokens)
        ids, first = self._format.encode_with_reply(messages, reply)
        most_reply_tokens = self._limits.max_reply_tokens
        if most_reply_tokens is None:
            if len(ids) > self.context_tokens:
                raise exchange_too_long(self.name, len(ids), self.context_tokens)
        elif first > self.context_tokens:
            raise prompt_too_long(self.name, first, self.context_tokens + 1)
        elif len(ids) - first > most_reply_tokens:
            raise exchange_too_long(self.name, len(ids) - first, most_reply_tokens)
        return [ScoredRow(ids, first)]

    def _room(self, prompt_tokens: int, wanted: int) -> int:
        """Tokens the reply may have.

        Raises:
            UsageError: none, the prompt is too long.
        """
        if self._limits.max_reply_tokens is not None:
            if prompt_tokens > self.context_tokens:
                raise prompt_too_long(self.name, prompt_tokens, self.context_tokens + 1)
            return min(wanted, self._limits.max_reply_tokens)
        if prompt_tokens >= self.context_tokens:
            raise prompt_too_long(self.name, prompt_tokens, self.context_tokens)
        return min(wanted, self.context_tokens - prompt_tokens)

    def redressed(self, spec: EngineSpec) -> TransformersModel:
        with self._precedence.held():  # a reply under way is ended by whoever changes the model, or comes to its end
            if self._workers is None or self.dressed is None:
                raise engine_closed(self.name)
            (model, parts), self.dressed, self._workers = self.dressed, None, None
            _take_off(model, parts.base)
            with _translated_loading(spec):
                return _text_model(spec, parts)

    def close(self) -> None:
        with self._precedence.held():
            self._workers = None
            self.dressed = None
        if self.device == "cuda":
            torch.cuda.empty_cache()


def load(spec: EngineSpec) -> Any:
    """Load a folder of safetensors; the loader of `engines.registry`. Nothing is fetched, no pickle is opened.

    Decoder, encoder–decoder or vision model is found from the folder's configuration. Options:
    `thinking` (bool) lets models that can think do so before they answer; what they think is not part of
    the reply. `weights` ("int8" | "int4") keeps the weights in fewer bits on a CPU: faster, smaller, rounded.

    Raises:
        ConfigError: an option that is not known, or that cannot be had here.
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
    weights = wanted_format(spec.name, spec.options, device=device, dtype=spec.dtype, adapter=spec.adapter_path)
    if device == "cpu":
        torch.set_num_threads(spec.threads or usable_threads())
    with _translated_loading(spec):
        config = AutoConfig.from_pretrained(path, local_files_only=True)
        if hasattr(config, "vision_config"):
            # Deferred: image processing is only imported for models that see.
            from mmchat.engines.lm_vision_transformers import load_vision_model

            if weights:
                raise ConfigError(f"'{spec.name}' sees, and takes no weights = \"{weights}\".", hint="Leave it out.")
            return load_vision_model(spec, path, config, device, pick_dtype(spec.dtype, device))
        return _load_text_model(spec, path, config, device, weights)


@contextmanager
def _translated_loading(spec: EngineSpec) -> Iterator[None]:
    """Say in words what the library says of weights that it cannot read."""
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(spec.name) from error
        raise WeightsError(
            f"'{spec.name}' cannot be loaded from {spec.path}: {first_line(error)}",
            hint=f"mmchat models check {spec.name}",
        ) from error


def _load_text_model(spec: EngineSpec, path: Path, config: Any, device: DeviceName, weights: str) -> TransformersModel:
    dtype = torch.bfloat16 if weights else pick_dtype(spec.dtype, device)
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    is_seq2seq = bool(config.is_encoder_decoder)
    auto_class = AutoModelForSeq2SeqLM if is_seq2seq else AutoModelForCausalLM
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice to developers (tied weights, dtype names), nothing for a user
        model = auto_class.from_pretrained(path, dtype=dtype, local_files_only=True, use_safetensors=True)
    if weights:
        narrow(model, weights)
    return _text_model(spec, Parts(model, config, tokenizer, device, dtype))


def _take_off(model: Any, base: Any) -> None:
    """Leave the base as it was before its adapter was put on: its own layers, none of them ever changed."""
    if model is not base and not model.active_peft_config.is_prompt_learning:
        model.unload()
    if hasattr(base, "peft_config"):
        del base.peft_config  # peft would take the next adapter for a second one on the first


def _text_model(spec: EngineSpec, parts: Parts) -> TransformersModel:
    """A model of weights that are in memory, with the adapter that `spec` names."""
    require_adapter(spec)
    config, tokenizer, device = parts.config, parts.tokenizer, parts.device
    is_seq2seq = bool(config.is_encoder_decoder)
    dressed = with_adapter(parts.base, spec, may_change_prompt=True).to(device).eval()
    model, virtual = taken_out(dressed, spec.name, spec.adapter_path)
    ends = end_ids(model, tokenizer)
    use_own_decoding(model, ends)
    room = room_for(model, device)
    is_thinking = bool(spec.options.get("thinking", False))
    prompt_format = format_of(config, tokenizer, ends, is_thinking=is_thinking)
    if sees := "projector" in spec.options:
        # Deferred: pictures are only prepared for models that have learnt to see.
        from mmchat.engines.lm_projector import with_pictures

        prompt_format = with_pictures(model, spec, tokenizer, ends, is_thinking=is_thinking)
    limits = Limits(
        (spec.context_tokens or _context_of(config, is_seq2seq)) - virtual.count,
        is_exact=parts.dtype == torch.float32,
        preferred_batch=room.rows(_ORDINARY_TOKENS),
        max_reply_tokens=(getattr(config, "max_position_embeddings", None) or 1024) if is_seq2seq else None,
        accepts_images=sees,
    )
    workers = Workers(
        Seq2SeqSteps(model) if is_seq2seq else DecoderSteps(model, virtual),
        BatchWriter(spec.name, model, room, virtual),
        LikelihoodScorer(spec.name, model, room, virtual),
    )
    rules = ReplyRules(tokenizer, ends, prompt_format.stop, prompt_format.opens_thought)
    log.info("made %s with transformers: %s, %s on %s", spec.name, type(model).__name__, parts.dtype, device)
    made = TransformersModel(spec.name, workers, prompt_format, rules, limits, device)
    made.dressed = None if sees or "weights" in spec.options else (dressed, parts)
    return made


def format_of(config: Any, tokenizer: Any, ends: frozenset[int], *, is_thinking: bool = False) -> PromptFormat:
    """How a model wants to be spoken to, by its configuration and its tokenizer's chat template."""
    if config.is_encoder_decoder:
        is_blenderbot = str(config.model_type).startswith("blenderbot")
        return JoinedTurnsFormat(tokenizer) if is_blenderbot else InstructionFormat(tokenizer)
    if tokenizer.chat_template:
        return ChatTemplateFormat(tokenizer, is_thinking=is_thinking, end_ids=ends)
    return PlainFormat(tokenizer)


def room_for(model: Any, device: str) -> Room:
    """How much of a batch suits a model on a device.

    A third of the free memory may be keys and values, because they are copied as they grow. On a CPU more rows
    gain little: SmolLM2-135M on two cores drew 21 tokens/s alone, 92 in batches of 16 and 108 in batches of 48.
    """
    rows, tokens = (_CPU_ROWS, _CPU_TOKENS) if device == "cpu" else (_GPU_ROWS, _GPU_TOKENS)
    return Room(
        bytes_per_token=cache_bytes_per_token(model),
        free_bytes=free_bytes(device) // 3,
        most_rows=rows,
        most_tokens=tokens,
        most_padding=_CPU_PADDING if device == "cpu" else None,
    )


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


def _context_of(config: Any, is_seq2seq: bool) -> int:
    for key in ("max_position_embeddings", "n_positions"):
        value = getattr(config, key, None)
        if isinstance(value, int) and value > 0:
            return value
    return _DEFAULT_SEQ2SEQ_TOKENS if is_seq2seq else 2048
