"""What `/forget` means: the facts remembered last, or those that hold some words; and taking it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmchat.domain import Fact
from mmchat.errors import UsageError

if TYPE_CHECKING:
    from mmchat.chat.known import KnownFacts
    from mmchat.memory.facts import ForgottenFact

UNDO = "undo"
"""The word that takes a forgetting back."""


class Forgetting:
    """Knows what was remembered and forgotten last, for as long as the program runs."""

    def __init__(self, facts: KnownFacts) -> None:
        self._facts = facts
        self._learnt: tuple[str, ...] = ()
        self._forgotten: tuple[ForgottenFact, ...] = ()

    def learnt(self, facts: Sequence[Fact]) -> None:
        """These were remembered just now."""
        self._learnt = tuple(fact.id for fact in facts)

    def meant(self, words: str) -> tuple[Fact, ...]:
        """The facts that `/forget` with these words is about; without words, those remembered last."""
        if words.strip():
            return self._facts.all(words)
        return tuple(fact for fact in self._facts.all() if fact.id in self._learnt)

    def forget(self, facts: Sequence[Fact]) -> tuple[Fact, ...]:
        """Delete facts; those that were still there come back, and can be restored by `undo`."""
        forgotten = self._facts.forget(facts)
        self._forgotten = forgotten or self._forgotten
        return tuple(each.fact for each in forgotten)

    def undo(self) -> tuple[Fact, ...]:
        """Bring back what was forgotten last.

        Raises:
            UsageError: nothing was forgotten since the program started, or its conversation was deleted since.
        """
        if not self._forgotten:
            raise UsageError("Nothing was forgotten just now.", hint="What was forgotten earlier is gone for good.")
        forgotten, self._forgotten = self._forgotten, ()
        restored = self._facts.restore(forgotten)
        if not restored:
            raise UsageError("It cannot be brought back: its conversation was deleted meanwhile.")
        return restored
