"""Engines without weights: deterministic, instant, for tests and for trying out the program.

Their `options` are: `replies` (a text or a list of them), `delay_s` (pause before each
token), `accepts_images`, `text` (what the recogniser hears).
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Iterator, Sequence
from threading import Event, Lock
from typing import TYPE_CHECKING

import numpy as np

from mmchat.domain import (
    TEXT_ONLY,
    BatchReply,
    EngineSpec,
    FinishReason,
    GenerateOptions,
    GenerationDone,
    Heard,
    Likelihood,
    ListenOptions,
    Message,
    Segment,
    Tag,
    TextDelta,
)
from mmchat.engines.lm_base import Precedence, batch_by_streams, exchange_too_long, prompt_too_long, require_messages
from mmchat.engines.reply_text import ReplyText
from mmchat.errors import AudioError, ConfigError, MmchatError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

_TOKEN = re.compile(r"\s*[\u3040-\u30ff\u3400-\u9fff]|\s*[^\s\u3040-\u30ff\u3400-\u9fff]+|\s+\Z")
_TOKENS_PER_MESSAGE = 3  # what a chat template would add
_TOKENS_OF_OPENING = 2


class ScriptedLanguageModel:
    """Says what it was told to say, word by word.

    Without `replies` it answers with what the user said, so that the same messages always give the
    same text. With `replies` each call takes the next one, and the last one from then on. A token is
    a word with the blank before it, or one Chinese or Japanese character.

    Args:
        replies: what to say, call by call.
        error: raised instead of going on, after `error_after` tokens.
        delay_s: pause before each token; a cancel ends it.
        reply_tokens: the most of a reply, for one that reads its prompt apart as an encoder–decoder does.
    """

    engine = "scripted"
    device = "cpu"
    preferred_batch = 8
    is_batch_exact = True
    gains_by_reading = True

    def __init__(
        self,
        replies: Sequence[str] = (),
        *,
        name: str = "scripted",
        context_tokens: int = 4096,
        accepts_images: bool = False,
        reply_tokens: int = 0,
        error: MmchatError | None = None,
        error_after: int = 0,
        delay_s: float = 0.0,
    ) -> None:
        self.name = name
        self.context_tokens = context_tokens
        self.accepts_images = accepts_images
        self.reply_tokens = reply_tokens
        self.calls: list[tuple[Message, ...]] = []
        """The prompts of all `stream` calls, for tests to look at."""
        self.read: list[tuple[Message, ...]] = []
        """Those of all `read_ahead` calls."""
        self.is_closed = False
        self._replies = tuple(replies)
        self._error = error
        self._error_after = error_after
        self._delay_s = delay_s
        self._precedence = Precedence()
        self._seen: list[str] = []

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return len(_prompt_tokens(messages)) if messages else 0

    def read_ahead(self, messages: Sequence[Message], cancel: Event) -> None:
        """Keep in mind at once, or with `delay_s` one token after the other."""
        require_messages(messages)
        with self._precedence.spare(cancel) as is_over:
            if is_over is None:
                return
            prompt = _prompt_tokens(messages)
            if len(prompt) >= self.context_tokens + bool(self.reply_tokens):
                raise prompt_too_long(self.name, len(prompt), self.context_tokens)
            self.read.append(tuple(messages))
            held = _common_prefix(self._seen, prompt)
            while held < len(prompt) and not is_over.is_set():
                held += 1
                if self._delay_s:
                    is_over.wait(self._delay_s)
            self._seen = prompt[:held]

    def stream(
        self, messages: Sequence[Message], options: GenerateOptions, cancel: Event
    ) -> Iterator[TextDelta | GenerationDone]:
        require_messages(messages)
        with self._precedence.held():
            yield from self._stream(tuple(messages), options, cancel)

    def _stream(
        self, messages: tuple[Message, ...], options: GenerateOptions, cancel: Event
    ) -> Iterator[TextDelta | GenerationDone]:
        started = time.perf_counter()
        prompt = _prompt_tokens(messages)
        if len(prompt) >= self.context_tokens + bool(self.reply_tokens):
            raise UsageError(
                f"The prompt has {len(prompt)} tokens; {self.name} can read {self.context_tokens - 1}.",
                hint="Start a new conversation or send less.",
            )
        tokens = _tokens(self._next_reply(messages))
        self.calls.append(messages)
        cached = _common_prefix(self._seen, prompt[:-1])
        reply = ReplyText(options.stop)
        reason: FinishReason = "stop"
        said = 0
        first_at = last_at = started
        for token in tokens:
            if said >= min(options.max_new_tokens, self.reply_tokens or self.context_tokens - len(prompt)):
                reason = "length"
                break
            if cancel.is_set() or (self._delay_s and cancel.wait(self._delay_s)):
                reason = "cancelled"
                break
            if self._error is not None and said >= self._error_after:
                raise self._error
            last_at = time.perf_counter()
            first_at = first_at if said else last_at
            said += 1
            if text := reply.push(token):
                yield TextDelta(text)
            if reply.ended_by is not None:
                reason = reply.ended_by
                break
        else:
            if self._error is not None:
                raise self._error
        if text := reply.flush():
            yield TextDelta(text)
        self._seen = prompt + tokens[:said]
        yield GenerationDone(reason, len(prompt), cached, said, first_at - started, last_at - first_at)

    def _next_reply(self, messages: tuple[Message, ...]) -> str:
        if self._replies:
            return self._replies[min(len(self.calls), len(self._replies) - 1)]
        said = next((message.text for message in reversed(messages) if message.role == "user"), "")
        return f"You said: {said}" if said else "You said nothing."

    def reply_batch(
        self, prompts: Sequence[Sequence[Message]], options: GenerateOptions, cancel: Event, *, seeds: Sequence[int]
    ) -> tuple[BatchReply, ...]:
        return batch_by_streams(self.stream, prompts, options, cancel, seeds=seeds)

    def likelihoods(
        self, prompts: Sequence[Sequence[Message]], replies: Sequence[str], cancel: Event
    ) -> tuple[Likelihood, ...]:
        """A token that stands before it already costs 1 nat, any other 4, the end mark 0.5."""
        scored: list[Likelihood] = []
        for messages, reply in zip(prompts, replies, strict=True):
            if cancel.is_set():
                break
            prompt, tokens = _prompt_tokens(messages) if messages else [], _tokens(reply)
            if len(prompt) + len(tokens) + 1 > self.context_tokens and messages:
                raise exchange_too_long(self.name, len(prompt) + len(tokens) + 1, self.context_tokens)
            known = {token.strip() for token in prompt}
            nats = 0.5 if messages else 0.0
            for index, token in enumerate(tokens):
                if messages or index > 0:
                    nats += 1.0 if token.strip() in known else 4.0
                known.add(token.strip())
            scored.append(Likelihood(nats, len(tokens) + 1 if messages else max(0, len(tokens) - 1)))
        return tuple(scored)

    def close(self) -> None:
        self.is_closed = True


class ScriptedRecognizer:
    """Hears what it was told to hear, one segment per line of `text`.

    Args:
        text: the words; by default the length of the sound, in words.
        language: reported when none is asked for.
    """

    engine = "scripted"
    device = "cpu"

    def __init__(self, text: str | None = None, *, language: str = "en", name: str = "scripted-asr") -> None:
        self.name = name
        self.calls: list[int] = []
        """Samples of each call."""
        self.is_closed = False
        self._text = text
        self._language = language
        self._lock = Lock()

    @property
    def model_names(self) -> tuple[str, ...]:
        return (self.name,)

    def transcribe(
        self,
        pcm: NDArray[np.float32] | Iterator[NDArray[np.float32]],
        *,
        language: str | None = None,
        prompt: str = "",
        cancel: Event | None = None,
        options: ListenOptions = TEXT_ONLY,
    ) -> Iterator[Segment | Heard]:
        if isinstance(pcm, Iterator):
            pcm = np.concatenate(list(pcm))
        if pcm.ndim != 1 or pcm.size == 0 or pcm.dtype != np.float32:
            raise AudioError(f"The sound is not mono float32 with at least one sample: {pcm.dtype}, shape {pcm.shape}.")
        with self._lock:
            self.calls.append(pcm.size)
            duration_s = pcm.size / 16000
            text = f"{duration_s:.1f} seconds of sound." if self._text is None else self._text
            lines = text.splitlines()
            segments: list[Segment] = []
            for index, line in enumerate(lines):
                if cancel is not None and cancel.is_set():
                    break
                start_s, end_s = (duration_s * at / len(lines) for at in (index, index + 1))
                segments.append(Segment(start_s, end_s, line, avg_logprob=-0.1))
                yield segments[-1]
            heard = " ".join(segment.text for segment in segments)
            yield Heard(heard, language or self._language, duration_s, tuple(segments), model=self.name)

    def close(self) -> None:
        self.is_closed = True


class ScriptedImageReader:
    """Sees the colours of a picture on a coarse grid.

    A colour's name lands where a picture of that colour lands, so ranking and recall by picture can be
    tested in earnest; any other text lands on a spot of its own.
    """

    engine = "scripted"
    device = "cpu"
    embedding_dim = 48
    """A 4 x 4 grid of RGB values."""

    COLOURS = {
        "red": (255, 0, 0),
        "green": (0, 160, 0),
        "blue": (0, 0, 255),
        "yellow": (255, 230, 0),
        "black": (0, 0, 0),
        "white": (255, 255, 255),
    }

    def __init__(self, *, name: str = "scripted-vision") -> None:
        self.name = name
        self.is_closed = False

    def embed_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        rows = [np.asarray(image.convert("RGB").resize((4, 4)), dtype=np.float32).ravel() for image in images]
        return _unit_rows(_centred(rows, self.embedding_dim))

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows: list[NDArray[np.float32]] = []
        for text in texts:
            colour = next((rgb for name, rgb in self.COLOURS.items() if name in text.lower().split()), None)
            if colour is None:
                noise = np.random.default_rng(zlib.crc32(text.encode())).uniform(0, 255, self.embedding_dim)
                rows.append(noise.astype(np.float32))
            else:
                rows.append(np.tile(np.array(colour, dtype=np.float32), self.embedding_dim // 3))
        return _unit_rows(_centred(rows, self.embedding_dim))

    def tag_batch(
        self, images: Sequence[Image], *, top_k: int = 5, labels: Sequence[str] | None = None
    ) -> list[tuple[Tag, ...]]:
        return [self.tag(image, top_k=top_k, labels=labels) for image in images]

    def tag(self, image: Image, *, top_k: int = 5, labels: Sequence[str] | None = None) -> tuple[Tag, ...]:
        names = list(self.COLOURS) if labels is None else list(labels)
        if not names:
            return ()
        scores = self.embed_texts(names) @ self.embed_images([image])[0]
        weights = np.exp(8 * (scores - scores.max()))
        weights /= weights.sum()
        order = np.argsort(-weights, kind="stable")
        count = top_k if labels is None else len(names)
        return tuple(Tag(names[index], float(weights[index])) for index in order[:count])

    def close(self) -> None:
        self.is_closed = True


class ScriptedEmbedder:
    """Puts sentences that share words near each other: a hashed bag of words."""

    engine = "scripted"
    embedding_dim = 64

    def __init__(self, *, name: str = "scripted-embed") -> None:
        self.name = name
        self.calls: list[tuple[str, ...]] = []
        self.is_closed = False

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.calls.append(tuple(texts))
        rows = np.zeros((len(texts), self.embedding_dim), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"[\u3040-\u30ff\u3400-\u9fff]|\w+", text.lower()) or [""]:
                row[zlib.crc32(word.encode()) % self.embedding_dim] += 1
        return _unit_rows(rows)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(_tokens(text)) for text in texts]

    def close(self) -> None:
        self.is_closed = True


def load_lm(spec: EngineSpec) -> ScriptedLanguageModel:
    """The loader of `engines.registry`."""
    replies = spec.options.get("replies", ())
    if isinstance(replies, str):
        replies = [replies]
    if not isinstance(replies, Sequence):
        raise ConfigError(f"Model '{spec.name}': 'replies' must be a text or a list of texts.")
    return ScriptedLanguageModel(
        [str(reply) for reply in replies],
        name=spec.name,
        context_tokens=spec.context_tokens or 4096,
        accepts_images=bool(spec.options.get("accepts_images", False)),
        delay_s=float(str(spec.options.get("delay_s", 0.0))),
    )


def load_asr(spec: EngineSpec) -> ScriptedRecognizer:
    """The loader of `engines.registry`."""
    text = spec.options.get("text")
    return ScriptedRecognizer(None if text is None else str(text), name=spec.name)


def load_vision(spec: EngineSpec) -> ScriptedImageReader:
    """The loader of `engines.registry`."""
    return ScriptedImageReader(name=spec.name)


def load_embedder(spec: EngineSpec) -> ScriptedEmbedder:
    """The loader of `engines.registry`."""
    return ScriptedEmbedder(name=spec.name)


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text)


def _prompt_tokens(messages: Sequence[Message]) -> list[str]:
    tokens: list[str] = []
    for message in messages:
        tokens += [f"<{message.role}>"] * _TOKENS_PER_MESSAGE
        tokens += _tokens(message.text)
        tokens += [f"<{path}>" for path in message.image_paths]
    return tokens + ["<reply>"] * _TOKENS_OF_OPENING


def _common_prefix(left: Sequence[str], right: Sequence[str]) -> int:
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return index
    return min(len(left), len(right))


def _centred(rows: Sequence[NDArray[np.float32]], width: int) -> NDArray[np.float32]:
    matrix = np.stack(rows) if rows else np.zeros((0, width), dtype=np.float32)
    return (matrix - np.float32(127.4)).astype(np.float32)


def _unit_rows(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (matrix / np.maximum(norms, 1e-9)).astype(np.float32)
    return unit
