"""The items of one large JSON list, read one after the other: an export of years of talk need not fit in memory."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import BinaryIO

from mmchat.errors import DataError

CHUNK_BYTES = 1 << 20
ITEM_LIMIT_CHARACTERS = 256 << 20
"""A larger item is no conversation."""
_TAIL = 16
"""Where a text is cut, the decoder complains at most so far before its end: at the beginning of a word or an escape."""


class JsonItems:
    """Iterates over the items of a list at the top of a file, or at the key `conversations` of an object there.

    Objects without that key, one after the other, are the items themselves. Items are objects, lists or texts: of a
    bare number nobody could tell where it ends before the next chunk is read.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self._is_over = False
        self.bytes_read = 0

    def __iter__(self) -> Iterator[object]:
        """Yield each item.

        Raises:
            DataError: the file ends too early, or is not JSON; the items before are good.
        """
        first = self._peek()
        number = 0
        while first == "{":
            number += 1
            whole = self._item(number)
            inside = whole.get("conversations") if isinstance(whole, dict) else None
            yield from inside if isinstance(inside, list) else [whole]
            first = self._peek()
        if number and not first:
            return
        if first != "[" or number:
            raise DataError(f"{self._name} is not JSON.", hint="Give the file as it was downloaded.")
        self._at += 1
        while True:
            mark = self._peek()
            if mark == "]":
                return
            if number and mark != ",":
                raise self._broken(number, mark)
            if number:
                self._at += 1
                self._peek()
            number += 1
            yield self._item(number)

    def _item(self, number: int) -> object:
        while True:
            try:
                item, end = self._json.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                is_cut = error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - _TAIL
                if not is_cut or not self._more():
                    raise self._broken(number, "" if is_cut else self._text[error.pos]) from error
            except RecursionError as error:
                raise DataError(f"{self._name}: item {number} is nested too deeply.") from error
            else:
                self._text, self._at = self._text[end:], 0
                return item

    def _peek(self) -> str:
        """The next character that is not blank; "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _more(self) -> bool:
        """Read on, twice as much as there is, so that a large item is not decoded over and over."""
        if self._is_over:
            return False
        if len(self._text) - self._at > ITEM_LIMIT_CHARACTERS:
            raise DataError(
                f"{self._name} holds an item of more than {ITEM_LIMIT_CHARACTERS >> 20} million characters."
            )
        chunk = self._file.read(max(CHUNK_BYTES, len(self._text) - self._at))
        self._is_over = not chunk
        self.bytes_read += len(chunk)
        try:
            decoded = self._decode.decode(chunk, final=self._is_over)
        except UnicodeDecodeError as error:
            raise DataError(f"{self._name} is not UTF-8.", hint="Give the file as it was downloaded.") from error
        self._text, self._at = self._text[self._at :] + decoded, 0
        return not self._is_over or bool(decoded)

    def _broken(self, number: int, mark: str) -> DataError:
        if mark:
            return DataError(
                f"{self._name} is not JSON any more at item {number + (mark != ',')}: {mark!r} is out of place.",
                hint="Give the file as it was downloaded.",
            )
        return DataError(
            f"{self._name} breaks off in item {max(number, 1)}.",
            hint="The download may be cut short; fetch the export again.",
        )
