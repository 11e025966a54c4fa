"""One reply as its tokens are drawn, on every engine that draws them itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mmchat.domain import FinishReason
from mmchat.engines.lm_prompts import TokenText
from mmchat.engines.reply_text import ReplyText


@dataclass(frozen=True, slots=True)
class ReplyRules:
    """What the weights say about a reply."""

    tokenizer: Any
    end_ids: frozenset[int]
    stop: tuple[str, ...] = ()
    """Strings that end a reply beside the end marks."""
    opens_thought: bool = False
    """Whether the prompt ends inside a thought."""


class TokenReply:
    """A reply that grows token by token until its end mark, a stop string, a loop or the limit."""

    def __init__(self, rules: ReplyRules, stop: tuple[str, ...], room: int) -> None:
        """`stop`: the caller's own stop strings; `room`: the most tokens it may have."""
        self._ends = rules.end_ids
        self._text = TokenText(rules.tokenizer)
        self._reply = ReplyText((*rules.stop, *stop), is_thinking=rules.opens_thought)
        self._room = room
        self.tokens = 0
        self.reason: FinishReason | None = "length" if room < 1 else None
        """Why it has ended; None while it goes on."""

    def take(self, token: int) -> str:
        """Add a token; returns the text that can be shown now, often none."""
        self.tokens += 1
        if token in self._ends:
            self.reason = "stop"
            return ""
        shown = self._reply.push(self._text.push(token))
        if self._reply.ended_by is not None:
            self.reason = self._reply.ended_by
        elif self.tokens >= self._room:
            self.reason = "length"
        return shown

    def flush(self) -> str:
        """What was held back; call it once, at the end."""
        return self._reply.flush()
