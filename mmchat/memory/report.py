"""What a report over conversations needs to know, by SQL: no more columns than it looks at, and no model.

A message of the user's stands for itself and for the reply to it in view: an exchange. It belongs to the time in
which the message was said, so that the exchanges of two spans that meet are those of both together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmchat.memory.database import Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmchat.memory.store import MemoryStore

_STORED = np.dtype("<f2")
_EVER = "9999"
"""Sorts after every moment."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which conversations, and of them what was said when. Those in the trash are left out."""

    role: str | None = None
    """A role's name, for all its languages, or its key with one (`tutor:zh`); '' for conversations without a role;
    None for all."""
    since: str = ""
    """ISO, UTC, as the store spells it; empty: from the first."""
    until: str = ""
    """Not included; empty: up to the last."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A message of the user's, what it was taken to want, and the reply to it that is in view."""

    number: int
    turn: str
    session: str
    title: str
    role: str
    """The role's name, without a language."""
    shares_memory: bool
    """Whether the conversation is told of the user's own documents."""
    is_imported: bool
    text: str
    """What was written; what was heard in its sounds, below it."""
    said_at: str
    intent: str
    """Empty where nobody read it, and for a message about a forbidden topic, which is nothing that users come for."""
    confidence: float
    topic: str
    mood: float | None
    reply: str
    """Id of the reply; empty for none."""
    status: str
    """Of the reply; empty for none."""
    prepared: str
    model: str
    cites: bool
    """Whether the reply was told a passage of a document."""
    wait_s: float | None
    """From the message to the beginning of its first reply; None for one that was drawn anew, or none."""
    first_token_s: float | None
    tokens_per_s: float
    reply_tokens: int


@dataclass(frozen=True, slots=True)
class RatedAnswer:
    """A rating, and what was rated; the reply need not be in view any more."""

    turn: str
    """Of the reply."""
    session: str
    intent: str
    prepared: str
    mark: int
    """1 good, -1 bad, 0 neither."""
    has_better: bool


@dataclass(frozen=True, slots=True)
class Heading:
    """A place in a document, and how often it was cited."""

    shelf: str
    path: str
    heading: str
    times: int


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A conversation that was handed over to a person."""

    session: str
    title: str
    reason: str
    at: str


def exchanges(store: MemoryStore, scope: Scope) -> list[Exchange]:
    """In the order of conversations, and within one as they were said."""
    where, parameters = _within(scope, "q")
    found = store.file.rows(
        "SELECT q.number, q.id, q.session_id, q.created_at, q.text, s.title, s.role, s.memory_scope, s.source,"
        " (SELECT group_concat(json_extract(f.heard, '$.text'), char(10)) FROM attachments f"
        " WHERE f.turn_id = q.id AND f.heard IS NOT NULL) AS heard,"
        " json_extract(q.understood, '$.intents[0].label') AS intent,"
        " json_extract(q.understood, '$.intents[0].probability') AS confidence,"
        " json_extract(q.understood, '$.topic') AS topic, json_extract(q.understood, '$.mood') AS mood,"
        " a.id AS reply, a.status, a.prepared, a.model, a.recalled LIKE '%\"passage\"%' AS cites,"
        " iif(EXISTS (SELECT 1 FROM turns o WHERE o.parent_id = q.id AND o.is_retired), NULL,"
        " round((julianday(a.created_at) - julianday(q.created_at)) * 86400, 3)) AS wait_s,"
        " json_extract(a.usage, '$.first_token_s') AS first_token_s,"
        " json_extract(a.usage, '$.tokens_per_s') AS tokens_per_s,"
        " json_extract(a.usage, '$.reply_tokens') AS reply_tokens"
        " FROM sessions s JOIN turns q ON q.session_id = s.id"
        " LEFT JOIN turns a ON a.parent_id = q.id AND a.role = 'assistant' AND NOT a.is_retired"
        f" WHERE q.role = 'user' AND NOT q.is_retired AND {where} ORDER BY s.number, q.position, a.position",
        parameters,
    )
    first_of_each = {row["number"]: row for row in reversed(found)}  # an imported message may have several replies
    return [_exchange(row) for row in reversed(first_of_each.values())]


def rated_answers(store: MemoryStore, scope: Scope) -> list[RatedAnswer]:
    """All ratings, also of replies that another one took the place of; by the time of the message."""
    where, parameters = _within(scope, "a", moment="coalesce(q.created_at, a.created_at)")
    found = store.file.rows(
        "SELECT a.id, a.session_id, r.rating, r.note <> '' AS has_better, a.prepared,"
        " json_extract(q.understood, '$.intents[0].label') AS intent"
        " FROM ratings r JOIN turns a ON a.id = r.turn_id JOIN sessions s ON s.id = a.session_id"
        f" LEFT JOIN turns q ON q.id = a.parent_id WHERE a.role = 'assistant' AND {where} ORDER BY a.number",
        parameters,
    )
    return [
        RatedAnswer(
            row["id"], row["session_id"], row["intent"] or "", row["prepared"], row["rating"], bool(row["has_better"])
        )
        for row in found
    ]


def cited_headings(store: MemoryStore, scope: Scope) -> list[Heading]:
    """What replies in view were told of documents, the most frequent first."""
    where, parameters = _within(scope, "q")
    found = store.file.rows(
        "SELECT json_extract(r.value, '$.shelf') AS shelf, json_extract(r.value, '$.path') AS path,"
        " json_extract(r.value, '$.heading') AS heading, count(DISTINCT a.number) AS times"
        " FROM sessions s JOIN turns q ON q.session_id = s.id JOIN turns a ON a.parent_id = q.id,"
        " json_each(a.recalled) r"
        " WHERE q.role = 'user' AND NOT q.is_retired AND a.role = 'assistant' AND NOT a.is_retired"
        " AND a.recalled LIKE '%\"passage\"%' AND json_extract(r.value, '$.passage') IS NOT NULL"
        f" AND {where} GROUP BY 1, 2, 3 ORDER BY times DESC, path, heading",
        parameters,
    )
    return [Heading(**row) for row in found]


def headings(store: MemoryStore, shelves: Sequence[str]) -> list[Heading]:
    """All places in the documents of some shelves, each cited 0 times, in the documents' order."""
    found = store.file.rows(
        "SELECT d.shelf, d.path, p.heading, 0 AS times FROM documents d JOIN passages p ON p.document_id = d.id"
        " WHERE d.shelf IN (SELECT value FROM json_each(?)) GROUP BY d.id, p.heading"
        " ORDER BY d.shelf, d.path, min(p.position)",
        (json.dumps(list(shelves)),),
    )
    return [Heading(**row) for row in found]


def shelves_since(store: MemoryStore) -> Mapping[str, str]:
    """Shelves with something on them, and since when."""
    found = store.file.rows(
        "SELECT d.shelf, min(d.created_at) AS since FROM documents d"
        " WHERE EXISTS (SELECT 1 FROM passages p WHERE p.document_id = d.id) GROUP BY d.shelf"
    )
    return {row["shelf"]: row["since"] for row in found}


def handed_over(store: MemoryStore, scope: Scope) -> list[HandedOver]:
    """Hand-overs, oldest first."""
    where, parameters = _within(scope, "h", copies=False)
    found = store.file.rows(
        "SELECT h.session_id, s.title, h.reason, h.created_at FROM hand_overs h"
        f" JOIN sessions s ON s.id = h.session_id WHERE {where} ORDER BY h.number",
        parameters,
    )
    return [HandedOver(row["session_id"], row["title"], row["reason"], row["created_at"]) for row in found]


# --- vectors --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MessageVectors:
    """Vectors of messages by one model."""

    model: str
    by_number: Mapping[int, NDArray[np.float32]]
    """(D,) of unit length, by the message's number."""
    usual: float
    """The cosine of two messages that have nothing to do with each other."""


def message_vectors(store: MemoryStore, numbers: Sequence[int]) -> MessageVectors | None:
    """The vectors that are there for some messages, of the model that has most of them; None where none has any."""
    wanted = json.dumps(list(numbers))
    models = store.file.rows(
        "SELECT model, count(*) AS count FROM embeddings WHERE owner_kind = 'turn' AND model NOT LIKE '%#%'"
        " AND owner IN (SELECT value FROM json_each(?)) GROUP BY model ORDER BY count DESC, model LIMIT 1",
        (wanted,),
    )
    if not models:
        return None
    model = models[0]["model"]
    where = "FROM embeddings WHERE owner_kind = 'turn' AND model = ?"
    found = store.file.rows(
        f"SELECT owner, vector {where} AND owner IN (SELECT value FROM json_each(?))", (model, wanted)
    )
    others = store.file.rows(f"SELECT vector {where} ORDER BY number DESC LIMIT {_COMPARED}", (model,))
    width = len(found[0]["vector"])
    by_number = {row["owner"]: _vector(row["vector"]) for row in found if len(row["vector"]) == width}
    usual = _usual([_vector(row["vector"]) for row in others if len(row["vector"]) == width])
    return MessageVectors(model, by_number, usual)


_COMPARED = 300
"""So many of the newest turns tell how near two turns are that have nothing to do with each other."""


def _vector(data: bytes) -> NDArray[np.float32]:
    return np.frombuffer(data, _STORED).astype(np.float32)


def _usual(vectors: Sequence[NDArray[np.float32]]) -> float:
    """The median cosine of two different vectors; 0 where there are not enough to tell."""
    if len(vectors) < 8:
        return 0.0
    matrix = np.stack(vectors)
    return float(np.median((matrix @ matrix.T)[np.triu_indices(len(vectors), 1)]))


# --- within ---------------------------------------------------------------------------------------


def _within(scope: Scope, row: str, *, moment: str = "", copies: bool = True) -> tuple[str, tuple[object, ...]]:
    """Condition on `sessions s` and on a table with `created_at`. Copied turns count where they were said first."""
    moment = moment or f"{row}.created_at"
    conditions = ["s.deleted_at IS NULL", f"{moment} >= ?", f"{moment} < ?"]
    parameters: list[object] = [scope.since, scope.until or _EVER]
    if copies:
        conditions.append(f"(s.forked_from IS NULL OR {row}.created_at >= s.created_at)")
    if scope.role is not None and ":" in scope.role:
        conditions.append("s.role = ?")
    elif scope.role is not None:
        conditions.append("substr(s.role, 1, instr(s.role || ':', ':') - 1) = ?")
    if scope.role is not None:
        parameters.append(scope.role)
    return " AND ".join(conditions), tuple(parameters)


def _exchange(row: Row) -> Exchange:
    parts = [part for part in (row["text"], row["heard"]) if part and part.strip()]
    return Exchange(
        number=row["number"],
        turn=row["id"],
        session=row["session_id"],
        title=row["title"],
        role=row["role"].partition(":")[0],
        shares_memory=row["memory_scope"] == "",
        is_imported=row["source"] != "",
        text="\n".join(parts),
        said_at=row["created_at"],
        intent="" if row["topic"] else row["intent"] or "",
        confidence=row["confidence"] or 0.0,
        topic=row["topic"] or "",
        mood=row["mood"],
        reply=row["reply"] or "",
        status=row["status"] or "",
        prepared=row["prepared"] or "",
        model=row["model"] or "",
        cites=bool(row["cites"]),
        wait_s=row["wait_s"],
        first_token_s=row["first_token_s"],
        tokens_per_s=row["tokens_per_s"] or 0.0,
        reply_tokens=row["reply_tokens"] or 0,
    )
