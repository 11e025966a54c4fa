"""Facts about the user: clauses they said, each linked to its turn, and what they told outright."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmchat.domain import Fact, Recalled
from mmchat.errors import UsageError
from mmchat.later import np
from mmchat.memory.database import Row
from mmchat.memory.ids import new_id, now_text
from mmchat.memory.statements import LIVE_TURN
from mmchat.memory.text_search import storable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmchat.memory.store import MemoryStore

_LIVE_FACTS = (
    "SELECT f.*, t.session_id, t.created_at AS said_at FROM facts f LEFT JOIN turns t ON t.id = f.turn_id"
    f" WHERE (f.turn_id IS NULL OR ({LIVE_TURN}))"
)
_BATCH = 500
_NEWEST_FIRST = "ORDER BY f.updated_at DESC, f.number DESC"


@dataclass(frozen=True, slots=True)
class ForgottenFact:
    """A fact as it was when it was forgotten, to take that back."""

    fact: Fact
    said_key: str


def said_key(text: str) -> str:
    """The same for the same words, however they are cased and punctuated."""
    plain = unicodedata.normalize("NFKC", storable(text)).casefold()
    words = "".join(character if character.isalnum() else " " for character in plain).split()
    return hashlib.sha256(" ".join(words or [plain.strip()]).encode()).hexdigest()[:32]


# --- looking ------------------------------------------------------------------------------------


def list_facts(store: MemoryStore) -> tuple[Fact, ...]:
    """All facts, the last said first; none whose turn is in the trash or out of its conversation."""
    return tuple(_fact(row) for row in store.file.rows(f"{_LIVE_FACTS} {_NEWEST_FIRST}"))


def get_fact(store: MemoryStore, fact_id: str) -> Fact:
    """By id or a unique beginning or end of it: ids of one minute begin alike.

    Raises:
        UsageError: none fits, or several do.
    """
    wanted = storable(fact_id).strip().casefold()
    found = [fact for fact in list_facts(store) if wanted and fact.id.startswith(wanted)]
    found = found or [fact for fact in list_facts(store) if wanted and fact.id.endswith(wanted)]
    if not found:
        raise UsageError(f"No fact '{fact_id}'.", hint="`mmchat memory list` names them all.")
    if len(found) > 1:
        raise UsageError(f"Several facts have '{fact_id}' in their id.", hint="Give more of the id.")
    return found[0]


def told_facts(store: MemoryStore, where: str, parameters: tuple[object, ...]) -> Mapping[str, Recalled]:
    """Facts that replies were told, by id; `where` selects the replies, from `turns t`."""
    ids = (
        "SELECT json_extract(r.value, '$.fact') FROM turns t, json_each(t.recalled) r"
        f" WHERE {where} AND t.recalled IS NOT NULL"
    )
    sql = f"SELECT f.*, u.session_id FROM facts f LEFT JOIN turns u ON u.id = f.turn_id WHERE f.id IN ({ids})"
    return {row["id"]: as_note(_fact(row)) for row in store.file.rows(sql, parameters)}


def as_note(fact: Fact, score: float = 0.0) -> Recalled:
    """A fact as a reply is told it."""
    return Recalled(
        session=fact.session,
        turn=fact.turn,
        role="user",
        text=fact.text,
        created_at=fact.updated_at,
        score=score,
        fact=fact.id,
    )


def forgotten_turns(store: MemoryStore, turn_ids: Sequence[str]) -> frozenset[str]:
    """Those of some turns of which something was forgotten."""
    sql = "SELECT DISTINCT turn_id FROM forgotten_facts WHERE turn_id IN (SELECT value FROM json_each(?))"
    return frozenset(row["turn_id"] for row in store.file.rows(sql, (json.dumps(list(turn_ids)),)))


def user_texts(store: MemoryStore) -> Iterator[tuple[str, str, str]]:
    """Id, time and words of every message of the user's that can be found, oldest first."""
    last = 0
    while True:
        sql = f"SELECT t.* FROM turns t WHERE t.number > ? AND t.role = 'user' AND {LIVE_TURN}"
        found = store.file.rows(f"{sql} ORDER BY t.number LIMIT {_BATCH}", (last,))
        if not found:
            return
        for row in found:
            yield row["id"], row["created_at"], row["text"]
        last = found[-1]["number"]


def is_known(store: MemoryStore, text: str) -> bool:
    """Whether these words are a fact already, or were forgotten once."""
    key = said_key(text)
    sql = "SELECT 1 FROM facts WHERE said_key = ? UNION ALL SELECT 1 FROM forgotten_facts WHERE said_key = ? LIMIT 1"
    return bool(store.file.rows(sql, (key, key)))


# --- changing -----------------------------------------------------------------------------------


def add_fact(store: MemoryStore, text: str, topic: str = "", *, turn_id: str = "", said_at: str = "") -> Fact | None:
    """Keep a fact, said in a turn or, without one, told outright. The same words are kept once.

    Args:
        store: where.
        text: the words.
        topic: what they are about.
        turn_id: the turn that they were said in.
        said_at: when, if not now: of two facts on one topic the newer counts.

    Returns:
        The fact; None where nothing changed: that turn said it before, or it was forgotten since.
    """
    text, key, now = storable(text.strip()), said_key(text), said_at or now_text()
    with store.file.write() as db:
        forgotten = "SELECT 1 FROM forgotten_facts WHERE turn_id = ? AND said_key = ?"
        if turn_id and db.execute(forgotten, [turn_id, key]).fetchone():
            return None
        known = db.execute("SELECT id, turn_id, origin, updated_at FROM facts WHERE said_key = ?", [key]).fetchone()
        if known is None:
            fact_id = new_id()
            db.execute(
                "INSERT INTO facts (id, text, origin, turn_id, topic, said_key, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [fact_id, text, "said" if turn_id else "told", turn_id or None, storable(topic), key, now, now],
            )
        else:
            fact_id, known_turn, origin, updated_at = known
            if turn_id and (known_turn == turn_id or now <= updated_at):
                return None
            # Said again: it counts as new. What was told outright depends on no conversation.
            is_told = origin == "told" or not turn_id
            db.execute(
                "UPDATE facts SET updated_at = ?, turn_id = ?, origin = ? WHERE id = ?",
                [now, None if is_told else turn_id, "told" if is_told else "said", fact_id],
            )
    return get_fact(store, fact_id)


def edit_fact(store: MemoryStore, fact_id: str, text: str, topic: str = "") -> Fact:
    """Put other words in the place of a fact's.

    Raises:
        UsageError: no such fact, or no words.
    """
    fact = get_fact(store, fact_id)
    if not text.strip():
        raise UsageError("A fact needs words.", hint="To take it away, forget it.")
    with store.file.write() as db:
        db.execute(
            "UPDATE facts SET text = ?, topic = ?, is_edited = 1, vector = NULL, vector_model = '', updated_at = ?"
            " WHERE id = ?",
            [storable(text.strip()), storable(topic), now_text(), fact.id],
        )
    return get_fact(store, fact.id)


def forget_facts(store: MemoryStore, facts: Iterable[Fact]) -> tuple[ForgottenFact, ...]:
    """Delete facts for good. The turns that said them do not bring them back; a new turn may."""
    forgotten: list[ForgottenFact] = []
    with store.file.write() as db:
        for fact in facts:
            row = db.execute("SELECT said_key, turn_id FROM facts WHERE id = ?", [fact.id]).fetchone()
            if row is None:
                continue
            db.execute("DELETE FROM facts WHERE id = ?", [fact.id])
            if row[1] is not None:
                db.execute("INSERT OR IGNORE INTO forgotten_facts (turn_id, said_key) VALUES (?, ?)", [row[1], row[0]])
            forgotten.append(ForgottenFact(fact, row[0]))
    return tuple(forgotten)


def restore_facts(store: MemoryStore, forgotten: Iterable[ForgottenFact]) -> tuple[Fact, ...]:
    """Take the forgetting back, while the program that did it still knows the words."""
    restored: list[str] = []
    with store.file.write() as db:
        for each in forgotten:
            fact, key = each.fact, each.said_key
            db.execute("DELETE FROM forgotten_facts WHERE turn_id = ? AND said_key = ?", [fact.turn, key])
            db.execute(
                "INSERT OR IGNORE INTO facts"
                " (id, text, origin, turn_id, topic, said_key, is_edited, created_at, updated_at)"
                " SELECT ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE ? = '' OR EXISTS (SELECT 1 FROM turns WHERE id = ?)",
                [
                    fact.id, fact.text, fact.origin, fact.turn or None, fact.topic, key, int(fact.is_edited),
                    fact.created_at, fact.updated_at, fact.turn, fact.turn,
                ],
            )  # fmt: skip
            restored.append(fact.id)
    return tuple(fact for fact in list_facts(store) if fact.id in restored)


# --- vectors ------------------------------------------------------------------------------------


def facts_without_vector(store: MemoryStore, model: str) -> tuple[Fact, ...]:
    """Facts that this encoder has not read yet."""
    return tuple(
        _fact(row) for row in store.file.rows(f"{_LIVE_FACTS} AND f.vector_model <> ? {_NEWEST_FIRST}", (model,))
    )


def save_vectors(store: MemoryStore, model: str, vectors: Mapping[str, NDArray[np.float32]]) -> None:
    """Keep the vectors, (D,) float32 of unit length, of facts by id."""
    with store.file.write() as db:
        for fact_id, vector in vectors.items():
            db.execute(
                "UPDATE facts SET vector = ?, vector_model = ? WHERE id = ?",
                [np.asarray(vector, dtype="<f2").tobytes(), model, fact_id],
            )


def fact_vectors(store: MemoryStore, model: str) -> dict[str, NDArray[np.float32]]:
    """Vectors of facts by id."""
    sql = "SELECT id, vector FROM facts WHERE vector_model = ? AND vector IS NOT NULL"
    return {
        row["id"]: np.frombuffer(row["vector"], dtype="<f2").astype(np.float32)
        for row in store.file.rows(sql, (model,))
    }


def _fact(row: Row) -> Fact:
    return Fact(
        id=row["id"],
        text=row["text"],
        origin=row["origin"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        topic=row["topic"],
        turn=row["turn_id"] or "",
        session=row["session_id"] or "",
        is_edited=bool(row["is_edited"]),
    )
