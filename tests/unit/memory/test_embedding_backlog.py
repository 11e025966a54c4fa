"""Turns without a vector are found and embedded in the background, a few at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from numpy.typing import NDArray

from mmchat.chat.desk import Desk
from mmchat.chat.known import KnownFacts
from mmchat.chat.mic import Microphone
from mmchat.chat.ports import Recorder
from mmchat.engines.scripted import ScriptedEmbedder
from mmchat.knowledge_values import ReadDocument, ReadPiece
from mmchat.memory import embedding_backlog
from mmchat.memory.documents import save_document
from mmchat.memory.embedding_backlog import count_waiting, embeddable, unembedded
from mmchat.memory.recall import Recall
from mmchat.memory.store import MemoryStore
from mmchat.memory.turn_vectors import TEXTS_AT_ONCE
from mmchat.memory.word_search import Filters
from tests.fakes import Bench
from tests.variants import retire


class Ones:
    """An embedder that counts what it is given."""

    name = "ones"
    embedding_dim = 8

    def __init__(self) -> None:
        self.batches: list[int] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.batches.append(len(texts))
        return np.full((len(texts), 8), 8**-0.5, np.float32)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    opened = MemoryStore(tmp_path / "m.db", tmp_path / "blobs")
    session = opened.create_session()
    for number in range(20):
        opened.add_turn(session.id, role="user", text=f"turn {number}" if number % 5 else "")
    yield opened
    opened.close()


def test_all_that_lack_a_vector_are_found(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_backlog, "_LOOKED_AT_ONCE", 3)
    assert unembedded(store.file, "ones").tolist() == list(range(1, 21))
    assert count_waiting(store.file, "ones") == 16  # the others have no words
    Recall(store, Ones).backfill()
    assert unembedded(store.file, "ones").tolist() == [1, 6, 11, 16]
    assert count_waiting(store.file, "ones") == 0
    assert count_waiting(store.file, "another") == 16


def test_looking_gives_way_and_can_be_broken_off(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_backlog, "_LOOKED_AT_ONCE", 3)
    answers = iter([True, True, False])
    assert unembedded(store.file, "ones", lambda: next(answers)).tolist() == [1, 2, 3, 4, 5, 6]


def test_replies_that_are_being_written_and_retired_ones_wait(store: MemoryStore) -> None:
    session = store.list_sessions()[0].id
    asked = store.turns(session)[-1]
    reply = store.start_reply(session, parent_id=asked.id, model="m", engine="e", text="so far")
    numbers = unembedded(store.file, "ones")
    assert reply.id not in {row["id"] for row in embeddable(store.file, numbers)}
    store.finish_reply(reply.id, "so far and on", status="complete")
    assert reply.id in {row["id"] for row in embeddable(store.file, numbers)}
    retire(store, reply.id)
    assert reply.id not in {row["id"] for row in embeddable(store.file, numbers)}


def test_backfill_asks_before_every_few_texts_and_tells_how_far_it_is(store: MemoryStore) -> None:
    embedder, asked, told = Ones(), list[int](), list[tuple[int, int]]()

    def may_go_on() -> bool:
        asked.append(len(embedder.batches))
        return True

    done = Recall(store, lambda: embedder).backfill(
        may_go_on=may_go_on, on_progress=lambda done, total: told.append((done, total))
    )
    assert done == 16
    assert max(embedder.batches) <= TEXTS_AT_ONCE
    assert set(range(len(embedder.batches))) <= set(asked)  # before each of them
    assert told == [(0, 20), (8, 20), (16, 20)]


def test_backfill_stops_where_it_must_and_goes_on_later(store: MemoryStore) -> None:
    embedder, cancel = Ones(), Event()

    def stop_after_one() -> bool:
        if embedder.batches:
            cancel.set()
        return True

    recall = Recall(store, lambda: embedder)
    first = recall.backfill(cancel=cancel, may_go_on=stop_after_one)
    assert 0 < first < 16
    assert first + Recall(store, Ones).backfill() == 16


def test_what_is_there_is_not_read_again(store: MemoryStore) -> None:
    Recall(store, Ones).backfill()
    read: list[str] = []
    with store.file.read() as db:
        db.conn.set_trace_callback(read.append)
    embedder = Ones()
    assert Recall(store, lambda: embedder).backfill() == 0
    with store.file.read() as db:
        db.conn.set_trace_callback(None)
        plan, _ = [sql for sql in read if "EXCEPT" in sql]  # turns' own vectors, and those of their parts
        steps = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {plan}")]
    assert any("embeddings USING COVERING INDEX" in step and "owner>?" in step for step in steps), steps
    assert any("turns USING INTEGER PRIMARY KEY" in step for step in steps), steps


def no_microphone(device: str) -> Recorder:
    raise AssertionError("nothing is recorded here")


def rounds_of(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Counts how often a desk has taken in all that waited."""
    done, take_in = threading.Semaphore(0), Desk._take_in

    def counted(self: Desk) -> None:
        take_in(self)
        done.release()

    monkeypatch.setattr(Desk, "_take_in", counted)
    monkeypatch.setattr("mmchat.chat.desk.BACKGROUND_AFTER_S", 0.0)
    return done


class OnlyItsOwn(ScriptedEmbedder):
    """An encoder of another size, whose vectors mean nothing to any other."""

    embedding_dim = 32


def test_after_another_embedder_is_chosen_old_vectors_count_no_more_and_new_ones_come_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = rounds_of(monkeypatch)
    bench = Bench(tmp_path)
    session = bench.store.create_session()
    turn = bench.store.add_turn(session.id, role="user", text="The copper kettle is on the upper shelf of the pantry")
    said = KnownFacts(bench.store, bench.engines.embedder)
    said.remember("I keep bees behind the barn")
    bench.recall.backfill()
    said.index()
    query = "copper shelf kettle pantry upper"

    def cosines(recall: Recall) -> list[float | None]:
        return [each.cosine for each in recall.look_up(query, Filters()).candidates.values()]

    (old,) = cosines(bench.recall)
    assert old is not None
    # The program ends, and begins again with another embedder.
    bench.engines.embed = OnlyItsOwn(name="another")
    recall = Recall(bench.store, bench.engines.embedder)
    assert cosines(recall) == [None], "an old vector must not be compared with a new question"
    assert [each.turn for each in recall.find(query)] == [turn.id], "words find it meanwhile"
    assert count_waiting(bench.store.file, "another") == 1
    desk = Desk(bench.store, recall, bench.engines, bench.settings, mic=Microphone(no_microphone))
    desk.index_in_background()
    assert rounds.acquire(timeout=20)
    assert count_waiting(bench.store.file, "another") == 0
    (new,) = cosines(recall)
    assert new is not None
    assert new > 0.5
    models = {row["model"] for row in bench.store.file.rows("SELECT vector_model AS model FROM facts")}
    assert models == {"another"}
    desk.close()
    reader = MemoryStore(tmp_path / "mmchat.db", tmp_path / "blobs")
    back = Recall(reader, lambda: ScriptedEmbedder())
    assert cosines(back) == [old], "with the first one chosen again, its vectors are there"
    reader.close()


def test_what_another_program_imports_is_taken_in_while_the_app_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = rounds_of(monkeypatch)
    monkeypatch.setattr("mmchat.chat.desk.LOOK_AGAIN_S", 0.02)
    bench = Bench(tmp_path)
    desk = Desk(bench.store, bench.recall, bench.engines, bench.settings, mic=Microphone(no_microphone))
    desk.index_in_background()
    assert rounds.acquire(timeout=20)
    assert not rounds.acquire(timeout=0.2), "nothing came, nothing is done"
    other = MemoryStore(tmp_path / "mmchat.db", tmp_path / "blobs")
    session = other.create_session()
    other.add_turn(session.id, role="user", text="from an import")
    other.close()
    assert rounds.acquire(timeout=20)
    assert count_waiting(bench.store.file, bench.engines.embed.name) == 0
    desk.close()


def test_passages_are_embedded_behind_the_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = rounds_of(monkeypatch)
    bench = Bench(tmp_path)
    session = bench.store.create_session()
    bench.store.add_turn(session.id, role="user", text="said first")
    save_document(
        bench.store,
        shelf="",
        root=tmp_path,
        path=tmp_path / "lamps.md",
        sha256="a" * 64,
        size_bytes=1,
        modified_ns=1,
        read=ReadDocument("Lamps", "text/markdown", (ReadPiece("Oak is oiled."), ReadPiece("Brass is polished."))),
        reader="test",
    )
    desk = Desk(bench.store, bench.recall, bench.engines, bench.settings, mic=Microphone(no_microphone))
    desk.index_in_background()
    assert rounds.acquire(timeout=20)
    vectors = bench.store.file.rows(
        "SELECT DISTINCT owner FROM passage_embeddings WHERE model = ?", ("scripted-embed",)
    )
    assert len(vectors) == 2
    calls = [text for call in bench.engines.embed.calls for text in call]
    assert calls.index("said first") < next(at for at, text in enumerate(calls) if "Oak" in text)
    desk.close()
