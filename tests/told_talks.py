"""A store filled with conversations as roles leave them: understood, prepared, cited, rated, handed over."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mmchat.domain import Likely, Mark, PreparedKind, Rating, Recalled, Turn, TurnStatus, Understood, Usage
from mmchat.knowledge_values import ReadDocument, ReadPiece
from mmchat.memory.citations import as_citation, passage_from_row
from mmchat.memory.documents import save_document
from mmchat.memory.ids import new_id
from mmchat.memory.ratings import rate_reply
from mmchat.memory.role_sessions import begin_with_role
from mmchat.memory.store import MemoryStore
from mmchat.memory.understood import save_understood
from mmchat.moments import utc_text

USAGE = Usage(100, 0, 21, 0.5, 20.0)
BEGINNING = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""A Monday."""


class Talks:
    """Writes conversations, each message a minute after the one before."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore(folder / "mmchat.db", folder / "blobs")
        self.now = BEGINNING

    def begin(self, role: str = "support", *, days_later: float = 0.0, title: str = "", scope: str = "own") -> str:
        """A new conversation; returns its id."""
        self.now += timedelta(days=days_later)
        memory_scope = role.partition(":")[0] if scope == "own" else ""
        session = begin_with_role(
            self.store, role, persona=f"You are {role}." if role else "", memory_scope=memory_scope
        )
        self._set("sessions", session.id, created_at=utc_text(self.now))
        if title:
            self.store.rename_session(session.id, title)
        return session.id

    def say(
        self,
        session: str,
        text: str,
        reply: str = "Certainly.",
        *,
        intent: str = "",
        confidence: float = 0.9,
        topic: str = "",
        mood: float | None = None,
        prepared: PreparedKind = "",
        status: TurnStatus = "complete",
        cites: Sequence[str] = (),
        mark: int = 0,
        better: str = "",
        usage: Usage | None = USAGE,
    ) -> Turn:
        """A message and its reply, none where it is empty; returns the message."""
        self.now += timedelta(minutes=1)
        turn = self.store.add_user_turn(session, text)
        self._set("turns", turn.id, created_at=utc_text(self.now))
        if intent or topic or mood is not None:
            likely = (Likely(intent, confidence),) if intent else ()
            save_understood(self.store, turn.id, Understood(likely, topic, mood, "examples"))
        if reply:
            model, engine = ("", "role") if prepared else ("tiny", "scripted")
            row = self.store.start_reply(session, parent_id=turn.id, model=model, engine=engine, text="")
            told = [self._passage(heading) for heading in cites]
            self.store.finish_reply(
                row.id, reply, status=status, usage=None if prepared else usage, recalled=told, prepared=prepared
            )
            self._set("turns", row.id, created_at=utc_text(self.now + timedelta(seconds=2)))
            if mark or better:
                marks: dict[int, Mark] = {1: "good", -1: "bad"}
                rate_reply(self.store, row.id, Rating(marks.get(mark), better))
        return turn

    def document(self, name: str, headings: Sequence[str], *, shelf: str = "support") -> None:
        """A document with one passage under each heading, there from the first day on."""
        pieces = tuple(
            ReadPiece(f"All there is to know of {heading.lower()}.", heading, line=1) for heading in headings
        )
        path = Path("/shop") / name
        kept = save_document(
            self.store, shelf=shelf, root=path, path=path, sha256="0" * 64, size_bytes=1, modified_ns=1,
            read=ReadDocument(name, "text/markdown", pieces), reader="test",
        )  # fmt: skip
        self._set("documents", kept.id, created_at=utc_text(BEGINNING - timedelta(days=1)))

    def hand_over(self, session: str, reason: str) -> None:
        """A person takes a conversation over."""
        with self.store.file.write() as db:
            db.execute(
                "INSERT INTO hand_overs (id, session_id, reason, text, created_at) VALUES (?, ?, ?, ?, ?)",
                [new_id(), session, reason, "A lamp is broken.", utc_text(self.now)],
            )

    def embed(self, vectors: dict[str, Sequence[float]]) -> None:
        """Vectors of messages, by their ids."""
        import numpy as np

        with self.store.file.write() as db:
            for turn, vector in vectors.items():
                row = np.asarray(vector, np.float32)
                row /= np.linalg.norm(row)
                db.execute(
                    "INSERT INTO embeddings (owner_kind, owner, model, vector)"
                    " SELECT 'turn', number, 'minilm', ? FROM turns WHERE id = ?",
                    [row.astype("<f2").tobytes(), turn],
                )

    def _passage(self, heading: str) -> Recalled:
        (row, *_) = self.store.file.rows(
            "SELECT p.*, d.shelf, d.path FROM passages p JOIN documents d ON d.id = p.document_id WHERE p.heading = ?",
            (heading,),
        )
        return as_citation(passage_from_row(row), 1.0)

    def _set(self, table: str, row_id: str, **values: str) -> None:
        with self.store.file.write() as db:
            names = ", ".join(f"{name} = ?" for name in values)
            db.execute(f"UPDATE {table} SET {names} WHERE id = ?", [*values.values(), row_id])


def fill_shop(talks: Talks) -> None:
    """Eleven messages to a shop, in English and Chinese, over nine days."""
    talks.document("returns.md", ["Returns", "Returns › Time"])
    talks.document("delivery.md", ["Delivery", "Delivery › Cost"])
    one = talks.begin(title="A broken lamp")
    talks.say(one, "Can I return a lamp?", intent="refund", mood=0.1, cites=["Returns"], mark=1)
    talks.say(one, "Do you ship to Norway?", "I do not know.", intent="shipping", mood=-0.1, prepared="unknown")
    talks.say(one, "That is useless!", intent="complaint", confidence=0.7, mood=-0.8, mark=-1, better="I am sorry.")
    talks.hand_over(one, "mood")
    two = talks.begin("support:zh", days_later=1, title="退货")
    talks.say(two, "我想退货。", "三十天之内可以退货。", intent="refund", mood=0.0, prepared="intent")
    talks.say(two, "你们送货到挪威吗？", "不知道。", intent="shipping", mood=-0.2, prepared="unknown", mark=-1)
    talks.say(two, "谢谢你！", "不客气。", intent="out_of_scope", confidence=0.6, mood=0.7)
    three = talks.begin(days_later=7, title="Delivery")
    talks.say(three, "Do you ship to Norway, please?", "I do not know.", intent="shipping", prepared="unknown")
    talks.say(three, "What does delivery cost?", cites=["Delivery › Cost", "Delivery"], intent="shipping", mark=1)
    talks.say(three, "Which bulb fits the lamp?", "Any bulb.", intent="out_of_scope", confidence=0.5, mark=-1)
    talks.say(three, "What do you think of the election?", "Not my topic.", topic="politics", prepared="forbidden")
    talks.say(three, "Tell me about the guarantee", "It la", intent="guarantee", status="failed")


def as_json(value: object) -> object:
    """As it reads after a way through JSON."""
    return json.loads(json.dumps(value))
