"""Personal data in a text is found and masked, and what only looks like it survives."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mmchat.masking import find_personal_data, mask, told
from mmchat.masking_checks import is_card, is_chinese_identity, is_iban, is_old_chinese_identity, passes_luhn
from mmchat.role_values import MASK_KINDS, MaskKind

PROBES = Path(__file__).parents[2] / "benchmarks" / "probes" / "masking.jsonl"


def masked(text: str) -> str:
    return mask(text, MASK_KINDS).text


MAIL: tuple[MaskKind, ...] = ("mail",)
PHONE: tuple[MaskKind, ...] = ("phone",)
ACCOUNT: tuple[MaskKind, ...] = ("account",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My card is 4111 1111 1111 1111.", "My card is [card number ending 1111]."),
        ("call me at (415) 555-2671 after six", "call me at [phone number ending 71] after six"),
        ("write to anna@example.com", "write to [e-mail address]"),
        ("my email is anna at example dot com", "my email is [e-mail address]"),
        ("My SSN is 219-09-9999.", "My SSN is [identity number]."),
        ("to DE89 3704 0044 0532 0130 00 please", "to [account number ending 3000] please"),
        ("sort code 12-34-56", "sort code [account number]"),
        ("我的电话是一三八零零一三八零零零", "我的电话是[电话号码，尾号00]"),
        ("手机１３８－００１３－８０００", "手机[电话号码，尾号00]"),
        ("身份证11010519491231002X", "身份证[证件号码]"),
        ("退到银行卡 6222 0212 3456 7890 128 吧", "退到银行卡 [银行卡号，尾号0128] 吧"),
        ("邮箱是zhang@example.com，谢谢", "邮箱是[邮箱地址]，谢谢"),
        ("我叫张三，13712345678", "我叫张三，[电话号码，尾号78]"),
        ("my number is double five five, one two one two three four five", "my number is [phone number ending 45]"),
    ],
)
def test_what_stands_in_its_place(text: str, expected: str) -> None:
    assert masked(text) == expected


def test_the_probes_stay_found() -> None:
    """`benchmarks/masking.py` measures; here it is only seen that nothing falls behind."""
    rows = [json.loads(line) for line in PROBES.read_text(encoding="utf-8").splitlines()]
    missed = [row["text"] for row in rows if any(each["value"] in masked(row["text"]) for each in row["data"])]
    false = [row["text"] for row in rows if not row["data"] and masked(row["text"]) != row["text"]]
    assert len(rows) >= 120
    assert missed == []
    assert false == ["The order I placed by phone is 4155552671."]


def test_only_what_is_asked_for_is_masked() -> None:
    text = "anna@example.com, 415-555-2671, 4111 1111 1111 1111"
    assert mask(text, ()).text == text
    assert mask(text, MAIL) == mask(text, set(MAIL))
    assert mask(text, MAIL).text == "[e-mail address], 415-555-2671, 4111 1111 1111 1111"
    assert mask(text, PHONE).kinds == ("phone",)
    # A card that is called an account is masked where accounts are, and no telephone is found within it.
    card = "银行账号 6222 0212 3456 7890 128"
    assert mask(card, ACCOUNT).text == "银行账号 [银行账号，尾号0128]"
    assert mask(card, PHONE).text == card


def test_it_is_told_in_words() -> None:
    assert told(("card",)) == "A card number was masked before it was stored."
    both = told(("phone", "mail"), "note.png")
    assert both == "A phone number and an e-mail address in note.png were masked before they were stored."


# Sources: the networks' published test numbers; the example of GB 11643; the examples of ISO 13616's registry.
@pytest.mark.parametrize("digits", ["4111111111111111", "5555555555554444", "378282246310005", "3566002020360505"])
def test_check_digits_of_cards(digits: str) -> None:
    assert is_card(digits)
    wrong = digits[:-1] + str((int(digits[-1]) + 1) % 10)
    assert not is_card(wrong)
    assert not is_card("9" + digits[1:])


def test_check_digits_of_identities_and_accounts() -> None:
    assert is_chinese_identity("11010519491231002X")
    assert not is_chinese_identity("110105194912310021")
    assert not is_chinese_identity("110105194913310029")  # no such month
    assert is_old_chinese_identity("110105491231002")
    assert is_iban("GB29NWBK60161331926819")
    assert not is_iban("GB29NWBK60161331926818")
    assert not is_iban("GB29NWBK601613319268")
    assert passes_luhn("79927398713")


@given(st.text(max_size=200))
@example("[card number ending 1111] 415-555-2671")
@example("０１２ double one 一")
def test_masking_twice_is_masking_once(text: str) -> None:
    once = mask(text, MASK_KINDS)
    assert mask(once.text, MASK_KINDS).text == once.text
    assert bool(once.kinds) == (once.text != text)


_ALPHABET = "0123456789 -.,@+()零一二三四五六七八九○〇幺号电话卡onetwodoubleatdotcomanX\n"


@given(st.text(alphabet=_ALPHABET, max_size=120))
def test_findings_are_in_order_and_apart(text: str) -> None:
    findings = find_personal_data(text)
    assert all(0 <= each.start < each.end <= len(text) for each in findings)
    assert all(one.end <= two.start for one, two in zip(findings, findings[1:], strict=False))


# --- what survives --------------------------------------------------------------------------------


@given(st.integers(min_value=0, max_value=10**30), st.sampled_from(["I counted {}.", "结果是{}。", "{}", "n={}"]))
def test_integers_without_a_word_for_them_survive(number: int, around: str) -> None:
    digits = str(number)
    assume(not is_card(digits) and not is_chinese_identity(digits))
    assume(not (len(digits) in (11, 13) and digits[-11:][0] == "1"))  # a Chinese mobile needs no word
    text = around.format(digits)
    assert masked(text) == text


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(2099, 12, 31)), st.times())
def test_dates_and_times_survive(day: date, time: object) -> None:
    for text in (
        f"on {day.isoformat()} at {str(time)[:5]}",
        f"{day.day}/{day.month}/{day.year}",
        f"{day.day}.{day.month}.{day.year}, {str(time)[:8]}",
        f"{day.year}年{day.month}月{day.day}日{str(time)[:5]}",
        f"{day:%Y%m%d}",
        f"{day.isoformat()} {str(time)[:8]}",
    ):
        assert masked(text) == text


@given(st.lists(st.integers(min_value=0, max_value=255), min_size=4, max_size=4), st.integers(1, 65535))
def test_addresses_of_machines_and_versions_survive(parts: list[int], port: int) -> None:
    address = ".".join(map(str, parts))
    for text in (
        f"the server is {address}",
        f"{address}:{port}",
        f"http://{address}/",
        f"版本{address}",
        f"v{address}",
    ):
        assert masked(text) == text


@given(
    st.decimals(min_value=0, max_value=10**9, places=2), st.sampled_from(["${}", "€{}", "￥{}", "{}元", "{} dollars"])
)
def test_prices_survive(price: object, around: str) -> None:
    text = around.format(price)
    assert masked(text) == text
    assert masked(f"It costs {text}.") == f"It costs {text}."


@given(
    st.integers(min_value=10**5, max_value=10**19),
    st.sampled_from(["order number {}", "订单号{}", "tracking no. {}", "快递单号：{}"]),
)
def test_numbers_of_orders_survive(number: int, around: str) -> None:
    text = around.format(number)
    assume(not is_chinese_identity(str(number)))
    assert masked(text) == text


# --- what never survives --------------------------------------------------------------------------


def _with_check_digit(head: str) -> str:
    return next(head + str(digit) for digit in range(10) if passes_luhn(head + str(digit)))


@given(st.from_regex(r"(?:4[0-9]{14}|5[1-5][0-9]{13}|62[0-9]{13})", fullmatch=True), st.sampled_from(["", " ", "-"]))
def test_no_card_survives(head: str, separator: str) -> None:
    card = _with_check_digit(head)
    shown = separator.join(card[at : at + 4] for at in range(0, 16, 4))
    wide = shown.translate({0x30 + digit: 0xFF10 + digit for digit in range(10)})
    for text in (f"I paid with {shown} yesterday", f"用{wide}付的", shown):
        assert masked(text).count(card[-4:]) == 1
        assert card[4:12] not in "".join(filter(str.isdigit, masked(text)))


@given(st.from_regex(r"1(?:3[0-9]|5[0-35-9]|8[0-9])[0-9]{8}", fullmatch=True), st.sampled_from(["", " ", "-"]))
def test_no_chinese_mobile_survives(number: str, separator: str) -> None:
    spoken = number.translate(str.maketrans("0123456789", "零幺二三四五六七八九"))
    shown = separator.join((number[:3], number[3:7], number[7:]))
    for text in (f"我的手机是{shown}", f"电话{spoken}，谢谢", f"+86 {shown}", f"call me on {shown}"):
        left = masked(text)
        assert shown not in left
        assert spoken not in left
