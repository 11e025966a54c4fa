"""Recall: words and vectors fused, nothing returned when nothing fits, others' rows picked up."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from numpy.typing import NDArray

from mmchat.domain import Heard, Seen, Tag
from mmchat.memory.recall import Recall
from mmchat.memory.store import MemoryStore, NewAttachment
from mmchat.wiring import open_hub
from tests.variants import retire

# Words that mean the same share a direction, so that a test can tell meaning from spelling.
SYNONYMS = {"dog": "pet", "puppy": "pet", "hound": "pet", "flight": "plane", "aircraft": "plane"}


class Meanings:
    """An embedder that knows a few synonyms."""

    name = "meanings"
    embedding_dim = 4096  # so many that no two words share a direction by accident

    def __init__(self, name: str = "meanings") -> None:
        self.name = name
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.embedded += texts
        rows = np.full((len(texts), self.embedding_dim), 1e-4, np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()):
                row[zlib.crc32(SYNONYMS.get(word, word).encode()) % self.embedding_dim] += 1
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    opened = MemoryStore(tmp_path / "data" / "m.db", tmp_path / "data" / "blobs")
    yield opened
    opened.close()


def say(store: MemoryStore, *texts: str, session: str = "") -> list[str]:
    session = session or store.create_session().id
    roles = ("user", "assistant")
    return [
        store.add_turn(session, role=roles[position % 2], text=text).id  # type: ignore[arg-type]
        for position, text in enumerate(texts)
    ]


def filled(store: MemoryStore) -> tuple[Recall, Meanings]:
    """A recall over twenty indexed turns of small talk, so that weights of words mean something."""
    for number in range(10):
        say(store, f"filler{number} alpha{number}", f"padding{number} beta{number}")
    embedder = Meanings()
    recall = Recall(store, lambda: embedder)
    recall.backfill()
    return recall, embedder


def test_a_turn_is_found_by_its_words_in_other_forms_and_by_its_meaning(store: MemoryStore) -> None:
    recall, _ = filled(store)
    (cats, puppy) = say(store, "my bicycles were repaired", "puppy")
    assert [each.turn for each in recall.find("repair the bicycle")][0] == cats
    assert recall.find("hound") == ()
    recall.index(puppy)
    (found,) = recall.find("hound")
    assert (found.turn, found.role, found.text) == (puppy, "assistant", "puppy")
    assert recall.find("hound", use_vectors=False) == ()


def test_nothing_is_returned_when_nothing_bears_on_it(store: MemoryStore) -> None:
    recall, _ = filled(store)
    say(store, "the hotel in Lisbon is near the river", "nice")
    for query in ("", "   ", "hello", "what is the capital of Peru?", "🎉", "\ud800", '" OR *', "谢谢", "do you?"):
        assert recall.find(query) == ()


def test_an_empty_store_finds_nothing(store: MemoryStore) -> None:
    recall = Recall(store, Meanings)
    assert recall.find("anything") == ()
    assert recall.find_by_image(np.full(4, 0.5, np.float32), "eyes") == ()
    assert recall.backfill() == 0


@pytest.mark.parametrize("query", ["成都", "我们什么时候去成都？", "熊猫"])
def test_chinese_is_found_by_words_of_two_characters_without_the_embedder(store: MemoryStore, query: str) -> None:
    _, embedder = filled(store)
    (turn,) = say(store, "我们打算十月去成都看大熊猫。")
    say(store, "今天天气很好。")
    embedder.embedded.clear()
    found = Recall(store, lambda: embedder).find(query)
    assert [each.turn for each in found] == [turn]
    assert embedder.embedded == []


def test_the_answer_comes_with_its_question(store: MemoryStore) -> None:
    recall, _ = filled(store)
    question, answer = say(store, "which lisbon hotel did we book?", "the Miradouro")
    assert [each.turn for each in recall.find("lisbon hotel")] == [question, answer]


def test_scope_and_exclusions_hold_for_words_and_vectors(store: MemoryStore) -> None:
    recall, _ = filled(store)
    first, second = store.create_session().id, store.create_session().id
    (one,), (two,) = say(store, "dog named Rex", session=first), say(store, "puppy called Rex Junior", session=second)
    recall.backfill()
    assert {each.turn for each in recall.find("hound Rex")} == {one, two}
    assert [each.turn for each in recall.find("hound Rex", session_id=first)] == [one]
    assert [each.turn for each in recall.find("hound Rex", exclude_session=first)] == [two]
    assert [each.turn for each in recall.find("hound Rex", exclude_turns=[two])] == [one]
    assert len(recall.find("hound Rex", k=1)) == 1
    assert recall.find("hound Rex", session_id="nope") == ()


def test_copies_are_found_once_and_copies_of_what_is_in_view_not_at_all(store: MemoryStore) -> None:
    recall, _ = filled(store)
    session = store.create_session().id
    (turn,) = say(store, "the puppy is called Rex", session=session)
    recall.index(turn)
    store.fork_session(session)
    assert len(recall.find("what is the puppy called? Rex")) == 1
    assert recall.find("what is the puppy called? Rex", exclude_turns=[turn]) == ()


def test_retired_and_deleted_turns_are_not_found(store: MemoryStore) -> None:
    recall, _ = filled(store)
    session = store.create_session().id
    question, answer = say(store, "question", "puppy zeppelin", session=session)
    recall.backfill()
    assert [each.turn for each in recall.find("zeppelin puppy")] == [answer]
    retire(store, answer)
    assert recall.find("zeppelin puppy") == ()
    assert recall.find("hound") == ()
    (other,) = say(store, "hound zeppelin", session=session)
    recall.index(other)
    assert [each.turn for each in recall.find("puppy")] == [other]
    store.delete_session(session)
    assert recall.find("puppy") == ()
    assert recall.find("zeppelin") == ()
    assert question


def test_what_was_heard_and_seen_is_found(store: MemoryStore, tmp_path: Path) -> None:
    recall, _ = filled(store)
    path = tmp_path / "x.png"
    path.write_bytes(b"x")
    session = store.create_session().id
    turn = store.add_user_turn(session, "", [NewAttachment(path, "image", "image/png", "x.png")])
    store.save_seen(turn.attachments[0].id, Seen((Tag("puppy", 0.9),), text="BAKERY", model="v"))
    spoken = store.add_user_turn(session, "", [NewAttachment(path, "audio", "audio/wav", "y.wav")])
    store.save_heard(spoken.attachments[0].id, Heard("remember the zucchini", "en", 2.0, model="w"))
    recall.index(turn.id)
    (found,) = recall.find("bakery")
    assert (found.turn, found.text) == (turn.id, "puppy\nBAKERY")
    assert found.attachment is not None
    assert found.attachment.path.read_bytes() == b"x"
    assert recall.find("hound bakery")[0].turn == turn.id
    assert recall.find("zucchini")[0].text == "remember the zucchini"


def test_who_is_asked_for_comes_first(store: MemoryStore) -> None:
    recall, _ = filled(store)
    session = store.create_session().id
    mine, yours = say(store, "tomatoes and basil taste great", "tomatoes and basil go well", session=session)
    assert recall.find("what did I say about tomatoes and basil?")[0].turn == mine
    assert recall.find("what did you suggest: tomatoes and basil?")[0].turn == yours


def test_vectors_added_by_another_process_and_replaced_ones_are_used(store: MemoryStore, tmp_path: Path) -> None:
    recall, _ = filled(store)
    other_store = MemoryStore(tmp_path / "data" / "m.db", tmp_path / "data" / "blobs")
    other = Recall(other_store, Meanings)
    assert recall.find("hound") == ()
    (turn,) = say(other_store, "puppy")
    other.index(turn)
    assert [each.turn for each in recall.find("hound")] == [turn]
    other_store.file.rows("SELECT 1")
    with other_store.file.write() as db:
        db.execute("UPDATE turns SET text = 'aircraft' WHERE id = ?", [turn])
    other.index(turn)
    assert [each.turn for each in recall.find("flight")] == [turn]
    assert recall.find("hound") == ()
    other_store.close()


def test_backfill_goes_on_where_it_was_stopped_and_knows_models_apart(store: MemoryStore) -> None:
    say(store, *(f"turn {number}" for number in range(150)), "")
    cancel = Event()

    class Stopping(Meanings):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            cancel.set()
            return super().embed(texts)

    stopping = Stopping()
    assert Recall(store, lambda: stopping).backfill(cancel=cancel) == 8
    embedder = Meanings()
    assert Recall(store, lambda: embedder).backfill() == 142
    assert Recall(store, lambda: embedder).backfill() == 0
    assert Recall(store, lambda: Meanings("another")).backfill() == 150
    assert Recall(store, lambda: None).backfill() == 0


def test_pictures_are_found_by_likeness_once_each(store: MemoryStore, tmp_path: Path) -> None:
    recall = Recall(store, lambda: None)
    session = store.create_session().id
    for number, vector in enumerate(np.eye(3, dtype=np.float32)):
        path = tmp_path / f"{number}.png"
        path.write_bytes(bytes([number]))
        for _ in range(2):
            turn = store.add_user_turn(session, f"picture {number}", [NewAttachment(path, "image", "image/png", "p")])
            recall.index_image(turn.attachments[0].id, vector, "eyes")
    query = np.array([0.1, 0.9, 0.3], np.float32)
    query /= np.linalg.norm(query)
    found = recall.find_by_image(query, "eyes", k=2)
    assert [each.text for each in found] == ["picture 1", "picture 2"]
    assert found[0].score == pytest.approx(0.943, abs=0.002)
    assert recall.find_by_image(query, "other eyes") == ()
    assert len(recall.find_by_image(query, "eyes", k=9)) == 2  # the third is not alike
    assert len(recall.find_by_image(query, "eyes", k=9, floor=-1)) == 3
    assert recall.find_by_image(-query, "eyes") == ()


@pytest.mark.weights
def test_minilm_finds_paraphrases_and_stays_silent_otherwise(store: MemoryStore, weights_dir: Path) -> None:
    hub = open_hub(kinds=("embed",))
    recall = Recall(store, hub.embedder)
    (flight,) = say(store, "Our flight to Lisbon leaves on 14 March at six in the morning.")
    (cat,) = say(store, "We adopted a grey cat from the shelter and called him Pixel.")
    say(store, "The numbers for the second quarter are missing.")
    assert recall.backfill() == 3
    assert recall.find("When do we go to Portugal by plane?")[0].turn == flight
    assert recall.find("What is the name of our kitten?")[0].turn == cat
    assert recall.find("Name three primary colours.") == ()
    assert recall.find("天空为什么是蓝色的？") == ()
    hub.close()
