"""Markdown as headings and what stands under them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mmchat.documents.blocks import TOO_DEEP, Block, Parsed, first_heading, lead_in
from mmchat.documents.csv_file import row_block
from mmchat.documents.text_file import joined, parse_text
from mmchat.patterns import later

if TYPE_CHECKING:
    from markdown_it.token import Token

MAX_NESTING = 60
MAX_BRACKETS = 5_000
MAX_PARAGRAPH = 500_000
"""With more in one paragraph it is no Markdown that anybody wrote, and takes the square of that to read as such."""
_FRONT = later(r"\A---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = later(r"^title\s*:\s*(.+)$", re.MULTILINE | re.IGNORECASE)
_MAX_FRONT = 20_000
_TOLD_ADDRESSES = ("http://", "https://", "mailto:", "tel:")


def parse_markdown(text: str) -> Parsed:
    """CommonMark with tables. Front matter gives the title; comments are left out."""
    from markdown_it import MarkdownIt

    title, skipped = "", 0
    if front := _FRONT().match(text[:_MAX_FRONT]):
        named = _FRONT_TITLE().search(front[1])
        title = named[1].strip().strip("\"'") if named else ""
        skipped = front[0].count("\n")
        text = text[front.end() :]
    if any(part.count("[") > MAX_BRACKETS or len(part) > MAX_PARAGRAPH for part in text.split("\n\n")):
        return parse_text(text)
    parser = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING}).enable(["table", "strikethrough"])
    tokens = parser.parse(text)
    blocks = tuple(_Walk(skipped).blocks(tokens))
    is_cut = any(token.level >= MAX_NESTING - 1 for token in tokens)
    return Parsed(blocks, title or first_heading(blocks), TOO_DEEP if is_cut else "")


class _Walk:
    """Goes through the tokens once."""

    def __init__(self, skipped_lines: int) -> None:
        self._skipped = skipped_lines
        self._lists: list[str] = []
        """Of each open list, the mark of its next item."""
        self._mark = ""
        """To be put before the next paragraph."""
        self._leads: list[str] = []
        self._last_text = ""
        self._heading = 0

    def blocks(self, tokens: Sequence[Token]) -> Iterator[Block]:
        at = 0
        while at < len(tokens):
            token = tokens[at]
            if token.type == "table_open":
                end = next(i for i in range(at, len(tokens)) if tokens[i].type == "table_close")
                yield from self._table(tokens[at:end])
                at = end
            else:
                yield from self._one(token)
            at += 1

    def _one(self, token: Token) -> Iterator[Block]:
        match token.type:
            case "heading_open":
                self._heading = int(token.tag[1])
            case "heading_close":
                self._heading = 0
            case "bullet_list_open" | "ordered_list_open":
                self._leads.append(lead_in(self._last_text) or (self._leads[-1] if self._leads else ""))
                self._lists.append("-" if token.type.startswith("bullet") else str(token.attrGet("start") or 1))
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
                self._leads.pop()
                self._last_text = ""
            case "list_item_open":
                mark = self._lists[-1]
                self._mark = "  " * (len(self._lists) - 1) + (f"{mark}. " if mark.isdecimal() else "- ")
                self._lists[-1] = str(int(mark) + 1) if mark.isdecimal() else mark
            case "inline":
                yield self._text(_inline(token.children or ()), token)
            case "fence" | "code_block":
                yield self._text(token.content.rstrip("\n"), token)
            case "html_block":
                from mmchat.documents.html_file import parse_html

                for block in parse_html(token.content).blocks:
                    yield self._text(block.text, token)

    def _text(self, text: str, token: Token) -> Block:
        line = token.map[0] + 1 + self._skipped if token.map else None
        if self._heading:
            self._last_text = ""
            return Block(text.replace("\n", " "), self._heading, line=line)
        if text:
            text, self._mark = self._mark + text, ""
        self._last_text = text
        return Block(text, line=line, is_tight=bool(self._lists), lead=self._leads[-1] if self._leads else "")

    def _table(self, tokens: Sequence[Token]) -> Iterator[Block]:
        header: list[str] = []
        row: list[str] = []
        line: int | None = None
        is_head, has_rows = False, False
        for token in tokens:
            if token.type == "thead_open":
                is_head = True
            elif token.type == "thead_close":
                is_head, header = False, row
            elif token.type == "tr_open":
                row, line = [], token.map[0] + 1 + self._skipped if token.map else line
            elif token.type == "inline":
                row.append(" ".join(_inline(token.children or ()).split()))
            elif token.type == "tr_close" and not is_head:
                has_rows = True
                yield row_block(header, row, line=line)
        if not has_rows:
            yield Block(" ".join(header), line=line)
        self._last_text = ""


def _inline(tokens: Sequence[Token]) -> str:
    """The words; of a link its address too, where they do not tell it."""
    told = ""
    links: list[tuple[str, int]] = []
    for token in tokens:
        match token.type:
            case "text" | "code_inline":
                told += token.content
            case "softbreak":
                told = told + "\n"
            case "hardbreak":
                told = told + "\n\n"
            case "image":
                told += token.content  # what is said in its place
            case "html_inline":
                told += "\n\n" if token.content.lower().startswith("<br") else ""
            case "link_open":
                links.append((str(token.attrGet("href") or ""), len(told)))
            case "link_close":
                address, start = links.pop()
                plain = address.removeprefix("mailto:").removeprefix("tel:")
                if address.lower().startswith(_TOLD_ADDRESSES) and plain not in told[start:]:
                    told += f" ({plain})"
    lines = [_line(part) for part in told.split("\n\n")]
    return "\n".join(line for line in lines if line)


def _line(text: str) -> str:
    """Lines that were broken by the writer's editor, as one."""
    line = ""
    for part in text.split("\n"):
        line = joined(line, part.strip())
    return line
