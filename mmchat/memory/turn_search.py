"""Search for turns by all the words of a query, with the hits marked: what `sessions search` shows."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass

from mmchat.domain import Session, Turn
from mmchat.memory import rows as convert
from mmchat.memory.store import MemoryStore
from mmchat.memory.text_search import all_of, is_cjk, storable, terms, words_in

SNIPPET_CHARACTERS = 160
_LEAD_CHARACTERS = 40

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A turn that holds the query, or a conversation whose title does."""

    session: Session
    turn: Turn | None
    """None: the title was hit."""
    snippet: str
    """A stretch of the text around the first hit, on one line."""
    spans: tuple[Span, ...]
    """Where in the snippet the hits are."""


def search_turns(store: MemoryStore, query: str, *, limit: int = 20) -> tuple[SearchHit, ...]:
    """Titles first, then turns, best first. The last word of the query may be unfinished."""
    query = storable(query)
    hits: list[SearchHit] = []
    for session in store.list_sessions(query=query, limit=limit):
        if session.title and spans_of(session.title, query):
            hits.append(_hit(session, None, session.title, query))
    expression = all_of(query)
    if expression:
        found = store.file.rows(
            "SELECT t.id FROM turns_fts JOIN turns t ON t.number = turns_fts.rowid"
            " WHERE turns_fts MATCH ? AND NOT t.is_retired ORDER BY bm25(turns_fts), t.number DESC LIMIT ?",
            (expression, limit),
        )
    else:
        # Nothing that is indexed, e.g. an emoji: look for the very characters.
        found = store.file.rows(
            "SELECT id FROM turns WHERE NOT is_retired AND instr(text, ?) ORDER BY number DESC LIMIT ?",
            (query.strip() or "\0", limit),
        )
    for row in found:
        turn = store.get_turn(row["id"])
        sensed = [convert.sensed_text(each) for each in turn.attachments]
        names = [each.name for each in turn.attachments]
        text = "\n".join(part for part in (turn.text, *sensed, *names) if part)
        hits.append(_hit(store.get_session(turn.session_id), turn, text, query))
    return tuple(hits[:limit])


def spans_of(text: str, query: str) -> tuple[Span, ...]:
    """Where the words of a query, in any form of theirs, stand in a text; in order, not overlapping."""
    wanted = terms(query)
    plain = [term for term in wanted if not is_cjk(term)]
    spans: list[Span] = []
    if plain:
        spans = _spans_of_words(text, " ".join(plain), query)
    pieces = [term for term in wanted if is_cjk(term)] or ([query.strip()] if not wanted and query.strip() else [])
    for piece in pieces:
        spans += [match.span() for match in re.finditer(re.escape(piece), text, re.IGNORECASE)]
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def _spans_of_words(text: str, plain: str, query: str) -> list[Span]:
    """FTS5 itself says which words of the text match, so that marks and hits never differ."""
    found = [match for match in words_in(text) if not is_cjk(match[0])]
    is_unfinished = query == query.rstrip()
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE VIRTUAL TABLE f USING fts5(w, tokenize='porter unicode61 remove_diacritics 2')")
        connection.executemany("INSERT INTO f (rowid, w) VALUES (?, ?)", enumerate(match[0] for match in found))
        rowids: set[int] = set()
        for word in terms(plain):
            expression = all_of(word if is_unfinished and plain.endswith(word) else f"{word} ")
            rowids |= {row[0] for row in connection.execute("SELECT rowid FROM f WHERE f MATCH ?", [expression])}
    return [found[rowid].span() for rowid in sorted(rowids)]


def _hit(session: Session, turn: Turn | None, text: str, query: str) -> SearchHit:
    spans = spans_of(text, query)
    start = max(0, spans[0][0] - _LEAD_CHARACTERS) if spans else 0
    if start:
        space = text.find(" ", start, spans[0][0])
        start = space + 1 if space >= 0 else start
    end = min(len(text), start + SNIPPET_CHARACTERS)
    before, after = ("…" if start else ""), ("…" if end < len(text) else "")
    snippet = before + re.sub(r"\s", " ", text[start:end]) + after
    moved = tuple((at - start + len(before), min(to, end) - start + len(before)) for at, to in spans if at < end)
    return SearchHit(session, turn, snippet, moved)
