"""PDF as headings and paragraphs. A PDF knows where letters stand, so lines, paragraphs and headings are inferred."""

from __future__ import annotations

import io
import logging
import math
import re
import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmchat.documents.blocks import Block, Parsed, Unreadable
from mmchat.documents.text_file import joined
from mmchat.patterns import later

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

MAX_PAGES = 3_000
MAX_SECONDS = 120.0
"""Of work on one file. A manual of 500 pages takes about 20 s; what takes longer was made to."""
HEADING_SIZE = 1.12
"""A line set so much larger than most of the text is a heading."""
MAX_HEADING_CHARACTERS = 120
SHORT_LINE = 0.7
REPEATED_SHARE = 0.6
"""A first or last line that so many pages share, but for its numbers, is a running head."""
MIN_PAGES_REPEATED = 3
_DAMAGE = (
    AssertionError, AttributeError, IndexError, KeyError, NotImplementedError, OSError, OverflowError, RecursionError,
    TypeError, UnicodeError, ValueError, ZeroDivisionError, struct.error, zlib.error, MemoryError,
)  # fmt: skip
"""What a parser of damaged bytes runs into, beside its own errors."""
_DIGITS = later(r"\d+")
_ROMAN = later(r"\A[ivxlc]+\Z")
_NUMBERED = later(r"\A(?:\d+\b|[ivxlc]+\Z)|\b\d+\Z|\d+ ?页\Z")
_LEADERS = later(r"(?:\s?[.…]){5,}\s*\d*\s*\Z")
"""Ends a line of a table of contents."""
_SENTENCE_END = ("。", "！", "？", ".", "!", "?", ":", "：")
_ITEM = later(r"(?:[-*•·–▪●]|\(?\d{1,2}[.)]|[（(][一二三四五六七八九十]{1,3}[）)]|[一二三四五六七八九十]{1,3}、)\s*\S")
_HYPHEN = later(r"[A-Za-zÀ-ÿ]-$")


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    size: float
    """Of most of its letters, in points; 0 for an empty line."""
    page: int


class _TooSlow(Exception):
    """The file takes more time than it may."""


def parse_pdf(data: bytes, *, is_over: Callable[[], bool] = lambda: False) -> Parsed:
    """The text of the pages; what stands in pictures is not among it.

    Args:
        data: the file.
        is_over: asked now and then whether to stop with what is there.

    Raises:
        Unreadable: damaged, locked by a password, or without any text.
    """
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # every oddity of a file is told there
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("It is locked by a password. Save a copy without one.")
        count = len(reader.pages)
        title = str((reader.metadata.title if reader.metadata is not None else "") or "").strip()
    except (PyPdfError, *_DAMAGE) as error:
        raise Unreadable("It is damaged, or no PDF at all.") from error
    pages, problems = _read_pages(reader, min(count, MAX_PAGES), is_over)
    if not any(line.text for page in pages for line in page):
        raise Unreadable(
            "Its pages are pictures without text, as scanners make them." if not problems else " ".join(problems)
        )
    empty = [number for number, page in enumerate(pages, start=1) if not any(line.text for line in page)]
    if empty:
        problems.append(f"{_numbered(empty)} without text: empty, or a picture.")
    if count > MAX_PAGES:
        problems.append(f"Only the first {MAX_PAGES:,} of {count:,} pages were read.")
    lines = [line for page in _without_running_heads(pages) for line in page if not _LEADERS().search(line.text)]
    blocks = tuple(_blocks(lines, _outline(reader)))
    return Parsed(blocks, title if _is_title(title) else _largest(blocks), " ".join(problems))


def _read_pages(reader: PdfReader, count: int, is_over: Callable[[], bool]) -> tuple[list[list[_Line]], list[str]]:
    from pypdf.errors import PyPdfError

    pages: list[list[_Line]] = []
    damaged: list[int] = []
    until_s = time.monotonic() + MAX_SECONDS

    def check(*_: object) -> None:
        if time.monotonic() > until_s or is_over():
            raise _TooSlow

    for number in range(1, count + 1):
        try:
            check()
            pages.append(_page_lines(reader.pages[number - 1], number, check))
        except _TooSlow:
            return pages, [f"Reading it took too long: only the first {len(pages)} of {count} pages were read."]
        except (PyPdfError, *_DAMAGE):
            pages.append([])
            damaged.append(number)
    return pages, [f"{_numbered(damaged)} damaged."] if damaged else []


def _page_lines(page: PageObject, number: int, check: Callable[..., None]) -> list[_Line]:
    pieces: list[tuple[str, float]] = []

    def take(text: str, cm: Sequence[float], tm: Sequence[float], font: Any, size: float) -> None:
        if text:
            scale = math.hypot(tm[2], tm[3]) * math.hypot(cm[2], cm[3])
            pieces.append((text, round(abs(size) * (scale or 1.0), 1)))

    page.extract_text(visitor_text=take, visitor_operand_before=check)
    lines: list[_Line] = []
    words, sizes = "", Counter[float]()
    for text, size in [*pieces, ("\n", 0.0)]:
        *ended, rest = text.split("\n")
        for part in ended:
            words += part
            sizes[size] += len(part.strip())
            line = " ".join(words.split())
            lines.append(_Line(line, sizes.most_common(1)[0][0] if line else 0.0, number))
            words, sizes = "", Counter()
        words += rest
        sizes[size] += len(rest.strip())
    return lines


def _without_running_heads(pages: Sequence[Sequence[_Line]]) -> Iterator[list[_Line]]:
    """Pages without page numbers, and without the lines at top and bottom that they share with many others."""
    edges = Counter[str]()
    usual = _usual_size([line for page in pages for line in page])
    told = [[line for line in page if line.text and line.size < HEADING_SIZE * usual] for page in pages]
    for lines in told:
        edges.update({_shared(line.text) for line in (*lines[:2], *lines[-2:])})
    most_pages = REPEATED_SHARE * sum(1 for lines in told if lines)
    for page, lines in zip(pages, told, strict=True):
        heads = {
            id(line)
            for line in (*lines[:2], *lines[-2:])
            # A chapter's head stands on that chapter's pages only, and with their numbers.
            if edges[_shared(line.text)] >= (MIN_PAGES_REPEATED if _NUMBERED().search(line.text) else most_pages)
            and edges[_shared(line.text)] >= MIN_PAGES_REPEATED
        }
        yield [line for line in page if id(line) not in heads]


def _shared(text: str) -> str:
    """What a line has in common with its like on other pages."""
    return _DIGITS().sub("#", _ROMAN().sub("#", text))


def _blocks(lines: Sequence[_Line], outline: dict[str, int]) -> Iterator[Block]:
    """Headings by the file's own outline, or else by size; lines that belong together as paragraphs."""
    usual = _usual_size(lines)
    sizes = sorted({line.size for line in lines if _is_large(line, usual)}, reverse=True)
    width = _usual_width(lines)
    paragraph: list[_Line] = []
    heading: list[_Line] = []
    for line in lines:
        level = outline.get(_key(line.text), 0) if outline else 0
        level = level or (1 + sizes.index(line.size) if _is_large(line, usual) else 0)
        if heading and (not level or line.size != heading[0].size or line.page != heading[0].page):
            yield _heading(heading, outline, sizes)
            heading = []
        if level:
            yield from _paragraph(paragraph)
            paragraph = []
            heading.append(line)
        elif not line.text:
            if paragraph and not _goes_on(paragraph[-1].text):
                yield from _paragraph(paragraph)
                paragraph = []
        else:
            if paragraph and _begins_anew(paragraph[-1], line, width):
                yield from _paragraph(paragraph)
                paragraph = []
            paragraph.append(line)
    if heading:
        yield _heading(heading, outline, sizes)
    yield from _paragraph(paragraph)


def _heading(lines: Sequence[_Line], outline: dict[str, int], sizes: Sequence[float]) -> Block:
    text = ""
    for line in lines:
        text = joined(text, line.text)
    level = outline.get(_key(lines[0].text), 0) or 1 + sizes.index(lines[0].size)
    return Block(text, level, page=lines[0].page)


def _paragraph(lines: Sequence[_Line]) -> Iterator[Block]:
    if not lines:
        return
    text = ""
    for line in lines:
        is_parted = bool(_HYPHEN().search(text)) and line.text[:1].islower()  # a word, at the end of a line
        text = text[:-1] + line.text if is_parted else joined(text, line.text)
    yield Block(text, page=lines[0].page, is_tight=bool(_ITEM().match(text)))


def _begins_anew(before: _Line, line: _Line, width: float) -> bool:
    """Whether a line begins a paragraph: the one before it was ended early, or it is an item."""
    if _ITEM().match(line.text):
        return True
    return len(before.text) < SHORT_LINE * width and not _goes_on(before.text)


def _goes_on(text: str) -> bool:
    """Whether a line ends in the middle of a sentence."""
    return not text.endswith(_SENTENCE_END) and (text.endswith((",", "，", "、", "-")) or text[-1:].islower())


def _is_large(line: _Line, usual: float) -> bool:
    is_short = 1 < len(line.text) <= MAX_HEADING_CHARACTERS
    return is_short and line.size >= HEADING_SIZE * usual and any(character.isalpha() for character in line.text)


def _usual_size(lines: Sequence[_Line]) -> float:
    sizes = Counter[float]()
    for line in lines:
        sizes[line.size] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def _usual_width(lines: Sequence[_Line]) -> float:
    """Of a full line, in characters."""
    widths = sorted(len(line.text) for line in lines if line.text)
    return float(widths[int(0.8 * (len(widths) - 1))]) if widths else 0.0


def _outline(reader: PdfReader) -> dict[str, int]:
    """Titles of the file's own table of contents → their level; empty where it has none that can be used."""
    from pypdf.errors import PyPdfError

    found: dict[str, int] = {}
    try:
        waiting: list[tuple[int, Any]] = [(1, entry) for entry in reversed(reader.outline)]
        while waiting and len(found) < MAX_PAGES:
            level, entry = waiting.pop()
            if isinstance(entry, list):
                waiting += [(level + 1, each) for each in reversed(entry)]
            elif title := _key(str(entry.title or "")):
                found.setdefault(title, level)
    except (PyPdfError, *_DAMAGE):
        return {}
    return found


def _key(text: str) -> str:
    """A heading without its number and its spaces: the outline may have either or not."""
    return re.sub(r"^[\d.]+(?=\D)", "", "".join(text.split()).casefold())


def _is_title(text: str) -> bool:
    """Whether a file's own title is one, and not the name that a program gave it."""
    return bool(text) and not re.search(r"\.\w{2,4}$|^untitled|^microsoft word|^slide 1$", text, re.IGNORECASE)


def _largest(blocks: Sequence[Block]) -> str:
    top = min((block.level for block in blocks if block.level), default=0)
    return next((block.text for block in blocks if block.level and block.level == top), "")


def _numbered(pages: Sequence[int]) -> str:
    named = ", ".join(str(page) for page in pages[:5]) + (" and others" if len(pages) > 5 else "")
    return f"Page {named} is" if len(pages) == 1 else f"Pages {named} are"
