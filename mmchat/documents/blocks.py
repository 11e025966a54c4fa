"""What a file is made of before it is cut: headings, and what stands under them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mmchat.documents.sentences import pieces_of
from mmchat.sanitize import plain_text

MAX_LEAD = 120
"""Characters of what introduces a list."""
MAX_HEADING = 200
"""Characters; a longer one is no heading but words that were set like one."""


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, a paragraph, an item, a row of a table, a piece of code."""

    text: str
    level: int = 0
    """From 1 of a heading, the outermost being lowest; 0 for what is none."""
    page: int | None = None
    line: int | None = None
    is_tight: bool = False
    """It follows the block before it without an empty line, as items and rows do."""
    lead: str = ""
    """What introduces it ("The guarantee does not cover:"), told with it where both are cut apart."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file as its format tells it."""

    blocks: tuple[Block, ...]
    title: str = ""
    problem: str = ""
    """What could not be read, in words."""


TOO_DEEP = "What is nested too deeply in it was not read."


class Unreadable(Exception):
    """A file that cannot be read as what it should be; its text is the problem, as `ReadDocument.problem`."""


def tidied(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """Without empty ones, and with nothing in them that is no text."""
    kept = []
    for block in blocks:
        text = plain_text(block.text).strip("\n").rstrip()
        if block.level:
            text = " ".join(text.split())
            if len(text) > MAX_HEADING:
                block = replace(block, level=0)
        if text.strip():
            kept.append(replace(block, text=text, lead=" ".join(plain_text(block.lead).split())))
    return tuple(kept)


def first_heading(blocks: Iterable[Block]) -> str:
    """What a file calls itself: its outermost heading, where nothing else tells."""
    headings = [block for block in blocks if block.level]
    top = min((block.level for block in headings), default=0)
    return next((block.text for block in headings if block.level == top), "")


def lead_in(text: str) -> str:
    """What introduces a list, of the paragraph before it; empty where it does not."""
    if not text.endswith((":", "：")):
        return ""
    last = pieces_of(text, math.inf)[-1].strip().removeprefix("- ")
    return last if len(last) <= MAX_LEAD else ""
