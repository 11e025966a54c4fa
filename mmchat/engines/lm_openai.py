"""Models behind any OpenAI-compatible server: vLLM, llama-server, Ollama and others."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event, Lock
from typing import Any

import httpx

from mmchat.domain import BatchReply, EngineSpec, FinishReason, GenerateOptions, GenerationDone, Message, TextDelta
from mmchat.engines.control_marks import ControlMarks
from mmchat.engines.lm_base import (
    ReplyClock,
    TokenCounts,
    batch_by_streams,
    engine_closed,
    prompt_too_long,
    require_messages,
)
from mmchat.engines.openai_connection import EventStream, Server
from mmchat.engines.picture_uris import data_uri, shown_size
from mmchat.engines.reply_text import ReplyText
from mmchat.errors import ConfigError

_DEFAULT_TIMEOUT_S = 120.0
_DEFAULT_CONTEXT_TOKENS = 4096
_TOKENS_PER_MESSAGE = 5
_PIXELS_PER_TOKEN = 28
"""Of a side."""


class OpenAIModel:
    """A model on a server. The server keeps its own cache; what it reports of it is passed on."""

    engine = "openai"
    device = "server"
    is_batch_exact = False
    """Nothing is known of how a server batches what it is sent."""

    def __init__(
        self,
        name: str,
        server: Server,
        context_tokens: int,
        *,
        accepts_images: bool = False,
        is_strict: bool = False,
        parallel: int = 1,
    ) -> None:
        """`parallel`: requests of a batch on their way at once."""
        self.name = name
        self.preferred_batch = 4 * parallel
        self.context_tokens = context_tokens
        self.accepts_images = accepts_images
        self.reply_tokens = 0
        self._server = server
        self._is_strict = is_strict
        self._parallel = parallel
        self._counter: int | None = None
        self._counts = TokenCounts(self._count)
        self._known_pictures: dict[tuple[Path, int], int] = {}
        self._is_closed = False
        self._lock = Lock()

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """As the server counts, where it offers to (llama-server, vLLM); else `estimate_tokens`.

        Pictures are counted by llama-server alone, each once; elsewhere they are estimated.
        """
        return self._counts(messages)

    def _count(self, messages: Sequence[Message]) -> int:
        words = self._count_words([Message(message.role, message.text) for message in messages])
        if not self.accepts_images:
            return words
        return words + sum(self._picture_tokens(path) for message in messages for path in message.image_paths)

    def _estimate(self, messages: Sequence[Message]) -> int:
        pictures = [path for message in messages for path in message.image_paths] if self.accepts_images else []
        return estimate_tokens(messages) + sum(map(estimate_picture_tokens, pictures))

    def _picture_tokens(self, path: Path) -> int:
        key = (path, path.stat().st_mtime_ns if path.exists() else 0)
        if key not in self._known_pictures:
            tokens = estimate_picture_tokens(path)
            if self._counter == 0:
                turns = self._turns([Message("user", ".", (path,))])
                counted = (self._count_input_tokens(turns) or 0) - self._count_words([Message("user", ".")])
                tokens = counted if counted > 0 else tokens
            self._known_pictures[key] = tokens
        return self._known_pictures[key]

    def _count_words(self, messages: Sequence[Message]) -> int:
        ways = (self._count_input_tokens, self._count_by_tokenize, self._count_by_template)
        turns = self._turns(messages)
        for index, way in enumerate(ways):
            if self._counter is not None and self._counter != index:
                continue
            tokens = way(turns)
            if tokens is not None:
                self._counter = index
                return tokens
        self._counter = len(ways) if self._counter is None else self._counter
        return estimate_tokens(messages)

    def _count_input_tokens(self, turns: list[dict[str, Any]]) -> int | None:
        url = f"{self._server.base_url}/chat/completions/input_tokens"
        return _integer(self._server.ask("POST", url, {"model": self._server.model, "messages": turns}), "input_tokens")

    def _count_by_tokenize(self, turns: list[dict[str, Any]]) -> int | None:
        url = f"{self._server.root_url}/tokenize"
        return _integer(self._server.ask("POST", url, {"model": self._server.model, "messages": turns}), "count")

    def _count_by_template(self, turns: list[dict[str, Any]]) -> int | None:
        prompt = _field(
            self._server.ask("POST", f"{self._server.root_url}/apply-template", {"messages": turns}), "prompt"
        )
        if not isinstance(prompt, str):
            return None
        body = {"content": prompt, "add_special": True, "parse_special": True}
        tokens = _field(self._server.ask("POST", f"{self._server.root_url}/tokenize", body), "tokens")
        return len(tokens) if isinstance(tokens, list) else None

    def stream(
        self, messages: Sequence[Message], options: GenerateOptions, cancel: Event
    ) -> Iterator[TextDelta | GenerationDone]:
        require_messages(messages)
        with self._lock:
            yield from self._exchange(messages, options, cancel)

    def reply_batch(
        self, prompts: Sequence[Sequence[Message]], options: GenerateOptions, cancel: Event, *, seeds: Sequence[int]
    ) -> tuple[BatchReply, ...]:
        with self._lock:
            return batch_by_streams(self._exchange, prompts, options, cancel, seeds=seeds, at_once=self._parallel)

    def _exchange(
        self, messages: Sequence[Message], options: GenerateOptions, cancel: Event
    ) -> Iterator[TextDelta | GenerationDone]:
        if self._is_closed:
            raise engine_closed(self.name)
        events = EventStream(self._server, self._request(messages, options))
        try:
            yield from self._read(events, messages, options, cancel)
        finally:
            events.end()

    def _read(
        self, events: EventStream, messages: Sequence[Message], options: GenerateOptions, cancel: Event
    ) -> Iterator[TextDelta | GenerationDone]:
        clock = ReplyClock()
        reply = ReplyText(options.stop)
        reason: FinishReason = "stop"
        usage = _Usage()
        while (event := events.next(cancel)) is not None:
            usage.take(event)
            for choice in event.get("choices") or ():
                if choice.get("finish_reason") == "length":
                    reason = "length"
                delta = choice.get("delta") or {}
                text = delta.get("content")
                if text or delta.get("reasoning_content") or delta.get("reasoning"):
                    clock.tick()
                if text and (shown := reply.push(text)):
                    yield TextDelta(shown)
            if reply.ended_by is not None:
                reason = reply.ended_by
                break
            if cancel.is_set():
                break
        if cancel.is_set():
            reason = "cancelled"
        if shown := reply.flush():
            yield TextDelta(shown)
        clock.reply_tokens = usage.reply_tokens or clock.reply_tokens
        prompt_tokens = usage.prompt_tokens or self._estimate(messages)
        yield clock.done(reason, prompt_tokens, usage.cached_tokens)

    def _request(self, messages: Sequence[Message], options: GenerateOptions) -> dict[str, Any]:
        if self._counter is not None and self._counter < 3:
            tokens = self.count_tokens(messages)
            if tokens >= self.context_tokens:
                raise prompt_too_long(self.name, tokens, self.context_tokens)
        request: dict[str, Any] = {
            "model": self._server.model,
            "messages": self._turns(messages),
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": options.max_new_tokens,
            "temperature": options.temperature,
            "top_p": options.top_p,
        }
        if options.seed is not None:
            request["seed"] = options.seed
        if not self._is_strict:
            # Not in OpenAI's own interface. vLLM and llama-server name the penalty differently.
            request |= {
                "top_k": options.top_k,
                "repetition_penalty": options.repetition_penalty,
                "repeat_penalty": options.repetition_penalty,
                "cache_prompt": True,
            }
        return request

    def _turns(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        return [
            {"role": message.role, "content": self._content(message)} for message in _MARKS.harmless_messages(messages)
        ]

    def _content(self, message: Message) -> str | list[dict[str, Any]]:
        if not (self.accepts_images and message.image_paths):
            return message.text
        pictures = [{"type": "image_url", "image_url": {"url": data_uri(path)}} for path in message.image_paths]
        return [*pictures, {"type": "text", "text": message.text}]

    def close(self) -> None:
        self._is_closed = True


_MARKS = ControlMarks()
"""A server's template is not known, but the common ones are."""


class _Usage:
    """What the server reports about a reply, in whichever event it comes."""

    def __init__(self) -> None:
        self.prompt_tokens = self.cached_tokens = self.reply_tokens = 0

    def take(self, event: Mapping[str, Any]) -> None:
        usage = event.get("usage") or {}
        self.prompt_tokens = usage.get("prompt_tokens") or self.prompt_tokens
        self.reply_tokens = usage.get("completion_tokens") or self.reply_tokens
        self.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or self.cached_tokens
        timings = event.get("timings") or {}  # llama-server
        self.cached_tokens = timings.get("cache_n", self.cached_tokens)
        self.reply_tokens = timings.get("predicted_n", self.reply_tokens)
        if "prompt_n" in timings:
            self.prompt_tokens = timings["prompt_n"] + self.cached_tokens


def estimate_tokens(messages: Sequence[Message]) -> int:
    """The words' tokens for servers that do not count: 3.5 characters each, a Chinese or Japanese character one.

    It is meant to be too high rather than too low, since a prompt that does not fit is refused or cut.
    """
    tokens = float(_TOKENS_PER_MESSAGE)
    for message in messages:
        wide = sum(1 for character in message.text if character >= "\u2e80")
        tokens += wide + (len(message.text) - wide) / 3.5 + _TOKENS_PER_MESSAGE
    return int(tokens)


def estimate_picture_tokens(path: Path) -> int:
    """As Qwen-VL has it, a token for every 28 x 28 pixels: the dearest of the common ways.

    Raises:
        ImageError: it cannot be read.
    """
    width, height = shown_size(path)
    return math.ceil(width / _PIXELS_PER_TOKEN) * math.ceil(height / _PIXELS_PER_TOKEN) + _TOKENS_PER_MESSAGE


def load(spec: EngineSpec) -> OpenAIModel:
    """Ask a server what it serves; the loader of `engines.registry`.

    Options: `base_url` (ends in /v1), `api_model` (default: the first the server lists), `api_key_env` (a
    variable's name), `accepts_images`, `timeout_s` (longest silence), `strict` (send OpenAI's own fields only).

    Raises:
        ConfigError: no base_url, or the key's variable is not set.
        EngineUnavailable: the server does not answer or refuses.
        ModelNotFound: it lists no model.
    """
    base_url = str(spec.options.get("base_url") or "")
    if not base_url:
        raise ConfigError(f"'{spec.name}' has no base_url.", hint='Set base_url = "http://…/v1" in models.toml.')
    variable = str(spec.options.get("api_key_env") or "")
    key = os.environ.get(variable) if variable else None
    if variable and not key:
        raise ConfigError(
            f"'{spec.name}' wants an API key in {variable}, which is not set.", hint=f"export {variable}=…"
        )
    timeout_s = float(str(spec.options.get("timeout_s") or _DEFAULT_TIMEOUT_S))
    server = Server(base_url, str(spec.options.get("api_model") or ""), key, variable, timeout_s)
    listed = _listed_models(server)
    if not server.model:
        server.model = str(next(iter(listed), ""))
    context_tokens = spec.context_tokens or _context_of(listed.get(server.model, {})) or _DEFAULT_CONTEXT_TOKENS
    return OpenAIModel(
        spec.name,
        server,
        context_tokens,
        accepts_images=bool(spec.options.get("accepts_images", False)),
        is_strict=bool(spec.options.get("strict", False)),
        parallel=spec.parallel,
    )


def _listed_models(server: Server) -> dict[str, dict[str, Any]]:
    """The server's models by id; empty for a server that does not list them."""
    response = server.ask("GET", f"{server.base_url}/models")
    if response.status_code in (404, 405, 501):
        return {}
    if response.status_code != 200:
        raise server.refusal(response.status_code, response.content)
    data = _field(response, "data")
    models = data if isinstance(data, list) else []
    return {str(model["id"]): model for model in models if isinstance(model, dict) and "id" in model}


def _context_of(model: Mapping[str, Any]) -> int:
    """What vLLM says as `max_model_len`; llama-server in `meta`, running or trained."""
    meta = model.get("meta") or {}
    for value in (model.get("max_model_len"), meta.get("n_ctx"), meta.get("n_ctx_train")):
        if isinstance(value, int) and value > 0:
            return value
    return 0


def _field(response: httpx.Response, name: str) -> object:
    """One field of a successful JSON answer, else None."""
    if response.status_code != 200:
        return None
    try:
        answer = response.json()
    except json.JSONDecodeError:
        return None
    return answer.get(name) if isinstance(answer, dict) else None


def _integer(response: httpx.Response, name: str) -> int | None:
    value = _field(response, name)
    return value if isinstance(value, int) else None
