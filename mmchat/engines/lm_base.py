"""What the language-model engines share: checks of a prompt and the clock of a reply."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Lock

from mmchat.domain import BatchReply, FinishReason, GenerateOptions, GenerationDone, Message, TextDelta
from mmchat.errors import EngineUnavailable, UsageError

_POLL_S = 0.02


def require_messages(messages: Sequence[Message]) -> None:
    """Refuse an empty prompt: every template needs at least one message.

    Raises:
        UsageError: there is none.
    """
    if not messages:
        raise UsageError("There is no message to answer.", hint="Write something first.")


def prompt_too_long(model: str, prompt_tokens: int, context_tokens: int) -> UsageError:
    """The error for a prompt that leaves no room for a reply."""
    return UsageError(
        f"The prompt has {prompt_tokens} tokens, but '{model}' reads at most {context_tokens - 1} before a reply.",
        hint="Send less at once, or start a new conversation.",
    )


def exchange_too_long(model: str, tokens: int, context_tokens: int) -> UsageError:
    """The error for a finished reply that cannot be scored whole."""
    return UsageError(
        f"Prompt and reply have {tokens} tokens; '{model}' reads at most {context_tokens}.",
        hint="Leave this row out, or choose a model with a longer context.",
    )


def engine_closed(model: str) -> EngineUnavailable:
    """The error for a call after `close`."""
    return EngineUnavailable(f"The model '{model}' has been unloaded.", hint="Choose a model again.")


class TokenCounts:
    """Remembers the counts of prompts: assembling one asks for many, most of them again and again."""

    _KEPT = 1024

    def __init__(self, count: Callable[[tuple[Message, ...]], int]) -> None:
        self._count = count
        self._known: OrderedDict[tuple[Message, ...], int] = OrderedDict()
        self._lock = Lock()

    def __call__(self, messages: Sequence[Message]) -> int:
        """Tokens of the prompt; none for no messages."""
        key = tuple(messages)
        if not key:
            return 0
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        tokens = self._count(key)
        with self._lock:
            self._known[key] = tokens
            if len(self._known) > self._KEPT:
                self._known.popitem(last=False)
        return tokens


class Precedence:
    """Lets one call at a time use a model; reading ahead gives way to all others."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counting = Lock()
        self._waiting = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """The model is this call's, as soon as the one before it has ended."""
        with self._counting:
            self._waiting += 1
        try:
            self._lock.acquire()
        finally:
            with self._counting:
                self._waiting -= 1
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def spare(self, cancel: Event) -> Iterator[Event | None]:
        """The model while nobody else wants it.

        Yields:
            What is set when the work must end: by `cancel`, or because a call waits. None: a call is at work.
        """
        if not self._lock.acquire(blocking=False):
            yield None
            return
        try:
            yield _Either(cancel, lambda: self._waiting > 0)
        finally:
            self._lock.release()


class ReplyClock:
    """Counts the tokens of one reply and when they came."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._first = self._last = self._started
        self.reply_tokens = 0

    def tick(self, reply_tokens: int | None = None) -> None:
        """A token came; `reply_tokens` is the total so far where the engine counts for itself."""
        self._last = time.perf_counter()
        if self.reply_tokens == 0:
            self._first = self._last
        self.reply_tokens = self.reply_tokens + 1 if reply_tokens is None else reply_tokens

    def done(self, reason: FinishReason, prompt_tokens: int, cached_tokens: int) -> GenerationDone:
        """The last event of the reply."""
        return GenerationDone(
            finish_reason=reason,
            prompt_tokens=prompt_tokens,
            cached_tokens=cached_tokens,
            reply_tokens=self.reply_tokens,
            first_token_s=self._first - self._started,
            decode_s=self._last - self._first,
        )


Stream = Callable[[Sequence[Message], GenerateOptions, Event], Iterator[TextDelta | GenerationDone]]
"""A `LanguageModel.stream`."""


def batch_by_streams(
    stream: Stream,
    prompts: Sequence[Sequence[Message]],
    options: GenerateOptions,
    cancel: Event,
    *,
    seeds: Sequence[int],
    at_once: int = 1,
) -> tuple[BatchReply, ...]:
    """`BatchLanguageModel.reply_batch` for an engine that streams replies, one or several at a time.

    When one fails, those not begun are left out, the others are cancelled, and its error is raised.
    """
    for messages in prompts:
        require_messages(messages)
    is_over = _Either(cancel, lambda: False)

    def answer(messages: Sequence[Message], seed: int) -> BatchReply:
        if is_over.is_set():
            return BatchReply("", "cancelled", 0, 0)
        try:
            return _gathered(stream(messages, replace(options, seed=seed), is_over))
        except BaseException:
            is_over.set()
            raise

    with ThreadPoolExecutor(max(1, at_once), thread_name_prefix="replies") as pool:
        try:
            return tuple(pool.map(answer, prompts, seeds))
        finally:
            is_over.set()  # after an interrupt too, no thread goes on for nobody


def _gathered(events: Iterator[TextDelta | GenerationDone]) -> BatchReply:
    parts: list[str] = []
    for event in events:
        if isinstance(event, GenerationDone):
            return BatchReply("".join(parts), event.finish_reason, event.prompt_tokens, event.reply_tokens)
        parts.append(event.text)
    raise AssertionError("a stream ended without GenerationDone")


class _Either(Event):
    """An event of its own that is also set when another is, or when something else holds."""

    def __init__(self, other: Event, also: Callable[[], bool]) -> None:
        super().__init__()
        self._other = other
        self._also = also

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set() or self._also()

    def wait(self, timeout: float | None = None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        while not self.is_set() and (end is None or time.monotonic() < end):
            super().wait(_POLL_S if end is None else min(_POLL_S, max(0.0, end - time.monotonic())))
        return self.is_set()
