"""Pins and summaries in the store: kept, copied into forks, undone and redone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mmchat.domain import Session, Turn, Window, WindowPart
from mmchat.errors import UsageError
from mmchat.memory import summaries
from mmchat.memory.pins import pin_turn, pinned_ids, unpin_turn
from mmchat.memory.rows import window_from_json
from mmchat.memory.store import MemoryStore
from tests.variants import retire


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    with closing(MemoryStore(tmp_path / "mmchat.db", tmp_path / "blobs")) as opened:
        yield opened


@pytest.fixture
def talk(store: MemoryStore) -> tuple[Session, list[Turn]]:
    session = store.create_session(title="Talk")
    turns = [store.add_turn(session.id, role="user", text=f"message {number}") for number in range(4)]
    return session, turns


def add(store: MemoryStore, session: Session, turn: Turn, text: str) -> str:
    return summaries.add_summary(store, session.id, last_turn_id=turn.id, text=text, writer="m").id


def test_pins_stand_in_the_order_of_their_turns(store: MemoryStore, talk: tuple[Session, list[Turn]]) -> None:
    session, turns = talk
    pin_turn(store, turns[2].id)
    pin_turn(store, turns[0].id)
    pin_turn(store, turns[0].id)
    assert pinned_ids(store, session.id) == (turns[0].id, turns[2].id)
    assert unpin_turn(store, turns[0].id)
    assert not unpin_turn(store, turns[0].id)
    assert pinned_ids(store, session.id) == (turns[2].id,)
    with pytest.raises(UsageError, match="No turn"):
        pin_turn(store, "nothing")


def test_a_fork_keeps_pins_summary_and_view(store: MemoryStore, talk: tuple[Session, list[Turn]]) -> None:
    session, turns = talk
    pin_turn(store, turns[0].id)
    pin_turn(store, turns[3].id)
    summary_id = add(store, session, turns[1], "They spoke of two things.")
    reply = store.start_reply(session.id, parent_id=turns[3].id, model="m", engine="e", text="a")
    view = Window(2, 2, 9, 20, turns[2].id, pins=(turns[0].id,), summary_id=summary_id)
    store.finish_reply(reply.id, "a", status="complete", window=view)

    fork = store.fork_session(session.id)
    copied = store.turns(fork.id)
    assert pinned_ids(store, fork.id) == (copied[0].id, copied[3].id)
    summary = summaries.active_summary(store, fork.id)
    assert summary is not None
    assert (summary.text, summary.last_turn_id) == ("They spoke of two things.", copied[1].id)
    assert copied[-1].window == Window(
        2, 2, 9, 20, copied[2].id, pins=(copied[0].id,), summary_id=summary.id
    )  # fmt: skip
    assert store.turns(session.id)[-1].window == view, "the source stays as it was"

    early = store.fork_session(session.id, at_turn=turns[0].id)
    assert len(pinned_ids(store, early.id)) == 1
    assert summaries.active_summary(store, early.id) is None, "it stands for turns that are not there"


def test_summaries_are_undone_and_brought_back(store: MemoryStore, talk: tuple[Session, list[Turn]]) -> None:
    session, turns = talk

    def text() -> str:
        active = summaries.active_summary(store, session.id)
        return active.text if active else ""

    with pytest.raises(UsageError, match="nothing to undo"):
        summaries.undo_summary(store, session.id)
    add(store, session, turns[0], "first")
    add(store, session, turns[1], "second")
    assert text() == "second"
    undone = summaries.undo_summary(store, session.id)
    assert undone is not None
    assert undone.text == text() == "first"
    assert summaries.undo_summary(store, session.id) is None
    assert text() == ""
    assert summaries.redo_summary(store, session.id).text == "first"
    assert summaries.redo_summary(store, session.id).text == "second"
    with pytest.raises(UsageError, match="none to bring back"):
        summaries.redo_summary(store, session.id)
    summaries.undo_summary(store, session.id)
    add(store, session, turns[2], "third")
    with pytest.raises(UsageError, match="none to bring back"):
        summaries.redo_summary(store, session.id)
    summaries.undo_summary(store, session.id)
    assert text() == "first", "a new one took the place of what was undone"


def test_an_edited_summary_says_so(store: MemoryStore, talk: tuple[Session, list[Turn]]) -> None:
    session, turns = talk
    summary_id = add(store, session, turns[1], "as it was written")
    assert not summaries.active_summary(store, session.id).is_edited  # type: ignore[union-attr]
    edited = summaries.edit_summary(store, summary_id, "as I put it")
    assert (edited.text, edited.is_edited) == ("as I put it", True)
    born = summaries.add_summary(store, session.id, last_turn_id=turns[2].id, text="mine", writer="m", is_edited=True)
    assert born.is_edited


def test_a_summary_of_a_turn_that_was_taken_out_is_not_in_force(
    store: MemoryStore, talk: tuple[Session, list[Turn]]
) -> None:
    session, turns = talk
    add(store, session, turns[3], "of all")
    retire(store, turns[3].id)
    assert summaries.active_summary(store, session.id) is None


def test_windows_from_before_there_were_parts_are_read() -> None:
    old = {"turns_in": 2, "turns_out": 1, "tokens": 30, "budget": 8192, "first_turn_id": "a"}
    assert window_from_json(json.dumps(old)) == Window(2, 1, 30, 8192, "a")
    newer = {**old, "parts": [{"kind": "kept", "tokens": 30, "count": 2}], "pins": ["p"], "unheard_of": 1}
    assert window_from_json(json.dumps(newer)) == Window(
        2, 1, 30, 8192, "a", parts=(WindowPart("kept", 30, 2),), pins=("p",)
    )
    assert window_from_json(None) is None
