"""How likely a model on transformers finds a text: padded rows, read piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

    def read(self, ids: torch.Tensor, keep: int) -> torch.Tensor:
        """Read (B, P) more tokens; the logits of the last `keep` of them, (B, keep, V)."""
        ...


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

        def work(group: Sequence[int]) -> bool:
            try:
                with cancellable(self._model, cancel):
                    nats = self._nats([rows[index] for index in group])
            except Cancelled:
                return False
            for index, each in zip(group, nats, strict=True):
                outcomes[index] = Likelihood(each, len(rows[index].ids) - rows[index].first)
            return True

        def width(index: int) -> int:
            return self._virtual.count + len(rows[index].ids)

        in_turns(self._name, range(len(rows)), width, self._room, work)
        return outcomes

    @torch.inference_mode()
    def _nats(self, rows: Sequence[ScoredRow]) -> list[float]:
        reader: Reader
        if self._is_seq2seq:
            reader = _Decoding(self._model, [row.ids[: row.first] for row in rows])
            # The decoder begins with its start mark, so that its first token is scored too.
            rows = [ScoredRow([reader.start, *row.ids[row.first :]], 1) for row in rows]
        else:
            reader = _Reading(self._model, self._virtual.cache(len(rows)))
        return _read_rows(reader, rows, self._model)


def _read_rows(reader: Reader, rows: Sequence[ScoredRow], model: Any) -> list[float]:
    """Negative log-likelihoods of the rows.

    Padding is on the right, where no token that counts looks, so no mask is needed.
    """
    ids, mask = (each.to(model.device) for each in padded([row.ids for row in rows], is_left=False))
    first = torch.tensor([row.first for row in rows], device=model.device)
    is_scored = (mask > 0) & (torch.arange(ids.shape[1], device=model.device)[None, :] >= first[:, None])
    nats = torch.zeros(len(rows), dtype=torch.float64)  # on the CPU: not every device knows float64
    vocabulary = int(model.config.get_text_config(decoder=True).vocab_size)
    for start, end, is_silent in _pieces(rows, ids.shape[1] - 1, vocabulary):
        logits = reader.read(ids[:, start:end], 1 if is_silent else end - start)
        if is_silent:
            continue
        wanted = is_scored[:, start + 1 : end + 1]
        targets = ids[:, start + 1 : end + 1][wanted]
        losses = torch.nn.functional.cross_entropy(logits[wanted].float(), targets, reduction="none")
        nats.index_add_(0, wanted.nonzero()[:, 0].cpu(), losses.cpu().double())
    return [float(each) for each in nats]


def _pieces(rows: Sequence[ScoredRow], width: int, vocabulary: int) -> Iterator[tuple[int, int, bool]]:
    """Beginnings and ends of the stretches to read, and whether nothing is scored after any of their tokens."""
    quiet = min(row.first for row in rows) - 1
    for start in range(0, quiet, _PIECE_TOKENS):
        yield start, min(start + _PIECE_TOKENS, quiet), True
    step = max(1, min(_PIECE_TOKENS, _LOGITS_BYTES // (4 * vocabulary * len(rows))))
    for start in range(quiet, width, step):
        yield start, min(start + step, width), False


class _Reading:
    """A decoder."""

    def __init__(self, model: Any, cache: DynamicCache) -> None:
        self._model = model
        self._cache = cache

    def read(self, ids: torch.Tensor, keep: int) -> torch.Tensor:
        output = self._model(input_ids=ids, past_key_values=self._cache, use_cache=True, logits_to_keep=keep)
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

    def read(self, ids: torch.Tensor, keep: int) -> torch.Tensor:
        output = self._model(
            encoder_outputs=self._encoded,
            attention_mask=self._mask,
            decoder_input_ids=ids,
            past_key_values=self._cache,
            use_cache=True,
        )
        logits: torch.Tensor = output.logits[:, -keep:]
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
