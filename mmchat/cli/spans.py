"""Times that are typed with a command, as the store spells them."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from mmchat.errors import UsageError
from mmchat.memory.time_words import TimeSpan, time_in
from mmchat.moments import utc_text

MOST_DAYS = 100_000


def span_bounds(since: str, until: str, now: datetime) -> tuple[str, str]:
    """Beginning and end of a span, ISO, UTC; the end is not included. Empty where nothing was typed.

    Args:
        since: a day (2026-03-01), a number of days back (30), or words such as "last week"; empty for no beginning.
        until: the same; the whole day, week or month belongs to the span.
        now: aware; days begin at midnight of its time zone.

    Raises:
        UsageError: one of them is no such time, or the end comes before the beginning.
    """
    start = utc_text(_span(since, now).start) if since.strip() else ""
    end = utc_text(_span(until, now).end) if until.strip() else ""
    if start and end and end <= start:
        raise UsageError(f"Nothing lies between {since} and {until}.", hint="Give --since the earlier of them.")
    return start, end


def _span(text: str, now: datetime) -> TimeSpan:
    """The day, or whatever the words name."""
    typed = text.strip()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if typed.isdecimal() and len(typed) < 7 and int(typed) <= MOST_DAYS:
        day = midnight - timedelta(days=int(typed))
        return TimeSpan(day, day + timedelta(days=1))
    try:
        found = date.fromisoformat(typed)
        # The zone of that day, which summer time may set apart from today's.
        return TimeSpan(
            *(datetime.combine(found + timedelta(days=step), datetime.min.time()).astimezone() for step in (0, 1))
        )
    except (ValueError, OverflowError):
        span, rest = time_in(typed, now)
    if span is None or rest:
        raise UsageError(
            f"'{text}' is no time.", hint='Write a day (2026-03-01), a number of days (30), or such as "last week".'
        )
    return span
