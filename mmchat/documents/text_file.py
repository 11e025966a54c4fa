"""Plain text: paragraphs between empty lines, headings that are underlined or numbered as chapters."""

from __future__ import annotations

import re

from mmchat.documents.blocks import Block, Parsed, first_heading
from mmchat.patterns import later
from mmchat.script import is_cjk

_UNDERLINE = later(r"([=\-~^*#])\1{2,}\s*")
_CHAPTER = later(
    r"第[零〇一二三四五六七八九十百千0-9]{1,6}([编卷部篇章节節回條条])(?:\s.*|[:：、].*)?|(?:chapter|part|appendix)\s+[0-9ivxlc]+\b.*",
    re.IGNORECASE,
)
_CHAPTER_LEVELS = {"编": 1, "卷": 1, "部": 1, "篇": 1, "章": 1, "回": 1, "节": 2, "節": 2, "条": 3, "條": 3}
_ITEM = later(
    r"\s*(?:[-*•·–]|\(?\d{1,3}[.)、]|[（(][一二三四五六七八九十]{1,3}[）)]|[一二三四五六七八九十]{1,3}、)\s*\S"
)
MAX_CHAPTER_LINE = 60
SHORT_LINE = 0.7
"""Of the longest line of a paragraph: lines that end so soon were ended on purpose."""


def parse_text(text: str) -> Parsed:
    """Of plain text, and of reStructuredText as far as its headings go."""
    blocks: list[Block] = []
    paragraph: list[tuple[int, str]] = []
    marks: list[str] = []
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        level = _level_under(paragraph, line, marks)
        if level:
            (at, heading) = paragraph.pop()
            blocks += _paragraph(paragraph) + [Block(heading.strip(), level, line=at)]
            paragraph = []
        elif not line.strip() or _UNDERLINE().fullmatch(line):  # also a line over a heading, and a rule
            blocks += _paragraph(paragraph)
            paragraph = []
        elif not paragraph and (level := _chapter_level(line)) and _is_alone(lines, number):
            blocks.append(Block(line.strip(), level, line=number))
        else:
            paragraph.append((number, line))
    blocks += _paragraph(paragraph)
    return Parsed(tuple(blocks), first_heading(blocks))


def _level_under(paragraph: list[tuple[int, str]], line: str, marks: list[str]) -> int:
    """The level of a heading whose underline this is: by the order in which marks come up, as in RST; 0 for none."""
    match = _UNDERLINE().fullmatch(line)
    if match is None or len(paragraph) != 1 or len(line.strip()) < min(len(paragraph[0][1].strip()), 3):
        return 0
    if match[1] not in marks:
        marks.append(match[1])
    return marks.index(match[1]) + 1


def _chapter_level(line: str) -> int:
    text = line.strip()
    match = _CHAPTER().fullmatch(text) if len(text) <= MAX_CHAPTER_LINE else None
    return 0 if match is None else _CHAPTER_LEVELS.get(match[1] or "", 1)


def _is_alone(lines: list[str], number: int) -> bool:
    """Whether a line is no sentence that goes on below it."""
    text = lines[number - 1].strip()
    following = lines[number].strip() if number < len(lines) else ""
    return not following or not text.endswith((",", "，", "、", ".", "。"))


def _paragraph(lines: list[tuple[int, str]]) -> list[Block]:
    """Lines of one paragraph joined; items and lines that were ended on purpose stay apart."""
    if not lines:
        return []
    blocks: list[Block] = []
    longest = max(len(text) for _, text in lines)
    for at, (number, text) in enumerate(lines):
        before = lines[at - 1][1] if at else ""
        is_item = bool(_ITEM().match(text))
        if blocks and not is_item and len(before) >= SHORT_LINE * longest:
            last = blocks[-1]
            blocks[-1] = Block(joined(last.text, text.strip()), line=last.line, is_tight=last.is_tight)
        else:
            blocks.append(Block(text.strip(), line=number, is_tight=bool(blocks)))
    return blocks


def joined(first: str, second: str) -> str:
    """Two lines as one; Chinese has no space between."""
    if not first or not second:
        return first + second
    return first + ("" if is_cjk(first[-1]) and is_cjk(second[0]) else " ") + second
