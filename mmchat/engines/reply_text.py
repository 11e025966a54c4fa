"""From a model's raw pieces of text to the deltas of a reply: stop strings and the repetition guard.

Every language-model engine passes its text through here, so that all of them stop alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mmchat.engines.repetition import RepetitionGuard


class ReplyText:
    """The text of one reply as it may be shown.

    Text that may turn out to be the beginning of a stop string, or one more round of a loop, is held
    back until that is decided, because a delta once shown is part of the reply.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = tuple(each for each in stop if each)
        self._guard = RepetitionGuard()
        self._unread = ""  # may begin a stop string
        self._held = ""  # suspected of being a loop
        self.ended_by: Literal["stop", "repetition"] | None = None
        """Why the reply must end here; nothing is shown after that."""

    def push(self, text: str) -> str:
        """Take the next piece; returns what can be shown now, often empty."""
        if self.ended_by is not None:
            return ""
        self._unread += text
        found = [position for each in self._stop if (position := self._unread.find(each)) >= 0]
        if found:
            shown = self._watch(self._unread[: min(found)])
            if self.ended_by is None:
                self.ended_by = "stop"
                shown += self._held
                self._held = ""
            self._unread = ""
            return shown
        keep = max((_overlap(self._unread, each) for each in self._stop), default=0)
        ready, self._unread = self._unread[: len(self._unread) - keep], self._unread[len(self._unread) - keep :]
        return self._watch(ready)

    def flush(self) -> str:
        """The model has ended by itself: what was held back belongs to the reply after all."""
        if self.ended_by is not None:
            return ""
        shown = self._watch(self._unread)
        self._unread = ""
        if self.ended_by is None:
            shown += self._held
            self._held = ""
        return shown

    def _watch(self, text: str) -> str:
        shown: list[str] = []
        for character in text:
            verdict = self._guard.feed(character)
            if verdict == "loop":
                self.ended_by = "repetition"
                shown.append(self._end_of_copy(character))
                break
            if verdict == "suspect":
                self._held += character
                continue
            shown.append(self._held + character)
            self._held = ""
        return "".join(shown)

    def _end_of_copy(self, last: str) -> str:
        """What of the held text completes the copy that is being shown, so that no sentence is cut in two."""
        held, self._held = self._held + last, ""
        shown_of_loop = max(self._guard.loop_length - len(held), 0)
        return held[: -shown_of_loop % self._guard.period]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a beginning of `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if stop.startswith(text[-length:]):
            return length
    return 0
