"""A sheet of what people are to fill in: a table that any spreadsheet opens, and that is read again."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from mmchat.errors import DataError
from mmchat.sanitize import plain_text

Fill = Literal["answer", "label"]
"""The column that people fill in."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins so for a formula; an apostrophe before it says that it is text."""
_ENCODING = "utf-8-sig"
"""With the mark by which spreadsheets know it, so that Chinese is read as what it is."""


@dataclass(frozen=True, slots=True)
class SheetLine:
    """A message, or several in the same words, and what is missing. Fields are the columns, in their order."""

    message: str
    fill: str
    """What people write; the column is called after what is wanted: answer, or label."""
    needs: str
    why: str
    times: str
    intent: str
    """As it was read, with its confidence."""
    nearest: str
    """The place in the documents that comes nearest."""
    reply: str
    """What was replied."""
    conversation: str
    turns: str
    """Ids of the messages, parted by blanks: what the line is known by when it is read again."""


_COLUMNS = tuple(each.name for each in fields(SheetLine))


def sheet_path(rows: Path) -> Path:
    """Where the sheet of a file of rows lies: rows.jsonl has rows.todo.csv."""
    return rows.with_name(f"{rows.name.removesuffix('.jsonl')}.todo.csv")


def sheet_text(lines: Sequence[SheetLine], fill: Fill) -> str:
    """The sheet, with the mark of its encoding."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([fill if name == "fill" else name for name in _COLUMNS])
    writer.writerows([[_guarded(getattr(line, name)) for name in _COLUMNS] for line in lines])
    return "\ufeff" + text.getvalue()


def read_sheet(path: Path, fill: Fill) -> tuple[SheetLine, ...]:
    """The lines that people filled in; none where there is no sheet.

    Comma, semicolon and tab part the cells, as the spreadsheets of different countries write them.

    Raises:
        DataError: it cannot be read, or is a sheet of something else.
    """
    try:
        text = path.read_text(encoding=_ENCODING)
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read: {error}.", hint="Save it from the spreadsheet as CSV in UTF-8."
        ) from error
    head = text.partition("\n")[0]
    parted_by = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=parted_by)
    names = [name.strip() for name in reader.fieldnames or ()]
    if fill not in names or "turns" not in names:
        raise DataError(
            f"{path} has no columns '{fill}' and 'turns'.",
            hint="Keep the first line of the sheet as it is, or give the rows another file name.",
        )
    reader.fieldnames = names
    try:
        return tuple(line for cells in reader if (line := _line(cells, fill)).fill and line.turns)
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: {error}.", hint="Save it from the spreadsheet anew.") from error


def _line(cells: Mapping[str, str | None], fill: Fill) -> SheetLine:
    return SheetLine(**{name: _bare(cells.get(fill if name == "fill" else name) or "") for name in _COLUMNS})


def _guarded(cell: str) -> str:
    plain = plain_text(cell)
    return f"'{plain}" if plain.startswith(_FORMULA) else plain


def _bare(cell: str) -> str:
    is_guarded = cell.startswith("'") and cell[1:].startswith(_FORMULA)
    return (cell[1:] if is_guarded else cell).strip()
