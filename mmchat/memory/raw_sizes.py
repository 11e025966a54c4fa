"""How large a damaged file's pages are, by what they themselves say: a few bytes in the header tell it, and may lie.

Source: "Database File Format", sections 1.3.2, 1.3.4 and 1.6, sqlite.org (public domain).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from mmchat.memory.raw_records import varint

DEFAULT_PAGE_BYTES = 4096
"""SQLite's, and hence that of every file mmchat made; taken where nothing says otherwise."""
PAGE_SIZES = tuple(1 << power for power in range(9, 17))
HEADER_BYTES = 100
"""They stand before the first page's own."""
TABLE_LEAF, TABLE_INTERIOR = 0x0D, 0x05

_SAMPLE = 128
"""Pages that are looked at for each size; they lie evenly over the file."""
_LEAST_USABLE_BYTES = 480


class PageSizes(NamedTuple):
    """The size of a page, and how much of its end belongs to others than SQLite."""

    page_bytes: int = DEFAULT_PAGE_BYTES
    reserved_bytes: int = 0

    @property
    def usable(self) -> int:
        """What rows may fill."""
        return self.page_bytes - self.reserved_bytes

    @property
    def is_possible(self) -> bool:
        """Whether SQLite knows such pages."""
        return self.page_bytes in PAGE_SIZES and self.usable >= _LEAST_USABLE_BYTES


def stated_sizes(header: bytes) -> PageSizes | None:
    """What a file's header says; None for what cannot be."""
    (stated,) = struct.unpack_from(">H", header, 16)
    sizes = PageSizes(65536 if stated == 1 else stated, header[20])
    return sizes if sizes.is_possible else None


def fitting_sizes(read: Callable[[int, int], bytes], size_bytes: int, stated: PageSizes | None) -> PageSizes | None:
    """The sizes with which most of a file's pages make sense; where two do equally well, what the header says.

    SQLite fills the pages of a table from their end. So a page tells its size by where its content ends, and hardly
    anything looks like one by chance.

    Args:
        read: gives the bytes at a place in the file, fewer where there are no more.
        size_bytes: of the file.
        stated: what the header says, if that can be.

    Returns:
        None where no page makes sense with any sizes.
    """
    tried = [stated] if stated is not None else []
    tried += [PageSizes(size) for size in (DEFAULT_PAGE_BYTES, *PAGE_SIZES)]
    if stated is not None:
        tried += [PageSizes(size, stated.reserved_bytes) for size in PAGE_SIZES]
    best, best_share = None, 0.0
    for sizes in dict.fromkeys(each for each in tried if each.is_possible):
        share = _fitting_share(read, size_bytes, sizes)
        if share > best_share:
            best, best_share = sizes, share
    return best


def local_bytes(size: int, usable: int) -> int:
    """How much of a row of `size` bytes lies in its leaf; the rest lies in pages of its own."""
    most = usable - 35
    if size <= most:
        return size
    least = (usable - 12) * 32 // 255 - 23
    kept = least + (size - least) % (usable - 4)
    return kept if kept <= most else least


def _fitting_share(read: Callable[[int, int], bytes], size_bytes: int, sizes: PageSizes) -> float:
    """How many of the pages that are looked at are filled to their end and no further, from 0 to 1."""
    count = size_bytes // sizes.page_bytes
    numbers = range(count) if count <= _SAMPLE else [index * count // _SAMPLE for index in range(_SAMPLE)]
    fitting = 0
    for number in numbers:
        page = read(number * sizes.page_bytes, sizes.page_bytes)
        if len(page) == sizes.page_bytes:
            fitting += _content_end(page, 0 if number else HEADER_BYTES, sizes.usable) == sizes.usable
    return fitting / len(numbers) if numbers else 0.0


def _content_end(page: bytes, start: int, usable: int) -> int:
    """Where the content of a page of a table ends; 0 for a page that is none.

    Args:
        page: its bytes.
        start: where its own header begins.
        usable: what rows may fill of it.
    """
    kind, free, count, content = struct.unpack_from(">BHHH", page, start)
    if kind not in (TABLE_LEAF, TABLE_INTERIOR):
        return 0
    first = start + (12 if kind == TABLE_INTERIOR else 8)
    content = content or 65536
    if not first + 2 * count <= content <= usable:
        return 0
    if not count and not free:
        return content
    end = 0
    for at, size in (*_cells(page, first, count, usable), *_free_blocks(page, free)):
        if not content <= at < at + size <= usable:
            return 0
        end = max(end, at + size)
    return end


def _cells(page: bytes, first: int, count: int, usable: int) -> Iterator[tuple[int, int]]:
    """Where each cell of a page begins, and how long it is."""
    is_leaf = first in (8, HEADER_BYTES + 8)
    for at in struct.unpack_from(f">{count}H", page, first):
        size, after = varint(page, at) if is_leaf else (0, at + 4)
        _, after = varint(page, after)
        kept = local_bytes(size, usable)
        yield at, after - at + kept + (4 if kept < size else 0)


def _free_blocks(page: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Where each gap between the cells of a page begins, and how long it is; they lie in this order."""
    while at:
        following, size = struct.unpack_from(">HH", page, at) if at + 4 <= len(page) else (0, len(page))
        yield at, size
        at = following if following > at else 0
