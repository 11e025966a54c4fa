"""Personal data in a text, and the text without it.

Masked is what `role_values.MaskKind` names: payment cards, telephone numbers, e-mail addresses, identity numbers and
bank accounts, as they are typed in English and Chinese and as a recogniser writes them down. What stands in their place
says what was there; of cards, accounts and telephones it keeps the last digits, by which two of them are told apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from mmchat.masking_finders import (
    Finding,
    find_accounts,
    find_bank_cards,
    find_cards,
    find_identity,
    find_mail,
    free_of,
)
from mmchat.masking_phones import find_phones
from mmchat.masking_text import PlainDigits, plain_digits
from mmchat.role_values import MASK_KINDS, MaskKind
from mmchat.script import is_mostly_chinese

KEPT_DIGITS: dict[MaskKind, int] = {"card": 4, "account": 4, "phone": 2}
"""The last ones, where there are at least three times as many."""

_MARKS: dict[MaskKind, str] = {
    "card": "card number",
    "phone": "phone number",
    "mail": "e-mail address",
    "identity": "identity number",
    "account": "account number",
}
_CHINESE_MARKS: dict[MaskKind, str] = {
    "card": "银行卡号",
    "phone": "电话号码",
    "mail": "邮箱地址",
    "identity": "证件号码",
    "account": "银行账号",
}


@dataclass(frozen=True, slots=True)
class Masked:
    """A text without personal data."""

    text: str
    kinds: tuple[MaskKind, ...] = ()
    """What was in it, each kind once; empty: the text is as it was."""


def mask(text: str, kinds: Collection[MaskKind]) -> Masked:
    """Put marks in the place of personal data.

    Args:
        text: what was typed, heard or read in a picture.
        kinds: what is to be masked. Masking twice is masking once.
    """
    findings = find_personal_data(text, kinds) if kinds else ()
    if not findings:
        return Masked(text)
    ends = [0, *(each.end for each in findings)]
    between = [text[end : each.start] for end, each in zip(ends, findings, strict=False)]
    after = text[ends[-1] :]
    is_chinese = is_mostly_chinese("".join([*between, after]))  # the figures of a number are no language
    marks = [_mark(each.kind, text[each.start : each.end], is_chinese=is_chinese) for each in findings]
    masked = "".join(piece for pair in zip(between, marks, strict=True) for piece in pair) + after
    found = {each.kind for each in findings}
    return Masked(masked, tuple(kind for kind in MASK_KINDS if kind in found))


def find_personal_data(text: str, kinds: Collection[MaskKind] = MASK_KINDS) -> tuple[Finding, ...]:
    """Where it stands in the text, in order; what overlaps is told once."""
    if not any(letter.isdigit() or letter == "@" for letter in text) and len(text) < _SHORTEST:
        return ()
    plain = plain_digits(text)
    taken: list[Finding] = []
    for findings in (
        find_mail(plain.text),
        find_identity(plain.text),
        find_cards(plain.text) if "card" in kinds else find_bank_cards(plain.text),
        find_accounts(plain.text),
        find_cards(plain.text),
        find_phones(plain.text),
    ):
        taken += free_of(findings, taken)
    wanted = (each for each in taken if each.kind in kinds)
    return tuple(sorted((_in_original(each, plain) for each in wanted), key=lambda each: each.start))


_SHORTEST = 12
"""No number that is spoken out in words is shorter."""


def _in_original(finding: Finding, plain: PlainDigits) -> Finding:
    return Finding(*plain.span(finding.start, finding.end), finding.kind)


def _mark(kind: MaskKind, value: str, *, is_chinese: bool) -> str:
    digits = "".join(filter(str.isdigit, plain_digits(value).text))
    kept = KEPT_DIGITS.get(kind, 0)
    end = digits[-kept:] if kept and len(digits) >= 3 * kept else ""
    if is_chinese:
        return f"[{_CHINESE_MARKS[kind]}{f'，尾号{end}' if end else ''}]"
    return f"[{_MARKS[kind]}{f' ending {end}' if end else ''}]"


def told(kinds: Iterable[MaskKind], place: str = "") -> str:
    """What is said of it to the user, such as "A card number was masked before it was stored".

    Args:
        kinds: at least one.
        place: the file that it was in; empty: the message itself.
    """
    names = [f"{'an' if _MARKS[kind][0] in 'aei' else 'a'} {_MARKS[kind]}" for kind in kinds]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    where = f" in {place}" if place else ""
    verb, they = ("was", "it was") if len(names) == 1 else ("were", "they were")
    return f"{listed[0].upper()}{listed[1:]}{where} {verb} masked before {they} stored."
