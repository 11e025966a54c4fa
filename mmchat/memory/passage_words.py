"""Passages found by their words, and by those of the headings they stand under."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from sqlite_utils import Database

from mmchat.memory.asked_words import AskedWord, asked_words, unknown_words
from mmchat.memory.database import DatabaseFile
from mmchat.memory.text_search import is_cjk, terms
from mmchat.memory.vector_owners import group_number
from mmchat.memory.word_search import (
    LEAST_READ,
    MAX_TERMS,
    READ_TURNS,
    Term,
    estimated_count,
    holding,
    shares_of,
    weight_of,
)
from mmchat.patterns import later

HEADING_WEIGHT = 2.0
"""What a word of a heading counts where one of the text counts 1, in the order of passages found by words alone."""
AT_LEAST = 100
"""A word tells as much as if there were so many passages more: on a shelf of six, what stands in two of them would
tell next to nothing beside a word that stands in none."""
_MOST_DEAD = 1.5
_INDEX = "passages_fts"
# Within a sentence; at its beginning every word is written so.
_NAMES = later(r"(?<=[\w,;:，] )[A-Z]\w+")
_LATIN = later(r"[A-Za-z]\w+")


@dataclass(frozen=True, slots=True)
class PassageHits:
    """What words found."""

    shares: dict[int, float]
    """Of the question's information in each passage, by its number; the best only."""
    unknown_names: int
    """Names in the question that stand nowhere on the shelves."""
    unknown_words: int
    """Words in it that stand nowhere there, names among them."""
    expression: str
    """FTS5 expression for any of the question's words."""


class PassageWords:
    """The words of all passages of a store. Safe from any thread."""

    def __init__(self, file: DatabaseFile) -> None:
        self._file = file
        self._lock = Lock()
        self._groups: NDArray[np.int64] = np.full(1, -1, np.int64)
        """The shelf of each passage, by the passage's number; -1 for none."""

    def find(self, query: str, shelves: Sequence[str], *, limit: int) -> PassageHits:
        """The `limit` passages on these shelves that hold most of what a question tells."""
        asked = asked_words(query)[:MAX_TERMS]
        expressions = [each.expression for each in asked]
        found = PassageHits({}, 0, 0, " OR ".join(expressions))
        with self._file.read() as db:
            is_on_shelf = self._on_shelves(db, shelves)
            numbers = np.flatnonzero(is_on_shelf)
            if not expressions or not numbers.size:
                return found
            words = {each: self._term(db, each, is_on_shelf, numbers) for each in asked}

            def stands(pair: str) -> bool:
                known = next((term for each, term in words.items() if each.forms == (pair,)), None)
                known = known or self._term(db, AskedWord(f'"{pair}"', (pair,)), is_on_shelf, numbers)
                return bool(known.numbers.size)

            unknown, chance = unknown_words(query, stands)
        words = {each: term for each, term in words.items() if term.numbers.size or each.forms[0] not in chance}
        best = sum(term.weight for term in words.values())
        held, shares = shares_of(list(words.values()), best)
        order = np.lexsort((held, -shares))[:limit]
        missing = {each.forms[0] for each, term in words.items() if not term.numbers.size}
        named = names_in(query) & missing
        latin = {word for word in missing if not is_cjk(word) and word.isalpha()}
        share_of = dict(zip(held[order].tolist(), shares[order].tolist(), strict=True))
        return PassageHits(share_of, len(named), len(unknown | latin), found.expression)

    def bm25(self, hits: PassageHits) -> dict[int, float]:
        """FTS5's own score of the hits, by number; higher is better."""
        if not hits.shares:
            return {}
        with self._file.read() as db:
            # The plus keeps SQLite from asking the index anew for each number.
            found = db.execute(
                f"SELECT rowid, -bm25({_INDEX}, 1.0, ?) FROM {_INDEX} WHERE {_INDEX} MATCH ?"
                " AND +rowid IN (SELECT value FROM json_each(?))",
                [HEADING_WEIGHT, hits.expression, json.dumps(list(hits.shares))],
            ).fetchall()
        return dict(found)

    def _term(self, db: Database, asked: AskedWord, is_on_shelf: NDArray[np.bool_], numbers: NDArray[np.int64]) -> Term:
        first, last = int(numbers[0]), int(numbers[-1])
        most = max(LEAST_READ, READ_TURNS // MAX_TERMS)
        held = holding(db, _INDEX, asked.expression, first, last, most)
        here = held[is_on_shelf[held]]
        count = estimated_count(held, last, most) * (len(here) / len(held) if held.size else 0.0)
        return Term(weight_of(asked.forms[0], count, numbers.size + AT_LEAST), here)

    def _on_shelves(self, db: Database, shelves: Sequence[str]) -> NDArray[np.bool_]:
        """(N,) whether the passage of each number stands on one of the shelves."""
        with self._lock:
            (live,) = db.execute("SELECT count(*) FROM passages").fetchone()
            if np.count_nonzero(self._groups >= 0) > _MOST_DEAD * live:
                self._groups = self._groups[:1]
            added = db.execute(
                "SELECT p.number, d.shelf FROM passages p JOIN documents d ON d.id = p.document_id"
                " WHERE p.number >= ? ORDER BY p.number",
                [len(self._groups)],
            ).fetchall()
            if added:
                groups = np.full(added[-1][0] + 1, -1, np.int64)
                groups[: len(self._groups)] = self._groups
                number_of = {shelf: group_number(shelf) for shelf in {shelf for _, shelf in added}}
                groups[[number for number, _ in added]] = [number_of[shelf] for _, shelf in added]
                self._groups = groups
            return np.isin(self._groups, [group_number(shelf) for shelf in shelves])


def names_in(query: str) -> set[str]:
    """Words that name something, case folded: capitals within an English sentence, Latin letters in a Chinese one."""
    if any(is_cjk(term) for term in terms(query)):
        return {word.casefold() for word in _LATIN().findall(query)}
    names = set(_NAMES().findall(query))
    # Where most words begin so, it is a title or somebody's habit.
    return {name.casefold() for name in names} if 2 * len(names) <= len(query.split()) else set()
