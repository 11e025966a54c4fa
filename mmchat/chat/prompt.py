"""The window: what of a conversation the model is shown, within a budget of tokens.

The view is a run of turns up to the newest. It grows until it overflows; then whole exchanges are
dropped from its old end in one go, down to `KEEP_SHARE` of the budget, so that for many turns the
prompt only grows at its end and the model's key-value cache of it stays good.

Before the run stands what is never dropped: the system text, a summary of older turns, and the pinned
turns that the run has left behind. A pinned turn within the run stands at its own place, so that
pinning it changes nothing until a block is dropped, which changes the prompt anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmchat.chat.account import count_parts
from mmchat.chat.entries import NOTHING, CountTokens, Entry, Head, Pin, Standing, merge_same_role
from mmchat.domain import Message, PartKind, Window

__all__ = ["Entry", "Pin", "Prompt", "Standing", "assemble", "merge_same_role"]

KEEP_SHARE = 0.6
HEAD_SHARE = 0.5
"""System text, summary and pinned turns may take this share of the budget together: beyond it nothing can be said."""
EXAMPLE_SHARE = 0.25
"""System text and a role's examples together: where they take more, the examples are left out."""
NEWEST_SHARE = 0.25
"""What stands before it gives way rather than leave a long newest message less than this share of the budget."""
MIN_TOKENS_PER_MESSAGE = 4
"""No chat template spends less on a message; bounds the work on very long histories."""
CUT_MARK = " […] "


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is shown, and the account of it."""

    messages: tuple[Message, ...]
    window: Window
    was_cut: bool = False
    """The newest message did not fit and lost its middle; the user must be told."""
    has_moved: bool = False
    """A block was dropped just now."""
    left_out: tuple[PartKind, ...] = ()
    """Of system, summary and pinned, those for which there was no room; the user must be told."""
    pictures_in_words: int = 0
    """Pictures of the newest message that a model which sees is only told of; the user must be told."""


def assemble(
    system: str,
    entries: Sequence[Entry],
    *,
    count_tokens: CountTokens,
    budget: int,
    out_of_view: int = 0,
    standing: Standing = NOTHING,
) -> Prompt:
    """Choose what the model sees.

    Args:
        system: the system text; empty for none.
        entries: what was in view last time and what came since, oldest first; the last is the newest user
            turn. A view only ever moves forward, so turns that it has left behind need not be rendered.
        count_tokens: the model's own count of a whole prompt.
        budget: the most tokens the prompt may take.
        out_of_view: how many turns it has left behind, pinned ones included; for the account.
        standing: the summary, and the pinned turns among those left behind.

    Returns:
        A prompt of at most `budget` tokens. Pins that do not fit `HEAD_SHARE` of it are left out, the oldest being
        kept first; so is a summary that does not fit beside them. A newest message that is longer than what is left
        by itself loses its middle; where that would leave little of it, summary, pins and system text give way in turn.
    """
    if not entries:
        raise ValueError("a prompt needs at least the newest turn")
    layout = _Layout(system, standing, entries, count_tokens, budget)
    start = began = max(0, len(entries) - max(1, budget // MIN_TOKENS_PER_MESSAGE))
    if layout.tokens(start) > budget:
        start = layout.first_fitting(start + 1, layout.wanted_tokens())
    newest = entries[-1].messages
    was_cut = False
    if layout.tokens(start) > budget:
        newest, was_cut = layout.cut_newest()
    messages = layout.messages(start, newest)
    parts = count_parts(
        layout.head(start), entries[start:-1], entries[-1], newest if was_cut else None, count_tokens=count_tokens
    )
    pins = layout.pins(start)
    return Prompt(
        messages=messages,
        window=Window(
            turns_in=len(entries) - start + len(pins),
            turns_out=out_of_view + start - len(pins),
            tokens=count_tokens(messages),
            budget=budget,
            first_turn_id=entries[start].turn_id,
            parts=parts,
            pins=tuple(pin.turn_id for pin in pins),
            pins_out=layout.pins_out(start),
        ),
        was_cut=was_cut,
        has_moved=start > began,
        left_out=layout.left_out(start),
    )


class _Layout:
    """Prompts that begin at one turn or another of the same conversation."""

    def __init__(
        self, system: str, standing: Standing, entries: Sequence[Entry], count_tokens: CountTokens, budget: int
    ) -> None:
        self._system = system
        self._summary = self._given_summary = standing.summary
        self._entries = entries
        self._count = count_tokens
        self._budget = budget
        self._older_pins = standing.pins
        self._has_system = bool(system)
        self._examples = standing.examples
        in_run = [entry.pin for entry in entries[:-1] if entry.pin is not None]
        if self._examples and self._head_tokens("", ()) > int(budget * EXAMPLE_SHARE):
            self._examples = ()
        self._has_room: dict[tuple[Pin, ...], bool] = {}
        self._fitting = self._fit((*standing.pins, *in_run))

    def _fit(self, pins: tuple[Pin, ...]) -> frozenset[str]:
        """Drop of the pins those that are too much, wherever the run may begin."""
        limit = int(self._budget * HEAD_SHARE)
        if not pins or self._head_tokens("", pins) <= limit:
            return frozenset(pin.turn_id for pin in pins)
        kept: tuple[Pin, ...] = ()
        for pin in pins:
            if self._head_tokens("", (*kept, pin)) <= limit:
                kept = (*kept, pin)
        return frozenset(pin.turn_id for pin in kept)

    def _head_tokens(self, summary: str, pins: tuple[Pin, ...]) -> int:
        head = Head(self._system if self._has_system else "", summary, pins, self._examples)
        return self._count(merge_same_role((*head.messages(), Message("user", ""))))

    def _summary_beside(self, pins: tuple[Pin, ...]) -> str:
        """The summary, if there is room for it beside these pins."""
        if not self._summary:
            return ""
        if pins not in self._has_room:
            self._has_room[pins] = self._head_tokens(self._summary, pins) <= int(self._budget * HEAD_SHARE)
        return self._summary if self._has_room[pins] else ""

    # --- what a prompt that begins at an entry holds ------------------------------------------------

    def _left_behind(self, start: int) -> tuple[Pin, ...]:
        return (*self._older_pins, *(entry.pin for entry in self._entries[:start] if entry.pin is not None))

    def pins(self, start: int) -> tuple[Pin, ...]:
        """The pins before the run."""
        return tuple(pin for pin in self._left_behind(start) if pin.turn_id in self._fitting)

    def pins_out(self, start: int) -> int:
        """How many had no room."""
        return len(self._left_behind(start)) - len(self.pins(start))

    def left_out(self, start: int) -> tuple[PartKind, ...]:
        """What had no room."""
        kinds: list[PartKind] = []
        if self._system and not self._has_system:
            kinds.append("system")
        if self._given_summary and not self.head(start).summary:
            kinds.append("summary")
        if self.pins_out(start):
            kinds.append("pinned")
        return tuple(kinds)

    def head(self, start: int) -> Head:
        """What stands before the run."""
        pins = self.pins(start)
        return Head(self._system if self._has_system else "", self._summary_beside(pins), pins, self._examples)

    def messages(self, start: int, newest: tuple[Message, ...] | None = None) -> tuple[Message, ...]:
        """The whole prompt."""
        said = [message for entry in self._entries[start:-1] for message in entry.messages]
        last = self._entries[-1].messages if newest is None else newest
        return merge_same_role((*self.head(start).messages(), *said, *last))

    def tokens(self, start: int) -> int:
        """Of the whole prompt."""
        return self._count(self.messages(start))

    def wanted_tokens(self) -> int:
        """How far a view that overflows shrinks: to a share of what summary and pins leave."""
        head = self.head(len(self._entries) - 1)
        taken = max(0, self._head_tokens(head.summary, head.pins) - self._head_tokens("", ()))
        return taken + int((self._budget - taken) * KEEP_SHARE)

    def first_fitting(self, low: int, wanted: int) -> int:
        """The earliest start of an exchange whose prompt takes at most `wanted` tokens, else the budget, else the last.

        An exchange begins with a user turn, so a view never opens with a reply to something unseen.
        """
        starts = [index for index in range(low, len(self._entries)) if self._entries[index].is_user]
        last = len(self._entries) - 1
        for limit in (wanted, self._budget):
            first, end = 0, len(starts)
            while first < end:  # bisect: a later start hardly ever takes more tokens
                middle = (first + end) // 2
                if self.tokens(starts[middle]) <= limit:
                    end = middle
                else:
                    first = middle + 1
            # "Hardly": a pin is told in a sentence of its own once it is left behind.
            while first < len(starts) and self.tokens(starts[first]) > limit:
                first += 1
            if first < len(starts):
                return starts[first]
        return last

    # --- a newest message that is too long ----------------------------------------------------------

    def cut_newest(self) -> tuple[tuple[Message, ...], bool]:
        """Take the middle out of the newest message until the prompt fits; its beginning and end say most.

        The prompt begins with it. What stands before gives way, in turn, where little of it would be left.
        """
        last = len(self._entries) - 1
        enough = int(self._budget * NEWEST_SHARE)
        for give_way in (self._drop_summary, self._drop_pins, self._drop_system, None):
            if self.tokens(last) <= self._budget:
                return self._entries[-1].messages, False
            newest, own_tokens = self._longest_cut(last)
            if give_way is None or own_tokens >= enough:
                return newest, True
            give_way()
        raise AssertionError("the last way always returns")

    def _longest_cut(self, last: int) -> tuple[tuple[Message, ...], int]:
        """The newest turn cut to what fits, and about what is left of it, in tokens."""
        whole = self._entries[-1].messages
        *before, message = whole

        def with_chars(kept: int) -> tuple[Message, ...]:
            front = message.text[: kept - kept // 2]
            back = message.text[len(message.text) - kept // 2 :]
            return (*before, Message(message.role, front + CUT_MARK + back, message.image_paths))

        low, high = 0, len(message.text)
        while low < high:
            middle = (low + high + 1) // 2
            if self._count(self.messages(last, with_chars(middle))) <= self._budget:
                low = middle
            else:
                high = middle - 1
        empty = self._count(self.messages(last, (Message("user", ""),)))
        return with_chars(low), self._count(self.messages(last, with_chars(low))) - empty if low else 0

    def _drop_pins(self) -> None:
        self._fitting = frozenset()

    def _drop_summary(self) -> None:
        self._summary = ""

    def _drop_system(self) -> None:
        self._has_system, self._examples = False, ()
