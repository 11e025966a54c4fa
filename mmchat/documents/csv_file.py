"""Tables of comma-separated values: each row with its columns' names told, so that it makes sense alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from mmchat.documents.blocks import Block, Parsed, Unreadable
from mmchat.documents.sentences import words_in

MAX_ROWS = 20_000
MAX_COLUMNS = 200
MAX_CELL = 100_000
MAX_NAME = 60
"""Characters of a cell that names its row."""
TELLING_WORDS = 10
_SNIFFED = 20_000
_DELIMITERS = ",;\t|"


def parse_csv(text: str) -> Parsed:
    """The first row names the columns, unless it holds numbers as the others do.

    Raises:
        Unreadable: it has no rows.
    """
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), _dialect(text[:_SNIFFED]))
    header: list[str] | None = None
    rows: list[tuple[int, list[str]]] = []
    problem = ""
    try:
        for row in reader:
            cells = [" ".join(cell.split()) for cell in row[:MAX_COLUMNS]]
            if not any(cells):
                continue
            if header is None and not rows and _names_columns(cells):
                header = cells
                continue
            if len(rows) == MAX_ROWS:
                problem = f"Only the first {MAX_ROWS:,} rows were read."
                break
            rows.append((reader.line_num, cells))
    except csv.Error as error:
        if not rows:
            raise Unreadable(f"Its rows make no sense from line {reader.line_num} on: {error}.") from error
        problem = f"Its rows make no sense from line {reader.line_num} on, and were not read: {error}."
    if header is not None and not rows:
        return Parsed((Block(" ".join(cell for cell in header if cell), line=1),), problem=problem)
    return Parsed(tuple(_blocks(header or [], rows)), problem=problem)


def _blocks(header: Sequence[str], rows: Sequence[tuple[int, list[str]]]) -> Iterator[Block]:
    """A passage for each row where it tells much and its first cell names it; else several rows in a passage."""
    names = [cells[0] for _, cells in rows]
    is_named = len(set(names)) == len(names) and all(0 < len(name) <= MAX_NAME for name in names)
    is_named = is_named and not any(_is_number(name) for name in names)
    is_telling = sum(words_in(" ".join(cells)) for _, cells in rows) >= TELLING_WORDS * len(rows)
    for line, cells in rows:
        if is_named and is_telling:
            yield Block(cells[0], 1, line=line)
        yield row_block(header, cells, line=line)


def row_block(
    header: Sequence[str], cells: Sequence[str], *, page: int | None = None, line: int | None = None
) -> Block:
    """A row as lines "column: value"; where it is cut apart, its first value says what it is about."""
    if not header and len(cells) == 2 and all(cells):
        header, cells = cells[:1], cells[1:]  # a name and what it stands for
    told = [
        f"{header[at]}: {cell}" if at < len(header) and header[at] else cell for at, cell in enumerate(cells) if cell
    ]
    return Block("\n".join(told), page=page, line=line, lead=told[0][:80] if told else "")


def _dialect(sample: str) -> type[csv.Dialect]:
    """Told by the first lines: the delimiter that parts them alike."""

    class Found(csv.excel):
        delimiter = max(_DELIMITERS, key=lambda mark: _evenness(sample, mark))

    return Found


def _evenness(sample: str, delimiter: str) -> tuple[float, int]:
    rows = list(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter))[
        : -1 if len(sample) == _SNIFFED else None
    ]
    widths = [len(row) for row in rows if row]
    usual = max(set(widths), key=widths.count, default=1)
    return (widths.count(usual) / len(widths) if usual > 1 else 0.0, usual)


def _names_columns(cells: Sequence[str]) -> bool:
    """Whether a first row is of names: texts, no two alike, none a number."""
    named = [cell for cell in cells if cell]
    return len(set(named)) == len(named) and not any(_is_number(cell) for cell in named)


def _is_number(cell: str) -> bool:
    digits = cell.strip("+-€$£¥% ").replace(",", "").replace(".", "").replace(":", "").replace("/", "").replace("-", "")
    return digits.isdigit()
