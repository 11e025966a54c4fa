"""Private conversations: gone when they are left, also while a reply is being written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest

from mmchat.chat.desk import Desk
from mmchat.chat.mic import Microphone
from mmchat.chat.ports import Recorder
from mmchat.chat.session import SessionSettings, UserInput
from mmchat.domain import FactsLearned, PromptReady, ReplyDelta
from mmchat.engines.scripted import ScriptedLanguageModel
from mmchat.errors import MmchatError, UsageError
from mmchat.memory.recall import Recall
from mmchat.memory.store import MemoryStore
from mmchat.memory.temporary import PREFIX, TemporaryStore
from tests.fakes import FakeEngines


def refuse(name: str) -> Recorder:
    raise AssertionError("no microphone here")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    engines = FakeEngines(ScriptedLanguageModel(["one two three four five six"]))
    store = MemoryStore(tmp_path / "data" / "mmchat.db", tmp_path / "data" / "blobs")
    desk = Desk(
        store,
        Recall(store, engines.embedder),
        engines,
        SessionSettings(),
        Microphone(refuse),
        make_private=TemporaryStore,
    )
    yield desk
    desk.close()
    assert list(tmp_path.glob(f"{PREFIX}*")) == []


def folders(tmp_path: Path) -> list[Path]:
    return list(tmp_path.glob(f"{PREFIX}*"))


def test_nothing_is_recalled_learnt_or_kept(desk: Desk, tmp_path: Path) -> None:
    desk.facts.remember("My name is Judith")
    list(desk.new_session().reply(UserInput("The market is on Sunday."), Event()))
    private = desk.private_session()
    assert private.is_private
    events = list(private.reply(UserInput("What is my name? I live in Lyon. When is the market?"), Event()))
    (prompt,) = [event for event in events if isinstance(event, PromptReady)]
    assert prompt.recalled == ()
    assert not [event for event in events if isinstance(event, FactsLearned)]
    assert len(folders(tmp_path)) == 1
    desk.leave_private()
    assert folders(tmp_path) == []
    assert [fact.text for fact in desk.facts.all()] == ["My name is Judith"]
    assert len(desk.library.list()) == 1
    desk.leave_private()


def test_it_may_be_left_in_the_middle_of_a_reply(desk: Desk, tmp_path: Path) -> None:
    private = desk.private_session()
    stream = private.reply(UserInput("A secret."), Event())
    for event in stream:
        if isinstance(event, ReplyDelta):
            break
    desk.leave_private()
    assert folders(tmp_path) == []
    with suppress(MmchatError):
        list(stream)  # what is still written goes nowhere
    assert folders(tmp_path) == []


def test_the_next_one_knows_nothing_of_the_last(desk: Desk, tmp_path: Path) -> None:
    list(desk.private_session().reply(UserInput("A secret."), Event()))
    again = desk.private_session()
    assert again.turns() == ()
    assert len(folders(tmp_path)) == 1
    with pytest.raises(UsageError, match="not kept"):
        again.ratings.rate("good")


def test_a_desk_without_such_a_room_says_so(tmp_path: Path) -> None:
    engines = FakeEngines()
    store = MemoryStore(tmp_path / "mmchat.db", tmp_path / "blobs")
    desk = Desk(store, Recall(store, engines.embedder), engines, SessionSettings(), Microphone(refuse))
    with pytest.raises(UsageError, match="no private"):
        desk.private_session()
    desk.close()
