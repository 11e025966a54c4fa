"""Turns as the window handles them, and what stands before them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mmchat.domain import Message, PartKind, Recalled, Turn

CountTokens = Callable[[Sequence[Message]], int]
Layer = tuple[PartKind, tuple[Message, ...]]
ADDED: tuple[PartKind, ...] = ("newest", "senses", "facts", "recalled", "documents")
"""What a turn is told with: its own words first, then what is told beside them."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A pinned turn as it is told where it stands before the kept run."""

    turn_id: str
    alone: tuple[Message, ...]
    """Told in the user's voice, because a prompt begins with the user."""
    question_id: str = ""
    """For a reply: the turn that it answers."""
    after_question: tuple[Message, ...] = ()
    """How it is told where that turn is pinned too and stands just before it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A turn as the window handles it: its messages are in or out together."""

    turn_id: str
    is_user: bool
    messages: tuple[Message, ...]
    pin: Pin | None = None
    """For a pinned turn."""
    layers: tuple[Layer, ...] = ()
    """For the account: the turn told with less, growing by one of `ADDED` each, the last being `messages`.
    Empty: it is nothing but its own words."""
    counts: tuple[tuple[PartKind, int], ...] = ()
    """How many notes and files are told with it, by kind."""

    def told_with(self, kind: PartKind) -> tuple[Message, ...]:
        """Its words with everything up to one kind of addition."""
        last = ADDED.index(kind)
        return next((messages for each, messages in reversed(self.layers) if ADDED.index(each) <= last), self.messages)


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands before the kept run, whatever is dropped."""

    summary: str = ""
    """Told after the system text."""
    pins: tuple[Pin, ...] = ()
    """Pinned turns that are older than all entries, oldest first."""
    examples: tuple[Message, ...] = ()
    """Exchanges that show how the assistant answers, told right after the system text."""


NOTHING = Standing()


@dataclass(slots=True)
class Head:
    """What stands before the kept run, piece by piece, for the account."""

    system: str
    summary: str
    pins: tuple[Pin, ...]
    examples: tuple[Message, ...] = ()

    def messages(self, *, has_summary: bool = True, has_pins: bool = True) -> tuple[Message, ...]:
        """The system message, the summary and the pinned turns, some of it left out.

        The summary is told in the user's voice: as a system text, SmolLM2 answers from it half as often
        (`benchmarks/compact.py`).
        """
        told = [Message("system", self.system)] if self.system else []
        told += self.examples
        if self.summary and has_summary:
            told.append(Message("user", self.summary))
        if has_pins:
            told += _pinned_messages(self.pins)
        return tuple(told)


def notes_to_tell(
    turns: Sequence[Turn], notes: Mapping[str | None, Sequence[Recalled]]
) -> dict[str, tuple[Recalled, ...]]:
    """What is told beside each turn in view: a passage once, with the first of them that it bears on.

    Args:
        turns: those in view, oldest first.
        notes: what was found for each, by id.
    """
    seen: set[str] = set()
    told: dict[str, tuple[Recalled, ...]] = {}
    for turn in turns:
        own = notes.get(turn.id, ())
        told[turn.id] = tuple(each for each in own if each.passage is None or each.passage.id not in seen)
        seen |= {each.passage.id for each in own if each.passage is not None and each.passage.id}
    return told


def merge_same_role(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Join neighbours of one role (a failed reply leaves two user turns): many templates insist on alternation."""
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1].role == message.role:
            last = merged.pop()
            text = "\n\n".join(text for text in (last.text, message.text) if text)
            message = Message(message.role, text, (*last.image_paths, *message.image_paths))
        merged.append(message)
    return tuple(merged)


def _pinned_messages(pins: Sequence[Pin]) -> list[Message]:
    told: list[Message] = []
    before = ""
    for pin in pins:
        is_answer = bool(before) and pin.question_id == before
        told += pin.after_question if is_answer else pin.alone
        before = pin.turn_id
    return told
