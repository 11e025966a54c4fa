"""From a model's raw pieces of text to the deltas of a reply: thoughts, stop strings and the repetition guard.

Every language-model engine passes its text through here, so that all of them stop alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mmchat.engines.repetition import RepetitionGuard

THOUGHT_BEGINS, THOUGHT_ENDS = "<think>", "</think>"
"""What Qwen3, DeepSeek-R1, SmolLM3 and others write around what they think before they answer."""


def opens_thought(prompt: str) -> bool:
    """Whether a rendered prompt has begun the model's thought already, so that only its end will be written."""
    return prompt.rstrip().endswith(THOUGHT_BEGINS)


class Thoughts:
    """Takes the thought off the front of a reply. Marks further on are the reply's own words.

    Args:
        is_open: the prompt ended inside a thought.
    """

    def __init__(self, *, is_open: bool = False) -> None:
        self._state: Literal["undecided", "thought", "gap", "reply"] = "thought" if is_open else "undecided"
        self._held = ""

    def push(self, text: str) -> tuple[str, str]:
        """Take the next piece; returns what of it was thought and what belongs to the reply."""
        self._held += text
        thought = ""
        if self._state == "undecided":
            begun = self._held.lstrip()
            if begun.startswith(THOUGHT_BEGINS):
                self._state, self._held = "thought", begun.removeprefix(THOUGHT_BEGINS)
            elif not THOUGHT_BEGINS.startswith(begun):
                self._state = "reply"
        if self._state == "thought":
            thought, mark, rest = self._held.partition(THOUGHT_ENDS)
            if mark:
                self._state, self._held = "gap", rest
            else:
                keep = _overlap(self._held, THOUGHT_ENDS)
                thought, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        if self._state == "gap":
            self._held = self._held.lstrip()
            if self._held:
                self._state = "reply"
        if self._state != "reply":
            return thought, ""
        shown, self._held = self._held, ""
        return thought, shown

    def flush(self) -> str:
        """The model has ended: what might have begun a thought belongs to the reply, an unended thought does not."""
        shown = self._held if self._state == "undecided" else ""
        self._held = ""
        return shown


class ReplyText:
    """The text of one reply as it may be shown: without the thought before it, up to a stop string or a loop.

    Text that may turn out to be the beginning of a stop string, or one more round of a loop, is held
    back until that is decided, because a delta once shown is part of the reply.
    """

    def __init__(self, stop: Sequence[str] = (), *, is_thinking: bool = False) -> None:
        """`is_thinking`: the prompt ended inside a thought (`opens_thought`)."""
        self._stop = tuple(each for each in stop if each)
        self._thoughts = Thoughts(is_open=is_thinking)
        self._thought_guard = RepetitionGuard()
        self._guard = RepetitionGuard()
        self._unread = ""  # may begin a stop string
        self._held = ""  # suspected of being a loop
        self.ended_by: Literal["stop", "repetition"] | None = None
        """Why the reply must end here; nothing is shown after that."""

    def push(self, text: str) -> str:
        """Take the next piece; returns what can be shown now, often empty."""
        if self.ended_by is not None:
            return ""
        thought, text = self._thoughts.push(text)
        if any(self._thought_guard.feed(character) == "loop" for character in thought):
            self.ended_by = "repetition"
            return ""
        return self._read(text)

    def _read(self, text: str) -> str:
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
        shown = self._read(self._thoughts.flush())
        if self.ended_by is None:
            shown += self._watch(self._unread)
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
