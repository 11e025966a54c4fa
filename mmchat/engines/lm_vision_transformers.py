"""Models that take the pixels themselves: image-text-to-text on transformers.

`generate` runs in a thread, because each family places its pictures, positions and cache in its own
way, which `generate` knows and a loop of ours would have to copy. Drawing tokens, ending the reply and
cancelling stay ours, through a logits processor, so they work as in the other engines. Nothing is kept
between turns: `cached_tokens` is 0.
"""

from __future__ import annotations

import math
import queue
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import torch
from PIL import Image
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from mmchat.domain import BatchReply, EngineSpec, GenerateOptions, GenerationDone, Likelihood, Message, TextDelta
from mmchat.engines.control_marks import marks_of
from mmchat.engines.image_io import open_image
from mmchat.engines.lm_adapters import with_adapter
from mmchat.engines.lm_base import (
    ReplyClock,
    TokenCounts,
    batch_by_streams,
    engine_closed,
    exchange_too_long,
    prompt_too_long,
    require_messages,
)
from mmchat.engines.lm_batches import use_own_decoding
from mmchat.engines.lm_prompts import end_marks, split_at_reply
from mmchat.engines.lm_steps import common_prefix
from mmchat.engines.lm_transformers import end_ids
from mmchat.engines.picture_tokens import PictureTokens, most_picture_tokens
from mmchat.engines.reply_text import opens_thought
from mmchat.engines.token_reply import ReplyRules, TokenReply
from mmchat.engines.torch_memory import is_out_of_memory, out_of_memory, translated_failures
from mmchat.engines.torch_sampling import Sampler
from mmchat.errors import ConfigError, DeviceError, UsageError

_END_WAIT_S = 0.02
_DEFAULT_CONTEXT_TOKENS = 4096
_TILE_MARKS = 4
"""Tokens that say where a tile of a picture belongs."""


class VisionLanguageModel:
    """A language model that sees."""

    engine = "transformers"
    accepts_images = True
    reply_tokens = 0
    preferred_batch = 1
    """Families pad pictures each in their own way; one at a time is right for all."""

    def __init__(
        self, name: str, model: Any, processor: Any, context_tokens: int, device: str, *, is_thinking: bool = False
    ) -> None:
        self.name = name
        self.device = device
        self.context_tokens = context_tokens
        self._model: Any | None = model
        self._processor = processor
        self._marks = marks_of(processor.tokenizer)
        self._is_thinking = is_thinking
        self.is_batch_exact = bool(model.dtype == torch.float32)
        is_open = opens_thought(self._render([Message("user", "Hello.")]))
        self._rules = ReplyRules(processor.tokenizer, end_ids(model, processor.tokenizer), opens_thought=is_open)
        use_own_decoding(model, self._rules.end_ids)
        self._counts = TokenCounts(PictureTokens(self._count_marked, self._count_whole))
        self._lock = Lock()

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self._counts(messages)

    def _count_marked(self, messages: Sequence[Message]) -> int:
        return len(self._processor.tokenizer(self._render(messages))["input_ids"])

    def _count_whole(self, messages: Sequence[Message]) -> int:
        return int(self._encode(messages)["input_ids"].shape[1])

    def stream(
        self, messages: Sequence[Message], options: GenerateOptions, cancel: Event
    ) -> Iterator[TextDelta | GenerationDone]:
        require_messages(messages)
        with self._lock:
            if self._model is None:
                raise engine_closed(self.name)
            clock = ReplyClock()
            inputs = self._encode(messages)
            prompt_tokens = int(inputs["input_ids"].shape[1])
            if prompt_tokens >= self.context_tokens:
                raise prompt_too_long(self.name, prompt_tokens, self.context_tokens)
            room = min(options.max_new_tokens, self.context_tokens - prompt_tokens)
            reply = TokenReply(self._rules, options.stop, room)
            if reply.reason is not None:
                yield clock.done(reply.reason, prompt_tokens, 0)
                return
            sampler = Sampler(options, inputs["input_ids"][0].tolist())
            call = _Call(self._model, inputs, room, sampler)
            try:
                yield from self._read(call, reply, clock, cancel)
            finally:
                call.end()
            yield clock.done(reply.reason or "cancelled", prompt_tokens, 0)

    def _read(self, call: _Call, reply: TokenReply, clock: ReplyClock, cancel: Event) -> Iterator[TextDelta]:
        while reply.reason is None:
            token = call.next(cancel)
            if token is None or cancel.is_set():
                break
            if isinstance(token, Exception):
                if is_out_of_memory(token):
                    raise out_of_memory(self.name) from token
                raise DeviceError(f"'{self.name}' failed while replying: {token}") from token
            clock.tick()
            if shown := reply.take(token):
                yield TextDelta(shown)
        if shown := reply.flush():
            yield TextDelta(shown)

    def reply_batch(
        self, prompts: Sequence[Sequence[Message]], options: GenerateOptions, cancel: Event, *, seeds: Sequence[int]
    ) -> tuple[BatchReply, ...]:
        return batch_by_streams(self.stream, prompts, options, cancel, seeds=seeds)

    def likelihoods(
        self, prompts: Sequence[Sequence[Message]], replies: Sequence[str], cancel: Event
    ) -> tuple[Likelihood, ...]:
        scored: list[Likelihood] = []
        for messages, reply in zip(prompts, replies, strict=True):
            if not messages:
                raise UsageError(
                    f"'{self.name}' takes pictures and words of a conversation, no text alone.",
                    hint="Choose a model for words, such as smollm2-135m.",
                )
            if cancel.is_set():
                break
            with self._lock, translated_failures(self.name):
                scored.append(self._likelihood(messages, reply))
        return tuple(scored)

    @torch.inference_mode()
    def _likelihood(self, messages: Sequence[Message], reply: str) -> Likelihood:
        """One pass over prompt, pictures and reply."""
        if self._model is None:
            raise engine_closed(self.name)
        tokenizer = self._processor.tokenizer
        whole = self._render([*messages, Message("assistant", reply.strip())], is_reply_next=False)
        marks = end_marks(tokenizer, self._rules.end_ids)
        context, written = split_at_reply(self._render(messages), whole, reply, marks)
        images = _images(messages)
        inputs = self._tensors(context + written, images)
        ids = inputs["input_ids"]
        # A token that reaches over the border counts as written.
        first = common_prefix(self._tensors(context, images)["input_ids"][0].tolist(), ids[0].tolist())
        if ids.shape[1] > self.context_tokens:
            raise exchange_too_long(self.name, int(ids.shape[1]), self.context_tokens)
        count = int(ids.shape[1]) - first
        output = self._model(**inputs.to(self._model.device, dtype=self._model.dtype), logits_to_keep=count + 1)
        logits = output.logits[0, -count - 1 : -1].float()
        nats = torch.nn.functional.cross_entropy(logits, ids[0, first:].to(logits.device), reduction="sum")
        return Likelihood(float(nats), count)

    def _encode(self, messages: Sequence[Message]) -> Any:
        """The processor's tensors for the whole prompt, pictures in their places before the words."""
        return self._tensors(self._render(messages), _images(messages))

    def _tensors(self, text: str, images: list[Image.Image]) -> Any:
        try:
            return self._processor(text=[text], images=images or None, return_tensors="pt")
        except ValueError as error:
            raise UsageError(f"'{self.name}' cannot take these messages: {error}") from error

    def _render(self, messages: Sequence[Message], *, is_reply_next: bool = True) -> str:
        messages = self._marks.harmless_messages(messages)
        turns = [
            {
                "role": message.role,
                "content": [{"type": "image"} for _ in message.image_paths] + [{"type": "text", "text": message.text}],
            }
            for message in messages
        ]
        return str(
            self._processor.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=is_reply_next, enable_thinking=self._is_thinking
            )
        )

    def close(self) -> None:
        with self._lock:
            self._model = None


class _Call:
    """One run of `generate` in a thread; its tokens come out of `next`."""

    def __init__(self, model: Any, inputs: Any, room: int, sampler: Sampler) -> None:
        self._tokens: queue.SimpleQueue[int | Exception | None] = queue.SimpleQueue()
        self._is_over = Event()
        chooser = _Chooser(sampler, self._tokens)
        arguments = {
            **inputs.to(model.device, dtype=model.dtype),
            "max_new_tokens": room,
            "do_sample": False,
            "logits_processor": LogitsProcessorList([chooser]),
            "stopping_criteria": StoppingCriteriaList([_Over(self._is_over)]),
        }
        self._thread = Thread(target=self._run, args=(model, arguments), name="transformers", daemon=True)
        self._thread.start()

    def _run(self, model: Any, arguments: dict[str, Any]) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # advice on sampling options that the chooser stands in for
                model.generate(**arguments)
        except (RuntimeError, ValueError, MemoryError) as error:
            self._tokens.put(error)
        finally:
            self._tokens.put(None)

    def next(self, cancel: Event) -> int | Exception | None:
        """The next token, what went wrong, or None at the end and as soon as `cancel` is set."""
        while not cancel.is_set():
            try:
                return self._tokens.get(timeout=_END_WAIT_S)
            except queue.Empty:
                continue
        return None

    def end(self) -> None:
        """Stop after the current token and wait for it."""
        self._is_over.set()
        self._thread.join()


class _Chooser(LogitsProcessor):
    """Draws each token with our sampler and leaves `generate` no other choice."""

    def __init__(self, sampler: Sampler, tokens: queue.SimpleQueue[int | Exception | None]) -> None:
        self._sampler = sampler
        self._tokens = tokens

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        token = self._sampler.draw(scores[0])
        self._tokens.put(token)
        only = torch.full_like(scores, float("-inf"))
        only[0, token] = 0.0
        return only


class _Over(StoppingCriteria):
    """Ends `generate` when the reader has had enough."""

    def __init__(self, is_over: Event) -> None:
        self._is_over = is_over

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._is_over.is_set(), device=input_ids.device, dtype=torch.bool)


def load_vision_model(
    spec: EngineSpec, path: Path, config: Any, device: str, dtype: torch.dtype
) -> VisionLanguageModel:
    """Load a folder whose configuration has a vision part. Called by `lm_transformers.load`, which translates errors.

    Raises:
        ConfigError: the folder has no chat template, so nobody could say where the pictures go.
    """
    processor = AutoProcessor.from_pretrained(path, local_files_only=True)
    if not (processor.chat_template or processor.tokenizer.chat_template):
        raise ConfigError(f"'{spec.name}' has no chat template, so it cannot be shown pictures.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice to developers, nothing for a user
        model = AutoModelForImageTextToText.from_pretrained(
            path, dtype=dtype, local_files_only=True, use_safetensors=True
        )
    model = with_adapter(model, spec).to(device).eval()
    text_config = config.get_text_config()
    context = spec.context_tokens or getattr(text_config, "max_position_embeddings", 0) or _DEFAULT_CONTEXT_TOKENS
    limit_pictures(processor, most_picture_tokens(int(context)))
    is_thinking = bool(spec.options.get("thinking", False))
    return VisionLanguageModel(spec.name, model, processor, int(context), device, is_thinking=is_thinking)


def _images(messages: Sequence[Message]) -> list[Image.Image]:
    return [open_image(path) for message in messages for path in message.image_paths]


def limit_pictures(processor: Any, most_tokens: int) -> None:
    """Let a picture take at most so many tokens, where the family looks at large pictures in more detail.

    Qwen-VL takes a picture at its own size, a token for a square of pixels; Idefics 3 and SmolVLM enlarge it and cut
    it into tiles. Others have one size for all.
    """
    images = processor.image_processor
    if getattr(images, "merge_size", 0):
        pixels_per_token = (images.patch_size * images.merge_size) ** 2
        largest = min(images.size["longest_edge"], most_tokens * pixels_per_token)
        images.size = {"shortest_edge": min(images.size["shortest_edge"], largest), "longest_edge": largest}
    elif getattr(images, "do_image_splitting", False):
        tile_px, tokens_per_tile = images.max_image_size["longest_edge"], processor.image_seq_len + _TILE_MARKS
        most_tiles = most_tokens // tokens_per_tile - 1  # the whole picture, small, is one more
        side = min(images.size["longest_edge"] // tile_px, math.isqrt(max(0, most_tiles)))
        if side < 2:
            images.do_image_splitting = False
        else:
            images.size = {"longest_edge": side * tile_px}
