"""What the language-model engines share: checks of a prompt and the clock of a reply."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

from mmchat.domain import FinishReason, GenerationDone, Message
from mmchat.errors import EngineUnavailable, UsageError


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
