"""Where a text holds telephone numbers of people; businesses' free and premium lines are nobody's personal data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mmchat.masking_finders import Finding, is_cued, is_other_number
from mmchat.patterns import later
from mmchat.script import HAN, character_class, is_mostly_chinese

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

CHINESE_REGIONS = ("CN", "HK", "TW")
ENGLISH_REGIONS = ("US", "GB", "IE", "AU")

_HAN = later(f"[{character_class(HAN)}]")
_CUE = later(
    r"(?:\b(?:tele)?phones?\b|\btel\b|\bmobile\b|\bcell(?:phone)?\b|\bwhats ?app\b|\bfax\b|"
    r"\b(?:my|his|her|our|their) number\b|\bnumber's\b|\bdial\b|"
    r"\b(?:call|ring|reach|text|contact)(?:ing)? (?:me|us|him|her|them)\b"
    r"|电话|手机|座机|固话|传真|微信|我的号码|联系方式|联系我|打给我|打我|致电|拨打|来电|加我)"
    r"[^\d+(.!?。！？;；\n费卡壳]{0,20}\.?\s?$",
    re.IGNORECASE,
)
_ANY_NUMBER = later(
    r"(?<![0-9A-Za-z_./])(?<![0-9]:)(?:\+|\()?[0-9](?:[ .\-()/]{0,2}[0-9]){6,14}(?![0-9A-Za-z_]|[.:,/\-][0-9])"
)
_DATE = later(
    r"(?:[0-9]{4}[-./ ][0-9]{1,2}[-./ ][0-9]{1,2}|[0-9]{1,2}[-./][0-9]{1,2}[-./](?:[0-9]{2}){1,2})(?:[ T][0-9]{1,2})?"
)
_ADDRESS_OF_A_MACHINE = later(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_CHINESE_MOBILE = later(r"(?:(?:00|\+)?86[ \-]?)?1[3-9][0-9]([ \-]?)[0-9]{4}\1[0-9]{4}")
_SURE_FORM = later(
    r"[+(].*|0[0-9][0-9 .()\-]*|[0-9]{3}([ .\-])[0-9]{3}[ .\-][0-9]{4}|1[ .\-][0-9]{3}[ .\-][0-9]{3}[ .\-][0-9]{4}"
)
_LEADS_INTO_WORD = later(r"(?:[0-9A-Za-z_/.#=]|[0-9]:)$")


def find_phones(text: str) -> Iterator[Finding]:
    """Telephone numbers: valid ones in a form that only they have, and whatever a word before it calls one.

    In which countries' own forms, the script says: a text with Chinese in it is read for those of Chinese regions.
    """
    if not _ANY_NUMBER().search(text):
        return
    is_chinese = _HAN().search(text) is not None
    for match in _ANY_NUMBER().finditer(text):
        if _is_phone_by_its_word(text, match.start(), match.end(), is_chinese=is_chinese):
            yield Finding(match.start(), match.end(), "phone")
    for match in _CHINESE_MOBILE().finditer(text):
        if (is_chinese or match[1] or match.group()[0] == "+") and _stands_alone(text, *match.span()):
            yield Finding(match.start(), match.end(), "phone")
    regions = () if is_mostly_chinese(text) else ENGLISH_REGIONS
    yield from _valid_phones(text, (*CHINESE_REGIONS, *regions) if is_chinese else regions)


def _is_phone_by_its_word(text: str, start: int, end: int, *, is_chinese: bool) -> bool:
    number = text[start:end]
    if not is_cued(_CUE, text, start) or is_other_number(text, start, end) or _is_something_else(number):
        return False
    if _CHINESE_MOBILE().fullmatch(number):
        return True
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number, "CN" if is_chinese else "US")
    except phonenumbers.NumberParseException:
        return True
    return _is_a_persons(parsed) or not phonenumbers.is_valid_number(parsed)


def _valid_phones(text: str, regions: Sequence[str]) -> Iterator[Finding]:
    import phonenumbers  # deferred: most messages hold no number at all

    for region in regions:
        for match in phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.VALID):
            is_sure = _SURE_FORM().match(match.raw_string) or is_cued(_CUE, text, match.start)
            if is_sure and _is_a_persons(match.number) and _stands_alone(text, match.start, match.end):
                yield Finding(match.start, match.end, "phone")


def _stands_alone(text: str, start: int, end: int) -> bool:
    number = text[start:end]
    return not (
        is_other_number(text, start, end)
        or _is_something_else(number)
        or _LEADS_INTO_WORD().search(text, max(0, start - 2), start)
        or re.match(r"[0-9A-Za-z_]|[.:,/\-][0-9]", text[end : end + 2])
    )


def _is_something_else(number: str) -> bool:
    return _DATE().fullmatch(number) is not None or _ADDRESS_OF_A_MACHINE().fullmatch(number) is not None


def _is_a_persons(number: PhoneNumber) -> bool:
    import phonenumbers

    kinds = phonenumbers.PhoneNumberType
    return phonenumbers.number_type(number) not in (
        kinds.TOLL_FREE,
        kinds.PREMIUM_RATE,
        kinds.SHARED_COST,
        kinds.UAN,
        kinds.VOICEMAIL,
    )
