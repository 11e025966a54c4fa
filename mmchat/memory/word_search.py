"""Turns found by their words: FTS5's bm25, measured against the best score the query could have."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from sqlite_utils import Database

from mmchat.memory.text_search import FUNCTION_CHARACTERS, informative, is_cjk

MAX_TERMS = 24
"""The rarest this many terms of a long message; more cost time and find nothing new."""
_MAX_COUNTED = 96
_BEFORE, _AFTER = 0.3, 0.2
# An answer bears on what its question bears on.
_ANSWER_SHARE = 0.8
_NEIGHBOURS_OF = 50
# A pair of Chinese characters that stands nowhere is more often an accident of pairing than a word.
_UNKNOWN_PAIR_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class WordHit:
    """A turn that holds some of the query's words, or stands beside one that does."""

    number: int
    score: float
    """bm25 over the sum of the query's term weights, with what neighbours add: for ranking."""
    coverage: float
    """The share of the query's information in this turn, or a little less than that in the turn before it."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which turns may be found."""

    session_id: str | None = None
    exclude_session: str | None = None
    exclude_turns: Sequence[str] = ()


def find_by_words(
    db: Database, query: str, filters: Filters, *, limit: int, names: frozenset[str] = frozenset()
) -> list[WordHit]:
    """Best first. A turn beside a good hit inherits part of its score: the answer follows the question.

    Args:
        db: this thread's connection.
        query: in the user's words.
        filters: which turns may be found.
        limit: how many turns with words of their own; their neighbours come on top.
        names: case-folded names of speakers, left out unless nothing else is asked for.
    """
    expressions = informative(query, without=names) or informative(query)
    weighted = _weighted_terms(db, expressions)
    if not weighted:
        return []
    best_score = sum(weight for _, weight, _ in weighted)
    match = " OR ".join(expression for expression, _, count in weighted if count)
    if not match or best_score <= 0:
        return []
    where, parameters = _where(filters)
    found = db.execute(
        "SELECT t.number, t.session_id, t.position, t.role, -bm25(turns_fts) FROM turns_fts"
        f" JOIN turns t ON t.number = turns_fts.rowid WHERE turns_fts MATCH ? AND {where}"
        " ORDER BY bm25(turns_fts) LIMIT ?",
        [match, *parameters, limit],
    ).fetchall()
    scores = {number: score / best_score for number, _, _, _, score in found}
    coverages = dict(scores)
    for number, score, is_answer in _neighbours(db, found[:_NEIGHBOURS_OF], where, parameters):
        scores[number] = scores.get(number, 0.0) + score / best_score * (_BEFORE if is_answer else _AFTER)
        share = score / best_score * _ANSWER_SHARE if is_answer else 0.0
        coverages[number] = max(coverages.get(number, 0.0), share)
    hits = [WordHit(number, score, coverages[number]) for number, score in scores.items()]
    return sorted(hits, key=lambda hit: (-hit.score, -hit.number))


def _weighted_terms(db: Database, expressions: Sequence[str]) -> list[tuple[str, float, int]]:
    """(expression, weight, turns that hold it), rarest first; the weight is bm25's own."""
    total = db.execute("SELECT coalesce(max(number), 0) FROM turns").fetchone()[0]
    weighted: list[tuple[str, float, int]] = []
    for expression in expressions[:_MAX_COUNTED]:
        count = db.execute("SELECT count(*) FROM turns_fts WHERE turns_fts MATCH ?", [expression]).fetchone()[0]
        weight = max(math.log((total - count + 0.5) / (count + 0.5)), 1e-6)
        if not count:
            weight *= _unknown_weight(expression.strip('"'))
        weighted.append((expression, weight, count))
    return sorted(weighted, key=lambda each: -each[1])[:MAX_TERMS]


def _unknown_weight(term: str) -> float:
    if not is_cjk(term):
        return 1.0
    return 0.0 if any(character in FUNCTION_CHARACTERS for character in term) else _UNKNOWN_PAIR_WEIGHT


def _where(filters: Filters) -> tuple[str, list[object]]:
    where, parameters = "NOT t.is_retired AND t.status <> 'streaming'", list[object]()
    if filters.session_id is not None:
        where += " AND t.session_id = ?"
        parameters.append(filters.session_id)
    if filters.exclude_session is not None:
        where += " AND t.session_id <> ?"
        parameters.append(filters.exclude_session)
    if filters.exclude_turns:
        where += " AND t.id NOT IN (SELECT value FROM json_each(?))"
        parameters.append(json.dumps(list(filters.exclude_turns)))
    return where, parameters


def _neighbours(
    db: Database, hits: Sequence[tuple[int, str, int, str, float]], where: str, parameters: Sequence[object]
) -> list[tuple[int, float, bool]]:
    """The turns beside hits: number, the hit's score, whether the turn answers the hit."""
    wanted: list[list[object]] = []
    for _, session_id, position, role, score in hits:
        wanted += [[session_id, position + 1, score, role], [session_id, position - 1, score, ""]]
    found = db.execute(
        "SELECT t.number, json_extract(w.value, '$[2]'), json_extract(w.value, '$[3]') NOT IN ('', t.role)"
        " FROM json_each(?) w JOIN turns t"
        " ON t.session_id = json_extract(w.value, '$[0]') AND t.position = json_extract(w.value, '$[1]')"
        f" WHERE {where}",
        [json.dumps(wanted), *parameters],
    )
    return [(number, score, bool(is_answer)) for number, score, is_answer in found]
