"""Word documents as headings and what stands under them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mmchat.documents.blocks import Block, Parsed, Unreadable, first_heading, lead_in
from mmchat.documents.csv_file import row_block

if TYPE_CHECKING:
    from docx.document import Document as WordDocument
    from docx.text.paragraph import Paragraph

MAX_UNPACKED_BYTES = 200_000_000
MAX_PART_BYTES = 60_000_000
"""Of one XML file within: a thousand pages are about 5 MB."""
MAX_PARTS = 5_000
_OLD_WORD = b"\xd0\xcf\x11\xe0"
"""Begins files of Word 97, and encrypted files of any Word."""
_DAMAGE = (
    AttributeError, IndexError, KeyError, NotImplementedError, OSError, RecursionError, TypeError, UnicodeError,
    ValueError, struct.error, zlib.error, zipfile.BadZipFile, EOFError, MemoryError,
)  # fmt: skip
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_MAX_STYLES = 20
"""How far styles are followed that are based on each other."""


def parse_docx(data: bytes) -> Parsed:
    """The text of a document with its tables; no headers, footers, comments, or what was struck out.

    Raises:
        Unreadable: damaged, locked by a password, an old Word file, or far larger unpacked than it looks.
    """
    if data.startswith(_OLD_WORD):
        raise Unreadable("It is locked by a password, or an old Word file. Save a copy as DOCX without a password.")
    _check_size(data)
    from docx import Document
    from docx.opc.exceptions import OpcError
    from lxml.etree import LxmlError

    try:
        document = Document(io.BytesIO(data))
        blocks = tuple(_blocks(document))
        title = (document.core_properties.title or "").strip()
    except (OpcError, LxmlError, *_DAMAGE) as error:
        raise Unreadable("It is damaged, or no Word document at all.") from error
    return Parsed(blocks, title or first_heading(blocks))


def _check_size(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, *_DAMAGE) as error:
        raise Unreadable("It is damaged, or no Word document at all.") from error
    sizes = [part.file_size for part in parts]
    is_xml_huge = any(part.file_size > MAX_PART_BYTES for part in parts if part.filename.endswith((".xml", ".rels")))
    if len(parts) > MAX_PARTS or sum(sizes) > MAX_UNPACKED_BYTES or is_xml_huge:
        raise Unreadable(f"Unpacked it is too large ({sum(sizes) / 1e6:,.0f} MB).")


def _blocks(document: WordDocument) -> Iterator[Block]:
    from docx.table import Table
    from docx.text.paragraph import Paragraph

    last = ""
    lead = ""
    # A stack, for what is grouped may be grouped again; the tree is not changed meanwhile.
    waiting: list[Any] = list(reversed(list(document.element.body)))
    while waiting:
        element = waiting.pop()
        if element.tag == f"{_WORD}sdt":  # a form field, or a cover
            waiting += reversed([child for part in element.findall(f"{_WORD}sdtContent") for child in part])
        elif element.tag == f"{_WORD}tbl":
            yield from _table(Table(element, document))
            last = ""
        elif element.tag == f"{_WORD}p":
            block = _paragraph(Paragraph(element, document))
            if block is None:
                continue
            if not block.is_tight:
                lead = ""
            elif not lead:
                lead = lead_in(last)
            yield Block(block.text, block.level, is_tight=block.is_tight, lead=lead)
            last = block.text


def _paragraph(paragraph: Paragraph) -> Block | None:
    text = _text(paragraph._p)
    names = _style_names(paragraph)
    if not text.strip() or any(name.lower().startswith("toc ") for name in names):
        return None
    level = _level(paragraph, names)
    if level:
        return Block(text, level)
    is_item = (
        any(name.startswith("List") for name in names) or paragraph._p.find(f"{_WORD}pPr/{_WORD}numPr") is not None
    )
    return Block(f"- {text}", is_tight=True) if is_item else Block(text)


def _style_names(paragraph: Paragraph) -> list[str]:
    """Of its style and of those that this one is based on."""
    names: list[str] = []
    style: Any = paragraph.style
    while style is not None and len(names) < _MAX_STYLES:
        names.append(style.name or "")
        style = style.base_style
    return names


def _level(paragraph: Paragraph, names: list[str]) -> int:
    for name in names:
        if name.startswith("Heading ") and name[8:].isdecimal():
            return int(name[8:]) + 1
        if name == "Title":
            return 1
    outline = paragraph._p.find(f"{_WORD}pPr/{_WORD}outlineLvl")
    value = outline.get(f"{_WORD}val", "9") if outline is not None else "9"
    return int(value) + 2 if value.isdecimal() and int(value) < 9 else 0


def _text(element: Any) -> str:
    """All words below an element, also those in text boxes and those that were added while changes were tracked."""
    told = []
    waiting = [element]
    while waiting:
        node = waiting.pop()
        if node.tag == f"{_WORD}t":
            told.append(node.text or "")
        elif node.tag == f"{_WORD}tab":
            told.append(" ")
        elif node.tag in (f"{_WORD}br", f"{_WORD}cr") or (node.tag == f"{_WORD}p" and told):
            told.append("\n")
        if node.tag not in (_FALLBACK, f"{_WORD}pPr", f"{_WORD}rPr"):  # the fallback says the same again
            waiting += reversed(list(node))
    return "".join(told).strip()


def _table(table: Any) -> Iterator[Block]:
    """Its rows, with the names of the columns where the first row has one for each."""
    rows: list[list[str]] = []
    for row in table._tbl.findall(f"{_WORD}tr"):
        rows.append([" ".join(_text(cell).split()) for cell in row.findall(f"{_WORD}tc")])
    header: list[str] = []
    names = rows[0] if len(rows) > 1 else []
    # Two columns are mostly names and what they stand for, unless the first row says otherwise.
    if all(names) and len(set(names)) == len(names) and (len(names) > 2 or _has_header_row(table)):
        header, *rows = rows
    yield from (row_block(header, row) for row in rows if any(row))


def _has_header_row(table: Any) -> bool:
    """Whether its first row is repeated on every page, or set apart by its style."""
    if table._tbl.find(f"{_WORD}tr/{_WORD}trPr/{_WORD}tblHeader") is not None:
        return True
    look = table._tbl.find(f"{_WORD}tblPr/{_WORD}tblLook")
    return look is not None and look.get(f"{_WORD}firstRow") == "1"
