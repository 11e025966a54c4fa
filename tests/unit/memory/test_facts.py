"""Facts in the store: once, with their turn, gone with it, and not back once forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mmchat.errors import UsageError
from mmchat.memory.facts import (
    add_fact,
    edit_fact,
    fact_vectors,
    facts_without_vector,
    forget_facts,
    forgotten_turns,
    get_fact,
    is_known,
    list_facts,
    restore_facts,
    said_key,
    save_vectors,
    user_texts,
)
from mmchat.memory.store import MemoryStore
from tests.variants import retire


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    with closing(MemoryStore(tmp_path / "mmchat.db", tmp_path / "blobs")) as opened:
        yield opened


def say(store: MemoryStore, text: str) -> str:
    return store.add_user_turn(store.create_session().id, text).id


def texts(store: MemoryStore) -> list[str]:
    return [fact.text for fact in list_facts(store)]


def test_a_fact_knows_its_turn_and_conversation(store: MemoryStore) -> None:
    turn_id = say(store, "Hi! I live in Lyon.")
    fact = add_fact(store, "I live in Lyon", "home", turn_id=turn_id)
    assert fact is not None
    assert (fact.text, fact.topic, fact.origin, fact.turn) == ("I live in Lyon", "home", "said", turn_id)
    assert fact.session == store.get_turn(turn_id).session_id
    assert list_facts(store) == (fact,)
    assert get_fact(store, fact.id[:20]) == get_fact(store, fact.id[-6:]) == fact


def test_the_same_words_are_one_fact_and_the_last_turn_counts(store: MemoryStore) -> None:
    first, second = say(store, "I live in Lyon."), say(store, "i live in lyon!")
    one = add_fact(store, "I live in Lyon", turn_id=first)
    add_fact(store, "I hate rain", turn_id=first)
    again = add_fact(store, "i live in lyon", turn_id=second)
    assert one is not None
    assert again is not None
    assert (again.id, again.turn, again.created_at) == (one.id, second, one.created_at)
    assert texts(store) == ["I live in Lyon", "I hate rain"]
    assert add_fact(store, "I live in Lyon", turn_id=second) is None, "a message that is answered anew says nothing new"


def test_what_is_told_outright_outlives_conversations(store: MemoryStore) -> None:
    turn_id = say(store, "I live in Lyon.")
    add_fact(store, "I live in Lyon", turn_id=turn_id)
    add_fact(store, "My cat is deaf", turn_id=turn_id)
    told = add_fact(store, "I live in Lyon")
    assert told is not None
    assert (told.origin, told.turn) == ("told", "")
    store.delete_session(store.get_turn(turn_id).session_id)
    assert texts(store) == ["I live in Lyon"]
    assert store.check_integrity() == []


def test_the_trash_and_messages_taken_back_tell_nothing(store: MemoryStore) -> None:
    turn_id = say(store, "I live in Lyon.")
    add_fact(store, "I live in Lyon", turn_id=turn_id)
    session_id = store.get_turn(turn_id).session_id
    with store.file.write() as db:
        db.execute("UPDATE sessions SET deleted_at = 'now' WHERE id = ?", [session_id])
    assert texts(store) == []
    with store.file.write() as db:
        db.execute("UPDATE sessions SET deleted_at = NULL WHERE id = ?", [session_id])
    assert texts(store) == ["I live in Lyon"]
    retire(store, turn_id)
    assert texts(store) == []


def test_what_is_forgotten_does_not_come_back_from_its_turn(store: MemoryStore) -> None:
    turn_id = say(store, "I live in Lyon.")
    fact = add_fact(store, "I live in Lyon", turn_id=turn_id)
    assert fact is not None
    (forgotten,) = forget_facts(store, [fact])
    assert texts(store) == []
    assert store.file.rows("SELECT * FROM facts") == []
    assert forgotten_turns(store, [turn_id, "other"]) == {turn_id}
    assert add_fact(store, "I live in Lyon", turn_id=turn_id) is None
    assert is_known(store, "I live in Lyon"), "nor do old turns that say the same"
    assert add_fact(store, "I live in Lyon", turn_id=say(store, "I live in Lyon.")) is not None, "said anew, it is new"
    assert forget_facts(store, [fact]) == (), "it is gone already"
    assert forgotten.fact == fact


def test_forgetting_can_be_taken_back_for_the_moment(store: MemoryStore) -> None:
    turn_id = say(store, "I live in Lyon.")
    add_fact(store, "I live in Lyon", "home", turn_id=turn_id)
    told = add_fact(store, "My cat is deaf")
    assert told is not None
    edited = edit_fact(store, told.id, "My cat is blind")
    before = list_facts(store)
    forgotten = forget_facts(store, before)
    assert restore_facts(store, forgotten) == before
    assert edited.is_edited
    assert forgotten_turns(store, [turn_id]) == frozenset()
    assert restore_facts(store, forgotten) == before, "twice is once"


def test_nothing_is_restored_into_a_conversation_that_is_gone(store: MemoryStore) -> None:
    turn_id = say(store, "I live in Lyon.")
    add_fact(store, "I live in Lyon", turn_id=turn_id)
    forgotten = forget_facts(store, list_facts(store))
    store.delete_session(store.get_turn(turn_id).session_id)
    assert restore_facts(store, forgotten) == ()


def test_editing_keeps_the_turn_and_is_marked(store: MemoryStore) -> None:
    turn_id = say(store, "I live in Lyon.")
    fact = add_fact(store, "I live in Lyon", "home", turn_id=turn_id)
    assert fact is not None
    save_vectors(store, "m", {fact.id: np.full(4, 0.5, np.float32)})
    edited = edit_fact(store, fact.id, " I live in Porto ", "home")
    assert (edited.text, edited.turn, edited.is_edited) == ("I live in Porto", turn_id, True)
    assert add_fact(store, "I live in Lyon", turn_id=turn_id) is None, "the words it was made of do not come back"
    assert fact_vectors(store, "m") == {}, "the vector was of the old words"
    with pytest.raises(UsageError, match="needs words"):
        edit_fact(store, fact.id, "  ")


def test_vectors_belong_to_one_encoder(store: MemoryStore) -> None:
    add_fact(store, "I live in Lyon")
    (fact,) = facts_without_vector(store, "m")
    save_vectors(store, "m", {fact.id: np.array([0.6, 0.8], np.float32)})
    assert facts_without_vector(store, "m") == ()
    assert facts_without_vector(store, "other") == (fact,)
    np.testing.assert_allclose(fact_vectors(store, "m")[fact.id], [0.6, 0.8], atol=1e-3)


def test_ids_that_fit_none_or_several_are_refused(store: MemoryStore) -> None:
    add_fact(store, "one")
    add_fact(store, "two")
    with pytest.raises(UsageError, match="No fact"):
        get_fact(store, "")
    with pytest.raises(UsageError, match="No fact"):
        get_fact(store, "zzzz")
    with pytest.raises(UsageError, match="Several"):
        get_fact(store, list_facts(store)[0].id[:5])


def test_only_messages_of_the_user_are_read(store: MemoryStore) -> None:
    session = store.create_session()
    store.add_user_turn(session.id, "I live in Lyon.")
    store.add_turn(session.id, role="assistant", text="I live in a computer.")
    assert [text for _, _, text in user_texts(store)] == ["I live in Lyon."]


def test_keys_tell_words_apart_and_nothing_else() -> None:
    assert said_key("I live in Lyon") == said_key("  i LIVE in  lyon! ") != said_key("I live in Lyons")
    assert said_key("我住在成都。") == said_key("我住在成都")
    assert said_key("😀") != said_key("😁")
