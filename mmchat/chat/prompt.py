"""The window: what of a conversation the model is shown, within a budget of tokens.

The view is a run of turns up to the newest. It grows until it overflows; then whole exchanges are
dropped from its old end in one go, down to `KEEP_SHARE` of the budget, so that for many turns the
prompt only grows at its end and the model's key-value cache of it stays good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmchat.domain import Message, Window

KEEP_SHARE = 0.6
MIN_TOKENS_PER_MESSAGE = 4
"""No chat template spends less on a message; bounds the work on very long histories."""
CUT_MARK = " […] "

CountTokens = Callable[[Sequence[Message]], int]


@dataclass(frozen=True, slots=True)
class Entry:
    """A turn as the window handles it: its messages are in or out together."""

    turn_id: str
    is_user: bool
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is shown, and the account of it."""

    messages: tuple[Message, ...]
    window: Window
    was_cut: bool = False
    """The newest message did not fit and lost its middle; the user must be told."""
    has_moved: bool = False
    """A block was dropped just now."""


def assemble(
    system: str,
    entries: Sequence[Entry],
    *,
    count_tokens: CountTokens,
    budget: int,
    out_of_view: int = 0,
) -> Prompt:
    """Choose what the model sees.

    Args:
        system: the system text; empty for none.
        entries: what was in view last time and what came since, oldest first; the last is the newest user
            turn. A view only ever moves forward, so turns that it has left behind need not be rendered.
        count_tokens: the model's own count of a whole prompt.
        budget: the most tokens the prompt may take.
        out_of_view: how many turns it has left behind; for the account.

    Returns:
        A prompt of at most `budget` tokens. A newest message that is longer by itself loses its middle,
        and where not even that helps, the system text gives way to it.
    """
    if not entries:
        raise ValueError("a prompt needs at least the newest turn")
    view = _View(system, entries, count_tokens)
    start = max(0, len(entries) - max(1, budget // MIN_TOKENS_PER_MESSAGE))
    began = start
    if view.tokens(start) > budget:
        start = view.first_fitting(start + 1, int(budget * KEEP_SHARE), budget)
    messages = view.messages(start)
    tokens = count_tokens(messages)
    was_cut = False
    if tokens > budget:
        messages, was_cut = _cut_newest(view.messages(start), count_tokens, budget)
        tokens = count_tokens(messages)
    return Prompt(
        messages=messages,
        window=Window(
            turns_in=len(entries) - start,
            turns_out=out_of_view + start,
            tokens=tokens,
            budget=budget,
            first_turn_id=entries[start].turn_id,
        ),
        was_cut=was_cut,
        has_moved=start > began,
    )


class _View:
    """Prompts that begin at one turn or another of the same conversation."""

    def __init__(self, system: str, entries: Sequence[Entry], count_tokens: CountTokens) -> None:
        self._system = (Message("system", system),) if system else ()
        self._entries = entries
        self._count = count_tokens

    def messages(self, start: int) -> tuple[Message, ...]:
        said = [message for entry in self._entries[start:] for message in entry.messages]
        return (*self._system, *merge_same_role(said))

    def tokens(self, start: int) -> int:
        return self._count(self.messages(start))

    def first_fitting(self, low: int, wanted: int, budget: int) -> int:
        """The earliest start of an exchange whose prompt takes at most `wanted` tokens, else `budget`, else the last.

        An exchange begins with a user turn, so a view never opens with a reply to something unseen.
        """
        starts = [index for index in range(low, len(self._entries)) if self._entries[index].is_user]
        last = len(self._entries) - 1
        for limit in (wanted, budget):
            first, end = 0, len(starts)
            while first < end:  # bisect: a later start never takes more tokens
                middle = (first + end) // 2
                if self.tokens(starts[middle]) <= limit:
                    end = middle
                else:
                    first = middle + 1
            if first < len(starts):
                return starts[first]
        return last


def merge_same_role(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Join neighbours of one role (a failed reply leaves two user turns): many templates insist on alternation."""
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1].role == message.role:
            last = merged.pop()
            message = Message(message.role, f"{last.text}\n\n{message.text}", (*last.image_paths, *message.image_paths))
        merged.append(message)
    return tuple(merged)


def _cut_newest(
    messages: tuple[Message, ...], count_tokens: CountTokens, budget: int
) -> tuple[tuple[Message, ...], bool]:
    """Take the middle out of the last message until the prompt fits; its beginning and end say most."""
    head, newest = messages[:-1], messages[-1]

    def with_chars(kept: int) -> tuple[Message, ...]:
        front = newest.text[: kept - kept // 2]
        back = newest.text[len(newest.text) - kept // 2 :]
        return (*head, Message(newest.role, front + CUT_MARK + back, newest.image_paths))

    if count_tokens(messages) <= budget:
        return messages, False
    low, high = 0, len(newest.text)
    while low < high:
        middle = (low + high + 1) // 2
        if count_tokens(with_chars(middle)) <= budget:
            low = middle
        else:
            high = middle - 1
    if low == 0 and head:
        # Not even the system text leaves room: the user's words matter more.
        return _cut_newest((newest,), count_tokens, budget)
    return with_chars(low), True
