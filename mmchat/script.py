"""Which script a text is written in, as far as the program must know."""

from __future__ import annotations

CJK_RANGES = (
    (0x3000, 0x303F),  # punctuation
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF00, 0xFF60),  # full-width forms
    (0x20000, 0x2FA1F),
)


def is_cjk(character: str) -> bool:
    """Whether a character is Chinese or Chinese punctuation."""
    code = ord(character)
    return any(low <= code <= high for low, high in CJK_RANGES)


def is_mostly_chinese(text: str) -> bool:
    """Whether at least a third of the letters are Chinese: names and code words in Latin do not tip a text."""
    letters = [character for character in text if character.isalnum() or is_cjk(character)]
    return bool(letters) and 3 * sum(map(is_cjk, letters)) >= len(letters)
