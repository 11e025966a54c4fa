"""Web pages as headings and what stands under them, without what is around the text."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mmchat.documents.blocks import TOO_DEEP, Block, Parsed, Unreadable, first_heading, lead_in
from mmchat.documents.csv_file import row_block
from mmchat.documents.decoding import decoded
from mmchat.patterns import later

if TYPE_CHECKING:
    from lxml.etree import _Element

_LEFT_OUT = frozenset(
    ("script", "style", "noscript", "template", "svg", "math", "head", "nav", "aside", "footer", "button", "select",
     "option", "textarea", "input", "iframe", "object", "canvas", "video", "audio", "map", "dialog", "menu")
)  # fmt: skip
_LEFT_OUT_ROLES = frozenset(("navigation", "banner", "contentinfo", "search", "menu", "dialog", "alertdialog"))
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_BREAKING = _HEADINGS | frozenset(
    ("p", "div", "section", "article", "main", "header", "body", "html", "blockquote", "address", "figure",
     "figcaption", "ul", "ol", "dl", "li", "dt", "dd", "pre", "table", "thead", "tbody", "tfoot", "tr", "td", "th",
     "caption", "hr", "details", "summary", "fieldset", "legend", "center", "form")
)  # fmt: skip
_CHARSET = re.compile(
    rb"""<(?:meta|\?xml)[^>]{0,300}?(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_\-:]+)""", re.IGNORECASE
)
_HEAD_BYTES = 4_096
_DECLARATIONS = later(r"\A\s*(?:<\?xml[^>]*\?>\s*)?(?:<!doctype[^>\[]*(?:\[[^\]]*\]\s*)?>)?", re.IGNORECASE)
"""What stands before a page; entities that it declares are not among what a page can say."""
_SPACES = later(r"\s+")


def page_text(data: bytes) -> str:
    """The bytes of a page as text: as the page says itself, or else as any text.

    Raises:
        Unreadable: it is no text.
    """
    said = _CHARSET.search(data[:_HEAD_BYTES])
    if said is not None and not data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        name = said[1].decode("ascii").lower()
        name = {"gb2312": "gb18030", "gbk": "gb18030", "iso-8859-1": "cp1252"}.get(name, name)
        try:
            return data.decode(name)
        except (LookupError, ValueError):  # UnicodeError is one
            pass
    return decoded(data)


def parse_html(text: str) -> Parsed:
    """The text of a page. Nothing that it refers to is fetched.

    Raises:
        Unreadable: it is no page.
    """
    from lxml import etree

    parser = etree.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True)
    text = _DECLARATIONS().sub("", text, count=1)
    try:
        root = etree.fromstring(text.encode("utf-8", "replace"), parser)
    except etree.XMLSyntaxError as error:
        raise Unreadable("It is no web page.") from error
    if root is None:
        return Parsed(())
    title = _SPACES().sub(" ", root.findtext("head/title") or "").strip()
    body = _main_part(root)
    walk = _Walk()
    blocks = tuple(walk.blocks(body))
    # libxml2 ends a page where it is nested more than 256 deep, and says so.
    is_cut = any("depth" in entry.message for entry in parser.error_log)
    return Parsed(blocks, title or first_heading(blocks), TOO_DEEP if is_cut else "")


def _main_part(root: _Element) -> _Element:
    """The one <main> or <article> of a page, around which everything else is the same on every page."""
    for path in (".//main", ".//*[@role='main']", ".//article"):
        found = root.findall(path)
        if len(found) == 1 and len("".join(found[0].itertext())) > 200:
            return found[0]
    return root


class _Walk:
    """Goes through a page once, without recursion: pages may be nested deeply."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._line: int | None = None
        self._level = 0
        self._lists: list[int] = []
        """Of each open list, the number of its next item; 0 where items have no numbers."""
        self._mark = ""
        self._preformatted = 0
        self._last_text = ""
        self._leads: list[str] = []
        self._rows: list[_Table] = []

    def blocks(self, root: _Element) -> Iterator[Block]:
        from lxml import etree

        skipped: _Element | None = None
        for event, element in etree.iterwalk(root, events=("start", "end")):
            if event == "start":
                if skipped is None and _is_left_out(element):
                    skipped = element
                if skipped is None:
                    yield from self._start(element)
                    self._say(element.text, element.sourceline)
            else:
                if skipped is None:
                    yield from self._end(element)
                elif element is skipped:
                    skipped = None
                if skipped is None and element is not root:
                    self._say(element.tail, element.sourceline)
        yield from self._flush()

    def _say(self, text: str | None, line: int | None) -> None:
        if text and text.strip() and self._line is None:
            self._line = line
        if text:
            self._words.append(text if self._preformatted else _SPACES().sub(" ", text))

    def _start(self, element: _Element) -> Iterator[Block]:
        tag = element.tag
        if tag == "br":
            self._words.append("\n")
        if tag not in _BREAKING:
            return
        if self._rows and tag in ("td", "th", "tr"):
            self._rows[-1].start(tag, self._cell())
            self._line = self._line or element.sourceline
            return
        yield from self._flush()
        if tag in ("ul", "ol"):
            self._leads.append(lead_in(self._last_text) or (self._leads[-1] if self._leads else ""))
            self._lists.append(1 if tag == "ol" else 0)
        elif tag == "li":
            number = self._lists[-1] if self._lists else 0
            self._mark = "  " * (len(self._lists) - 1) + (f"{number}. " if number else "- ")
            if number:
                self._lists[-1] += 1
        elif tag == "pre":
            self._preformatted += 1
        elif tag == "table":
            self._rows.append(_Table())
        elif tag in _HEADINGS:
            self._level = 0 if self._rows else int(tag[1])  # in a cell it is no more than words

    def _end(self, element: _Element) -> Iterator[Block]:
        tag = element.tag
        if tag not in _BREAKING:
            return
        if self._rows and tag in ("td", "th", "tr"):
            row = self._rows[-1].end(tag, self._cell())
            if row is not None:
                yield Block(row.text, line=self._line, lead=row.lead)
                self._line = None
            return
        yield from self._flush()
        if tag in ("ul", "ol") and self._lists:
            self._lists.pop()
            self._leads.pop()
            self._last_text = self._mark = ""
        elif tag == "pre":
            self._preformatted -= 1
        elif tag == "table" and self._rows and (left := self._rows.pop().rest()) is not None:
            yield left

    def _cell(self) -> str:
        text = _SPACES().sub(" ", "".join(self._words)).strip()
        self._words = []
        return text

    def _flush(self) -> Iterator[Block]:
        """The words since the last break, as a block."""
        raw = "".join(self._words)
        self._words = []
        text = raw.strip("\n") if self._preformatted else "\n".join(line.strip() for line in raw.split("\n")).strip()
        if not text.strip():
            return
        if self._rows:  # a paragraph within a cell
            self._words = [text, " "]
            return
        line, self._line = self._line, None
        if self._level:
            level, self._level, self._last_text = self._level, 0, ""
            yield Block(text, level, line=line)
            return
        text, self._mark = self._mark + text, ""
        self._last_text = text
        yield Block(text, line=line, is_tight=bool(self._lists), lead=self._leads[-1] if self._leads else "")


class _Table:
    """The rows of an open table."""

    def __init__(self) -> None:
        self._header: list[str] = []
        self._row: list[str] = []
        self._names = 0
        self._has_rows = False

    def start(self, tag: str, rest: str) -> None:
        """A row or a cell begins; `rest` is what stood before it."""
        if rest:
            self._row.append(rest)

    def end(self, tag: str, text: str) -> Block | None:
        """A cell or a row ends; a row that is none of names is handed back."""
        if tag != "tr":
            self._row.append(text)
            self._names += tag == "th"
            return None
        row, names = self._row, self._names
        self._row, self._names = [], 0
        if row and names == len(row) and not self._has_rows:
            self._header = row
            return None
        self._has_rows = True
        return row_block(self._header, row) if any(row) else None

    def rest(self) -> Block | None:
        """The names of columns that have no rows."""
        return None if self._has_rows or not self._header else Block(" ".join(self._header))


def _is_left_out(element: _Element) -> bool:
    if not isinstance(element.tag, str):  # a comment, an instruction
        return True
    if element.tag in _LEFT_OUT or element.get("role") in _LEFT_OUT_ROLES:
        return True
    return element.get("hidden") is not None or element.get("aria-hidden") == "true"
