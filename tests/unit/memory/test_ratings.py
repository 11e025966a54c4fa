"""Ratings: one for each reply, kept as long as it, and made into rows that the reader takes as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmchat.domain import Rating, Session, Turn
from mmchat.memory.export_rows import FileCopier, kept_path
from mmchat.memory.rated_rows import RATED_AS, RatedAs, RatedRows, rated_rows
from mmchat.memory.ratings import rate_reply, rated_replies
from mmchat.memory.store import MemoryStore, NewAttachment
from mmchat.rows.reader import read_rows
from mmchat.rows.values import DialogueRow, PreferenceRow
from tests.variants import retire

GOOD, BAD = Rating("good"), Rating("bad")


def open_store(folder: Path) -> MemoryStore:
    return MemoryStore(folder / "mmchat.db", folder / "blobs")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


def answer(store: MemoryStore, question: Turn, text: str, rating: Rating | None = None) -> Turn:
    reply = store.start_reply(question.session_id, parent_id=question.id, model="m", engine="scripted", text=text)
    store.finish_reply(reply.id, text, status="complete")
    return rate_reply(store, reply.id, rating)


def talk(store: MemoryStore, *exchanges: tuple[str, str, Rating | None], persona: str = "") -> Session:
    session = store.create_session(title="t", persona=persona)
    for asked, said, rating in exchanges:
        answer(store, store.add_user_turn(session.id, asked), said, rating)
    return store.get_session(session.id)


def made(store: MemoryStore, rated_as: RatedAs = "preference", system: str = "") -> RatedRows:
    rated = rated_replies(store, store.list_sessions(limit=-1)[::-1])
    return rated_rows(rated, rated_as, kept_path, system)


def texts(messages: Sequence[dict[str, Any]]) -> list[str]:
    return [message["content"] for message in messages]


# --- kept ---------------------------------------------------------------------------------------


def test_a_rating_is_replaced_taken_back_and_survives_a_restart(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    session = talk(store, ("首都是哪里？", "上海。", None))
    reply = store.turns(session.id)[1]
    assert reply.rating is None
    assert rate_reply(store, reply.id, GOOD).rating == GOOD
    both = Rating("bad", "北京。")
    assert rate_reply(store, reply.id, both).rating == both
    store.close()
    store = open_store(tmp_path)
    assert [turn.rating for turn in store.turns(session.id)] == [None, both]
    assert len(store.file.rows("SELECT * FROM ratings")) == 1
    assert rate_reply(store, reply.id, Rating(better="北京。")).rating == Rating(None, "北京。")
    assert rate_reply(store, reply.id, None).rating is None
    assert store.file.rows("SELECT * FROM ratings") == []
    store.close()


def test_a_variant_keeps_its_rating_and_a_copy_takes_it_along(store: MemoryStore) -> None:
    session = talk(store, ("hi", "one", BAD))
    question, first = store.turns(session.id)
    retire(store, first.id)
    answer(store, question, "two", GOOD)
    assert [turn.rating for turn in store.turns(session.id)] == [None, GOOD]
    assert store.get_turn(first.id).rating == BAD
    rated = rated_replies(store, [session])
    assert [(each.reply.text, each.is_variant, len(each.history)) for each in rated] == [
        ("one", True, 1),
        ("two", False, 1),
    ]
    fork = store.fork_session(session.id)
    assert [turn.rating for turn in store.turns(fork.id)] == [None, GOOD]
    store.delete_session(session.id)
    assert len(store.file.rows("SELECT * FROM ratings")) == 1


# --- as preferences -----------------------------------------------------------------------------


def test_marks_and_better_texts_become_preferences(store: MemoryStore) -> None:
    talk(store, ("a", "A", GOOD), ("b", "B", None), ("c", "C", BAD), ("d", "D", Rating(better="better D")))
    rows = made(store, system="Be brief.").rows
    assert [texts(row["messages"]) for row in rows] == [
        ["Be brief.", "a"],
        ["Be brief.", "a", "A", "b", "B", "c"],
        ["Be brief.", "a", "A", "b", "B", "c", "C", "d"],
    ]
    assert rows[0]["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (rows[0]["completion"], rows[0]["label"]) == ("A", True)
    assert (rows[1]["completion"], rows[1]["label"]) == ("C", False)
    assert (rows[2]["chosen"], rows[2]["rejected"]) == ("better D", "D")


def test_variants_that_were_rated_differently_are_pairs(store: MemoryStore) -> None:
    session = talk(store, ("q", "awful", BAD))
    question, awful = store.turns(session.id)
    retire(store, awful.id)
    retire(store, answer(store, question, "poor", Rating("bad", "perfect")).id)
    answer(store, question, "fine", GOOD)
    preferences = made(store)
    assert {(row["chosen"], row["rejected"]) for row in preferences.rows} == {
        ("perfect", "poor"),
        ("perfect", "awful"),
        ("fine", "poor"),
        ("fine", "awful"),
    }
    assert {tuple(texts(row["messages"])) for row in preferences.rows} == {("q",)}
    assert preferences.left_out == 0
    thumbs = made(store, "thumbs")
    assert {(row["completion"], row["label"]) for row in thumbs.rows} == {
        ("perfect", True),
        ("fine", True),
        ("poor", False),
        ("awful", False),
    }


def test_only_pairs_leaves_single_marks_out_and_says_so(store: MemoryStore) -> None:
    talk(store, ("a", "A", GOOD), ("b", "B", Rating("good", "B!")))
    pairs = made(store, "pairs")
    assert [(row["chosen"], row["rejected"]) for row in pairs.rows] == [("B!", "B")]
    assert (pairs.left_out, pairs.count("chosen")) == (1, 1)
    thumbs = made(store, "thumbs")
    assert [(row["completion"], row["label"]) for row in thumbs.rows] == [("A", True), ("B!", True), ("B", True)]


def test_a_copied_conversation_gives_no_row_twice_and_its_later_word_counts(store: MemoryStore) -> None:
    session = talk(store, ("a", "A", GOOD))
    fork = store.fork_session(session.id)
    assert len(made(store).rows) == 1
    rate_reply(store, store.turns(fork.id)[1].id, BAD)
    (row,) = made(store).rows
    assert row["label"] is False


def test_the_persona_of_a_conversation_comes_before_the_system_text_of_the_settings(store: MemoryStore) -> None:
    talk(store, ("a", "A", GOOD), persona="You are a pirate.")
    (row,) = made(store, system="Be brief.").rows
    assert row["messages"][0]["content"] == "You are a pirate."


def test_a_reply_to_nothing_gives_no_row(store: MemoryStore) -> None:
    session = store.create_session()
    rate_reply(store, store.add_turn(session.id, role="assistant", text="Welcome!").id, GOOD)
    for rated_as in RATED_AS:
        assert (made(store, rated_as).rows, made(store, rated_as).left_out) == ((), 1)


# --- as dialogues -------------------------------------------------------------------------------


def test_dialogues_hold_what_was_good_and_nothing_that_was_bad(store: MemoryStore) -> None:
    talk(
        store,
        ("a", "A", GOOD),
        ("b", "B", Rating("bad", "better B")),
        ("c", "C", BAD),
        ("d", "D", None),
        ("e", "E", GOOD),
        ("f", "F", None),
    )
    dialogues = made(store, "dialogue", system="S")
    assert [texts(row["messages"]) for row in dialogues.rows] == [
        ["S", "a", "A", "b", "better B"],
        ["S", "d", "D", "e", "E"],
    ]
    assert dialogues.left_out == 1


def test_a_good_variant_is_a_dialogue_of_its_own(store: MemoryStore) -> None:
    session = talk(store, ("a", "A", GOOD), ("b", "B", GOOD))
    question, reply = store.turns(session.id)[2:]
    retire(store, reply.id)
    answer(store, question, "B2", GOOD)
    rows = made(store, "dialogue").rows
    assert sorted(texts(row["messages"]) for row in rows) == [["a", "A", "b", "B"], ["a", "A", "b", "B2"]]


# --- the reader takes them ----------------------------------------------------------------------


def test_pictures_go_with_the_rows(store: MemoryStore, tmp_path: Path) -> None:
    picture = tmp_path / "dog.png"
    picture.write_bytes(b"a picture")
    session = store.create_session()
    asked = store.add_user_turn(session.id, "这是什么？", [NewAttachment(picture, "image", "image/png", "dog.png")])
    answer(store, asked, "一只猫。", Rating("bad", "一只狗。"))
    out = tmp_path / "out" / "rows.jsonl"
    rated = rated_replies(store, [session])
    rows = rated_rows(rated, "preference", FileCopier(out.with_name("rows.jsonl.files"), out.parent)).rows
    out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    picture.unlink()
    (row,) = read_rows(out).rows
    assert isinstance(row, PreferenceRow)
    ((part, words),) = [message.parts for message in row.messages]
    assert part.path is not None
    assert part.path.read_bytes() == b"a picture"
    assert words.text == "这是什么？"
    assert (row.chosen, row.rejected) == ("一只狗。", "一只猫。")


said = st.text(min_size=1, max_size=8).filter(lambda text: text.strip())
ratings = st.builds(Rating, st.sampled_from(["good", "bad"]), st.one_of(st.just(""), said))
conversations = st.lists(
    st.tuples(said, st.lists(st.tuples(said, st.none() | ratings), min_size=1, max_size=3)), min_size=1, max_size=4
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conversations, st.sampled_from(RATED_AS))
def test_the_reader_accepts_every_export(
    tmp_path_factory: pytest.TempPathFactory,
    exchanges: list[tuple[str, list[tuple[str, Rating | None]]]],
    rated_as: RatedAs,
) -> None:
    folder = tmp_path_factory.mktemp("export")
    store = open_store(folder)
    session = store.create_session()
    for asked, replies in exchanges:
        question = store.add_user_turn(session.id, asked)
        for number, (text, rating) in enumerate(replies, start=1):
            reply = answer(store, question, text, rating)
            if number < len(replies):
                retire(store, reply.id)
    count = len(store.file.rows("SELECT * FROM ratings"))
    found = made(store, rated_as)
    store.close()
    assert (not found.rows) == (found.left_out == count)
    if found.rows:
        path = folder / "rows.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found.rows), encoding="utf-8")
        read = read_rows(path)
        assert read.kind == ("dialogue" if rated_as == "dialogue" else "preference")
        assert len(read.rows) == len(found.rows)
        for row in read.rows:
            assert isinstance(row, DialogueRow | PreferenceRow)
            assert any(message.role == "user" for message in row.messages)
            assert not isinstance(row, PreferenceRow) or row.is_liked is not None or row.chosen != row.rejected
