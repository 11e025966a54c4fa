"""A report over conversations, as values. Field names are those of `sessions report --json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Unit = Literal["day", "week", "month"]
Reason = Literal["unknown", "uncited", "failed", "missing"]
"""Why a message counts as unanswered: the reply said that it is not known; a question was answered from nothing
although there are documents; the reply failed; none ever came."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What half of the values stay below, and nineteen of twenty."""

    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class LanguageUse:
    """What users said in one language."""

    language: str
    """ISO 639-1; empty where the letters do not tell."""
    messages: int
    words: int
    """Each Chinese, Japanese or Korean character counts as one."""


@dataclass(frozen=True, slots=True)
class Period:
    """A day, a week or a month."""

    start: str
    """Its first day, by this machine's calendar."""
    messages: int
    conversations: int
    """With a message in it."""
    mood: float | None
    """Mean; None where no mood was read."""
    unanswered: int


@dataclass(frozen=True, slots=True)
class IntentUse:
    """Messages of one intent."""

    intent: str
    messages: int
    share: float
    """Of the messages whose intent was read."""
    confidence: float
    """Mean."""
    mood: float | None
    """Mean; None where no mood was read."""
    unanswered: int
    by_period: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SessionMood:
    """How one conversation went."""

    session: str
    title: str
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class MoodReport:
    """How messages sounded: -1 angry or sad, 0 neutral, 1 glad."""

    messages: int
    """With a mood."""
    mean: float | None
    conversations: int
    """With a mood at two messages or more; only these can have gone better or worse."""
    ended_worse: int
    ended_better: int
    lowest: tuple[SessionMood, ...]
    """Those that fell furthest, the worst first."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Unanswered messages that are alike, under the most typical of them."""

    question: str
    language: str
    times: int
    reasons: Mapping[str, int]
    """By `Reason`."""
    intents: Mapping[str, int]
    last_at: str
    nearest_document: str
    """Where something near it stands: the name of the file; empty for nowhere."""
    nearest_heading: str
    sessions: tuple[str, ...]
    turns: tuple[str, ...]
    """Of the messages, the most typical first."""


@dataclass(frozen=True, slots=True)
class Place:
    """A heading of a document."""

    shelf: str
    document: str
    """Name of the file."""
    path: str
    heading: str
    """Empty for what stands under none."""
    times: int
    """In how many replies it was told."""


@dataclass(frozen=True, slots=True)
class DocumentsReport:
    """What replies were told of documents."""

    replies: int
    """That were told something."""
    cited: tuple[Place, ...]
    """The most frequent first."""
    never: tuple[Place, ...]
    """In the order of the documents."""


@dataclass(frozen=True, slots=True)
class RatingCount:
    """What users thought of replies."""

    good: int = 0
    bad: int = 0
    better: int = 0
    """With words of what it should have been, whatever the mark."""


@dataclass(frozen=True, slots=True)
class RatingsReport:
    """Ratings in all, and by what was rated."""

    total: RatingCount
    by_intent: Mapping[str, RatingCount]
    """"" for replies to messages whose intent was not read."""
    by_kind: Mapping[str, RatingCount]
    """By `PreparedKind`; "" for replies that the model drew."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """A conversation that a person took over."""

    session: str
    title: str
    reason: str
    at: str


@dataclass(frozen=True, slots=True)
class HandOversReport:
    """Hand-overs and why."""

    total: int
    conversations: int
    by_reason: Mapping[str, int]
    latest: tuple[HandOver, ...]
    """The newest first."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long replies took, in seconds. None where nothing of the kind was measured."""

    replies: int
    wait_s: Spread | None
    """From the message being stored to the reply's first word: reading, searching and thinking."""
    first_token_s: Spread | None
    """Of that, the language model's part."""
    reply_s: Spread | None
    """The language model's whole time, to its last word."""
    tokens_per_s: Spread | None


@dataclass(frozen=True, slots=True)
class LatencyReport:
    """Speed, replies that the model drew and prepared ones apart."""

    drawn: Pace
    by_model: Mapping[str, Pace]
    prepared: Mapping[str, Pace]
    """By `PreparedKind`."""


@dataclass(frozen=True, slots=True)
class LengthReport:
    """How long conversations are."""

    messages: Spread | None
    """Of the user's, in one conversation."""
    minutes: Spread | None
    """From the first message to the last, of conversations with two or more."""
    sizes: Mapping[str, int]
    """How many conversations have so many messages: "1", "2", "3-5", "6-10", "11-20", "21+"."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the conversations in a span tell."""

    role: str | None
    """A role's name; '' for conversations without one; None for all."""
    since: str
    """ISO, UTC; empty where none was given."""
    until: str
    first_at: str
    """Of the first message; empty for none."""
    last_at: str
    conversations: int
    messages: int
    """Of the users'."""
    replies: int
    languages: tuple[LanguageUse, ...]
    unit: Unit
    """Of the periods."""
    periods: tuple[Period, ...]
    """All from the first to the last, also those in which nothing was said."""
    intents_read: int
    """Messages whose intent was read."""
    out_of_scope: float | None
    """Their share of these; None where none was read."""
    intents: tuple[IntentUse, ...]
    """The most frequent first."""
    mood: MoodReport
    unanswered: int
    unanswered_reasons: Mapping[str, int]
    gaps: tuple[Gap, ...]
    """The largest first."""
    forbidden: Mapping[str, int]
    """Messages by forbidden topic."""
    documents: DocumentsReport
    ratings: RatingsReport
    hand_overs: HandOversReport
    latency: LatencyReport
    lengths: LengthReport
