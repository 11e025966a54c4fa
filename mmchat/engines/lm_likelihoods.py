"""How likely a model on transformers finds a text: padded rows, read piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any, Protocol

import torch
from transformers import DynamicCache, EncoderDecoderCache

from mmchat.domain import Likelihood
from mmchat.engines.lm_batches import padded
from mmchat.engines.lm_turns import Room, in_turns
from mmchat.engines.lm_virtual_tokens import VirtualTokens
from mmchat.engines.torch_cancel import Cancelled, cancellable

_PIECE_TOKENS = 512
_LOGITS_BYTES = 128 << 20
"""Logits in memory at once; a whole batch of them, (B, T, V), would often not fit."""


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """Tokens of which those from `first` on are scored, each by what stands before it."""

    ids: Sequence[int]
    first: int


class Reader(Protocol):
    """A batch that is read from left to right."""

    def read(self, ids: torch.Tensor, is_wanted: torch.Tensor) -> torch.Tensor:
        """Read (B, P) more tokens; the logits behind those of them that are wanted, (N, V)."""
        ...


@dataclass(frozen=True, slots=True)
class _Passage:
    """Tokens that are read once for all rows that begin like them: the replies of one conversation, mostly."""

    ids: Sequence[int]
    rows: tuple[tuple[int, int, int], ...]
    """Number of a row, and from which to which of the tokens it is scored."""


class LikelihoodScorer:
    """Scores rows of tokens. Nothing is kept between calls."""

    def __init__(self, name: str, model: Any, room: Room, virtual: VirtualTokens) -> None:
        self._name = name
        self._model = model
        self._virtual = virtual
        self._room = room
        self._is_seq2seq = bool(model.config.is_encoder_decoder)

    def likelihoods(self, rows: Sequence[ScoredRow], cancel: Event) -> list[Likelihood | None]:
        """One for each row, in their order; None for those that a cancel left undone.

        Raises:
            DeviceError: out of memory with a single row.
        """
        outcomes: list[Likelihood | None] = [None] * len(rows)

        def work(group: Sequence[_Passage]) -> bool:
            try:
                with cancellable(self._model, cancel):
                    nats = self._nats(group, rows)
            except Cancelled:
                return False
            for index, each in nats.items():
                outcomes[index] = Likelihood(each, len(rows[index].ids) - rows[index].first)
            return True

        def width(passage: _Passage) -> int:
            return self._virtual.count + len(passage.ids)

        in_turns(self._name, _passages(rows, may_share=not self._is_seq2seq), width, self._room, work)
        return outcomes

    @torch.inference_mode()
    def _nats(self, passages: Sequence[_Passage], rows: Sequence[ScoredRow]) -> dict[int, float]:
        """Of each row that stands in the passages."""
        reader: Reader
        if self._is_seq2seq:
            own = {index: rows[index] for passage in passages for index, _, _ in passage.rows}
            reader = _Decoding(self._model, [row.ids[: row.first] for row in own.values()])
            # The decoder begins with its start mark, so that its first token is scored too.
            replies = [[reader.start, *row.ids[row.first :]] for row in own.values()]
            passages = [_Passage(ids, ((index, 1, len(ids)),)) for index, ids in zip(own, replies, strict=True)]
        else:
            reader = _Reading(self._model, self._virtual.cache(len(passages)))
        return _read_passages(reader, passages, self._model)


def _passages(rows: Sequence[ScoredRow], *, may_share: bool) -> list[_Passage]:
    """Rows, those that are the beginning of another read with it.

    228 replies in 59 conversations of mmchat's own have 36,004 tokens with what stands before them; 13,771 are read.
    """
    found: list[tuple[Sequence[int], list[tuple[int, int, int]]]] = []
    for index in sorted(range(len(rows)), key=lambda index: -len(rows[index].ids)):
        row = rows[index]
        end = len(row.ids)
        span = (index, row.first, end)
        longer = (own for ids, own in found if may_share and ids[:end] == row.ids)
        if (own := next(longer, None)) is None:
            found.append((row.ids, [span]))
        else:
            own.append(span)
    return [_Passage(ids, tuple(own)) for ids, own in found]


def _read_passages(reader: Reader, passages: Sequence[_Passage], model: Any) -> dict[int, float]:
    """Negative log-likelihoods of the rows in the passages.

    Padding is on the right, where no token that counts looks, so no mask is needed.
    """
    ids = padded([passage.ids for passage in passages], is_left=False)[0].to(model.device)
    is_scored = torch.zeros(ids.shape, dtype=torch.bool)
    for at, passage in enumerate(passages):
        for _, first, end in passage.rows:
            is_scored[at, first:end] = True
    nats = torch.zeros(ids.shape, dtype=torch.float64)  # on the CPU: not every device knows float64
    vocabulary = int(model.config.get_text_config(decoder=True).vocab_size)
    for start, end in _pieces(is_scored[:, 1:].sum(0).tolist(), vocabulary):
        wanted = is_scored[:, start + 1 : end + 1]
        on_device = wanted.to(ids.device)
        logits = reader.read(ids[:, start:end], on_device)
        targets = ids[:, start + 1 : end + 1][on_device]
        losses = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")
        nats[:, start + 1 : end + 1][wanted] = losses.cpu().double()
    spans = [(at, span) for at, passage in enumerate(passages) for span in passage.rows]
    return {index: float(nats[at, first:end].sum()) for at, (index, first, end) in spans}


def _pieces(scored: Sequence[int], vocabulary: int) -> Iterator[tuple[int, int]]:
    """Beginnings and ends of the stretches to read, of at most so many tokens and so many logits.

    Args:
        scored: of each place, how many rows are scored behind it.
        vocabulary: logits of a token.
    """
    most = max(1, _LOGITS_BYTES // (4 * vocabulary))
    start = held = 0
    for place, count in enumerate(scored):
        if place > start and (place - start == _PIECE_TOKENS or held + count > most):
            yield start, place
            start, held = place, 0
        held += count
    if start < len(scored):
        yield start, len(scored)


@contextmanager
def wanted_only(head: torch.nn.Module, is_wanted: torch.Tensor) -> Iterator[None]:
    """Let a model's head see the wanted positions alone: its logits are (N, V), N of them.

    Most positions are read for those behind them only, and a large vocabulary is a fifth of a small model's work.

    Args:
        head: takes (B, T, D), where T may begin with virtual tokens.
        is_wanted: (B, T) bool.
    """
    hook: Callable[..., Any] = lambda _, given: (given[0][:, -is_wanted.shape[1] :][is_wanted],)  # noqa: E731
    handle = head.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


class _Reading:
    """A decoder."""

    def __init__(self, model: Any, cache: DynamicCache) -> None:
        self._model = model
        self._cache = cache

    def read(self, ids: torch.Tensor, is_wanted: torch.Tensor) -> torch.Tensor:
        with wanted_only(self._model.get_output_embeddings(), is_wanted):
            output = self._model(input_ids=ids, past_key_values=self._cache, use_cache=True)
        logits: torch.Tensor = output.logits
        return logits


class _Decoding:
    """The decoder of an encoder–decoder."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]]) -> None:
        self._model = model
        self.start = int(model.generation_config.decoder_start_token_id)
        ids, mask = (each.to(model.device) for each in padded(prompts, is_left=False))
        self._mask = mask
        self._encoded = model.get_encoder()(input_ids=ids, attention_mask=mask, return_dict=True)
        self._cache = EncoderDecoderCache(DynamicCache(), DynamicCache())

    def read(self, ids: torch.Tensor, is_wanted: torch.Tensor) -> torch.Tensor:
        with wanted_only(self._model.get_output_embeddings(), is_wanted):
            output = self._model(
                encoder_outputs=self._encoded,
                attention_mask=self._mask,
                decoder_input_ids=ids,
                past_key_values=self._cache,
                use_cache=True,
            )
        logits: torch.Tensor = output.logits
        return logits


def windows(ids: Sequence[int], context_tokens: int) -> list[ScoredRow]:
    """A text as rows that fit the context: every token but the first is scored once.

    A text that is too long is read through a window that moves on by half its length, and of each window after
    the first only the second half is scored, so that no token is scored by less than half a context before
    it. Source: "Perplexity of fixed-length models" in the documentation of transformers.
    """
    if len(ids) <= context_tokens:
        return [ScoredRow(ids, 1)] if len(ids) > 1 else []
    half = context_tokens // 2
    rows = [ScoredRow(ids[:context_tokens], 1)]
    done = context_tokens
    while done < len(ids):
        end = min(done + half, len(ids))
        begin = end - context_tokens
        rows.append(ScoredRow(ids[begin:end], done - begin))
        done = end
    return rows


def summed(parts: Sequence[Likelihood | None], counts: Sequence[int]) -> tuple[Likelihood, ...]:
    """Put texts together again from their windows, up to the first that is not done.

    Args:
        parts: of all windows in order.
        counts: how many windows each text has; 0 for one with nothing to score.
    """
    texts: list[Likelihood] = []
    at = 0
    for count in counts:
        own = parts[at : at + count]
        if any(part is None for part in own):
            break
        texts.append(
            Likelihood(
                sum(part.nats for part in own if part is not None), sum(part.tokens for part in own if part is not None)
            )
        )
        at += count
    return tuple(texts)
