"""Search for turns by all the words of a query, with the hits marked: what `sessions search` shows."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from mmchat.domain import Session, Turn
from mmchat.memory import rows as convert
from mmchat.memory.statements import LIVE_TURN, LOOKED_THROUGH, search_expression
from mmchat.memory.store import MemoryStore
from mmchat.memory.text_search import all_of, is_cjk, storable, terms, words_in

SNIPPET_CHARACTERS = 160
RANKED_TURNS = 5000
"""So many turns are ranked in some 10 ms; to rank more would take longer than anybody looks at them."""
LOOKED_OVER = 10
"""Where few hits of each conversation are listed, so many times as many are looked over."""
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
    more: int = 0
    """How many further turns of the conversation were found that are not listed; told with the last one that is."""


def search_turns(store: MemoryStore, query: str, *, limit: int = 20, each: int | None = None) -> tuple[SearchHit, ...]:
    """Titles first, then turns, best first. The last word of the query may be unfinished.

    With `each`, so many turns of a conversation at most, so that one in which all was about the query leaves room for
    others; how many more there are is counted among the `LOOKED_OVER` times `limit` best.

    Fast enough for every letter that is typed, whatever the size of the store: where more than `RANKED_TURNS` turns
    hold all words, these come newest first instead of best first; in a large store a last word of one or two letters
    is looked for as a whole word in turns; what is not indexed (emoji) is looked for in the newest turns only.
    Nothing in the trash is found.
    """
    query = storable(query)
    sessions = {session.id: session for session in _titled(store, query, limit)}
    found: list[tuple[Session, Turn | None, str]] = [(session, None, session.title) for session in sessions.values()]
    turns, more = _turns(store, query, limit - len(found), each)
    for turn in turns:
        if turn.session_id not in sessions:
            sessions[turn.session_id] = store.get_session(turn.session_id)
        sensed = [convert.sensed_text(file) for file in turn.attachments]
        names = [file.name for file in turn.attachments]
        text = "\n".join(part for part in (turn.text, *sensed, *names) if part)
        found.append((sessions[turn.session_id], turn, text))
    spans = _spans_in([text for _, _, text in found], query)
    return tuple(
        _hit(session, turn, text, spans=own, more=more.get(turn.id, 0) if turn is not None else 0)
        for (session, turn, text), own in zip(found, spans, strict=True)
    )


def _titled(store: MemoryStore, query: str, limit: int) -> list[Session]:
    """Conversations by their titles, the newest first."""
    expression = all_of(query)
    if expression:
        # Titles are few and short: also one letter is the beginning of a word here.
        found = store.file.rows(
            "SELECT s.id FROM sessions s WHERE s.deleted_at IS NULL AND s.number IN"
            " (SELECT rowid FROM sessions_fts WHERE sessions_fts MATCH ? ORDER BY rowid DESC LIMIT ?)"
            " ORDER BY s.updated_at DESC, s.number DESC LIMIT ?",
            (expression, RANKED_TURNS, limit),
        )
    else:
        found = store.file.rows(
            "SELECT id FROM sessions WHERE deleted_at IS NULL AND instr(title, ?) ORDER BY updated_at DESC LIMIT ?",
            (query.strip() or "\0", limit),
        )
    return [store.get_session(row["id"]) for row in found]


def _turns(store: MemoryStore, query: str, limit: int, each: int | None) -> tuple[list[Turn], dict[str, int]]:
    """Turns, and by the last one listed of a conversation, how many more there are."""
    if limit <= 0:
        return [], {}
    wanted = limit if each is None else LOOKED_OVER * limit
    with store.file.read() as db:
        expression = search_expression(db, query)
        if not expression:
            # Nothing that is indexed, e.g. an emoji: look for the very characters.
            found = db.execute(
                "SELECT t.id, t.session_id FROM turns t WHERE t.number > (SELECT max(number) FROM turns) - ?"
                f" AND {LIVE_TURN} AND instr(t.text, ?) ORDER BY t.number DESC LIMIT ?",
                [LOOKED_THROUGH, query.strip() or "\0", wanted],
            ).fetchall()
        else:
            # Counting as far as it matters: FTS5 reads its lists from the newest turn on.
            count = db.execute(
                "SELECT count(*) FROM (SELECT 1 FROM turns_fts WHERE turns_fts MATCH ? ORDER BY rowid DESC LIMIT ?)",
                [expression, RANKED_TURNS + 1],
            ).fetchone()[0]
            order = "bm25(turns_fts), t.number DESC" if count <= RANKED_TURNS else "turns_fts.rowid DESC"
            found = db.execute(
                "SELECT t.id, t.session_id FROM turns_fts CROSS JOIN turns t ON t.number = turns_fts.rowid"
                f" WHERE turns_fts MATCH ? AND {LIVE_TURN} ORDER BY {order} LIMIT ?",
                [expression, wanted],
            ).fetchall()
    chosen, more = _few_of_each(found, limit if each is None else each)
    places = {turn_id: place for place, turn_id in enumerate(chosen[:limit])}
    return sorted(store.turns_with_ids(list(places)), key=lambda turn: places[turn.id]), more


def _few_of_each(found: Sequence[tuple[str, str]], each: int) -> tuple[list[str], dict[str, int]]:
    """Of turns with their conversations, so many of each, and how many more by the last of those."""
    listed: dict[str, list[str]] = {}
    chosen: list[str] = []
    more: dict[str, int] = {}
    for turn_id, session_id in found:
        own = listed.setdefault(session_id, [])
        if len(own) < each:
            own.append(turn_id)
            chosen.append(turn_id)
        else:
            more[own[-1]] = more.get(own[-1], 0) + 1
    return chosen, more


def spans_of(text: str, query: str) -> tuple[Span, ...]:
    """Where the words of a query, in any form of theirs, stand in a text; in order, not overlapping."""
    return _spans_in([text], query)[0]


def _spans_in(texts: Sequence[str], query: str) -> list[tuple[Span, ...]]:
    """`spans_of` for many texts at once."""
    wanted = terms(query)
    plain = [term for term in wanted if not is_cjk(term)]
    spans = _spans_of_words(texts, " ".join(plain), query) if plain else [list[Span]() for _ in texts]
    pieces = [term for term in wanted if is_cjk(term)] or ([query.strip()] if not wanted and query.strip() else [])
    for text, own in zip(texts, spans, strict=True):
        for piece in pieces:
            own += [match.span() for match in re.finditer(re.escape(piece), text, re.IGNORECASE)]
    return [_merged(own) for own in spans]


def _merged(spans: list[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def _spans_of_words(texts: Sequence[str], plain: str, query: str) -> list[list[Span]]:
    """FTS5 itself says which words of the texts match, so that marks and hits never differ."""
    found = [(place, match) for place, text in enumerate(texts) for match in words_in(text) if not is_cjk(match[0])]
    spans: list[list[Span]] = [[] for _ in texts]
    is_unfinished = query == query.rstrip()
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE VIRTUAL TABLE f USING fts5(w, tokenize='porter unicode61 remove_diacritics 2')")
        connection.executemany("INSERT INTO f (rowid, w) VALUES (?, ?)", enumerate(match[0] for _, match in found))
        rowids: set[int] = set()
        for word in terms(plain):
            expression = all_of(word if is_unfinished and plain.endswith(word) else f"{word} ")
            rowids |= {row[0] for row in connection.execute("SELECT rowid FROM f WHERE f MATCH ?", [expression])}
    for rowid in sorted(rowids):
        place, match = found[rowid]
        spans[place].append(match.span())
    return spans


def _hit(session: Session, turn: Turn | None, text: str, *, spans: tuple[Span, ...], more: int) -> SearchHit:
    start = max(0, spans[0][0] - _LEAD_CHARACTERS) if spans else 0
    if start:
        space = text.find(" ", start, spans[0][0])
        start = space + 1 if space >= 0 else start
    end = min(len(text), start + SNIPPET_CHARACTERS)
    before, after = ("…" if start else ""), ("…" if end < len(text) else "")
    snippet = before + re.sub(r"\s", " ", text[start:end]) + after
    moved = tuple((at - start + len(before), min(to, end) - start + len(before)) for at, to in spans if at < end)
    return SearchHit(session, turn, snippet, moved, more)
