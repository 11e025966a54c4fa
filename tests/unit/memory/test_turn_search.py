"""Search as one types: what comes first, what is left out, and how little of a large store is read for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.memory import statements, turn_search
from mmchat.memory.store import MemoryStore
from mmchat.memory.text_search import indexed
from mmchat.memory.trash import move_to_trash
from mmchat.memory.turn_search import search_turns, spans_of
from tests.variants import retire


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    opened = MemoryStore(tmp_path / "m.db", tmp_path / "blobs")
    yield opened
    opened.close()


def fill(store: MemoryStore, texts: list[str], title: str = "") -> str:
    """A conversation of these turns, written at once."""
    session = store.create_session(title=title)
    with store.file.write() as db:
        first = db.execute("SELECT coalesce(max(number), 0) + 1 FROM turns").fetchone()[0]
        for place, text in enumerate(texts):
            db.execute(
                "INSERT INTO turns (number, id, session_id, position, role, text, status, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, 'user', ?, 'complete', '2026-01-01', '2026-01-01')",
                [first + place, f"{session.id}-{place}", session.id, place + 1, text],
            )
            db.execute("INSERT INTO turns_fts (rowid, words, senses) VALUES (?, ?, '')", [first + place, indexed(text)])
    return session.id


def found(store: MemoryStore, query: str, limit: int = 20) -> list[str]:
    return [
        hit.turn.text if hit.turn else f"title: {hit.session.title}" for hit in search_turns(store, query, limit=limit)
    ]


def steps(store: MemoryStore, work: Callable[[], object]) -> int:
    """How many instructions of SQLite's machine it takes: each row that is looked at costs some."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    with store.file.read() as db:
        db.conn.set_progress_handler(tick, 10)
        work()
        db.conn.set_progress_handler(None, 0)
    return 10 * count


def test_titles_first_then_turns_best_first(store: MemoryStore) -> None:
    fill(store, ["one pear among many apples and plums and figs", "a pear"], title="Fruit")
    fill(store, ["nothing of the kind"], title="The pear tree")
    assert found(store, "pear") == [
        "title: The pear tree",
        "a pear",
        "one pear among many apples and plums and figs",
    ]


def test_a_title_is_found_behind_any_number_of_newer_turns(store: MemoryStore) -> None:
    fill(store, ["hello"], title="Pear")
    for _ in range(4):
        fill(store, ["pear"])
    assert found(store, "pear", limit=3)[0] == "title: Pear"


def test_more_hits_than_are_ranked_come_newest_first(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_search, "RANKED_TURNS", 3)
    fill(store, ["pear", "pear and something more to read", "pear or plum", "a quince"])
    assert found(store, "pear")[0] == "pear"
    fill(store, ["yet another sentence with a pear in it"])
    assert found(store, "pear", limit=2) == ["yet another sentence with a pear in it", "pear or plum"]


def test_in_a_large_store_one_or_two_letters_are_a_word_of_a_turn(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, ["to go", "gone", "garden", "我们去花园"], title="Golf")
    assert set(found(store, "go")) == {"title: Golf", "to go", "gone"}
    monkeypatch.setattr(statements, "LARGE_STORE", 3)
    assert found(store, "go") == ["title: Golf", "to go"]
    assert found(store, "gar") == ["garden"]
    assert found(store, "花") == ["我们去花园"]
    assert found(store, "花园") == ["我们去花园"]
    assert [session.title for session in store.list_sessions(query="go")] == ["Golf"]


def test_the_trash_variants_and_unfinished_replies_are_left_out(store: MemoryStore) -> None:
    kept = fill(store, ["pear one", "pear two"], title="Pears")
    gone = fill(store, ["pear three"], title="Pears too")
    retire(store, f"{kept}-1")
    move_to_trash(store, gone)
    assert found(store, "pear") == ["title: Pears", "pear one"]


def test_what_is_not_indexed_is_looked_for_in_the_newest_turns(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn_search, "LOOKED_THROUGH", 3)
    fill(store, ["old 🍐", "a", "b", "new 🍐"], title="My 🍐 tree")
    assert found(store, "🍐") == ["title: My 🍐 tree", "new 🍐"]


@pytest.mark.parametrize("query", ["the", "th", "的", "花园", "the garden", "🍐"])
def test_four_times_the_turns_are_not_more_work(tmp_path: Path, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (statements, turn_search):
        monkeypatch.setattr(module, "LOOKED_THROUGH", 100)
    monkeypatch.setattr(statements, "FILTERED_TURNS", 100)
    monkeypatch.setattr(statements, "LARGE_STORE", 100)
    monkeypatch.setattr(turn_search, "RANKED_TURNS", 100)
    work = []
    for count in (200, 800):
        store = MemoryStore(tmp_path / f"{count}.db", tmp_path / "blobs")
        for _ in range(count // 20):
            fill(store, ["the garden", "花园的门 🍐"] * 10)
        work.append(
            steps(store, lambda: search_turns(store, query, limit=10))  # noqa: B023 - called at once
            + steps(store, lambda: store.list_sessions(query=query, limit=10))  # noqa: B023
        )
        store.close()
    assert work[1] < 1.3 * work[0]


def test_counting_the_turns_of_conversations_reads_no_turn(store: MemoryStore) -> None:
    fill(store, ["one", "two"])
    seen: list[str] = []
    with store.file.read() as db:
        db.conn.set_trace_callback(seen.append)
        assert store.list_sessions()[0].turn_count == 2
        db.conn.set_trace_callback(None)
        (listing,) = [sql for sql in seen if "turn_count" in sql]
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {listing}")]
    counts = [step for step in plan if " t USING" in step or " t " in step and "SEARCH" in step]
    assert len(counts) == 2, plan
    assert any("COVERING INDEX" in step for step in counts), plan
    assert all("turns_retired" in step or "COVERING" in step for step in counts), plan


@given(st.lists(st.text("ab 花园🍐.", max_size=12), max_size=4), st.sampled_from(["a", "ab ", "花", "b 园", "🍐"]))
def test_many_texts_are_marked_as_each_by_itself(texts: list[str], query: str) -> None:
    assert turn_search._spans_in(texts, query) == [spans_of(text, query) for text in texts]


def test_one_conversation_leaves_room_for_others_and_says_how_many_more_it_has(store: MemoryStore) -> None:
    fill(store, ["a heron"])
    fill(store, [f"heron number {number}" for number in range(30)], title="Birds")
    fill(store, ["our heron came back, twice"])
    hits = search_turns(store, "heron", limit=10, each=3)
    sessions = [hit.session.title for hit in hits]
    assert sessions.count("Birds") == 3
    assert len(hits) == 5
    assert [hit.more for hit in hits if hit.session.title == "Birds"] == [0, 0, 27]
    assert sum(hit.more for hit in hits if hit.session.title != "Birds") == 0
    assert len(search_turns(store, "heron", limit=10)) == 10
    assert all(hit.more == 0 for hit in search_turns(store, "heron", limit=10))
