"""Words that the recogniser was unsure of, marked in a draft while it is edited."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import commonprefix

from mmchat.domain import UNSURE_BELOW, Heard


def doubtful_spans(heard: Heard, text: str) -> list[tuple[int, int]]:
    """Where in `text` the words stand that the recogniser was unsure of: first and past-the-last character of each."""
    spans, at = [], 0
    for segment in heard.segments:
        for word in segment.words:
            bare = word.text.strip()
            found = text.find(bare, at) if bare else -1
            if found >= 0:
                at = found + len(bare)
                if word.probability < UNSURE_BELOW:
                    spans.append((found, at))
    return spans


class Doubts:
    """Places in a text. An edit moves those after it and takes away those that it touches."""

    def __init__(self) -> None:
        self._text = ""
        self._spans: list[tuple[int, int]] = []

    @property
    def count(self) -> int:
        """How many words are marked."""
        return len(self._spans)

    def add(self, text: str, start: int, spans: Sequence[tuple[int, int]]) -> None:
        """Mark places of words that were put into the text at `start`.

        Args:
            text: as it is now.
            start: where the words begin in it.
            spans: first and past-the-last character of each place, from `start`.
        """
        self.follow(text)
        self._spans = sorted([*self._spans, *((start + first, start + end) for first, end in spans)])

    def follow(self, text: str) -> None:
        """The text is this now."""
        if text == self._text:
            return
        old, self._text = self._text, text
        if not self._spans:
            return
        same_before = len(commonprefix([old, text]))
        shorter = min(len(old), len(text)) - same_before
        same_after = min(len(commonprefix([old[::-1], text[::-1]])), shorter)
        moved, edited_until = len(text) - len(old), len(old) - same_after
        kept = [(first, end) for first, end in self._spans if end <= same_before]
        kept += [(first + moved, end + moved) for first, end in self._spans if first >= edited_until]
        self._spans = kept

    def in_line(self, text: str, row: int) -> list[tuple[int, int]]:
        """The places in a line of the text, as column ranges."""
        self.follow(text)
        if not self._spans:
            return []
        start = index_of(text, (row, 0))
        end = text.find("\n", start) if "\n" in text[start:] else len(text)
        return [(max(a, start) - start, min(z, end) - start) for a, z in self._spans if a < end and z > start]


def index_of(text: str, place: tuple[int, int]) -> int:
    """A row and column of a text as the number of characters before it."""
    row, column = place
    return sum(len(line) + 1 for line in text.split("\n")[:row]) + column


def place_of(text: str, index: int) -> tuple[int, int]:
    """The inverse of `index_of`."""
    return text.count("\n", 0, index), index - (text.rfind("\n", 0, index) + 1)
