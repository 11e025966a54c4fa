"""Cuts a file into passages: along its headings, then paragraphs, then sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mmchat.documents.blocks import Block
from mmchat.documents.sentences import pieces_of, words_in
from mmchat.knowledge_values import ReadPiece

MOST_WORDS = 120
"""Of a passage, in English words or twice as many Chinese characters. A few passages of that size are told beside a
message, and a small model's window and attention hold no more; shorter ones are found more exactly."""
MAX_LEVELS = 6
SEPARATOR = " › "


@dataclass(frozen=True, slots=True)
class _Atom:
    """What is not cut further."""

    text: str
    words: float
    block: Block
    gap: str
    """What stands between it and the one before."""
    is_start: bool
    """It begins a block: the better place for a cut."""


class _Outline:
    """The headings that hold at a place."""

    def __init__(self) -> None:
        self._open: list[Block] = []
        self.has_content = True

    def enter(self, heading: Block) -> ReadPiece | None:
        """Go on below another heading. Returns one that ends without a word below it, for it may be all there is."""
        left = self.leave(heading.level)
        self._open.append(heading)
        self.has_content = False
        return left

    def leave(self, level: int = 0) -> ReadPiece | None:
        """Come out to a level."""
        alone = None
        while self._open and self._open[-1].level >= level:
            last = self._open.pop()
            if not self.has_content:
                alone = ReadPiece(last.text, self.path, last.page, last.line)
            self.has_content = True
        return alone

    @property
    def path(self) -> str:
        return SEPARATOR.join(block.text for block in self._open[-MAX_LEVELS:])


def cut(blocks: Iterable[Block], *, most_words: float = MOST_WORDS) -> tuple[ReadPiece, ...]:
    """Passages in the order of the file. Every word of a block is in exactly one of them; headings are their names.

    Args:
        blocks: of a file, tidied.
        most_words: of a passage, as `sentences.words_in` counts.
    """
    pieces: list[ReadPiece] = []
    outline = _Outline()
    section: list[Block] = []
    for block in blocks:
        if not block.level:
            section.append(block)
            outline.has_content = True
            continue
        pieces += _passages(section, outline.path, most_words)
        section = []
        alone = outline.enter(block)
        pieces += [alone] if alone is not None else []
    pieces += _passages(section, outline.path, most_words)
    alone = outline.leave()
    return (*pieces, *([alone] if alone is not None else []))


def _passages(section: Sequence[Block], path: str, most_words: float) -> Iterator[ReadPiece]:
    """What stands below one heading, in about equal passages."""
    atoms = [atom for block in section for atom in _atoms(block, most_words)]
    total = sum(atom.words for atom in atoms)
    enough = total / max(1, math.ceil(total / most_words))
    passage: list[_Atom] = []
    words = 0.0
    for atom in atoms:
        is_full = words + atom.words > most_words or (words >= enough and (atom.is_start or words >= most_words))
        if passage and is_full:
            yield _piece(passage, path)
            passage, words = [], 0.0
        passage.append(atom)
        words += atom.words
    if passage:
        yield _piece(passage, path)


def _atoms(block: Block, most_words: float) -> Iterator[_Atom]:
    gap = "\n" if block.is_tight else "\n\n"
    words = words_in(block.text)
    if words <= most_words:
        yield _Atom(block.text, words, block, gap, True)
        return
    for at, text in enumerate(pieces_of(block.text, most_words)):
        yield _Atom(text, words_in(text), block, "" if at else gap, not at)


def _piece(atoms: Sequence[_Atom], path: str) -> ReadPiece:
    first = atoms[0]
    text = "".join([first.text, *(atom.gap + atom.text for atom in atoms[1:])]).strip("\n")
    # What introduces it is told by the passage itself where it is in it.
    is_told = not first.block.lead or (first.is_start and text.startswith(first.block.lead))
    heading = path if is_told else SEPARATOR.join(part for part in (path, first.block.lead) if part)
    return ReadPiece(text.rstrip(), heading, first.block.page, first.block.line)
