"""Turns found by their words: which share of a query's information each holds.

A word tells the more the fewer turns hold it (BM25's own weight); how often a turn repeats it says little in talk, so
that is not counted, and the index need only be asked which turns hold a word. That is quick however many there are:
of a frequent word the newest turns are read, and how many more there are is told by how far back these reach.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlite_utils import Database

from mmchat.later import np
from mmchat.memory.statements import LIVE_TURN
from mmchat.memory.text_search import FUNCTION_CHARACTERS, informative, is_cjk

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_TERMS = 24
"""The first this many different terms of a long message; more cost time and find nothing new."""
READ_TURNS = 40_000
"""How many entries of the index are read for a query, over all its terms."""
LEAST_READ = 2_000
# An answer bears on what its question bears on.
_ANSWER_SHARE = 0.8
_NEIGHBOURS_OF = 50
# A pair of Chinese characters that stands nowhere is more often an accident of pairing than a word.
_UNKNOWN_PAIR_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class WordHit:
    """A turn that holds some of the query's words, or answers one that does."""

    number: int
    share: float
    """Of the query's information in this turn, or a little less than that in the question it answers."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which turns may be found."""

    session_id: str | None = None
    exclude_session: str | None = None
    exclude_turns: Sequence[str] = ()
    start: str = ""
    """Said at this time or later, as `created_at` is written; empty for any."""
    end: str = ""
    """Said before this time."""
    scope: str | None = None
    """Only of conversations that share this memory, '' being the user's; None: of all."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word of a query."""

    weight: float
    """How much it tells."""
    numbers: NDArray[np.int64]
    """The turns that hold it, or the newest of them."""


def find_by_words(
    db: Database, query: str, filters: Filters, *, limit: int, names: frozenset[str] = frozenset()
) -> list[WordHit]:
    """Best first, the newer of equals. An answer bears on what its question bears on.

    Args:
        db: this thread's connection.
        query: in the user's words.
        filters: which turns may be found.
        limit: how many turns with words of their own; those that answer them come on top.
        names: case-folded names of speakers, left out unless nothing else is asked for.
    """
    expressions = informative(query, without=names) or informative(query)
    terms = _terms(db, expressions[:MAX_TERMS], filters)
    best = sum(term.weight for term in terms)
    numbers, shares = shares_of(terms, best)
    if not numbers.size:
        return []
    where, parameters = where_of(filters)
    order = np.lexsort((-numbers, -shares))[: 2 * limit]
    share_of = dict(zip(numbers[order].tolist(), shares[order].tolist(), strict=True))
    live = db.execute(
        f"SELECT t.number FROM json_each(?) w JOIN turns t ON t.number = w.value WHERE {where}",
        [json.dumps(list(share_of)), *parameters],
    ).fetchall()
    ranked = sorted((number for (number,) in live), key=lambda number: (-share_of[number], -number))[:limit]
    found = {number: share_of[number] for number in ranked}
    for number, question in _answers(db, ranked[:_NEIGHBOURS_OF], where, parameters):
        found[number] = max(found.get(number, 0.0), share_of[question] * _ANSWER_SHARE)
    hits = [WordHit(number, share) for number, share in found.items()]
    return sorted(hits, key=lambda hit: (-hit.share, -hit.number))


def _answers(db: Database, numbers: Sequence[int], where: str, parameters: Sequence[object]) -> list[tuple[int, int]]:
    """Turns that come next after others, said by somebody else: number, and that of the turn before."""
    return [
        (number, question)
        for number, question in db.execute(
            "SELECT t.number, o.number FROM json_each(?) w JOIN turns o ON o.number = w.value"
            " JOIN turns t ON t.number = (SELECT b.number FROM turns b WHERE b.session_id = o.session_id"
            " AND b.position > o.position AND NOT b.is_retired ORDER BY b.position LIMIT 1)"
            f" WHERE t.role <> o.role AND {where}",
            [json.dumps(list(numbers)), *parameters],
        )
    ]


def where_of(filters: Filters) -> tuple[str, list[object]]:
    """Condition on `turns t` and its parameters: live, and as the filters want it."""
    where, parameters = LIVE_TURN, list[object]()
    for value, condition in (
        (filters.session_id, "t.session_id = ?"),
        (filters.exclude_session, "t.session_id <> ?"),
        (filters.start or None, "t.created_at >= ?"),
        (filters.end or None, "t.created_at < ?"),
    ):
        if value is not None:
            where += f" AND {condition}"
            parameters.append(value)
    if filters.scope is not None:
        # Whatever the size of the store, few conversations have a memory of their own.
        where += (
            " AND t.session_id IN (SELECT id FROM sessions WHERE memory_scope = ?)"
            if filters.scope
            else " AND t.session_id NOT IN (SELECT id FROM sessions WHERE memory_scope <> ?)"
        )
        parameters.append(filters.scope)
    if filters.exclude_turns:
        where += " AND t.id NOT IN (SELECT value FROM json_each(?))"
        parameters.append(json.dumps(list(filters.exclude_turns)))
    return where, parameters


def _terms(db: Database, expressions: Sequence[str], filters: Filters) -> list[Term]:
    if not expressions:
        return []
    total = db.execute("SELECT coalesce(max(number), 0) FROM turns").fetchone()[0]
    first, last = _number_range(db, filters, total)
    most = max(LEAST_READ, READ_TURNS // len(expressions))
    found: list[Term] = []
    for expression in expressions:
        numbers = holding(db, "turns_fts", expression, first, last, most)
        if not numbers.size and (first, last) != (1, total):
            # Nowhere in this conversation: how telling is it elsewhere?
            count = estimated_count(holding(db, "turns_fts", expression, 1, total, most), total, most)
        else:
            count = estimated_count(numbers, last, most) * (total / max(1, last - first + 1))
        found.append(Term(weight_of(expression, count, total), numbers))
    return found


def weight_of(expression: str, count: float, total: int) -> float:
    """How much a term tells that `count` of `total` hold (BM25's weight)."""
    weight = max(math.log((total - count + 0.5) / (count + 0.5)), 1e-6) if count < total else 1e-6
    return weight if count else weight * _unknown_weight(expression.strip('"'))


def holding(db: Database, index: str, expression: str, first: int, last: int, most: int) -> NDArray[np.int64]:
    """Numbers between `first` and `last` of what holds a term, by a full-text index; the newest `most`."""
    # In one text: 2 ms for 8,000 numbers, where a row for each took 6, and taking a row needs the interpreter's lock,
    # for which vectors that are looked for meanwhile would wait.
    (found,) = db.execute(
        f"SELECT group_concat(rowid) FROM (SELECT rowid FROM {index} WHERE {index} MATCH ? AND rowid BETWEEN ? AND ?"
        " ORDER BY rowid DESC LIMIT ?)",
        [expression, first, last, most],
    ).fetchone()
    return np.fromstring(found or "", np.int64, sep=",")


def estimated_count(numbers: NDArray[np.int64], last: int, most: int) -> float:
    """How many hold a term of which the newest `most` were read."""
    if len(numbers) < most:
        return float(len(numbers))
    return most * last / max(1, last - int(numbers[-1]) + 1)


def _number_range(db: Database, filters: Filters, total: int) -> tuple[int, int]:
    """Between which numbers the turns lie that may be found."""
    if filters.session_id is None:
        return 1, total
    first, last = db.execute(
        "SELECT min(number), max(number) FROM turns WHERE session_id = ?", [filters.session_id]
    ).fetchone()
    return first or 0, last or -1


def shares_of(terms: Sequence[Term], best: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Everything that holds a term, and the share of the terms' weights that it holds."""
    if best <= 0:
        return np.zeros(0, np.int64), np.zeros(0)
    numbers = np.concatenate([term.numbers for term in terms])
    weights = np.concatenate([np.full(len(term.numbers), term.weight) for term in terms])
    unique, places = np.unique(numbers, return_inverse=True)
    return unique, np.bincount(places, weights, minlength=len(unique)) / best


def _unknown_weight(term: str) -> float:
    if not is_cjk(term):
        return 1.0
    return 0.0 if any(character in FUNCTION_CHARACTERS for character in term) else _UNKNOWN_PAIR_WEIGHT
