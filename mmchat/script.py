"""Which script a text is written in, and the language as far as that tells it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from mmchat.patterns import later

Ranges = tuple[tuple[int, int], ...]
"""Code points, first and last."""

HAN: Ranges = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
HAN_MARKS: Ranges = ((0x3005, 0x3005), (0x3007, 0x3007))
"""々 and 〇, which stand in words although they lie among the punctuation."""
KANA: Ranges = ((0x3040, 0x30FF), (0x31F0, 0x31FF))
HANGUL: Ranges = ((0xAC00, 0xD7AF),)
LATIN: Ranges = ((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x1E00, 0x1EFF))
CJK_PUNCTUATION: Ranges = ((0x3000, 0x303F), (0xFF00, 0xFF60))
"""Full-width forms of Latin among them: they are set as wide as Chinese."""

CJK_WORDS: Ranges = (*HAN_MARKS, *KANA, *HAN, *HANGUL)
"""What is written without spaces, or is searched as if it were."""

CHINESE_LANGUAGES = frozenset({"zh", "yue"})
UNSPACED_LANGUAGES = CHINESE_LANGUAGES | {"ja", "th", "lo", "km", "my", "bo"}
"""Written without spaces between words (ISO 639), so that characters are counted instead."""

_CHINESE: Ranges = (*HAN, *CJK_PUNCTUATION)
# Japanese has far more (about half of its letters), Chinese none but a の or so in a name.
_KANA_SHARE = 0.1
_CHARACTERS_A_WORD = 1.5


def character_class(ranges: Ranges) -> str:
    """The ranges as they stand inside the brackets of a regular expression."""
    return "".join(re.escape(chr(low)) + (f"-{re.escape(chr(high))}" if high > low else "") for low, high in ranges)


def is_cjk(character: str) -> bool:
    """Whether a character is Chinese or Chinese punctuation."""
    code = ord(character)
    return any(low <= code <= high for low, high in _CHINESE)


def is_mostly_chinese(text: str) -> bool:
    """Whether at least a third of the letters are Chinese: names and code words in Latin do not tip a text."""
    letters = [character for character in text if character.isalnum() or is_cjk(character)]
    return bool(letters) and 3 * sum(map(is_cjk, letters)) >= len(letters)


_RUNS = {
    name: later(f"[{character_class(ranges)}]+")
    for name, ranges in {"cjk": CJK_WORDS, "kana": KANA, "hangul": HANGUL, "latin": LATIN}.items()
}
_WORDS = later(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def language_of(texts: Sequence[str]) -> str:
    """The language that the letters of some texts, taken together, point to.

    Chinese, Japanese or Korean if their characters make up at least as many words as stand in other
    scripts, one and a half characters to a word; so neither a quoted title nor a foreign name tips a text.
    Japanese where kana are at least a tenth of the characters. All Latin is taken for English: letters do
    not tell French from English, and metrics treat all Latin alike. Digits, punctuation and emoji do not
    count.

    Returns:
        "zh", "ja", "ko", "en", or "" where no letters decide (none, or another script such as Cyrillic).
    """
    # Compatible forms folded: half-width kana, full-width Latin, Korean in separate pieces. The dot between
    # the parts of a foreign name lies among the kana, also in Chinese.
    plain = unicodedata.normalize("NFKC", "\n".join(texts)).replace("・", " ")
    count = {name: sum(map(len, run().findall(plain))) for name, run in _RUNS.items()}
    words = _WORDS().findall(_RUNS["cjk"]().sub(" ", plain))
    if count["cjk"] and count["cjk"] >= _CHARACTERS_A_WORD * len(words):
        if 2 * count["hangul"] > count["cjk"]:
            return "ko"
        return "ja" if count["kana"] >= _KANA_SHARE * count["cjk"] else "zh"
    return "en" if 2 * count["latin"] > sum(map(len, words)) else ""
