"""Looking back: what the conversations with a role, or all, tell of what users want, miss and think."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mmchat.chat.report_gaps import find_gaps
from mmchat.chat.report_values import (
    DocumentsReport,
    HandOver,
    HandOversReport,
    IntentUse,
    LanguageUse,
    LatencyReport,
    LengthReport,
    MoodReport,
    Pace,
    Period,
    Place,
    RatingCount,
    RatingsReport,
    Report,
    SessionMood,
    Spread,
    Unit,
)
from mmchat.chat.unanswered import reason_of
from mmchat.domain import OUT_OF_SCOPE
from mmchat.memory import report as stored
from mmchat.memory.report import Exchange, Heading, RatedAnswer, Scope
from mmchat.memory.text_search import is_cjk, words_in
from mmchat.moments import local_day
from mmchat.script import language_of

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore

MOOD_STEP = 0.2
"""A conversation went better or worse where its mood moved by more than this: readers of mood are not that exact."""
MOST_DAYS = 31
MOST_WEEKS = 26
"""Longer spans are shown by weeks, and still longer ones by months."""
LOWEST = 5
LATEST = 20
_SIZES = ((1, "1"), (2, "2"), (5, "3-5"), (10, "6-10"), (20, "11-20"))
_LARGER = "21+"

T = TypeVar("T")


def make_report(store: MemoryStore, scope: Scope, now: datetime) -> Report:
    """Read what the store knows and count it.

    Args:
        store: where from; nothing is written.
        scope: which conversations, and when.
        now: aware; a message of the last minutes may still get its reply.
    """
    found = stored.exchanges(store, scope)
    shelves = stored.shelves_since(store)
    reasons = {each.turn: reason for each in found if (reason := reason_of(each, shelves, now))}
    unit, starts = _periods([each.said_at for each in found])
    ratings = stored.rated_answers(store, scope)
    read = [each for each in found if each.intent]
    out = sum(each.intent == OUT_OF_SCOPE for each in read)
    return Report(
        role=scope.role,
        since=scope.since,
        until=scope.until,
        first_at=min((each.said_at for each in found), default=""),
        last_at=max((each.said_at for each in found), default=""),
        conversations=len({each.session for each in found}),
        messages=len(found),
        replies=sum(bool(each.reply) for each in found),
        languages=_languages(found),
        unit=unit,
        periods=_over_time(found, reasons, unit, starts),
        intents_read=len(read),
        out_of_scope=out / len(read) if read else None,
        intents=_intents(read, reasons, unit, starts),
        mood=_mood(found),
        unanswered=len(reasons),
        unanswered_reasons=_counts(reasons.values()),
        gaps=find_gaps(store, [each for each in found if each.turn in reasons], reasons, shelves),
        forbidden=_counts(each.topic for each in found if each.topic),
        documents=_documents(store, scope, found, shelves),
        ratings=_ratings(ratings),
        hand_overs=_hand_overs(store, scope),
        latency=_latency(found),
        lengths=_lengths(found),
    )


# --- time -----------------------------------------------------------------------------------------


def _periods(moments: Sequence[str]) -> tuple[Unit, tuple[str, ...]]:
    """The unit that suits the span, and the first day of every period in it."""
    if not moments:
        return "day", ()
    first, last = (date.fromisoformat(local_day(moment)) for moment in (min(moments), max(moments)))
    days = (last - first).days + 1
    unit: Unit = "day" if days <= MOST_DAYS else "week" if days <= 7 * MOST_WEEKS else "month"
    starts = dict.fromkeys(_start(first + timedelta(days=step), unit) for step in range(days))
    return unit, tuple(starts)


def _start(day: date, unit: Unit) -> str:
    """The first day of the period that a day lies in; weeks begin on Monday."""
    if unit == "week":
        day -= timedelta(days=day.weekday())
    return (day.replace(day=1) if unit == "month" else day).isoformat()


def _by_period(found: Iterable[Exchange], unit: Unit, starts: Sequence[str]) -> dict[str, list[Exchange]]:
    periods: dict[str, list[Exchange]] = {start: [] for start in starts}
    for each in found:
        periods[_start(date.fromisoformat(local_day(each.said_at)), unit)].append(each)
    return periods


def _over_time(
    found: Sequence[Exchange], reasons: Mapping[str, str], unit: Unit, starts: Sequence[str]
) -> tuple[Period, ...]:
    return tuple(
        Period(
            start=start,
            messages=len(within),
            conversations=len({each.session for each in within}),
            mood=_mean_mood(within),
            unanswered=sum(each.turn in reasons for each in within),
        )
        for start, within in _by_period(found, unit, starts).items()
    )


# --- what was said --------------------------------------------------------------------------------


def _languages(found: Sequence[Exchange]) -> tuple[LanguageUse, ...]:
    messages, words = Counter[str](), Counter[str]()
    for each in found:
        language = language_of([each.text])
        messages[language] += 1
        words[language] += sum(len(match[0]) if is_cjk(match[0]) else 1 for match in words_in(each.text))
    return tuple(LanguageUse(language, count, words[language]) for language, count in messages.most_common())


def _intents(
    read: Sequence[Exchange], reasons: Mapping[str, str], unit: Unit, starts: Sequence[str]
) -> tuple[IntentUse, ...]:
    grouped = _grouped(read, lambda each: each.intent)
    return tuple(
        IntentUse(
            intent=intent,
            messages=len(within),
            share=len(within) / len(read),
            confidence=fmean(each.confidence for each in within),
            mood=_mean_mood(within),
            unanswered=sum(each.turn in reasons for each in within),
            by_period=tuple(len(each) for each in _by_period(within, unit, starts).values()),
        )
        for intent, within in sorted(grouped.items(), key=lambda group: (-len(group[1]), group[0]))
    )


def _mood(found: Sequence[Exchange]) -> MoodReport:
    read = [each for each in found if each.mood is not None]
    ends = []
    for session, within in _grouped(read, lambda each: each.session).items():
        if len(within) > 1:
            first, last = within[0].mood or 0.0, within[-1].mood or 0.0
            ends.append(SessionMood(session, within[0].title, first, last))
    fell = [each for each in ends if each.last < each.first - MOOD_STEP]
    return MoodReport(
        messages=len(read),
        mean=_mean_mood(read),
        conversations=len(ends),
        ended_worse=len(fell),
        ended_better=sum(each.last > each.first + MOOD_STEP for each in ends),
        lowest=tuple(sorted(fell, key=lambda each: (each.last - each.first, each.session))[:LOWEST]),
    )


def _mean_mood(found: Iterable[Exchange]) -> float | None:
    moods = [each.mood for each in found if each.mood is not None]
    return fmean(moods) if moods else None


# --- documents ------------------------------------------------------------------------------------


def _documents(
    store: MemoryStore, scope: Scope, found: Sequence[Exchange], shelves: Mapping[str, str]
) -> DocumentsReport:
    cited = stored.cited_headings(store, scope)
    known = {(each.shelf, each.path, each.heading) for each in cited}
    at_hand = {each.role for each in found} | ({""} if any(each.shares_memory for each in found) else set())
    there = stored.headings(store, sorted(at_hand & set(shelves)))
    return DocumentsReport(
        replies=sum(each.cites for each in found),
        cited=tuple(map(_place, cited)),
        never=tuple(_place(each) for each in there if (each.shelf, each.path, each.heading) not in known),
    )


def _place(heading: Heading) -> Place:
    return Place(heading.shelf, Path(heading.path).name, heading.path, heading.heading, heading.times)


# --- ratings and hand-overs -----------------------------------------------------------------------


def _ratings(ratings: Sequence[RatedAnswer]) -> RatingsReport:
    def by(key: Callable[[RatedAnswer], str]) -> dict[str, RatingCount]:
        grouped = _grouped(ratings, key)
        return {name: _count_ratings(grouped[name]) for name in sorted(grouped, key=lambda each: -len(grouped[each]))}

    return RatingsReport(
        _count_ratings(ratings), by_intent=by(lambda each: each.intent), by_kind=by(lambda each: each.prepared)
    )


def _count_ratings(ratings: Sequence[RatedAnswer]) -> RatingCount:
    return RatingCount(
        good=sum(each.mark > 0 for each in ratings),
        bad=sum(each.mark < 0 for each in ratings),
        better=sum(each.has_better for each in ratings),
    )


def _hand_overs(store: MemoryStore, scope: Scope) -> HandOversReport:
    found = stored.handed_over(store, scope)
    return HandOversReport(
        total=len(found),
        conversations=len({each.session for each in found}),
        by_reason=_counts(each.reason for each in found),
        latest=tuple(HandOver(each.session, each.title, each.reason, each.at) for each in found[: -LATEST - 1 : -1]),
    )


# --- speed and length -----------------------------------------------------------------------------


def _latency(found: Sequence[Exchange]) -> LatencyReport:
    whole = [each for each in found if each.status == "complete"]
    drawn = [each for each in whole if not each.prepared and each.first_token_s is not None]
    prepared = [each for each in whole if each.prepared]
    by_model, by_kind = _grouped(drawn, lambda each: each.model), _grouped(prepared, lambda each: each.prepared)
    return LatencyReport(
        drawn=_pace(drawn),
        by_model={name: _pace(by_model[name]) for name in sorted(by_model, key=lambda name: -len(by_model[name]))},
        prepared={name: _pace(by_kind[name]) for name in sorted(by_kind, key=lambda name: -len(by_kind[name]))},
    )


def _pace(replies: Sequence[Exchange]) -> Pace:
    first = [each.first_token_s for each in replies if each.first_token_s is not None]
    return Pace(
        replies=len(replies),
        wait_s=_spread([each.wait_s for each in replies if each.wait_s is not None]),
        first_token_s=_spread(first),
        reply_s=_spread([_reply_s(each) for each in replies if each.first_token_s is not None]),
        tokens_per_s=_spread([each.tokens_per_s for each in replies if each.tokens_per_s > 0]),
    )


def _reply_s(reply: Exchange) -> float:
    decode_s = max(0, reply.reply_tokens - 1) / reply.tokens_per_s if reply.tokens_per_s > 0 else 0.0
    return (reply.first_token_s or 0.0) + decode_s


def _lengths(found: Sequence[Exchange]) -> LengthReport:
    conversations = list(_grouped(found, lambda each: each.session).values())
    sizes = Counter(next((name for most, name in _SIZES if len(each) <= most), _LARGER) for each in conversations)
    return LengthReport(
        messages=_spread([float(len(each)) for each in conversations]),
        minutes=_spread([_minutes(each) for each in conversations if len(each) > 1]),
        sizes={name: sizes[name] for name in (*(name for _, name in _SIZES), _LARGER)},
    )


def _minutes(conversation: Sequence[Exchange]) -> float:
    moments = [datetime.fromisoformat(each.said_at) for each in conversation]
    return (max(moments) - min(moments)).total_seconds() / 60


def _spread(values: Sequence[float]) -> Spread | None:
    if not values:
        return None
    median, p95 = np.quantile(np.asarray(values), (0.5, 0.95)).tolist()
    return Spread(median, p95)


# --- counting -------------------------------------------------------------------------------------


def _grouped(found: Iterable[T], key: Callable[[T], str]) -> dict[str, list[T]]:
    groups: dict[str, list[T]] = {}
    for each in found:
        groups.setdefault(key(each), []).append(each)
    return groups


def _counts(names: Iterable[str]) -> dict[str, int]:
    """The most frequent first, equal ones by name."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))
