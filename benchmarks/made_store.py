"""A memory of any size, made up, for `benchmarks/remember.py`.

Words are real, sentences are not; one conversation in five is Chinese, and in a large store one has 10,000 turns.
Vectors are made up too, clustered, as wide as those of the default models; pictures have rows and vectors but no
files.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.made_texts import Inventor, MadeTurn, Space
from mmchat.memory.ids import new_id
from mmchat.memory.store import MemoryStore
from mmchat.memory.text_search import indexed
from mmchat.memory.turn_parts import parts_of
from mmchat.memory.vector_owners import OwnerKind
from mmchat.memory.vectors import VectorIndex
from mmchat.moments import utc_text

SEED = 11
TURN_MODEL, TURN_WIDTH = "minilm", 384
PICTURE_MODEL, PICTURE_WIDTH = "lite2-minilm", 1280
VECTORS: tuple[tuple[OwnerKind, str], ...] = (("turn", TURN_MODEL), ("attachment", PICTURE_MODEL))
BATCH_TURNS = 20_000
LARGE = 50_000
"""Stores from here on have a conversation of 10,000 turns."""
_BEGINNING = datetime(2023, 1, 1, tzinfo=UTC)
_USAGE = '{"prompt_tokens": 812, "cached_tokens": 640, "reply_tokens": 57, "first_token_s": 0.31, "tokens_per_s": 41.5}'
_TAGS = ("bicycle", "dog", "harbour", "teapot", "mountain", "violin", "train", "garden", "window", "bridge")


class Maker:
    """Writes conversations in bulk, in the store's own schema and spelling."""

    def __init__(self, store: MemoryStore, turns: int, pictures: int) -> None:
        self._store = store
        self._turns = turns
        self._pictures = pictures
        self._inventor = Inventor(SEED, has_long=turns >= LARGE)
        self._spaces = Space(SEED, TURN_WIDTH), Space(SEED, PICTURE_WIDTH)
        self._made = _count(store, "turns")
        self._made_pictures = _count(store, "attachments")
        self._ordinal = _count(store, "sessions")

    def run(self) -> None:
        """Until the store holds as many turns as it should."""
        started, begun = time.perf_counter(), self._made
        while self._made < self._turns:
            stop = min(self._turns, self._made + BATCH_TURNS)
            with self._store.file.write() as db:
                while self._made < stop:
                    self._ordinal += 1
                    title, turns = self._inventor.conversation(self._ordinal)
                    self._write(db, title, turns[: self._turns - self._made])
            rate = (self._made - begun) / (time.perf_counter() - started)
            print(f"{self._made:>9,} turns, {self._made_pictures:,} pictures, {rate:,.0f} turns/s", file=sys.stderr)

    def _write(self, db: object, title: str, turns: list[MadeTurn]) -> None:
        assert hasattr(db, "conn")
        connection = db.conn
        at = [_BEGINNING + timedelta(seconds=75 * (self._made + index)) for index in range(len(turns))]
        session_id = new_id()
        number = connection.execute(
            "INSERT INTO sessions (id, title, model, created_at, updated_at) VALUES (?, ?, 'smollm2-135m', ?, ?)",
            [session_id, title, utc_text(at[0]), utc_text(at[-1])],
        ).lastrowid
        connection.execute("INSERT INTO sessions_fts (rowid, words) VALUES (?, ?)", [number, indexed(title)])
        ids = [new_id() for _ in turns]
        first = self._made + 1
        rows = []
        for index, turn in enumerate(turns):
            is_reply = turn.role == "assistant"
            context = json.dumps(
                {"turns_in": min(index, 30), "turns_out": max(0, index - 30), "tokens": 812, "budget": 4096,
                 "first_turn_id": ids[max(0, index - 30)]}
            )  # fmt: skip
            rows.append(
                (first + index, ids[index], session_id, ids[index - 1] if index else None, index + 1, turn.role,
                 turn.text, "smollm2-135m" if is_reply else "", "llamacpp" if is_reply else "",
                 _USAGE if is_reply else None, context if is_reply else None, utc_text(at[index]), utc_text(at[index]))
            )  # fmt: skip
        connection.executemany(
            "INSERT INTO turns (number, id, session_id, parent_id, position, role, text, status, model, engine, usage,"
            " context, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, 'complete', ?, ?, ?, ?, ?, ?)",
            rows,
        )
        topic = self._inventor.topic(self._ordinal)
        senses = self._write_pictures(connection, ids, turns, topic)
        connection.executemany(
            "INSERT INTO turns_fts (rowid, words, senses) VALUES (?, ?, ?)",
            ((first + index, indexed(turn.text), indexed(senses.get(index, ""))) for index, turn in enumerate(turns)),
        )
        vectors = self._spaces[0].vectors(self._ordinal, topic, len(turns)).astype("<f2")
        connection.executemany(
            "INSERT INTO embeddings (owner_kind, owner, model, vector) VALUES ('turn', ?, ?, ?)",
            ((first + index, TURN_MODEL, vector.tobytes()) for index, vector in enumerate(vectors)),
        )
        connection.executemany(
            "INSERT INTO embeddings (owner_kind, owner, model, vector) VALUES ('turn', ?, ?, ?)",
            (
                (first + index, f"{TURN_MODEL}#parts", packed_parts(turn.text, vector.astype(np.float32)))
                for index, (turn, vector) in enumerate(zip(turns, vectors, strict=True))
            ),
        )
        self._made += len(turns)

    def _write_pictures(self, connection: object, ids: list[str], turns: list[MadeTurn], topic: int) -> dict[int, str]:
        """Pictures are spread evenly over the turns of the user; returns what each turn's index is found by."""
        assert hasattr(connection, "execute")
        senses: dict[int, str] = {}
        wanted = [
            index
            for index, turn in enumerate(turns)
            if turn.role == "user"
            and (self._made + index + 2) * self._pictures // self._turns
            > (self._made + index) * self._pictures // self._turns
        ]
        vectors = self._spaces[1].vectors(self._ordinal, topic, len(wanted)).astype("<f2")
        for index, vector in zip(wanted, vectors, strict=True):
            self._made_pictures += 1
            name, digest = f"photo-{self._made_pictures}.jpg", sha256(str(self._made_pictures).encode()).hexdigest()
            tags = [_TAGS[(self._made_pictures + step * topic) % len(_TAGS)] for step in (1, 3, 7)]
            seen = {"model": PICTURE_MODEL, "text": "", "caption": "",
                    "tags": [{"label": tag, "score": 0.5} for tag in tags]}  # fmt: skip
            connection.execute(
                "INSERT INTO blobs (sha256, size_bytes, media_type, file, created_at)"
                " VALUES (?, 1, 'image/jpeg', ?, '2023-01-01T00:00:00+00:00')",
                [digest, f"{digest}.jpg"],
            )
            number = connection.execute(
                "INSERT INTO attachments (id, turn_id, position, kind, name, sha256, seen)"
                " VALUES (?, ?, 0, 'image', ?, ?, ?)",
                [new_id(), ids[index], name, digest, json.dumps(seen)],
            ).lastrowid
            connection.execute(
                "INSERT INTO embeddings (owner_kind, owner, model, vector) VALUES ('attachment', ?, ?, ?)",
                [number, PICTURE_MODEL, vector.tobytes()],
            )
            senses[index] = f"{name}\n{', '.join(tags)}"
        return senses


def packed_parts(text: str, vector: NDArray[np.float32]) -> bytes:
    """As many bytes as the vectors of a turn's parts take; all of them are the turn's own vector."""
    parts = parts_of(text, text, "", "")
    return np.round(vector / np.abs(vector).max() * 127).astype(np.int8).tobytes() * len(parts.texts)


def _count(store: MemoryStore, table: str) -> int:
    return int(store.file.rows(f"SELECT coalesce(max(number), 0) AS count FROM {table}")[0]["count"])


def make(home: Path, turns: int) -> None:
    """Write a store of so many turns into a home, or go on where that was broken off; a picture in ten turns."""
    store = MemoryStore(home / "data" / "mmchat.db", home / "data" / "blobs")
    if _count(store, "turns") < turns:
        Maker(store, turns, turns // 10).run()
    for kind, model in VECTORS:
        VectorIndex(store.file, kind, model).pack()
    store.close()
