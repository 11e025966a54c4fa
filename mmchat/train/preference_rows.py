"""Rows of preferences as tokens: a prompt, and replies that were liked or not.

Prompt and replies are exactly those tokens that chat and evaluation put before and behind each other
(`engines.lm_prompts.encode_with_reply`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from datasets import Dataset
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

from mmchat.domain import Message
from mmchat.engines.lm_prompts import PromptFormat
from mmchat.errors import DataError
from mmchat.rows.values import PreferenceRow, RowMessage
from mmchat.train.base import Span

Loss = Literal["pairs", "thumbs", "liked only", "disliked only"]
"""What is learnt from: pairs (DPO), liked and disliked replies (KTO), or replies of one sort."""
Tell = Callable[[Sequence[object], str], Sequence[object]]


@dataclass(frozen=True, slots=True)
class Pair:
    """A better and a worse reply to the same prompt."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """That are read: the prompt stands before each reply."""
        return 2 * len(self.prompt) + self.supervised

    @property
    def supervised(self) -> int:
        """Tokens of the replies."""
        return len(self.chosen) + len(self.rejected)

    @property
    def length(self) -> int:
        """Tokens of the longer sequence."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))

    def thumbs(self) -> tuple[Thumb, Thumb]:
        """The same as two replies, the one liked, the other not."""
        return Thumb(self.prompt, self.chosen, True), Thumb(self.prompt, self.rejected, False)


@dataclass(frozen=True, slots=True)
class Thumb:
    """A reply that was liked or not."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]
    is_liked: bool

    @property
    def tokens(self) -> int:
        """That are read."""
        return self.length

    @property
    def supervised(self) -> int:
        """Tokens of the reply."""
        return len(self.reply)

    @property
    def length(self) -> int:
        """Tokens of the sequence."""
        return len(self.prompt) + len(self.reply)


Preference = Pair | Thumb


@dataclass(slots=True)
class Preferences:
    """What rows became."""

    pairs: list[Pair] = field(default_factory=list)
    thumbs: list[Thumb] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    cut_rows: int = 0
    cut_turns: int = 0

    def of(self, loss: Loss) -> list[Preference]:
        """What is learnt from with a loss."""
        if loss == "pairs":
            return list(self.pairs)
        return [*(thumb for pair in self.pairs for thumb in pair.thumbs()), *self.thumbs]


def loss_for(found: Preferences) -> Loss:
    """What a set of rows is learnt with: where not all are pairs, a pair is a liked and a disliked reply."""
    if not found.thumbs:
        return "pairs"
    kinds = {thumb.is_liked for thumb in found.thumbs} | ({True, False} if found.pairs else set())
    return "thumbs" if len(kinds) == 2 else "liked only" if True in kinds else "disliked only"


class PreferenceEncoder:
    """Makes tokens of rows.

    Args:
        prompt_format: of the base model.
        max_length: tokens of a prompt with one reply.
        tell: how the chat would show a history; needed for rows with files.
    """

    def __init__(self, prompt_format: PromptFormat, max_length: int, tell: Tell | None = None) -> None:
        self._format = prompt_format
        self._max_length = max_length
        self._tell = tell

    def rows(self, rows: Sequence[PreferenceRow]) -> Preferences:
        """All rows.

        Raises:
            DataError: no row has anything to learn.
        """
        found = Preferences()
        for row in rows:
            self._add(row, found)
        if rows and not found.pairs and not found.thumbs:
            raise DataError(
                "No row has anything to learn:\n" + "\n".join(found.dropped[:20]),
                hint="A row to learn from fits into --max-length, and its two replies differ.",
            )
        return found

    def _add(self, row: PreferenceRow, found: Preferences) -> None:
        replies = (row.completion,) if row.is_liked is not None else (row.chosen, row.rejected)
        if len({reply.strip() for reply in replies}) < len(replies):
            found.dropped.append(f"{row.place}: chosen and rejected are the same reply")
            return
        messages = self._told(row.messages)
        if all(message.role == "system" for message in messages):
            found.dropped.append(f"{row.place}: nothing was said that is replied to")
            return
        start, prompt, encoded = self._fitting(messages, replies)
        if prompt is None:
            found.dropped.append(f"{row.place}: the model's template shows the same prompt otherwise for each reply")
        elif self._is_too_long(prompt, encoded):
            sizes = ", ".join(str(len(reply)) for reply in encoded)
            found.dropped.append(
                f"{row.place}: what is replied to is too long even without what was said before "
                f"({len(prompt)} tokens, and {sizes} in the {'reply' if len(encoded) == 1 else 'replies'})"
            )
        else:
            found.cut_rows += start > 0
            found.cut_turns += start
            if row.is_liked is None:
                found.pairs.append(Pair(prompt, *encoded))
            else:
                found.thumbs.append(Thumb(prompt, encoded[0], row.is_liked))

    def _told(self, history: Sequence[RowMessage]) -> list[Message]:
        if self._tell is not None and any(message.role != "system" for message in history):
            return list(cast("Sequence[Message]", self._tell(history, "")))
        if any(message.files for message in history):
            raise DataError("These rows hold pictures or sounds, and nothing is set up to tell what is in them.")
        system = "\n\n".join(each.text for each in history if each.role == "system" and each.text.strip())
        spoken = [Message(each.role, each.text.strip()) for each in history if each.role != "system"]
        return [Message("system", system), *spoken] if system else spoken

    def _fitting(
        self, messages: Sequence[Message], replies: Sequence[str]
    ) -> tuple[int, tuple[int, ...] | None, list[tuple[int, ...]]]:
        """The longest prompt of whole exchanges with which every reply fits.

        Returns:
            How many turns were left out, the prompt's tokens (None where they are not the same before each
            reply), and those of the replies; they may still be too many.
        """
        system = [message for message in messages if message.role == "system"]
        turns = [message for message in messages if message.role != "system"]
        openings = [at for at in range(1, len(turns)) if turns[at].role == "user" != turns[at - 1].role]
        for start in [0, *openings]:
            prompts, encoded = set(), []
            for reply in replies:
                ids, first = self._format.encode_with_reply([*system, *turns[start:]], reply)
                prompts.add(tuple(ids[:first]))
                encoded.append(tuple(ids[first:]))
            prompt = prompts.pop() if len(prompts) == 1 else None
            if prompt is None or not self._is_too_long(prompt, encoded):
                break
        return start, prompt, encoded

    def _is_too_long(self, prompt: Sequence[int], replies: Sequence[Sequence[int]]) -> bool:
        return len(prompt) + max(len(reply) for reply in replies) > self._max_length


def spans_of(example: Preference, tokenizer: Any) -> tuple[Span, ...]:
    """An example as text. The prompt stands before each reply; the words in brackets are ours."""

    def text(ids: Sequence[int]) -> str:
        return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    if isinstance(example, Pair):
        replies = [("chosen", example.chosen), ("rejected", example.rejected)]
    else:
        replies = [("liked" if example.is_liked else "disliked", example.reply)]
    spans = [Span(text(example.prompt), False)]
    for name, ids in replies:
        spans += [Span(f"\n[{name}] ", False), Span(text(ids), True)]
    return tuple(spans)


def dataset_of(examples: Sequence[Preference]) -> Dataset:
    """Examples as TRL's trainers take them once they are tokenised."""
    rows: list[dict[str, Any]] = [
        {"prompt_ids": list(each.prompt), "chosen_ids": list(each.chosen), "rejected_ids": list(each.rejected)}
        if isinstance(each, Pair)
        else {"prompt_ids": list(each.prompt), "completion_ids": list(each.reply), "label": each.is_liked}
        for each in examples
    ]
    return Dataset.from_list(rows)


class ThumbCollator(DataCollatorForUnpairedPreference):  # type: ignore[misc]
    """TRL's, which also puts each prompt before the reply of its neighbour, to estimate how far the model has moved.

    TRL pairs neighbours of the data set; here rows come in an order of our own, so they are paired in the batch.
    """

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """(B, T) tensors of a micro-batch of B rows."""
        replies = [example["completion_ids"] for example in examples]
        shifted = [replies[-1], *replies[:-1]]
        rows = [{**example, "KL_completion_ids": other} for example, other in zip(examples, shifted, strict=True)]
        found: dict[str, torch.Tensor] = super().torch_call(rows)
        return found


def collator_for(loss: Loss, pad_id: int, max_length: int) -> Any:
    """What makes batches. Only a prompt with a neighbour's reply can be too long, and is cut."""
    if loss == "pairs":
        return DataCollatorForPreference(pad_token_id=pad_id)
    kind = ThumbCollator if loss == "thumbs" else DataCollatorForUnpairedPreference
    return kind(pad_token_id=pad_id, max_length=max_length)
