"""Rows of dialogue as examples to learn from: token ids, and which of them are supervised.

Every reply of the assistant is supervised once, its words and the end mark after them, behind exactly the tokens
that evaluation and chat put before it (`engines.lm_prompts.encode_with_reply`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, cast

from mmchat.domain import Message
from mmchat.engines.lm_prompts import PromptFormat
from mmchat.errors import DataError, UsageError
from mmchat.rows.values import DialogueRow, RowMessage
from mmchat.train.base import Span

IGNORED = -100
"""The label of a token that is not supervised, in torch's losses."""

Tell = Callable[[Sequence[object], str], Sequence[object]]


@dataclass(frozen=True, slots=True)
class Example:
    """Tokens of one forward pass.

    For a decoder `labels` are as long as `ids`; for an encoder–decoder `ids` go to the encoder and all `labels` are
    the decoder's.
    """

    ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def supervised(self) -> int:
        """How many tokens are."""
        return sum(label != IGNORED for label in self.labels)

    @property
    def tokens(self) -> int:
        """How many are read."""
        return len(self.ids) + (0 if len(self.ids) == len(self.labels) else len(self.labels))


@dataclass(slots=True)
class Examples:
    """What rows became. An example comes from one row; a long row may give several."""

    examples: list[Example] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    cut_rows: int = 0
    cut_turns: int = 0
    split_rows: int = 0
    """Rows that became several examples although they are short enough: the template shows older turns otherwise."""
    openings: int = 0
    """Replies that nothing stands before; they are read, not learnt."""

    def add(self, other: Examples) -> None:
        """Take over what another holds."""
        self.examples += other.examples
        self.dropped += other.dropped
        self.cut_rows += other.cut_rows
        self.cut_turns += other.cut_turns
        self.split_rows += other.split_rows
        self.openings += other.openings


class DialogueEncoder:
    """Makes examples of rows.

    Args:
        prompt_format: of the base model.
        max_length: tokens of an example; for an encoder–decoder, of each side.
        is_seq2seq: whether the base is one.
        tell: how the chat would show a history; needed for rows with files.
    """

    def __init__(
        self, prompt_format: PromptFormat, max_length: int, *, is_seq2seq: bool = False, tell: Tell | None = None
    ) -> None:
        self._format = prompt_format
        self._max_length = max_length
        self._is_seq2seq = is_seq2seq
        self._tell = tell

    def rows(self, rows: Sequence[DialogueRow]) -> Examples:
        """All rows.

        Raises:
            DataError: no row has anything to learn.
        """
        found = Examples()
        for row in rows:
            found.add(self.row(row))
        if rows and not found.examples:
            raise DataError(
                "No row has anything to learn:\n" + "\n".join(found.dropped[:20]),
                hint="A row to learn from has a reply of the assistant that fits into --max-length.",
            )
        return found

    def row(self, row: DialogueRow) -> Examples:
        """One row."""
        last = next((at for at in range(len(row.messages) - 1, -1, -1) if row.messages[at].role == "assistant"), None)
        if last is None:
            return Examples(dropped=[f"{row.place}: the assistant never replies"])
        try:
            messages = self._told(row.messages[:last], row.persona)
        except UsageError as error:  # its persona names a role that is not there
            raise DataError(f"{row.place}: {error.message}", hint=error.hint) from error
        reply = Message("assistant", row.messages[last].text)
        return _Conversation(self, str(row.place), [*messages, reply]).examples()

    def _told(self, history: Sequence[RowMessage], persona: str) -> list[Message]:
        is_spoken = any(message.role != "system" for message in history)
        if self._tell is not None and is_spoken:
            return list(cast("Sequence[Message]", self._tell(history, persona)))
        if any(message.files for message in history):
            raise DataError("These rows hold pictures or sounds, and nothing is set up to tell what is in them.")
        texts = (persona, *(message.text for message in history if message.role == "system"))
        system = "\n\n".join(text for text in texts if text.strip())
        spoken = [Message(each.role, each.text.strip()) for each in history if each.role != "system"]
        return [Message("system", system), *spoken] if system else spoken

    def encode(self, messages: Sequence[Message], reply: str) -> tuple[list[int], int]:
        """Prompt and reply, and where the reply begins."""
        return self._format.encode_with_reply(messages, reply)

    def fits(self, ids: Sequence[int], first: int) -> bool:
        """Whether the tokens are not too many."""
        if self._is_seq2seq:
            return max(first, len(ids) - first) <= self._max_length
        return len(ids) <= self._max_length

    def example(self, ids: Sequence[int], spans: Sequence[tuple[int, int]]) -> Example:
        """Tokens whose spans are supervised; for an encoder–decoder there is one span, at the end."""
        if self._is_seq2seq:
            first = spans[0][0]
            return Example(tuple(ids[:first]), tuple(ids[first:]))
        labels = [IGNORED] * len(ids)
        for begin, end in spans:
            labels[begin:end] = ids[begin:end]
        return Example(tuple(ids), tuple(labels))

    @property
    def can_nest(self) -> bool:
        """Whether one example can hold several replies."""
        return not self._is_seq2seq


class _Conversation:
    """One conversation, told as the chat tells it."""

    def __init__(self, encoder: DialogueEncoder, place: str, messages: Sequence[Message]) -> None:
        self._encoder = encoder
        self._place = place
        self._system = [message for message in messages if message.role == "system"]
        self._turns = [message for message in messages if message.role != "system"]
        self._openings = [
            at for at in range(1, len(self._turns)) if self._turns[at].role == "user" != self._turns[at - 1].role
        ]
        """Where an exchange begins behind another."""

    def examples(self) -> Examples:
        found = Examples()
        replies = [at for at, turn in enumerate(self._turns) if turn.role == "assistant" and turn.text.strip()]
        found.openings = sum(at == 0 for at in replies)
        todo = [at for at in replies if at > 0]
        if not todo:
            found.dropped.append(f"{self._place}: no reply follows anything that was said")
        was_cut = False
        while todo:
            last = todo.pop()
            start, ids, first = self._fitting(last)
            if not self._encoder.fits(ids, first):
                found.dropped.append(f"{self._place}: message {last + 1 + len(self._system)}: {_too_long(ids, first)}")
                continue
            spans = [(first, len(ids))]
            if self._encoder.can_nest:
                spans += self._nested(todo, start, ids)
            if start > 0:
                was_cut = True
                found.cut_turns += start
            found.examples.insert(0, self._encoder.example(ids, spans))
        found.cut_rows = int(was_cut)
        found.split_rows = int(len(found.examples) > 1 and not was_cut and self._encoder.can_nest)
        return found

    def _fitting(self, last: int) -> tuple[int, list[int], int]:
        """The longest history before a reply that is not too long, whole exchanges only.

        Returns:
            The first turn of it, all tokens, and where the reply begins; they may still be too many.
        """
        starts = [0, *(at for at in self._openings if at < last)]
        for start in starts:
            ids, first = self._encode(start, last)
            if self._encoder.fits(ids, first):
                break
        return start, ids, first

    def _nested(self, todo: list[int], start: int, whole: Sequence[int]) -> list[tuple[int, int]]:
        """Spans of the earlier replies that stand in `whole` just as they would stand alone; taken from `todo`."""
        spans = []
        for at in [at for at in todo if at > start]:
            ids, first = self._encode(start, at)
            if list(whole[: len(ids)]) == ids:
                spans.append((first, len(ids)))
                todo.remove(at)
        return spans

    def _encode(self, start: int, reply: int) -> tuple[list[int], int]:
        return self._encoder.encode([*self._system, *self._turns[start:reply]], self._turns[reply].text)


def _too_long(ids: Sequence[int], first: int) -> str:
    return f"this one exchange is too long ({first} tokens before the reply, {len(ids) - first} in it)"


def spans_of(example: Example, tokenizer: Any) -> tuple[Span, ...]:
    """An example as text, with the supervised parts marked."""
    if len(example.ids) != len(example.labels):
        return (Span(_text(tokenizer, example.ids), False), Span(_text(tokenizer, example.labels), True))
    pairs = zip(example.ids, example.labels, strict=True)
    return tuple(
        Span(_text(tokenizer, [token for token, _ in group]), is_supervised)
        for is_supervised, group in groupby(pairs, key=lambda pair: pair[1] != IGNORED)
    )


def _text(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))
