"""A row's bytes as values, as far as they can be read.

Source: "Database File Format", section 2.1, sqlite.org (public domain).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

Value = None | int | float | str | bytes

_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_MAX_COLUMNS = 200


class Record(NamedTuple):
    """Columns from the first on."""

    values: tuple[Value, ...]
    is_cut: bool
    """Whether later columns, or the end of a text, could not be read."""


def varint(content: bytes, at: int) -> tuple[int, int]:
    """An integer of one to nine bytes, and where the next thing begins; zeros are read beyond the end."""
    value = 0
    for index in range(8):
        byte = content[at + index] if at + index < len(content) else 0
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    last = content[at + 8] if at + 8 < len(content) else 0
    return value << 8 | last, at + 9


def decode_record(payload: bytes, size: int) -> Record | None:
    """The columns of a row.

    Args:
        payload: what could be read of the row, from its beginning.
        size: how many bytes the row says it has.

    Returns:
        None for bytes that are no row.
    """
    header_bytes, at = varint(payload, 0)
    if not 1 <= header_bytes <= min(len(payload), 9 * _MAX_COLUMNS):
        return None
    types = []
    while at < header_bytes:
        kind, at = varint(payload, at)
        types.append(kind)
    lengths = [_length(kind) for kind in types]
    if at != header_bytes or len(types) > _MAX_COLUMNS or min(lengths, default=-1) < 0:
        return None
    if header_bytes + sum(lengths) != size:
        return None
    values: list[Value] = []
    is_cut = False
    for kind, length in zip(types, lengths, strict=True):
        body = payload[at : at + length]
        at += length
        if kind >= 13 and kind % 2:
            text, is_whole = _text(body)
            values.append(text)
            is_cut |= not is_whole
            if len(body) < length:
                return Record(tuple(values), is_cut=True)
        elif len(body) < length:
            return Record(tuple(values), is_cut=True)
        else:
            values.append(_value(kind, body))
    return Record(tuple(values), is_cut)


def _length(kind: int) -> int:
    if kind >= 12:
        return (kind - 12) // 2
    if kind in (0, 8, 9):
        return 0
    return 8 if kind == 7 else _INTEGER_BYTES.get(kind, -1)


def _value(kind: int, body: bytes) -> Value:
    if kind == 0:
        return None
    if kind in (8, 9):
        return kind - 8
    if kind == 7:
        number: float = struct.unpack(">d", body)[0]
        return number
    return bytes(body) if kind >= 12 else int.from_bytes(body, "big", signed=True)


def _text(body: bytes) -> tuple[str, bool]:
    """Text up to the first byte that is none, and whether that was all of it."""
    try:
        return body.decode("utf-8"), True
    except UnicodeDecodeError as error:
        return body[: error.start].decode("utf-8"), False
