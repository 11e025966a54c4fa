"""How a report's values are put into words, in the terminal and on its page alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mmchat.chat.report_values import Gap, Place, Report, Spread
from mmchat.evals.layout import language_name
from mmchat.memory.import_values import counted
from mmchat.moments import local_day

NONE = "–"
FEW_PLACES = 6
KINDS = {
    "": "drawn by the model",
    "intent": "an intent's own reply",
    "forbidden": "forbidden topic",
    "unknown": "does not know",
    "quote": "quoted from documents",
}
"""Why a reply was prepared, by `PreparedKind`."""
REASONS = {
    "unknown": "not known",
    "uncited": "nothing cited",
    "failed": "failed",
    "missing": "no reply",
}
"""Why a message counts as unanswered, by `Reason`."""


def heading_words(report: Report) -> str:
    """Whose conversations, how many, and when."""
    who = "All conversations" if report.role is None else report.role or "Without a role"
    days = " to ".join(dict.fromkeys(local_day(each) for each in (report.first_at, report.last_at)))
    return f"{who} · {counted(report.conversations, 'conversation')}, {counted(report.messages, 'message')} · {days}"


def kind_words(kind: str) -> str:
    """A kind of prepared reply."""
    return KINDS.get(kind, kind)


def counted_reasons(reasons: Mapping[str, int]) -> str:
    """Such as "3 not known, 1 failed"; without a number where there is one reason only, and once."""
    if len(reasons) == 1:
        return REASONS[next(iter(reasons))]
    return ", ".join(f"{count:,} {REASONS[reason]}" for reason, count in reasons.items())


def nearest_words(gap: Gap) -> str:
    """The place in the documents that comes nearest; empty for none."""
    return " › ".join(part for part in (gap.nearest_document, gap.nearest_heading) if part)


def place_words(place: Place) -> str:
    """File and heading."""
    return f"{place.document} › {place.heading}" if place.heading else place.document


def never_words(places: Sequence[Place]) -> str:
    """A few headings by name; of more, how many in which documents. A folder tells documents of one name apart."""
    if len(places) <= FEW_PLACES:
        return "; ".join(map(place_words, places))
    headings = Counter(place.path for place in places)
    names = Counter(Path(path).name for path in headings)
    shown = (
        f"{Path(path).parent.name}/{Path(path).name}" if names[Path(path).name] > 1 else Path(path).name
        for path in headings
    )
    files = ", ".join(f"{name} {count:,}" for name, count in zip(shown, headings.values(), strict=True))
    return f"{counted(len(places), 'heading')} ({files})"


def language_words(code: str) -> str:
    """In English."""
    return language_name(code) if code else "other"


def mood_words(mood: float | None) -> str:
    """Such as "+0.25"."""
    return NONE if mood is None else f"{mood:+.2f}"


def seconds(value: float) -> str:
    """As exact as it matters."""
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def spread_words(spread: Spread | None, words: Callable[[float], str]) -> str:
    """Median, and in brackets what 95% stay below."""
    return "" if spread is None else f"{words(spread.median)} ({words(spread.p95)})"
