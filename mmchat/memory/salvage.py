"""Which page of a damaged database belongs to which table, and the rows of each table."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from mmchat.memory.raw_pages import INDEX_INTERIOR, INDEX_LEAF, PageFile, RawRow
from mmchat.memory.raw_records import Value
from mmchat.memory.raw_sizes import TABLE_INTERIOR, TABLE_LEAF

SalvagedRow = dict[str, Value]

_ID = re.compile(r"[0-9a-z]{26}")
_HASH = re.compile(r"[0-9a-f]{64}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT")
_REFERENCES = ("session_id", "turn_id")
_LEAST_COLUMNS = 2
_TELLING_COLUMNS = 5
"""Rows with fewer columns look alike from one table to another."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    type: str
    is_required: bool
    is_rowid: bool
    """Whether it is another name for the rowid, and hence not in the row's bytes."""

    def strength(self, value: Value) -> int:
        """How well a value goes with the column: -1 not at all, 0 it may, 1 it can hardly be another's."""
        if self.is_rowid or value is None:
            return 0 if value is None and (self.is_rowid or not self.is_required) else -1
        fits = {"TEXT": str, "INTEGER": int, "BLOB": bytes}.get(self.type, object)
        if not isinstance(value, fits):
            return -1
        if isinstance(value, str):
            for ending, pattern in (("id", _ID), ("_at", _MOMENT), ("sha256", _HASH)):
                if self.name.endswith(ending):
                    return 1 if pattern.match(value) else -1
        return 0


@dataclass(frozen=True, slots=True)
class Found:
    """A row, and how it came to light."""

    table: str
    row: SalvagedRow
    is_cut: bool
    is_stray: bool
    """Whether no tree led to its page: the row may be an older state, or have been deleted."""


@dataclass(slots=True)
class Salvage:
    """The rows of a damaged file.

    Args:
        file: its pages.
        layouts: the tables of the present schema and their columns.
    """

    file: PageFile
    layouts: Mapping[str, tuple[Column, ...]]
    is_known: Callable[[str, Value], bool] = lambda column, value: False
    """Whether a row was found already that a column (session_id, turn_id) refers to with this value."""
    unreadable_rows: dict[str, int] = field(default_factory=dict)
    """Rows of a table that made no sense."""
    _stated: dict[str, tuple[Column, ...]] = field(init=False)
    """The tables' columns as the file itself tells them."""
    _roots: dict[str, int] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)
    """Pages that are known to be something."""

    def __post_init__(self) -> None:
        self._stated = dict(self.layouts)
        for name, root, sql in self._schema():
            self._roots[name] = root
            if name in self.layouts and (columns := columns_of(sql, name)):
                self._stated[name] = columns
        self._seen = {1} | self.file.free_pages()

    def rows(self) -> Iterator[Found]:
        """All rows: first those that the tables' trees lead to, then those of pages that nothing leads to."""
        for name in self._roots:
            leaves = self._leaves(self._roots[name])
            if name in self.layouts:
                yield from self._table_rows(name, self._stated[name], leaves)
        yield from self._stray_rows()

    def raw_rows(self, table: str) -> Iterator[RawRow]:
        """The rows of any table that the file names, e.g. of one that SQLite keeps for itself."""
        known, self._seen = self._seen, set()
        try:
            for page in self._leaves(self._roots[table]) if table in self._roots else ():
                yield from self.file.rows(page)
        finally:
            self._seen = known

    # --- trees ----------------------------------------------------------------------------------

    def _schema(self) -> list[tuple[str, int, str]]:
        """Name, first page and SQL of what the file says it holds."""
        found = []
        for page in self._leaves(1):
            for row in self.file.rows(page):
                kind, name, _, root, sql = (*row.values, *[None] * 5)[:5]
                if kind == "table" and isinstance(name, str) and isinstance(root, int) and isinstance(sql, str):
                    found.append((name, root, sql))
        return found

    def _leaves(self, root: int) -> Iterator[int]:
        """The leaves of a table's tree that can be reached, from left to right."""
        waiting = [root]
        while waiting:
            page = waiting.pop()
            if page in self._seen:
                continue
            kind = self.file.kind(page)
            if kind == TABLE_INTERIOR:
                self._seen.add(page)
                waiting += reversed(self.file.children(page))
            elif kind == TABLE_LEAF:
                self._seen.add(page)
                yield page
            else:
                self.file.unreadable.add(page)

    # --- rows -----------------------------------------------------------------------------------

    def _table_rows(self, name: str, columns: tuple[Column, ...], leaves: Iterator[int]) -> Iterator[Found]:
        for page in leaves:
            good = 0
            for raw in self.file.rows(page, self._seen):
                row = _named(raw, columns)
                if row is not None:
                    good += 1
                    yield Found(name, row, raw.is_cut, is_stray=False)
            lost = self.file.cell_count(page) - good
            if lost > 0:
                self.unreadable_rows[name] = self.unreadable_rows.get(name, 0) + lost

    def _stray_rows(self) -> Iterator[Found]:
        """Rows of leaves whose tree is broken above them, told apart by their shape."""
        short: list[list[RawRow]] = []
        for page in range(1, self.file.page_count + 1):
            if page in self._seen:
                continue
            if self.file.kind(page) != TABLE_LEAF:
                content = self.file.page(page)
                # Pages of indexes can be made again; those that long rows go on in begin with 0, as do unused ones.
                if content and content[0] and content[0] not in _TREE_PAGES:
                    self.file.unreadable.add(page)
                continue
            raws = list(self.file.rows(page, self._seen))
            if raws and max(len(raw.values) for raw in raws) < _TELLING_COLUMNS:
                short.append(raws)  # told apart by what they refer to, once that is there
            else:
                yield from self._named_strays(raws)
        for raws in short:
            yield from self._named_strays(raws)

    def _named_strays(self, raws: list[RawRow]) -> Iterator[Found]:
        name = self._table_of(raws)
        for raw in raws if name else ():
            row = _named(raw, self.layouts[name])
            if row is not None:
                yield Found(name, row, raw.is_cut, is_stray=True)

    def _table_of(self, raws: list[RawRow]) -> str:
        """The table whose columns all rows of a page go with best; empty where there is none."""
        best, best_score = "", 0
        for name, columns in self.layouts.items():
            scores = [self._strength(raw, columns) for raw in raws]
            if scores and min(scores) >= 0 and sum(scores) > best_score:
                best, best_score = name, sum(scores)
        return best

    def _strength(self, raw: RawRow, columns: tuple[Column, ...]) -> int:
        """How well a row goes with a table; -1 for not at all. Rows from before a column was added are shorter."""
        if not _LEAST_COLUMNS <= len(raw.values) <= len(columns):
            return -1
        score = int(len(raw.values) == len(columns))
        for column, value in zip(columns, raw.values, strict=False):
            strength = column.strength(value)
            if strength < 0:
                return -1
            score += strength + (column.name in _REFERENCES and self.is_known(column.name, value))
        return score


_TREE_PAGES = (TABLE_LEAF, TABLE_INTERIOR, INDEX_LEAF, INDEX_INTERIOR)


def columns_of(sql: str, name: str) -> tuple[Column, ...]:
    """A table's columns by the statement that makes it; none where SQLite does not take it."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute(sql)
        except (sqlite3.Error, ValueError):  # a damaged statement
            return ()
        return layout(connection, name)


def layout(connection: sqlite3.Connection, table: str) -> tuple[Column, ...]:
    """A table's columns, in the order in which rows hold them."""
    told = connection.execute(f"PRAGMA table_info([{table}])").fetchall()
    keys = [column for column in told if column[5]]
    return tuple(
        Column(
            name=each[1],
            type=each[2].upper(),
            is_required=bool(each[3]),
            is_rowid=len(keys) == 1 and bool(each[5]) and each[2].upper() == "INTEGER",
        )
        for each in told
    )


def _named(raw: RawRow, columns: tuple[Column, ...]) -> SalvagedRow | None:
    """A row by the names of its columns; None for one that cannot be of this table."""
    if not raw.values or len(raw.values) > len(columns):
        return None
    row: SalvagedRow = {}
    for column, value in zip(columns, raw.values, strict=False):
        row[column.name] = raw.rowid if column.is_rowid else value
        types = {"TEXT": str, "INTEGER": int, "BLOB": bytes}.get(column.type)
        if types is not None and value is not None and not column.is_rowid and not isinstance(value, types):
            return None
    return row
