"""Keeps what was said, read or recalled from being taken for the marks of a chat template.

A prompt is one text that a tokenizer reads: where a message holds "<|im_end|>", the model would see the message end,
and another begin that nobody wrote. Such marks get a blank behind their first character, so that a reader still knows
them and no tokenizer does. Every engine passes its messages through here, whatever they were made of: what the user
typed, passages, text in pictures, recalled turns, names of files, a role's own text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from mmchat.domain import Message
from mmchat.engines.reply_text import THOUGHT_BEGINS, THOUGHT_ENDS
from mmchat.patterns import later

_WRITTEN = (
    r"<\|[^|<>\n]{1,60}\|>|<｜[^｜<>\n]{1,60}｜>|<<?/?SYS>>?|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_[A-Z]+)\]"
)
_COMMON = later(
    _WRITTEN + r"|</?s>|</?(?:start|end)_of_turn>|<(?:bos|eos|pad|unk|BOS_TOKEN|EOS_TOKEN|EOT|EOD)>|<__media__>"
    r"|<\|(?:system|user|assistant|end)\|?>"
)
"""What the templates of well-known families write."""
_IN_TEMPLATE = later(_WRITTEN + r"|</?[A-Za-z_]{2,40}>|\[/?[A-Z][A-Z_]{2,40}\]")
"""What stands in a template and looks like a mark."""
_LOOKS_LIKE_ONE = later(r"<[^<>\s]{1,80}>|\[[^\[\]\s]{1,40}\]")
_SHORTEST = 3
_THOUGHTS = frozenset({THOUGHT_BEGINS, THOUGHT_ENDS})
"""A reply's own; templates leave them out of older replies."""


class ControlMarks:
    """The marks of one model."""

    def __init__(
        self, known: Iterable[str] = (), *, template: str = "", is_mark: Callable[[str], bool] | None = None
    ) -> None:
        """What counts as one, beside what well-known templates write.

        Args:
            known: special tokens.
            template: the source of the chat template; what looks like a mark in it is one.
            is_mark: says of what looks like a mark whether the tokenizer takes it for one; asked once for each.
        """
        marks = {mark for mark in (*known, *_IN_TEMPLATE().findall(template)) if len(mark.strip()) >= _SHORTEST}
        longest_first = sorted(marks, key=lambda mark: (-len(mark), mark))
        self._own = re.compile("|".join(map(re.escape, longest_first))) if marks else None
        self._is_mark = is_mark
        self._verdicts: dict[str, bool] = {}

    def harmless_messages(self, messages: Sequence[Message]) -> list[Message]:
        """The same messages with nothing in them that the tokenizer takes for a mark."""
        return [
            replace(message, text=self.harmless(message.text, is_reply=message.role == "assistant"))
            for message in messages
        ]

    def harmless(self, text: str, *, is_reply: bool = False) -> str:
        """A text of which the tokenizer takes nothing for a mark; `is_reply`: thoughts may stay."""
        kept = _THOUGHTS if is_reply else frozenset[str]()
        if not self._found(text, kept):
            wide = unicodedata.normalize("NFKC", text)  # some tokenizers do so before they look for marks
            if wide == text or not self._found(wide, kept):
                return text
            text = wide
        while found := self._found(text, kept):
            pieces, at = [], 0
            for start in found:
                pieces += [text[at : start + 1], " "]
                at = start + 1
            text = "".join([*pieces, text[at:]])
        return text

    def _found(self, text: str, kept: frozenset[str]) -> list[int]:
        """Where marks begin."""
        found = {match.start() for match in _COMMON().finditer(text)}
        if self._own is not None:
            found |= {match.start() for match in self._own.finditer(text) if match.group() not in kept}
        if self._is_mark is not None:
            found |= {match.start() for match in _LOOKS_LIKE_ONE().finditer(text) if self._asked(match.group(), kept)}
        return sorted(found)

    def _asked(self, word: str, kept: frozenset[str]) -> bool:
        if self._is_mark is None or word in kept:
            return False
        if word not in self._verdicts:
            self._verdicts[word] = self._is_mark(word)
        return self._verdicts[word]


def marks_of(tokenizer: Any) -> ControlMarks:
    """Those of a tokenizer of transformers: its special tokens, and what its template writes."""
    template = str(getattr(tokenizer, "chat_template", None) or "")
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    known = {str(each.content) for each in added if each.special or str(each.content) in template}
    return ControlMarks({*known, *map(str, tokenizer.all_special_tokens)}, template=template)


def unspoken_names(text: str, names: Sequence[str]) -> str:
    """A text no line of which begins with who speaks ("User:"), for prompts that are scripts."""
    return re.sub(rf"^(?=(?:{'|'.join(map(re.escape, names))}):)", "> ", text, flags=re.MULTILINE)
