"""JSON Lines, one line after the other: what each holds, or what is wrong with it."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from mmchat.errors import DataError
from mmchat.rows.fields import RowFields, described, quoted
from mmchat.rows.values import Place

LINE_LIMIT_BYTES = 64 << 20
"""A longer line holds a picture or a sound in its letters, which belongs into a file of its own."""

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def unreadable(path: Path, error: OSError) -> DataError:
    """What to say of a file that the system does not give."""
    return DataError(f"{path} cannot be read: {error.strerror or error}.", hint="Check the path and its permissions.")


class JsonLines:
    """The lines of a file; `sha256` is that of its bytes once all were read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of the bytes read so far."""
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[RowFields]:
        """Yield each line that is not blank; one that cannot be read has a problem and an empty row.

        Raises:
            DataError: the file cannot be read at all, or is JSON or text of another make.
        """
        try:
            with self.path.open("rb") as file:
                yield from self._rows(file)
        except OSError as error:
            raise unreadable(self.path, error) from error

    def _rows(self, file: BinaryIO) -> Iterator[RowFields]:
        is_first = True
        number = 0
        while line := file.readline(LINE_LIMIT_BYTES):
            number += 1
            self._hash.update(line)
            is_too_long = len(line) == LINE_LIMIT_BYTES and not line.endswith(b"\n")
            while is_too_long and (rest := file.readline(LINE_LIMIT_BYTES)):
                self._hash.update(rest)
                if rest.endswith(b"\n"):
                    break
            if number == 1:
                if line.startswith(_UTF16_MARKS):
                    raise DataError(f"{self.path} is UTF-16 text.", hint="Save the file as UTF-8.")
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            if is_first and line.strip() == b"{":
                raise _one_document(self.path, "object", ".")
            fields = RowFields(Place(self.path, number), {})
            if is_too_long:
                fields.wrong(
                    "row",
                    f"is longer than {LINE_LIMIT_BYTES >> 20} MiB; put pictures and sounds into files of their own",
                )
            else:
                row = _read(fields, line)
                if is_first and line.lstrip().startswith(b"[") and (row is None or _holds_objects(row)):
                    raise _one_document(self.path, "list", ".[]")
            is_first = False
            yield fields


def _one_document(path: Path, kind: str, rows: str) -> DataError:
    return DataError(
        f"{path} is one JSON {kind}; rows are JSON Lines, each object on a line of its own.",
        hint=f"One way: jq -c '{rows}' {shlex.quote(str(path))} > rows.jsonl",
    )


def _holds_objects(row: object) -> bool:
    return isinstance(row, list) and bool(row) and isinstance(row[0], dict)


class _RowError(ValueError):
    """JSON that Python would read, but that says two things or nothing."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise _RowError(f"names {quoted(twice)} twice; keep one of them")
    return found


def _no_number(name: str) -> None:
    raise _RowError(f"holds {name}, which is no number in JSON; write a number or null")


def _read(fields: RowFields, line: bytes) -> object:
    """Put the object of a line into `fields`, or note what is wrong. Returns whatever the line holds."""
    try:
        row = json.loads(line.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_number)
        # Half a surrogate pair can be spelled in JSON, but neither stored nor given to a tokenizer.
        if b"\\u" in line:
            json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        fields.wrong("row", f"is not UTF-8 (byte {error.start + 1}); save the file as UTF-8")
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        fields.wrong("row", f"holds half a character (\\u{ord(half):04x}); write the whole character")
    except RecursionError:
        fields.wrong("row", "is nested too deeply; rows are flat objects")
    except json.JSONDecodeError as error:
        fields.wrong("row", f"is not JSON ({error.msg} at column {error.colno}); put one whole object on each line")
    except _RowError as error:
        fields.wrong("row", str(error))
    except ValueError:
        fields.wrong("row", "holds a number of thousands of digits; write it as a text")
    else:
        if isinstance(row, dict):
            fields.row = row
        else:
            fields.wrong("row", f"is {described(row)}; it must be an object, {{…}}")
        return row
    return None
