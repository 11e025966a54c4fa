"""Slow work told line by line, for screen readers."""

from __future__ import annotations

from collections.abc import Callable


class ProgressLines:
    """Tells of slow work in whole lines, each kind of work once, so that a screen reader is not flooded."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said = ""

    def show(self, text: str) -> None:
        """Say it, unless only its figures have changed."""
        words = text.split(":")[0]
        if words != self._said:
            self._said = words
            self._say(text)

    def clear(self) -> None:
        """There is nothing to take away."""
