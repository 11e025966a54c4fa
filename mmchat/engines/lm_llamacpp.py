"""GGUF models on llama.cpp, in this process, through the xllamacpp wheels; with a second file they take pictures."""

from __future__ import annotations

import atexit
import logging
import queue
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, cast

from mmchat.domain import BatchReply, EngineSpec, FinishReason, GenerateOptions, GenerationDone, Message, TextDelta
from mmchat.engines.control_marks import ControlMarks
from mmchat.engines.device import usable_threads
from mmchat.engines.llamacpp_control import ControlChannel
from mmchat.engines.llamacpp_files import ModelFiles, model_files, why_not_loaded
from mmchat.engines.llamacpp_library import xllamacpp
from mmchat.engines.llamacpp_prompts import PromptFormat
from mmchat.engines.llamacpp_slots import Slots, slots_for
from mmchat.engines.lm_base import (
    Precedence,
    ReplyClock,
    TokenCounts,
    batch_by_streams,
    engine_closed,
    prompt_too_long,
    require_messages,
)
from mmchat.engines.picture_tokens import PictureTokens, most_picture_tokens
from mmchat.engines.reply_text import ReplyText
from mmchat.errors import ConfigError, DeviceError, EngineUnavailable, MmchatError, UsageError

log = logging.getLogger(__name__)

_BATCH_TOKENS = 512
"""Prompt tokens between two looks at `cancel`; larger batches read no faster here. Gemma 3 reads a picture both ways,
so all of its 256 tokens belong into one batch."""
_SMALL_BATCH_TOKENS = 128
"""The same for words on a CPU, which hardly reads them faster in larger batches: 1,900 tokens took 6.1 s with 128 and
with 512, 3,600 took 18.8 and 17.9, and a stop in the middle of them 0.2 s instead of 1.7."""
_REPETITION_WINDOW_TOKENS = 256
_CACHE_MIB = 512
"""Keys and values of other conversations are kept in this much memory, so that switching back is quick."""
_CANCEL_POLL_S = 0.02
_SMALL_FILE_BYTES = 500_000_000
_SILENT = -1

_Chunk = Mapping[str, Any]
_Count = Callable[[Sequence[Message]], int]


class LlamaCppModel:
    """One GGUF model. The last conversations' keys and values stay in memory between calls."""

    engine = "llamacpp"
    reply_tokens = 0
    gains_by_reading = True

    def __init__(
        self,
        name: str,
        server: Any,
        control: ControlChannel,
        slots: Slots,
        device: str,
        form: PromptFormat,
        adapters: Sequence[str] = (),
    ) -> None:
        """`adapters`: models whose adapters were loaded with the weights, in that order; the one of its name is on."""
        self.name = name
        self._adapters = tuple(adapters)
        # With each request: llama.cpp then forgets by itself what it has read with another adapter.
        scales = [{"id": number, "scale": float(each == name)} for number, each in enumerate(adapters)]
        self._worn = {"lora": scales} if scales else {}
        self.accepts_images = form.accepts_images
        self.preferred_batch = 4 * slots.count
        self.is_batch_exact = slots.count == 1  # sums depend a little on how many are worked on at once
        self.device = device
        self.dtype = ""
        """How the file is quantised, such as "Q8_0"."""
        self.context_tokens = slots.context_tokens
        self._slots = slots
        self._server: Any | None = server
        self._control = control
        self._form = form
        count_marked, count_whole = self._counter(form.request_of_words), self._counter(form.request)
        self._counts = TokenCounts(PictureTokens(count_marked, count_whole) if self.accepts_images else count_marked)
        self._precedence = Precedence()
        self._state_lock = Lock()  # held for moments only: a call begins, or no more calls begin
        self._calls: set[_Call] = set()
        self._is_closing = Event()
        _loaded.add(self)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self._counts(messages)

    def _counter(self, as_request: Callable[[Sequence[Message]], Mapping[str, Any]]) -> _Count:
        def count(messages: Sequence[Message]) -> int:
            if self._is_closing.is_set():
                raise engine_closed(self.name)
            answer = self._control.post("/v1/chat/completions/input_tokens", as_request(messages))
            return int(answer["input_tokens"])

        return count

    def stream(
        self, messages: Sequence[Message], options: GenerateOptions, cancel: Event
    ) -> Iterator[TextDelta | GenerationDone]:
        require_messages(messages)
        with self._precedence.held():
            yield from self._exchange(self._form.request(messages) | _sampling(options) | self._worn, options, cancel)

    def read_ahead(self, messages: Sequence[Message], cancel: Event) -> None:
        require_messages(messages)
        with self._precedence.spare(cancel) as is_over:
            if is_over is None:
                return
            # The server draws one token even where none is wanted; it is not kept.
            request = self._form.request(messages) | _sampling(GenerateOptions(max_new_tokens=1)) | self._worn
            call = self._begin(request, is_over)
            try:
                while (chunk := call.next()) is not None:
                    if "error" in chunk:
                        raise self._refusal(chunk["error"])
            finally:
                call.end()
                self._calls.discard(call)

    def reply_batch(
        self, prompts: Sequence[Sequence[Message]], options: GenerateOptions, cancel: Event, *, seeds: Sequence[int]
    ) -> tuple[BatchReply, ...]:
        def answer(
            messages: Sequence[Message], options: GenerateOptions, cancel: Event
        ) -> Iterator[TextDelta | GenerationDone]:
            # Prompts of a batch have little in common, and what they leave behind would push out a conversation.
            request = self._form.request(messages) | _sampling(options) | self._worn | {"cache_prompt": False}
            return self._exchange(request, options, cancel)

        with self._precedence.held():
            return batch_by_streams(answer, prompts, options, cancel, seeds=seeds, at_once=self._slots.count)

    def _exchange(
        self, request: Mapping[str, Any], options: GenerateOptions, cancel: Event
    ) -> Iterator[TextDelta | GenerationDone]:
        call = self._begin(request, cancel)
        try:
            yield from self._read(call, options, cancel)
        finally:
            call.end()
            self._calls.discard(call)

    def _begin(self, request: Mapping[str, Any], cancel: Event) -> _Call:
        with self._state_lock:
            if self._server is None or self._is_closing.is_set():
                raise engine_closed(self.name)
            call = _Call(self._server, request, cancel, self._is_closing)
            self._calls.add(call)
            return call

    def _read(self, call: _Call, options: GenerateOptions, cancel: Event) -> Iterator[TextDelta | GenerationDone]:
        reply = ReplyText(options.stop)
        clock = ReplyClock()
        reason: FinishReason = "stop"
        prompt_tokens = cached_tokens = 0
        while True:
            chunk = call.next()
            if cancel.is_set() or self._is_closing.is_set():
                reason = "cancelled"
                break
            if chunk is None:
                break
            if "error" in chunk:
                raise self._refusal(chunk["error"])
            timings = chunk.get("timings", {})
            progress = chunk.get("prompt_progress", {})
            cached_tokens = timings.get("cache_n", cached_tokens)
            prompt_tokens = progress.get("total", prompt_tokens) or cached_tokens + timings.get("prompt_n", 0)
            for choice in chunk.get("choices", ()):
                if choice.get("finish_reason") == "length":
                    reason = "length"
                delta = choice["delta"]
                if delta.get("reasoning_content"):  # llama.cpp knows some models' thoughts and keeps them apart
                    clock.tick(timings.get("predicted_n"))
                if text := delta.get("content"):
                    clock.tick(timings.get("predicted_n"))
                    if shown := reply.push(text):
                        yield TextDelta(shown)
            if reply.ended_by is not None:
                reason = reply.ended_by
                break
        if shown := reply.flush():
            yield TextDelta(shown)
        yield clock.done(reason, prompt_tokens, cached_tokens)

    def _refusal(self, error: Mapping[str, Any]) -> MmchatError:
        if error.get("type") == "exceed_context_size_error":
            return prompt_too_long(self.name, int(error["n_prompt_tokens"]), self.context_tokens)
        if error.get("code") == 400:
            return UsageError(f"'{self.name}' cannot take these messages: {error.get('message')}")
        return EngineUnavailable(f"llama.cpp failed: {error.get('message')}", hint="Load the model again.")

    def redressed(self, spec: EngineSpec) -> LlamaCppModel:
        server = self._given_up()
        if server is None:
            raise engine_closed(self.name)
        model = LlamaCppModel(
            spec.name, server, self._control, self._slots, self.device, self._form, adapters=self._adapters
        )
        model.dtype = self.dtype
        return model

    def _given_up(self) -> Any | None:
        """The server, which is no longer this model's; None where it was not before."""
        # Not under the calls' lock: a stream that is left half read keeps that one for ever.
        with self._state_lock:
            self._is_closing.set()
            for call in list(self._calls):
                call.end()
            server, self._server = self._server, None
            return server

    def close(self) -> None:
        server = self._given_up()
        if server is not None:
            self._control.close()
            del server  # the last reference: llama.cpp stops its threads and frees the weights


_loaded: weakref.WeakSet[LlamaCppModel] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """End running calls before the interpreter does: it aborts when llama.cpp calls back after that."""
    for model in list(_loaded):
        model.close()


class _Call:
    """One request, run in a thread of its own, because the binding calls back instead of yielding."""

    def __init__(self, server: Any, request: Mapping[str, Any], cancel: Event, closing: Event) -> None:
        self._chunks: queue.SimpleQueue[_Chunk | Exception | None] = queue.SimpleQueue()
        self._stops = (cancel, closing, Event())
        self._thread = Thread(target=self._run, args=(server, dict(request)), name="llamacpp", daemon=True)
        self._thread.start()

    def _run(self, server: Any, request: Mapping[str, Any]) -> None:
        try:
            server.handle_chat_completions(request, self._take)
        except (RuntimeError, ValueError, MemoryError) as error:
            self._chunks.put(error)
        finally:
            self._chunks.put(None)

    def _take(self, chunk: _Chunk) -> bool:
        """Called by llama.cpp for each token; true ends the request."""
        self._chunks.put(chunk)
        return self._is_stopped()

    def _is_stopped(self) -> bool:
        return any(each.is_set() for each in self._stops)

    def next(self) -> _Chunk | None:
        """The next chunk; None at the end, and as soon as the request is stopped, even amid a long prompt.

        Raises:
            DeviceError: out of memory.
            UsageError: llama.cpp cannot read the request.
        """
        while not self._is_stopped():
            try:
                chunk = self._chunks.get(timeout=_CANCEL_POLL_S)
            except queue.Empty:
                continue
            if isinstance(chunk, MemoryError):
                raise DeviceError("There is not enough memory for this reply.", hint="Use a smaller model.") from chunk
            if isinstance(chunk, Exception):
                raise UsageError(f"llama.cpp cannot take these messages: {chunk}") from chunk
            return chunk
        return None

    def end(self) -> None:
        """Stop the request if it still runs, and wait until llama.cpp has let go of it."""
        self._stops[-1].set()
        self._thread.join()


def load(spec: EngineSpec) -> LlamaCppModel:
    """Load a GGUF file; the loader of `engines.registry`.

    `spec.path` is the file or a folder that holds one; what has "mmproj" in its name beside it lets the model take
    pictures. `spec.adapter_path` may be a LoRA in GGUF form.
    Options: `thinking` (bool) lets models that can think do so before they answer; what they think is
    not part of the reply. `adapters` (model → file) are LoRA in GGUF form that are loaded too: the one of
    the spec's name is on, until `redressed` puts on another.

    Raises:
        ModelNotFound: there is no such file.
        WeightsError: it is damaged, or llama.cpp does not know its architecture.
        DeviceError: it does not fit into memory.
        ConfigError: the adapter is not in GGUF form.
    """
    files = model_files(spec)
    slots = slots_for(spec, files.model)
    control = ControlChannel()
    try:
        server = xllamacpp.Server(_parameters(spec, files, slots, control))
    except RuntimeError as error:
        control.close()
        raise why_not_loaded(spec.name, files) from error
    control.open(server.listening_address)
    control.wait_for_queue()
    properties = control.get("/props")
    context_tokens = int(properties["default_generation_settings"]["n_ctx"])
    form = PromptFormat(
        {"enable_thinking": bool(spec.options.get("thinking", False))},
        accepts_images=bool(properties["modalities"]["vision"]),
        mark=str(properties["eos_token"]),
        marks=_control_marks(control, properties),
    )
    slots = replace(slots, context_tokens=context_tokens)
    model = LlamaCppModel(spec.name, server, control, slots, _device(spec), form, adapters=tuple(_adapters(spec)))
    model.dtype = str(properties.get("model_ftype", ""))
    log.info("loaded %s with llama.cpp: context %d, device %s", files.model.name, context_tokens, model.device)
    return model


def _control_marks(control: ControlChannel, properties: Mapping[str, Any]) -> ControlMarks:
    """The server parses the prompt with all marks in it; reading them from the file would take seconds."""

    def tokens(word: str, *, has_marks: bool) -> list[int]:
        request = {"content": word, "add_special": False, "parse_special": has_marks}
        return list(control.post("/tokenize", request)["tokens"])

    known = [str(properties[key]) for key in ("bos_token", "eos_token") if properties.get(key)]
    return ControlMarks(
        known,
        template=str(properties.get("chat_template", "")),
        is_mark=lambda word: tokens(word, has_marks=True) != tokens(word, has_marks=False),
    )


def _parameters(spec: EngineSpec, files: ModelFiles, slots: Slots, control: ControlChannel) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(files.model)
    if files.projector is not None:
        parameters.mmproj.path = str(files.projector)
        parameters.mmproj_use_gpu = spec.device != "cpu"
        if slots.context_tokens:
            parameters.image_max_tokens = most_picture_tokens(slots.context_tokens)
    parameters.verbosity = _SILENT
    parameters.offline = True
    parameters.n_ctx = slots.context_tokens * slots.count  # llama.cpp shares it out evenly
    parameters.n_parallel = slots.count
    is_of_words = files.projector is None and _device(spec) == "cpu"
    parameters.n_batch = _SMALL_BATCH_TOKENS if is_of_words else _BATCH_TOKENS
    parameters.cache_ram_mib = _CACHE_MIB
    parameters.warmup = False
    parameters.fit_params = False  # it would load the model twice
    parameters.prefill_assistant = False
    parameters.hostnames = [control.host]
    parameters.port = 0
    parameters.api_keys = [control.secret]
    parameters.ui = False
    parameters.n_threads_http = 2
    threads = spec.threads or usable_threads()
    parameters.cpuparams_batch.n_threads = threads
    parameters.cpuparams.n_threads = spec.threads or _decode_threads(threads, files.model)
    # Waiting threads sleep instead of spinning: as fast on an idle machine, and after a long prompt beside one
    # busy process 44 tokens/s instead of 11.
    parameters.cpuparams.poll = parameters.cpuparams_batch.poll = 0
    if spec.device == "cpu":
        parameters.n_gpu_layers = 0
    if spec.adapter_path is not None:
        parameters.lora_adapters = [_adapter(spec.adapter_path)]
    if adapters := _adapters(spec):
        parameters.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(file, 0.0) for file in adapters.values()]
        # Its store of other conversations does not tell what was read with one adapter from what was with another.
        parameters.cache_ram_mib = 0
    return parameters


def _adapters(spec: EngineSpec) -> dict[str, str]:
    """Files of adapters by model."""
    return cast("dict[str, str]", spec.options.get("adapters", {}))


def _decode_threads(threads: int, path: Path) -> int:
    """Threads that draw tokens one by one: half of them for a small model, but two where there are two.

    Its layers are so short that more threads mostly wait for each other. On two idle cores SmolLM2-135M drew
    72 tokens/s with two threads and 37 with one (beside one busy process 18 and 38).
    """
    return min(threads, max(2, threads // 2)) if path.stat().st_size < _SMALL_FILE_BYTES else threads


def _adapter(path: Path) -> Any:
    file = path if path.is_file() else next(iter(sorted(path.glob("*.gguf"))), None)
    if file is None or file.suffix != ".gguf":
        raise ConfigError(
            f"The adapter {path} is not in GGUF form.",
            hint='Use engine = "transformers" for adapters made by finetune.',
        )
    return xllamacpp.CommonAdapterLoraInfo(str(file), 1.0)


def _sampling(options: GenerateOptions) -> dict[str, Any]:
    return {
        "stream": True,
        "timings_per_token": True,
        "return_progress": True,
        "cache_prompt": True,
        "max_tokens": options.max_new_tokens,
        "temperature": options.temperature,
        "top_p": options.top_p,
        "top_k": options.top_k,
        "min_p": 0.0,
        "repeat_penalty": options.repetition_penalty,
        "repeat_last_n": _REPETITION_WINDOW_TOKENS,
        "seed": -1 if options.seed is None else options.seed,
    }


def _device(spec: EngineSpec) -> str:
    """The name llama.cpp gives the device that holds the layers."""
    if spec.device == "cpu":
        return "cpu"
    names = [str(each["name"]) for each in xllamacpp.get_device_info()]
    return next((name.lower() for name in names if name != "CPU"), "cpu")
