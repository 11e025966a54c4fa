"""Many replies at once on transformers: its own `generate` over padded rows, our sampler and our ends."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Event
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from mmchat.domain import BatchReply
from mmchat.engines.lm_turns import Room, in_turns
from mmchat.engines.lm_virtual_tokens import VirtualTokens
from mmchat.engines.token_reply import TokenReply
from mmchat.engines.torch_cancel import Cancelled, cancellable
from mmchat.engines.torch_sampling import Sampler


@dataclass(frozen=True, slots=True)
class ReplyRow:
    """One prompt of a batch."""

    prompt_ids: Sequence[int]
    room: int
    """The most tokens its reply may have."""
    begin: Callable[[], tuple[Sampler, TokenReply]]
    """Called once for each try."""


class BatchWriter:
    """Draws the replies to many prompts. Nothing is kept between calls."""

    def __init__(self, name: str, model: Any, room: Room, virtual: VirtualTokens) -> None:
        self._name = name
        self._model = model
        self._virtual = virtual
        self._room = room
        self._is_seq2seq = bool(model.config.is_encoder_decoder)

    def replies(self, rows: Sequence[ReplyRow], cancel: Event) -> tuple[BatchReply, ...]:
        """One reply for each row, in their order.

        Raises:
            DeviceError: out of memory with a single row.
        """
        written = [_Written(row) for row in rows]

        def work(group: Sequence[_Written]) -> bool:
            for each in group:
                each.begin()
            self._generate([each for each in group if each.reply.reason is None], cancel)
            for each in group:
                each.end()
            return not cancel.is_set()

        for key in sorted({self._key(row) for row in rows}, reverse=True):
            equals = [each for each in written if self._key(each.row) == key]
            in_turns(self._name, equals, self._width, self._room, work)
        return tuple(each.outcome for each in written)

    def _key(self, row: ReplyRow) -> tuple[int, int]:
        """Equal for rows that may go together.

        Those that may write equally much may: one at the end of its context must not be carried beyond it. But padding
        stands between virtual tokens and a prompt, where a sliding window would count it as tokens.
        """
        is_padded = not (self._virtual.count and getattr(self._model.config.get_text_config(), "sliding_window", None))
        return row.room, 0 if is_padded else len(row.prompt_ids)

    def _width(self, each: _Written) -> int:
        return self._virtual.count + len(each.row.prompt_ids) + each.row.room

    @torch.inference_mode()
    def _generate(self, rows: Sequence[_Written], cancel: Event) -> None:
        if not rows or cancel.is_set():
            return
        ids, mask = padded([each.row.prompt_ids for each in rows], is_left=not self._is_seq2seq)
        held: dict[str, Any] = {}
        if self._virtual.count:
            # `generate` skips as many tokens as the cache holds: any will do, if only the mask counts them.
            skipped = (len(rows), self._virtual.count)
            ids = torch.cat([torch.zeros(skipped, dtype=ids.dtype), ids], dim=1)
            mask = torch.cat([torch.ones(skipped, dtype=mask.dtype), mask], dim=1)
            held["past_key_values"] = self._virtual.cache(len(rows))
        with suppress(Cancelled), cancellable(self._model, cancel), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice to developers
            self._model.generate(
                input_ids=ids.to(self._model.device),
                attention_mask=mask.to(self._model.device),
                max_new_tokens=rows[0].row.room,  # the same for all of them
                do_sample=False,  # the chooser leaves one token to choose
                logits_processor=LogitsProcessorList([_Chooser(rows)]),
                stopping_criteria=StoppingCriteriaList([_Ended(rows, cancel)]),
                **held,
            )


class _Written:
    """A row and what has been written for it."""

    def __init__(self, row: ReplyRow) -> None:
        self.row = row
        self.outcome = BatchReply("", "cancelled", len(row.prompt_ids), 0)
        self.begin()

    def begin(self) -> None:
        """Start from nothing."""
        self.sampler, self.reply = self.row.begin()
        self._shown: list[str] = []

    def draw(self, scores: torch.Tensor) -> int | None:
        """The next token from (V,) scores; None once the reply has ended."""
        if self.reply.reason is not None:
            return None
        token = self.sampler.draw(scores)
        self._shown.append(self.reply.take(token))
        return token

    def end(self) -> None:
        """No more tokens come."""
        self._shown.append(self.reply.flush())
        reason = self.reply.reason or "cancelled"
        self.outcome = BatchReply("".join(self._shown), reason, len(self.row.prompt_ids), self.reply.tokens)


class _Chooser(LogitsProcessor):
    """Draws each row's token with its own sampler and leaves `generate` no other choice."""

    def __init__(self, rows: Sequence[_Written]) -> None:
        self._rows = rows

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        on_cpu = scores.to("cpu")  # one copy for all rows
        drawn = [row.draw(each) for row, each in zip(self._rows, on_cpu, strict=True)]
        tokens = torch.tensor([0 if token is None else token for token in drawn], device=scores.device)
        return torch.full_like(scores, float("-inf")).scatter_(1, tokens[:, None], 0.0)


class _Ended(StoppingCriteria):
    """Ends each row with its reply, and all of them on a cancel."""

    def __init__(self, rows: Sequence[_Written], cancel: Event) -> None:
        self._rows = rows
        self._cancel = cancel

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        is_cancelled = self._cancel.is_set()
        return torch.tensor(
            [is_cancelled or row.reply.reason is not None for row in self._rows], device=input_ids.device
        )


def padded(rows: Sequence[Sequence[int]], *, is_left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of tokens made equally long.

    Returns:
        ids and mask, both (B, T) int64; the mask is 0 where there is padding.
    """
    width = max(len(row) for row in rows)
    ids, mask = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width, dtype=torch.long)
    for index, row in enumerate(rows):
        where = slice(width - len(row), width) if is_left else slice(0, len(row))
        ids[index, where] = torch.tensor(list(row), dtype=torch.long)
        mask[index, where] = 1
    return ids, mask


def use_own_decoding(model: Any, ends: frozenset[int]) -> None:
    """Take the model's recommendations (beams, penalties, shortest length) off `generate`: ours alone decide."""
    old = model.generation_config
    start = old.decoder_start_token_id
    model.generation_config = GenerationConfig(
        bos_token_id=old.bos_token_id,
        eos_token_id=sorted(ends) or None,
        pad_token_id=min(ends, default=0),
        decoder_start_token_id=getattr(model.config, "decoder_start_token_id", None) if start is None else start,
    )
