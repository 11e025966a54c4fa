"""Which reply is meant by what a conversation cites, and which of its sources by a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmchat.domain import Turn
from mmchat.errors import UsageError
from mmchat.sanitize import plain_line

BEGINNING = 50
"""Characters of a reply that tell it from others."""


@dataclass(frozen=True, slots=True)
class Citing:
    """The last reply with sources."""

    turn: Turn
    note: str
    """That it is not the last reply, and how it begins; empty for the last one."""


def last_citing(turns: Sequence[Turn]) -> Citing:
    """The last reply that cites a document.

    Raises:
        UsageError: none does.
    """
    replies = [turn for turn in turns if turn.role == "assistant"]
    found = next((turn for turn in reversed(replies) if turn.cited), None)
    if found is None:
        raise UsageError("No reply here cites a document.", hint="/docs lists the documents.")
    if found is replies[-1]:
        return Citing(found, "")
    words = plain_line(found.text)
    beginning = words if len(words) <= BEGINNING else words[:BEGINNING].rstrip() + "…"
    return Citing(found, f'The last reply cites nothing. An earlier one does: "{beginning}"')


def source_index(turn: Turn, number: str) -> int:
    """Which of a reply's sources a number from 1 means, counted from 0.

    Raises:
        UsageError: it has none such.
    """
    count = len(turn.cited)
    if number.isdecimal() and 1 <= int(number) <= count:
        return int(number) - 1
    hint = "There is one: /sources 1" if count == 1 else f"/sources 1 to /sources {count}"
    raise UsageError(f"'{plain_line(number)}' is no source here.", hint=hint)
