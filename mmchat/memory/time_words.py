"""Times that a question names, resolved against a moment: "last week", "in March", 「上周」「三天前」."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from mmchat.patterns import Later, later

_MONTHS = (
    "january february march april may june july august september october november december".split()  # noqa: SIM905
)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBERS = {
    word: number
    for number, words in enumerate(
        ("", "a an one 一", "two couple 两 二", "three few 三 几", "four 四", "five 五", "six 六")
        + ("seven 七", "eight 八", "nine 九", "ten 十", "eleven 十一", "twelve 十二")
    )
    for word in words.split()
}
_COUNT = (
    r"(?P<count>\d{1,3}|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:a )?couple|(?:a )?few)"
)
_CJK_COUNT = r"(?P<count>\d{1,3}|十[一二]?|[一二两三四五六七八九几])"
_UNIT = r"(?P<unit>day|week|weekend|month|year)s?"
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})"
_DAY = r"(?P<day>[12]\d|3[01]|0?[1-9])(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_CJK_UNITS = {"天": "day", "日": "day", "周": "week", "星期": "week", "礼拜": "week", "月": "month", "年": "year"}
_CJK_DAYS = "一二三四五六日"


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """From `start` up to, not including, `end`; both aware."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return self.end - self.start


Match = re.Match[str]
_Reader = Callable[[Match, datetime], TimeSpan | None]


def time_in(question: str, now: datetime) -> tuple[TimeSpan | None, str]:
    """The first time that a question names, and the question without it.

    Args:
        question: in the user's words.
        now: aware; days begin at midnight of its time zone, weeks on Monday. A month without a year is the last one
            that has begun.

    Returns:
        None and the question as it is where no time is named, or one that no calendar has.
    """
    best: tuple[int, int, Match, _Reader] | None = None
    for pattern, reader in _READERS:
        match = pattern().search(question)
        # The earliest; of those that begin together the longest.
        if match and (best is None or (match.start(), -match.end()) < (best[0], best[1])):
            best = (match.start(), -match.end(), match, reader)
    if best is None:
        return None, question
    _, _, match, reader = best
    try:
        span = reader(match, now)
    except (ValueError, OverflowError):
        return None, question  # 31 June, or 999 years ago
    if span is None:
        return None, question
    rest = " ".join(f"{question[: match.start()]} {question[match.end() :]}".split())
    return span, rest


# --- calendar -----------------------------------------------------------------------------------


def _day(moment: datetime, *, ago: int = 0, days: int = 1) -> TimeSpan:
    start = moment.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=ago)
    return TimeSpan(start, start + timedelta(days=days))


def _week(moment: datetime, *, ago: int = 0) -> TimeSpan:
    return _day(moment, ago=moment.weekday() + 7 * ago, days=7)


def _month(moment: datetime, *, ago: int = 0) -> TimeSpan:
    months = 12 * moment.year + moment.month - 1 - ago
    return TimeSpan(_first_of(moment, months), _first_of(moment, months + 1))


def _year(moment: datetime, *, ago: int = 0) -> TimeSpan:
    months = 12 * (moment.year - ago)
    return TimeSpan(_first_of(moment, months), _first_of(moment, months + 12))


def _first_of(moment: datetime, months: int) -> datetime:
    year, month = divmod(months, 12)
    return moment.replace(year=year, month=month + 1, day=1, hour=0, minute=0, second=0, microsecond=0)


def _back(unit: str, count: int, now: datetime) -> TimeSpan:
    """The day, week, month or year that lies so many of them back."""
    if unit == "day":
        return _day(now, ago=count)
    if unit == "week":
        return _week(now, ago=count)
    if unit == "weekend":
        week = _week(now, ago=count)
        return TimeSpan(week.start + timedelta(days=5), week.end)
    return _month(now, ago=count) if unit == "month" else _year(now, ago=count)


def _since(unit: str, count: int, now: datetime) -> TimeSpan:
    """The last so many days, weeks, months or years, up to now."""
    days = {"day": 1, "week": 7, "weekend": 7, "month": 31, "year": 366}[unit] * count
    return TimeSpan(_day(now, ago=days).start, _day(now).end)


# --- readers ------------------------------------------------------------------------------------


def _number(match: Match) -> int:
    text = match["count"].casefold().removeprefix("a ")
    return int(text) if text.isdigit() else _NUMBERS[text]


def _unit(match: Match) -> str:
    return _CJK_UNITS.get(match["unit"], match["unit"].casefold())


def _ago(match: Match, now: datetime) -> TimeSpan:
    count, unit = _number(match), _unit(match)
    return _back(unit, count, now)


def _last_some(match: Match, now: datetime) -> TimeSpan:
    return _since(_unit(match), _number(match), now)


def _last(match: Match, now: datetime) -> TimeSpan:
    return _back(_unit(match), 1, now)


def _this(match: Match, now: datetime) -> TimeSpan:
    return _back(_unit(match), 0, now)


def _day_ago(count: int) -> _Reader:
    return lambda match, now: _day(now, ago=count)


def _year_ago(count: int) -> _Reader:
    return lambda match, now: _year(now, ago=count)


def _weekday(match: Match, now: datetime) -> TimeSpan:
    """The last such day before today."""
    wanted = _DAYS.index(match["weekday"].casefold())
    return _day(now, ago=(now.weekday() - wanted - 1) % 7 + 1)


def _cjk_weekday(match: Match, now: datetime) -> TimeSpan:
    wanted = _CJK_DAYS.index(match["weekday"].replace("天", "日"))
    weeks = (match["weeks"] or "").count("上")
    if weeks:
        return _day(now, ago=now.weekday() - wanted + 7 * weeks)
    return _day(now, ago=(now.weekday() - wanted - 1) % 7 + 1)


def _cjk_last(match: Match, now: datetime) -> TimeSpan:
    unit = "weekend" if match["end"] else _unit(match)
    return _back(unit, match["weeks"].count("上"), now)


def _season(match: Match, now: datetime) -> TimeSpan:
    """The last such season that has begun, as the northern half of the world has them."""
    first = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}[match["season"].casefold()]
    return _named_months(first, 3, now)


def _named_months(first: int, count: int, now: datetime, year: int | None = None) -> TimeSpan:
    if year is None:
        year = now.year if (now.year, first) <= (now.year, now.month) else now.year - 1
    months = 12 * year + first - 1
    return TimeSpan(_first_of(now, months), _first_of(now, months + count))


def _date(match: Match, now: datetime) -> TimeSpan:
    fields = match.groupdict()
    month = fields["month"]
    number = int(month) if month.isdigit() else _NUMBERS.get(month) or _MONTHS.index(month.casefold()) + 1
    year = int(fields["year"]) if fields.get("year") else None
    if not fields.get("day"):
        return _named_months(number, 1, now, year)
    day = int(fields["day"])
    if year is None:
        year = now.year if (number, day) <= (now.month, now.day) else now.year - 1
    return _day(now.replace(year=year, month=number, day=day, hour=0))


def _before_date(match: Match, now: datetime) -> TimeSpan:
    """What came in "the week before 3 June" is told up to that day."""
    date = _date(match, now)
    return TimeSpan(_since(_unit(match), _number(match) if match["count"] else 1, date.start).start, date.end)


def _whole_year(match: Match, now: datetime) -> TimeSpan:
    year = int(match["year"])
    return TimeSpan(_first_of(now, 12 * year), _first_of(now, 12 * year + 12))


def _each_later(*pairs: tuple[str, _Reader]) -> tuple[tuple[Later, _Reader], ...]:
    return tuple((later(pattern, re.IGNORECASE), reader) for pattern, reader in pairs)


_DATES = (
    rf"(?:on |in |of )?(?:the )?{_DAY} (?:of )?{_MONTH}\b,?(?: {_YEAR})?",
    rf"(?:on |in |of )?{_MONTH} (?:the )?{_DAY}\b(?!\d|:)(?:,? {_YEAR})?",
    rf"(?:in |during |of )?{_MONTH},? (?:of )?{_YEAR}",
)
# "may" and "march" are also other words: alone, a month needs its preposition.
_MONTH_ALONE = rf"\b(?:in|during|since|last|this|of)(?: early| late| mid)? {_MONTH}\b"
_READERS = _each_later(
    *((rf"\b{date}", _date) for date in _DATES),
    *(
        (rf"\b(?:in |during )?(?:the |an? )?(?:(?:{_COUNT}) )?(?:last )?{_UNIT} before {date}", _before_date)
        for date in _DATES
    ),
    (_MONTH_ALONE, _date),
    (rf"\b(?:on )?{_YEAR}-(?P<month>\d\d)-(?P<day>\d\d)\b", _date),
    (rf"\b(?:in|during|since) {_YEAR}\b", _whole_year),
    (r"\b(?:the )?day before yesterday\b", _day_ago(2)),
    (r"\byesterday(?: morning| afternoon| evening| night)?\b|\blast night\b", _day_ago(1)),
    (r"\b(?:earlier )?today\b|\bthis (?:morning|afternoon|evening)\b|\btonight\b", _day_ago(0)),
    (rf"\b{_COUNT}(?: of)? {_UNIT} ago\b", _ago),
    (rf"\b(?:in|over|during|within)? ?(?:the|these) (?:last|past) {_COUNT} {_UNIT}\b", _last_some),
    (rf"\b(?:in |over |during )?(?:the )?(?:last|previous|past) {_UNIT}\b", _last),
    (rf"\b(?:in |over |during )?this {_UNIT}\b", _this),
    (rf"\b(?:on |last )(?P<weekday>{'|'.join(_DAYS)})\b", _weekday),
    (r"\b(?:last|this|(?:in|during|over) (?:the )?)(?: |\b)(?P<season>spring|summer|autumn|fall|winter)\b", _season),
    (r"大前天", _day_ago(3)),
    (r"前天(?:早上|上午|中午|下午|晚上)?", _day_ago(2)),
    (r"昨[天日](?:早上|上午|中午|下午|晚上)?|昨晚", _day_ago(1)),
    (r"今[天日](?:早上|上午|中午|下午|晚上)?|今[早晚]", _day_ago(0)),
    (r"前年", _year_ago(2)),
    (r"去年|上一年", _year_ago(1)),
    (r"今年", _year_ago(0)),
    (rf"{_CJK_COUNT}个?(?P<unit>天|日|周|星期|礼拜|月|年)(?:之|以)?前", _ago),
    (rf"(?:最近|过去|近)(?:这|的)?{_CJK_COUNT}个?(?P<unit>天|日|周|星期|礼拜|月|年)", _last_some),
    (r"(?P<weeks>上{1,3})一?个?(?P<unit>周|星期|礼拜|月)(?!一?[一二三四五六日天])(?P<end>末?)", _cjk_last),
    (r"(?:这个?|本)(?P<unit>周|星期|礼拜|月)(?![一二三四五六日天末])", _this),
    (r"(?P<weeks>上{0,3})一?个?(?:周|星期|礼拜)(?P<weekday>[一二三四五六日天])", _cjk_weekday),
    (
        r"(?:(?P<year>(?:19|20)\d\d)年)?(?P<month>1[0-2]|0?[1-9]|十[一二]?|[一二三四五六七八九])月(?:份|(?P<day>[12]\d|3[01]|0?[1-9])[日号])?",
        _date,
    ),
    (r"(?P<year>(?:19|20)\d\d)年", _whole_year),
)
