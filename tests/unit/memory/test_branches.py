"""Variants, edits, exchanges taken back: nothing is lost, one path is in view, nothing hangs in the air."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmchat.domain import Turn
from mmchat.errors import UsageError
from mmchat.memory import branches
from mmchat.memory.store import MemoryStore, NewAttachment

ACTS = ("say", "regenerate", "edit", "flip", "undo", "redo", "fork", "fail")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    opened = MemoryStore(tmp_path / "mmchat.db", tmp_path / "blobs")
    yield opened
    opened.close()


def say(store: MemoryStore, session: str, text: str) -> Turn:
    return answer(store, store.add_user_turn(session, text), f"re {text}")


def answer(store: MemoryStore, question: Turn, text: str) -> Turn:
    reply = store.start_reply(question.session_id, parent_id=question.id, model="m", engine="e", text="")
    return store.finish_reply(reply.id, text, status="complete")


def texts(store: MemoryStore, session: str) -> list[str]:
    return [turn.text for turn in store.turns(session)]


def check_tree(store: MemoryStore, session: str, ever: dict[str, str]) -> None:
    """All turns ever stored are there; those in view are one path; each of their variants can be named."""
    rows = store.file.rows("SELECT id, parent_id, position, text FROM turns WHERE session_id = ?", (session,))
    assert {row["id"]: row["text"] for row in rows} == ever
    positions = {row["id"]: row["position"] for row in rows}
    assert all(row["parent_id"] is None or positions[row["parent_id"]] < row["position"] for row in rows)
    shown = store.turns(session)
    assert all(store.get_turn(turn.id) == turn for turn in shown)
    assert [turn.parent_id for turn in shown] == [None, *(turn.id for turn in shown)][: len(shown)]
    for turn in shown:
        known = branches.variants(store, turn.id)
        assert (known[turn.variant - 1], len(known)) == (turn.id, turn.variants)
        siblings = {row["id"] for row in rows if row["parent_id"] == turn.parent_id}
        assert set(known) == siblings


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 99)), max_size=24))
def test_any_sequence_of_acts_keeps_every_turn_and_shows_one_path(
    store: MemoryStore, acts: list[tuple[str, int]]
) -> None:
    session = store.create_session().id
    ever: dict[str, str] = {}

    def note(turn: Turn) -> None:
        ever[turn.id] = turn.text

    for number, (act, pick) in enumerate(acts):
        shown = store.turns(session)
        asked = [turn for turn in shown if turn.role == "user"]
        if act == "say":
            note(store.add_user_turn(session, f"q{number}"))
            note(answer(store, store.turns(session)[-1], f"a{number}"))
        elif act == "fail":  # the model never answered
            note(store.add_user_turn(session, f"q{number}"))
        elif act == "regenerate" and asked:
            note(answer(store, asked[-1], f"a{number}"))
        elif act == "edit" and asked:
            old = asked[pick % len(asked)]
            before = [turn.id for turn in shown[: shown.index(old)]]
            edited = branches.add_edited_turn(store, old.id, f"q{number}")
            note(edited)
            assert [turn.id for turn in store.turns(session)] == [*before, edited.id]
        elif act == "flip" and shown:
            turn = shown[pick % len(shown)]
            known = branches.variants(store, turn.id)
            wanted = known[pick % len(known)]
            branches.show_variant(store, turn.id, wanted)
            assert wanted in [each.id for each in store.turns(session)]
            branches.show_variant(store, wanted, turn.id)
            assert [each.id for each in store.turns(session)] == [each.id for each in shown], "there and back"
            branches.show_variant(store, turn.id, wanted)
        elif act == "undo":
            taken = branches.take_back(store, session)
            assert (taken is None) == (not asked)
            if taken is not None:
                branches.bring_back(store, session)
                assert [each.id for each in store.turns(session)] == [each.id for each in shown], "undo, redo"
                branches.take_back(store, session)
        elif act == "redo":
            branches.bring_back(store, session)
        elif act == "fork" and shown:
            copy = store.fork_session(session, at_turn=shown[pick % len(shown)].id)
            assert texts(store, copy.id) == [turn.text for turn in shown[: pick % len(shown) + 1]]
            check_tree(store, copy.id, {turn.id: turn.text for turn in store.turns(copy.id)})
        check_tree(store, session, ever)


def test_flipping_brings_back_what_followed_but_not_what_was_taken_back(store: MemoryStore) -> None:
    session = store.create_session().id
    first = say(store, session, "one")
    say(store, session, "two")
    branches.take_back(store, session)
    answer(store, store.turns(session)[0], "another")
    say(store, session, "three")
    again = store.turns(session)[1]
    assert (again.variant, again.variants) == (2, 2)
    branches.show_variant(store, again.id, first.id)
    assert texts(store, session) == ["one", "re one"]
    branches.bring_back(store, session)
    assert texts(store, session) == ["one", "re one", "two", "re two"]
    branches.show_variant(store, first.id, again.id)
    assert texts(store, session) == ["one", "another", "three", "re three"]


def test_exchanges_taken_back_come_back_one_at_a_time(store: MemoryStore) -> None:
    session = store.create_session().id
    for text in ("one", "two"):
        say(store, session, text)
    branches.take_back(store, session)
    branches.take_back(store, session)
    assert texts(store, session) == []
    assert branches.take_back(store, session) is None
    branches.bring_back(store, session)
    assert texts(store, session) == ["one", "re one"]
    branches.bring_back(store, session)
    assert texts(store, session) == ["one", "re one", "two", "re two"]
    assert branches.bring_back(store, session) is None


def test_an_edited_message_keeps_its_files_and_its_old_branch(store: MemoryStore, tmp_path: Path) -> None:
    path = tmp_path / "dog.png"
    path.write_bytes(b"a dog")
    session = store.create_session().id
    old = store.add_user_turn(session, "a cat?", [NewAttachment(path, "image", "image/png", "dog.png")])
    answer(store, old, "no")
    kept = old.attachments[0]
    path.unlink()
    same_file = NewAttachment(kept.path, kept.kind, kept.media_type, kept.name)
    edited = branches.add_edited_turn(store, old.id, "a dog?", [same_file])
    assert [(turn.text, turn.variant, turn.variants) for turn in store.turns(session)] == [("a dog?", 2, 2)]
    assert [(each.name, each.sha256) for each in edited.attachments] == [("dog.png", kept.sha256)]
    assert edited.attachments[0].path.read_bytes() == b"a dog"
    with pytest.raises(UsageError, match="changed in another window"):
        branches.add_edited_turn(store, old.id, "a bird?")
    assert len(store.turns(session)) == 1


# --- two programs -------------------------------------------------------------------------------


@pytest.fixture
def other(store: MemoryStore, tmp_path: Path) -> Iterator[MemoryStore]:
    opened = MemoryStore(tmp_path / "mmchat.db", tmp_path / "blobs")
    yield opened
    opened.close()


def test_what_another_program_is_answering_stays_in_view(store: MemoryStore, other: MemoryStore) -> None:
    session = store.create_session().id
    say(store, session, "one")
    asked = other.add_user_turn(session, "two")
    growing = other.start_reply(session, parent_id=asked.id, model="m", engine="e", text="so")
    with pytest.raises(UsageError, match="being written"):
        branches.take_back(store, session)
    with pytest.raises(UsageError, match="being written"):
        branches.add_edited_turn(store, store.turns(session)[0].id, "uno")
    assert texts(store, session) == ["one", "re one", "two", "so"]
    other.finish_reply(growing.id, "so far", status="complete")
    branches.take_back(store, session)
    assert texts(store, session) == ["one", "re one"]


def test_a_reply_to_a_message_that_left_the_view_leaves_with_it(store: MemoryStore, other: MemoryStore) -> None:
    session = store.create_session().id
    asked = other.add_user_turn(session, "one")
    edited = branches.add_edited_turn(store, asked.id, "uno")
    late = other.start_reply(session, parent_id=asked.id, model="m", engine="e", text="late")
    other.finish_reply(late.id, "too late", status="complete")
    assert texts(store, session) == ["uno"]
    branches.show_variant(store, edited.id, asked.id)
    assert texts(store, session) == ["one", "too late"]


def test_of_two_replies_that_left_the_view_together_the_newer_comes_back(
    store: MemoryStore, other: MemoryStore
) -> None:
    session = store.create_session().id
    say(store, session, "one")
    asked = store.turns(session)[0]
    edited = branches.add_edited_turn(store, asked.id, "uno")
    answer(other, asked, "drawn anew meanwhile")
    branches.show_variant(store, edited.id, asked.id)
    assert texts(store, session) == ["one", "drawn anew meanwhile"]
    assert store.turns(session)[1].variants == 2


def test_two_programs_flipping_at_once_leave_one_path(store: MemoryStore, other: MemoryStore) -> None:
    session = store.create_session().id
    question = store.add_user_turn(session, "one")
    replies = [answer(store, question, f"answer {number}").id for number in range(3)]
    start = Barrier(2)
    refused: list[str] = []

    def flip(mine: MemoryStore, wanted: list[str]) -> None:
        start.wait()
        for each in wanted:
            try:
                branches.show_variant(mine, mine.turns(session)[1].id, each)
            except UsageError as error:
                refused.append(error.message)

    threads = [
        Thread(target=flip, args=(store, replies * 4)),
        Thread(target=flip, args=(other, replies[::-1] * 4)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check_tree(store, session, {turn.id: turn.text for turn in store.turns_with_ids([question.id, *replies])})
    assert len(store.turns(session)) == 2
    assert all("changed in another window" in each for each in refused)
