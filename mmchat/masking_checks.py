"""Whether digits are what they look like: the check sums and forms of cards, identity numbers and accounts."""

from __future__ import annotations

from datetime import date

# Source: ISO/IEC 7812-1, and the networks' own published ranges: first digits, lengths.
_NETWORKS: tuple[tuple[int, int, tuple[int, ...]], ...] = (
    (4, 4, (16,)),  # Visa
    (51, 55, (16,)),  # Mastercard
    (2221, 2720, (16,)),
    (34, 34, (15,)),  # American Express
    (37, 37, (15,)),
    (62, 62, (16, 17, 18, 19)),  # UnionPay
    (81, 81, (16,)),
    (3528, 3589, (16,)),  # JCB
    (6011, 6011, (16,)),  # Discover
    (644, 659, (16,)),
    (300, 305, (14,)),  # Diners Club
    (36, 36, (14,)),
    (38, 39, (14,)),
)
CARD_LENGTHS = range(13, 20)

_CHINESE_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHINESE_CHECKS = "10X98765432"
# Source: GB/T 2260, the two digits of provinces.
_PROVINCES = frozenset(
    str(province)
    for province in (*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66))
    + (71, 81, 82, 83, 91)
)

# Source: the SWIFT registry of IBAN formats: country, length.
IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
    "XK": 20,
}  # fmt: skip


def passes_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others.

    Source: ISO/IEC 7812-1, annex B.
    """
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if index % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """Whether they are a card number of a known network."""
    return any(
        len(digits) in lengths and low <= int(digits[: len(str(low))]) <= high for low, high, lengths in _NETWORKS
    ) and passes_luhn(digits)


def is_chinese_identity(number: str) -> bool:
    """Whether 18 characters are the number of an identity card of the People's Republic.

    Source: GB 11643-1999.
    """
    head, check = number[:17], number[17:].upper()
    if len(number) != 18 or number[:2] not in _PROVINCES or not _is_birthday(number[6:14]):
        return False
    return (
        _CHINESE_CHECKS[sum(int(digit) * weight for digit, weight in zip(head, _CHINESE_WEIGHTS, strict=True)) % 11]
        == check
    )


def is_old_chinese_identity(digits: str) -> bool:
    """Whether 15 digits can be a number of the first generation, which has no check digit."""
    return len(digits) == 15 and digits[:2] in _PROVINCES and _is_birthday("19" + digits[6:12])


def is_iban(number: str) -> bool:
    """Whether letters and digits are an account number with its check digits.

    Source: ISO 13616, ISO 7064 MOD 97-10.
    """
    number = number.upper()
    if IBAN_LENGTHS.get(number[:2]) != len(number) or not number[2:4].isdecimal() or not number.isalnum():
        return False
    return int("".join(str(int(letter, 36)) for letter in number[4:] + number[:4])) % 97 == 1


def is_routing_number(digits: str) -> bool:
    """Whether nine digits are the number of a bank of the United States.

    Source: the American Bankers Association's check digit (3, 7, 1).
    """
    weights = (3, 7, 1) * 3
    return (
        len(digits) == 9 and sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True)) % 10 == 0
    )


def _is_birthday(digits: str) -> bool:
    try:
        born = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return False
    return date(1900, 1, 1) <= born <= date(2100, 1, 1)
