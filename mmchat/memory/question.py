"""What a question asks for: whose words, of which time, about what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mmchat.memory.text_search import cjk_share, informative, is_cjk, terms
from mmchat.memory.time_words import TimeSpan, time_in
from mmchat.patterns import later

CJK_LIMIT = 0.3
"""MiniLM knows English only: above this share of Chinese letters, words alone decide."""
EMBEDDED_CHARACTERS = 2000
"""The embedder cuts after 256 tokens anyway."""


def is_chinese(text: str) -> bool:
    """Whether it is Chinese rather than English, for an embedder."""
    return cjk_share(text) > CJK_LIMIT


def can_compare(embedder: object, *texts: str) -> bool:
    """Whether an embedder's vectors of these texts mean anything: few know more than English."""
    return bool(getattr(embedder, "is_multilingual", False)) or not any(map(is_chinese, texts))


_ASKS_FOR_USER = later(
    r"\b(?:did|have|had) i (?:\w+ )?(?:say|said|tell|told|ask|asked|mention|mentioned)\b"
    r"|\bi (?:said|told|asked|mentioned)\b|我(?:之前|上次|刚才)?(?:说过|提过|提到|问过)"
)
_ASKS_FOR_ASSISTANT = later(
    r"\bdid you (?:say|tell|suggest|recommend|answer|explain)\b"
    r"|\byou (?:said|told|suggested|recommended|answered|explained)\b"
    r"|你(?:之前|上次|刚才)?(?:说过|提过|建议|推荐|回答)"
)


@dataclass(frozen=True, slots=True)
class Question:
    """A message, read as a question to memory."""

    text: str
    names: frozenset[str]
    """Case-folded words of the names of speakers that it holds."""
    span: TimeSpan | None
    """The time it asks for."""
    timeless: str
    """The text without that time."""
    to_embed: tuple[str, ...]
    """Its wordings, for the embedder; their mean is what to look for."""
    is_for_user: bool
    is_for_assistant: bool

    is_time_all: bool
    """It asks for nothing but a time: "What did we talk about yesterday?"."""

    @property
    def is_chinese(self) -> bool:
        return is_chinese(self.text)

    def is_for(self, role: str, speaker: str) -> bool:
        """Whether it asks for the words of this speaker: by name, or as "did I say", "you suggested"."""
        if speaker:
            return not self.names.isdisjoint(terms(speaker))
        return self.is_for_user if role == "user" else self.is_for_assistant


def read_question(text: str, now: datetime, speakers: frozenset[str] = frozenset()) -> Question:
    """Read a message.

    Args:
        text: in the user's words.
        now: aware; what "yesterday" is counted from.
        speakers: case-folded words of the names of all who speak in memory.
    """
    asked = text.casefold()
    words = terms(text)
    # Chinese has no spaces: a name is part of a run.
    names = frozenset(name for name in speakers if name in words or (is_cjk(name) and name in text))
    span, timeless = time_in(text, now)
    return Question(
        text,
        names,
        span,
        timeless,
        _wordings(timeless[:EMBEDDED_CHARACTERS] if terms(timeless) else text[:EMBEDDED_CHARACTERS], names),
        bool(_ASKS_FOR_USER().search(asked)),
        asks_for_reply(text),
        span is not None and not informative(timeless, without=speakers),
    )


def asks_for_reply(query: str) -> bool:
    """Whether a query is after what the model said: "What did you suggest …?"."""
    return bool(_ASKS_FOR_ASSISTANT().search(query.casefold()))


def _wordings(text: str, names: frozenset[str]) -> tuple[str, ...]:
    """The question without the names of speakers, and as the one named would say it.

    Who spoke is known and counted by itself; in the vector a name outweighs what was asked, and nobody says the
    own name: "When did Anna paint?" is answered by "I painted".
    """
    if not names:
        return (text,)
    pattern = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    bounded = rf"(?<!\w)(?:{pattern})(?P<of>['’]s)?(?!\w)" if not cjk_share(pattern) else rf"(?:{pattern})(?P<of>的)?"
    chinese = is_chinese(text)
    me: Mapping[bool, str] = {True: "我的", False: "我"} if chinese else {True: "my", False: "I"}
    nameless = " ".join(re.sub(bounded, " ", text, flags=re.IGNORECASE).split())
    spoken = re.sub(bounded, lambda match: me[bool(match["of"])], text, flags=re.IGNORECASE)
    return (nameless, spoken) if terms(nameless) else (text,)
