"""Where a text holds personal data. Every finder reads a text of `masking_text.plain_digits`.

What could be anything (an order number, a date, a long integer) is taken for personal data only where its form and
check digits leave little doubt, or a word before it says what it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from mmchat.masking_checks import (
    CARD_LENGTHS,
    IBAN_LENGTHS,
    is_card,
    is_chinese_identity,
    is_iban,
    is_old_chinese_identity,
)
from mmchat.patterns import Later, later
from mmchat.role_values import MaskKind

_LOOK_BACK = 48
"""Characters before a number in which a word may say what it is."""
_GAP = r"[^\d.!?。！？;；\n]"
"""Between such a word and the number: no other number, no other sentence."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One piece of personal data."""

    start: int
    end: int
    kind: MaskKind


def _cue(words: str, gap: int = 20) -> Later:
    return later(rf"(?:{words})(?:{_GAP}|(?<=no)\.|(?<=nr)\.|(?<=tel)\.){{0,{gap}}}$", re.IGNORECASE)


_OTHER_NUMBER = later(
    r"(?:\b(?:order|invoice|ticket|tracking|parcel|part|product|item|serial|model|article|case|reference|ref|booking"
    r"|reservation|confirmation|version|build|issue|isbn|ean|sku|imei|hash|commit|id|uuid|timestamp|page|room|flight"
    r"|customer|member|transaction|claim|licen[cs]e key)"
    r"|订单|单号|运单|快递|物流|发票|流水|工单|编号|型号|序列|条码|版本|会员|客户|商品|货号|交易|时间戳)"
    r"(?:\s|号码|编号|单号|号|是|为|:|#|\b(?:numbers?|no\.?|nr\.?|id|code|is|was)\b)*$",
    re.IGNORECASE,
)
_CARD_CUE = _cue(
    r"(?<!gift )(?<!sim )(?<!library )(?<!business )(?<!graphics )\bcard\b|\bvisa\b|mastercard|\bamex\b|"
    r"american express|银行卡|信用卡|储蓄卡|借记卡|(?<!会员)(?<!公交)(?<!礼品)(?<!门)卡号"
)
_BANK_CUE = _cue(
    r"\b(?:bank(?:ing)? )?(?:account|acct|a/c)\b|\biban\b|sort code|routing number"
    r"|银行账[号户]|银行帐[号户]|收款账[号户]|对公账[号户]|开户|账号|帐号|银行卡|储蓄卡|借记卡|(?<!会员)卡号|汇款|转账"
)
_PASSPORT_CUE = _cue(r"\bpassports?\b|护照|通行证|台胞证|回乡证", gap=16)
_CHINESE_IDENTITY_CUE = _cue(r"身份证|身分证|证件|identity (?:card|number)|\bid (?:card|number)", gap=16)
_SSN_CUE = _cue(r"\bssn\b|social security|社会安全号|社保号")
_NINO_CUE = _cue(r"national insurance|\bnino?\b")

_DIGIT_RUN = later(r"(?<![0-9A-Za-z_])(?<![0-9][.,/:])[0-9]+(?:[ \-\n][0-9]+)*(?![0-9A-Za-z_])(?![.,/:][0-9])")
_GROUP = later(r"[0-9]+")
_MONEY_BEFORE = later(r"(?:[$€£¥₹]|\b(?:usd|eur|gbp|cny|rmb))\s*$", re.IGNORECASE)
_MONEY_AFTER = later(
    r"\s*(?:元|块|万|亿|美元|欧元|英镑|日元|卢比|%|个|条|次|年|秒|字节|(?:dollars?|euros?|pounds?|usd|eur|gbp|rmb|rupees|yen|francs|won|bytes|tokens|kg|km"
    r"|ms|mb|gb|seconds|rows|times)\b)",
    re.IGNORECASE,
)


def is_cued(cue: Later, text: str, start: int) -> bool:
    """Whether a word before a place says what stands there."""
    return cue().search(text, max(0, start - _LOOK_BACK), start) is not None


def said_before(cue: Later, text: str) -> Callable[[int], bool]:
    """`is_cued` for one place after the other: where it is asked for the same again, it looks once."""

    @lru_cache(maxsize=1)
    def is_said(start: int) -> bool:
        return is_cued(cue, text, start) and not is_cued(_OTHER_NUMBER, text, start)

    return is_said


def is_other_number(text: str, start: int, end: int) -> bool:
    """Whether it is said that a number is something else: an order's, a price."""
    return (
        is_cued(_OTHER_NUMBER, text, start)
        or is_cued(_MONEY_BEFORE, text, start)
        or _MONEY_AFTER().match(text, end) is not None
    )


def windows(text: str, lengths: range) -> Iterator[tuple[str, tuple[int, ...], int, int]]:
    """Runs of digit groups that together have so many digits: digits, size of each group, start, end. Longest first."""
    for run in _DIGIT_RUN().finditer(text):
        groups = [(each.start(), each.end()) for each in _GROUP().finditer(text, run.start(), run.end())]
        for first in range(len(groups)):
            found, size = [], 0
            for last in range(first, len(groups)):
                size += groups[last][1] - groups[last][0]
                if size >= lengths.stop:
                    break
                if size in lengths:
                    found.append(last)
            for last in reversed(found):
                chosen = groups[first : last + 1]
                digits = "".join(text[start:end] for start, end in chosen)
                yield digits, tuple(end - start for start, end in chosen), chosen[0][0], chosen[-1][1]


# --- e-mail ---------------------------------------------------------------------------------------

_MAIL = later(
    r"(?<![A-Za-z0-9._%+\-])[A-Za-z0-9](?:[A-Za-z0-9._%+'\-]{0,62}[A-Za-z0-9_+\-])?\s?@\s?"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![A-Za-z0-9])"
)
_FILE_ENDINGS = frozenset({"png", "jpg", "jpeg", "gif", "svg", "webp", "js", "ts", "css", "py", "json", "md"})
_DOMAIN_END = r"(?:com|org|net|edu|gov|info|io|eu|uk|de|fr|es|it|nl|ie|at|ch|cn|hk|tw|us|ca|au|jp|example)"
_SPOKEN_MAIL = later(
    r"(?<![A-Za-z0-9._\-+])(?P<name>[A-Za-z0-9]{1,40}"
    r"(?:(?: (?:dot|underscore|dash|hyphen|minus|plus) |[._\-+])[A-Za-z0-9]{1,40}){0,6})"
    r"(?P<at> at |\s?[\[(]\s?at\s?[\])]\s?)"
    r"(?P<domain>[A-Za-z0-9\-]{1,63})(?:(?: dot |\s?[\[(]\s?dot\s?[\])]\s?|\.)[A-Za-z0-9\-]{1,63}){0,4}?"
    rf"(?: dot |\s?[\[(]\s?dot\s?[\])]\s?|\.){_DOMAIN_END}(?:(?: dot |\.){_DOMAIN_END})?(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_SPOKEN_CHINESE_MAIL = later(
    r"(?<![A-Za-z0-9._\-])[A-Za-z0-9][A-Za-z0-9._\-]{0,62}(?:\s?点\s?[A-Za-z0-9._\-]{1,40}){0,4}"
    r"\s?(?:艾特|圈\s?[aA]|小老鼠|@|\bat\b)\s?[A-Za-z0-9\-]{1,63}(?:\s?点\s?[A-Za-z0-9\-]{1,63}){0,4}?\s?点\s?"
    rf"{_DOMAIN_END}(?:\s?点\s?{_DOMAIN_END})?(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_MAIL_CUE = _cue(r"e-?mails?|\bmail\b|\baddress\b|\bwrite to\b|reach me|contact|邮箱|邮件|电邮", gap=40)
_PROVIDERS = frozenset(
    {"gmail", "googlemail", "outlook", "hotmail", "yahoo", "icloud", "proton", "protonmail", "gmx", "aol", "live"}
    | {"qq", "163", "126", "sina", "foxmail"}
)


def find_mail(text: str) -> Iterator[Finding]:
    """E-mail addresses, typed, disguised ("name [at] example [dot] com") or read out ("name at example dot com")."""
    for match in _MAIL().finditer(text):
        is_remote = match.group().lower().startswith("git@") and text[match.end() : match.end() + 1] in (":", "/")
        if match.group().rpartition(".")[2].lower() not in _FILE_ENDINGS and not is_remote:
            yield Finding(match.start(), match.end(), "mail")
    for match in _SPOKEN_MAIL().finditer(text):
        is_meant = (
            match["at"].strip() != "at"
            or match["domain"].lower() in _PROVIDERS
            or re.search(r"[\d._+]| (?:dot|underscore|dash|hyphen|plus) ", match["name"]) is not None
            or is_cued(_MAIL_CUE, text, match.start())
        )
        if is_meant:
            yield Finding(match.start(), match.end(), "mail")
    for match in _SPOKEN_CHINESE_MAIL().finditer(text):
        yield Finding(match.start(), match.end(), "mail")


# --- identity -------------------------------------------------------------------------------------

_CHINESE_IDENTITY = later(r"(?<![0-9A-Za-z])[0-9]{6}[ \-]?[0-9]{4}[ \-]?[0-9]{4}[ \-]?[0-9]{3}[0-9Xx](?![0-9A-Za-z])")
_SSN = later(r"(?<![0-9A-Za-z\-])(?!000|666|9)[0-9]{3}([ \-]?)(?!00)[0-9]{2}\1(?!0000)[0-9]{4}(?![0-9A-Za-z]|-[0-9])")
_NINO = later(
    r"(?<![0-9A-Za-z])(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
    r"( ?)[0-9]{2}\1[0-9]{2}\1[0-9]{2}\1[A-D](?![0-9A-Za-z])",
    re.IGNORECASE,
)
_PASSPORT = later(r"(?<![0-9A-Za-z])(?=(?:[A-Za-z]*[0-9]){5})[0-9A-Za-z]{7,10}(?![0-9A-Za-z])")


def find_identity(text: str) -> Iterator[Finding]:
    """Chinese identity cards, Social Security and National Insurance numbers; passports after a word for them."""
    for match in _CHINESE_IDENTITY().finditer(text):
        if is_chinese_identity(re.sub("[ -]", "", match.group())):
            yield Finding(match.start(), match.end(), "identity")
    for digits, _, start, end in windows(text, range(15, 16)):
        if is_old_chinese_identity(digits) and is_cued(_CHINESE_IDENTITY_CUE, text, start):
            yield Finding(start, end, "identity")
    for match in _SSN().finditer(text):
        is_meant = match[1] == "-" and not is_other_number(text, *match.span())
        if is_meant or is_cued(_SSN_CUE, text, match.start()):
            yield Finding(match.start(), match.end(), "identity")
    for match in _NINO().finditer(text):
        is_spaced = match[1] == " " and match.group().isupper() and not is_other_number(text, *match.span())
        if is_spaced or is_cued(_NINO_CUE, text, match.start()):
            yield Finding(match.start(), match.end(), "identity")
    for match in _PASSPORT().finditer(text):
        if is_cued(_PASSPORT_CUE, text, match.start()):
            yield Finding(match.start(), match.end(), "identity")


# --- cards and accounts ---------------------------------------------------------------------------


def find_cards(text: str) -> Iterator[Finding]:
    """Payment cards: of a known network and with the right check digit, or after a word for them."""
    is_said = said_before(_CARD_CUE, text)
    for digits, sizes, start, end in windows(text, CARD_LENGTHS):
        is_sure = is_card(digits) and _is_grouped_as_a_card(sizes) and not is_other_number(text, start, end)
        if is_sure or (is_said(start) and (len(digits) >= 15 or is_card(digits))):
            yield Finding(start, end, "card")


def _is_grouped_as_a_card(sizes: tuple[int, ...]) -> bool:
    if len(sizes) == 1:
        return sizes[0] > 14  # fourteen digits in one piece are mostly a time
    return all(size >= 4 for size in sizes[:-1]) or all(size <= 2 for size in sizes)


def find_bank_cards(text: str) -> Iterator[Finding]:
    """The numbers of cards that are named as accounts: in China both are one."""
    is_said = said_before(_BANK_CUE, text)
    for _, _, start, end in windows(text, CARD_LENGTHS):
        if is_said(start):
            yield Finding(start, end, "account")


_IBAN_START = later(rf"(?<![0-9A-Za-z])(?:{'|'.join(IBAN_LENGTHS)})[0-9]{{2}}", re.IGNORECASE)
_SORT_CODE = later(r"(?<![0-9A-Za-z\-])[0-9]{2}-[0-9]{2}-[0-9]{2}(?![0-9A-Za-z\-])")
_SORT_CUE = _cue(r"sort code", gap=8)


def find_accounts(text: str) -> Iterator[Finding]:
    """IBANs with the right check digits; other account numbers after a word for them."""
    for match in _IBAN_START().finditer(text):
        end = _end_of(text, match.start(), IBAN_LENGTHS[match.group()[:2].upper()])
        if end and is_iban("".join(filter(str.isalnum, text[match.start() : end]))):
            yield Finding(match.start(), end, "account")
    for match in _SORT_CODE().finditer(text):
        if is_cued(_SORT_CUE, text, match.start()):
            yield Finding(match.start(), match.end(), "account")
    is_said = said_before(_BANK_CUE, text)
    for digits, _, start, end in windows(text, range(6, 23)):
        is_enough = len(digits) >= 12 or not re.search(r"[\u4e00-\u9fff]", text[max(0, start - 8) : start])
        if is_said(start) and is_enough and not is_other_number(text, start, end):
            yield Finding(start, end, "account")


def _end_of(text: str, start: int, length: int) -> int:
    """Where so many letters and digits end, with at most one blank or dash between two; 0: they do not."""
    end = start
    while length and end < len(text):
        if text[end].isascii() and text[end].isalnum():
            length -= 1
        elif text[end] not in " -" or text[end - 1] in " -":
            return 0
        end += 1
    is_whole = end == len(text) or not (text[end].isascii() and text[end].isalnum())
    return end if not length and is_whole else 0


def free_of(findings: Iterable[Finding], taken: list[Finding]) -> list[Finding]:
    """Those that share nothing with what is taken, nor with each other; the first wins."""
    free: list[Finding] = []
    for each in findings:
        if not any(each.start < other.end and other.start < each.end for other in (*taken, *free)):
            free.append(each)
    return free
