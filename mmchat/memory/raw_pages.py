"""Pages and rows of a SQLite file, read without SQLite: a damaged page costs its own rows and no others.

Only reads. What is committed in the log (-wal) beside the file counts as part of it; a damaged frame in
the middle of the log costs its page, not all that came after it as it does with SQLite.

Source: "Database File Format" and "WAL-mode File Format", sqlite.org (public domain).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from mmchat.memory.raw_records import Value, decode_record, varint
from mmchat.memory.raw_sizes import (
    HEADER_BYTES,
    TABLE_INTERIOR,
    TABLE_LEAF,
    PageSizes,
    fitting_sizes,
    local_bytes,
    stated_sizes,
)

MAGIC = b"SQLite format 3\x00"
INDEX_LEAF, INDEX_INTERIOR = 0x0A, 0x02

_NEWEST_FORMAT = 2
"""Of a file with a log; SQLite only reads a file that says it is of a later one."""
_WAL_HEADER, _FRAME_HEADER = 32, 24
_WAL_MAGICS = {0x377F0682: "<", 0x377F0683: ">"}
"""First word of a log → byte order of its checksums."""


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it lies in its page."""

    rowid: int
    values: tuple[Value, ...]
    """The columns that could be read, from the first on. The alias of the rowid is None."""
    is_cut: bool
    """Whether the row goes on where nothing could be read; its last text may be cut too."""


class PageFile:
    """A database file and its log, page by page. Close it at the end.

    Args:
        descriptor: of the file, open for reading; stays the caller's.
        wal: the log; need not be there.
    """

    def __init__(self, descriptor: int, wal: Path) -> None:
        self._descriptor = descriptor
        self._cleanup = ExitStack()
        self._wal = self._cleanup.enter_context(wal.open("rb")) if wal.is_file() else None
        header = self._read(0, HEADER_BYTES)
        has_header = len(header) == HEADER_BYTES and header.startswith(MAGIC)
        self.is_write_barred = has_header and header[18] > _NEWEST_FORMAT
        """Whether the header says that only a later SQLite than there is may write to the file."""
        size_bytes = os.fstat(descriptor).st_size
        sizes = self._find_sizes(stated_sizes(header) if has_header else None, size_bytes)
        self.page_bytes, self._usable = sizes.page_bytes, sizes.usable
        self.has_gap = False
        """Whether the log goes on behind a damaged place, where SQLite would drop the rest."""
        self._frames: dict[int, int] = {}
        """Page → where its newest committed content begins in the log."""
        self.page_count = -(-size_bytes // self.page_bytes)
        if self._wal is not None:
            self.page_count = max(self.page_count, self._read_wal())
        self.unreadable: set[int] = set()
        """Pages that the disk would not give, or that are none."""

    def close(self) -> None:
        """Close the log."""
        self._cleanup.close()

    def page(self, number: int) -> bytes:
        """A page, numbered from 1; empty where there is none."""
        if not 1 <= number <= self.page_count:
            return b""
        at = self._frames.get(number)
        if at is None or self._wal is None:
            page = self._read((number - 1) * self.page_bytes, self.page_bytes)
        else:
            self._wal.seek(at)
            page = self._wal.read(self.page_bytes)
        if len(page) < self.page_bytes:
            self.unreadable.add(number)
            return b""
        return page

    def kind(self, number: int) -> int:
        """The page's type, as its first byte tells."""
        page = self.page(number)
        return page[_start(number)] if page else 0

    def children(self, number: int) -> list[int]:
        """The pages below a page of a table's or an index's tree; none for a leaf or for nonsense."""
        page, start = self.page(number), _start(number)
        if not page or page[start] not in (TABLE_INTERIOR, INDEX_INTERIOR):
            return []
        found = [struct.unpack_from(">I", page, at)[0] for at in self._cells(page, start, 12)]
        found.append(struct.unpack_from(">I", page, start + 8)[0])
        return [child for child in found if 1 <= child <= self.page_count]

    def rows(self, number: int, used: set[int] | None = None) -> Iterator[RawRow]:
        """The rows of a leaf of a table; those that make no sense are left out.

        Args:
            number: the page.
            used: the pages that long rows go on in are added here.
        """
        page, start = self.page(number), _start(number)
        if not page or page[start] != TABLE_LEAF:
            return
        for at in self._cells(page, start, 8):
            row = self._row(page, at, used)
            if row is not None:
                yield row

    def cell_count(self, number: int) -> int:
        """How many rows a leaf says it has."""
        page, start = self.page(number), _start(number)
        return min(struct.unpack_from(">H", page, start + 3)[0], self.page_bytes // 4) if page else 0

    def free_pages(self) -> set[int]:
        """Pages that hold nothing any more, as far as their list can be followed."""
        free: set[int] = set()
        header = self.page(1)
        if not header.startswith(MAGIC):
            return free
        trunk = struct.unpack_from(">I", header, 32)[0]
        while 1 < trunk <= self.page_count and trunk not in free:
            free.add(trunk)
            page = self.page(trunk)
            if not page:
                break
            following, count = struct.unpack_from(">II", page)
            if following > self.page_count or count > self._usable // 4 - 2:
                free.discard(trunk)  # something else, to which a damaged number led
                break
            free.update(each for each in struct.unpack_from(f">{count}I", page, 8) if 1 < each <= self.page_count)
            trunk = following
        return free

    # --- rows -----------------------------------------------------------------------------------

    def _cells(self, page: bytes, start: int, header_bytes: int) -> list[int]:
        """Where the cells of a page begin; offsets that lie outside are left out."""
        count = struct.unpack_from(">H", page, start + 3)[0]
        first = start + header_bytes
        count = min(count, max(0, (self._usable - first) // 2))
        lowest = first + 2 * count
        return [at for at in struct.unpack_from(f">{count}H", page, first) if lowest <= at <= self._usable - 4]

    def _row(self, page: bytes, at: int, used: set[int] | None) -> RawRow | None:
        size, at = varint(page, at)
        rowid, at = varint(page, at)
        if rowid >= 1 << 63:
            rowid -= 1 << 64
        if not 0 < size <= 1 << 31:
            return None
        local = local_bytes(size, self._usable)
        if at + local > self._usable:
            return None
        payload = page[at : at + local]
        if local < size:
            if at + local + 4 > self._usable:
                return None
            payload += self._overflow(struct.unpack_from(">I", page, at + local)[0], size - local, used)
        record = decode_record(payload, size)
        return None if record is None else RawRow(rowid, record.values, record.is_cut)

    def _overflow(self, number: int, size: int, used: set[int] | None) -> bytes:
        """The rest of a long row, as far as its chain of pages can be followed."""
        pieces, seen = [], set()
        while size > 0 and number not in seen:
            page = self.page(number)
            if not page:
                break
            following, piece = struct.unpack_from(">I", page)[0], page[4 : 4 + min(size, self._usable - 4)]
            size -= len(piece)
            # Every page but the last names one that there is, and the last none: what does not is something else.
            if not (following == 0 if size == 0 else 1 < following <= self.page_count) or not any(piece):
                self.unreadable.add(number)
                break
            seen.add(number)
            pieces.append(piece)
            number = following
        if used is not None:
            used |= seen
        return b"".join(pieces)

    # --- bytes ----------------------------------------------------------------------------------

    def _read(self, at: int, size: int) -> bytes:
        try:
            os.lseek(self._descriptor, at, os.SEEK_SET)
            return os.read(self._descriptor, size)
        except OSError:  # a bad sector: its page is lost, the others are not
            return b""

    def _find_sizes(self, stated: PageSizes | None, size_bytes: int) -> PageSizes:
        """What the pages themselves say; else the log, else the header, which a few damaged bytes make lie."""
        return fitting_sizes(self._read, size_bytes, stated) or self._log_sizes() or stated or PageSizes()

    def _log_sizes(self) -> PageSizes | None:
        """What the log's own header says."""
        if self._wal is None:
            return None
        self._wal.seek(0)
        start = self._wal.read(_WAL_HEADER)
        if len(start) < _WAL_HEADER:
            return None
        magic, _, page_bytes = struct.unpack_from(">III", start)
        sizes = PageSizes(page_bytes)
        return sizes if magic in _WAL_MAGICS and sizes.is_possible else None

    def _read_wal(self) -> int:
        """Find the newest content of each page in the log. Returns how many pages the file has with it."""
        assert self._wal is not None
        self._wal.seek(0)
        start = self._wal.read(_WAL_HEADER)
        order = _WAL_MAGICS.get(int.from_bytes(start[:4], "big"), "<")
        salts, before = start[16:24], start[24:32]
        frames: list[tuple[int, int]] = []
        page_count = 0
        frame_bytes = _FRAME_HEADER + self.page_bytes
        at, is_broken = _WAL_HEADER, False
        while len(frame := self._wal.read(frame_bytes)) == frame_bytes:
            head = frame[:_FRAME_HEADER]
            if head[8:16] != salts or _checksum(order, before, head[:8] + frame[_FRAME_HEADER:]) != head[16:24]:
                is_broken = True
            else:
                number, size_after = struct.unpack_from(">II", head)
                frames.append((number, at + _FRAME_HEADER))
                if size_after:  # the end of a transaction: everything up to here is committed
                    page_count = max(page_count, size_after)
                    self._frames.update(frames)
                    frames.clear()
                    self.has_gap |= is_broken
            before = head[16:24]
            at += frame_bytes
        return page_count


def _start(number: int) -> int:
    """Where a page's own header begins: the file's stands before that of the first page."""
    return HEADER_BYTES if number == 1 else 0


def _checksum(order: str, before: bytes, content: bytes) -> bytes:
    """The log's running checksum after `content`, as it is stored. Source: WAL-mode File Format, 4.2."""
    first, second = struct.unpack(">II", before) if len(before) == 8 else (0, 0)
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return struct.pack(">II", first, second)
