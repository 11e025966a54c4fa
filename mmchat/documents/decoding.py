"""Bytes of a text file as text, whatever they are written in."""

from __future__ import annotations

import codecs

from mmchat.documents.blocks import Unreadable
from mmchat.script import is_cjk

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GUESSED = ["cp1252", "cp1251", "koi8_r", "shift_jis", "euc_jp", "euc_kr", "cp1253"]
_SAMPLE_BYTES = 20_000
_COMMON_SHARE = 0.8
"""Of the Chinese characters in a Chinese text, at least so many are among the few thousand common ones; of bytes that
are none and are read as if they were, one in three by chance."""
_COMMON = {"gb18030": ("gb2312", 0xD7), "big5": ("big5", 0xC6)}
"""Encoding → one in which common characters have a first byte up to that."""
_MAX_CONTROL_SHARE = 0.01
_FEW_CONTROLS = 2


def decoded(data: bytes) -> str:
    """The text.

    Raises:
        Unreadable: it is none.
    """
    text = _decoded(data)
    sample = text[:_SAMPLE_BYTES]
    controls = sum(1 for character in sample if character < " " and character not in "\t\n\r\f\x1b\v")
    if controls > max(_FEW_CONTROLS, _MAX_CONTROL_SHARE * len(sample)) or "\0" in sample:
        raise Unreadable("It is no text: it holds what only programs read.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if wide := _wide(data):  # before UTF-8, as which Chinese in it can pass
        return data.decode(wide, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    if b"\0" in data[:_SAMPLE_BYTES]:
        raise Unreadable("It is no text: it holds what only programs read.")
    if chinese := _chinese(data):
        return data.decode(chinese, "replace")
    return data.decode(_guessed(data), "replace")


def _wide(data: bytes) -> str:
    """UTF-16 without its mark: every second byte of spaces, digits and punctuation is zero, also among Chinese."""
    sample = data[: _SAMPLE_BYTES & ~1]
    zeros = (sample[0::2].count(0), sample[1::2].count(0))
    if len(sample) < 4 or max(zeros) < 0.02 * len(sample) / 2 or min(zeros) > max(zeros) / 3:
        return ""
    encoding = "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    try:
        text = sample[: len(sample) // 2 * 2 - 2].decode(encoding)
    except UnicodeDecodeError:
        return ""
    return encoding if all(character.isprintable() or character in "\t\r\n\f" for character in text) else ""


def _chinese(data: bytes) -> str:
    """GB18030 or Big5, whichever makes more common characters of the bytes; empty where neither makes Chinese."""
    shares = {encoding: _common_share(data, encoding) for encoding in _COMMON}
    best = max(shares, key=lambda encoding: shares[encoding])
    return best if shares[best] >= _COMMON_SHARE else ""


def _common_share(data: bytes, encoding: str) -> float:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data[:_SAMPLE_BYTES])  # the end may cut a character
    except UnicodeDecodeError:
        return 0.0
    base, last = _COMMON[encoding]
    wide = [character for character in text if ord(character) > 0x7F]
    common = sum(_is_common(character, base, last) for character in wide)
    return common / len(wide) if wide else 0.0


def _is_common(character: str, base: str, last: int) -> bool:
    if not is_cjk(character):
        return character in "“”‘’—…·"
    try:
        return character.encode(base)[0] <= last
    except UnicodeEncodeError:
        return False


def _guessed(data: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(data[:_SAMPLE_BYTES], cp_isolation=_GUESSED).best()
    return "cp1252" if best is None else best.encoding
