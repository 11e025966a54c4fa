"""The trash, the archive and tags: what is listed where, and what goes for good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mmchat.errors import UsageError
from mmchat.memory import shelves, trash
from mmchat.memory.store import MemoryStore, NewAttachment


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    opened = MemoryStore(tmp_path / "mmchat.db", tmp_path / "blobs")
    yield opened
    opened.close()


def titles(store: MemoryStore, shelf: shelves.Shelf, *tags: str) -> list[str]:
    return [each.title for each in store.list_sessions(shelf=shelf, tags=tags)]


def test_deleted_conversations_lie_in_the_trash_and_come_back_whole(store: MemoryStore) -> None:
    kept, gone = store.create_session(title="kept"), store.create_session(title="gone")
    store.add_user_turn(gone.id, "about apples")
    assert trash.move_to_trash(store, gone.id[:26]).deleted_at is not None
    assert (titles(store, "kept"), titles(store, "trash")) == (["kept"], ["gone"])
    assert store.list_sessions(query="apples") == ()
    latest = store.latest_session()
    assert latest is not None
    assert latest.id == kept.id
    assert [turn.text for turn in store.turns(gone.id)] == ["about apples"]
    assert trash.restore(store, gone.id).deleted_at is None
    assert store.list_sessions(query="apples")[0].id == gone.id


def test_speaking_in_a_deleted_conversation_takes_it_out_of_the_trash(store: MemoryStore) -> None:
    session = store.create_session(title="open in another window")
    asked = store.add_user_turn(session.id, "one")
    trash.move_to_trash(store, session.id)
    late = store.start_reply(session.id, parent_id=asked.id, model="m", engine="e", text="late")
    store.finish_reply(late.id, "late", status="complete")
    assert titles(store, "trash") == ["open in another window"]
    store.add_user_turn(session.id, "two")
    assert titles(store, "trash") == []


def test_only_what_lay_long_enough_is_purged_and_shared_files_stay(store: MemoryStore, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"shared")
    file = NewAttachment(path, "image", "image/png", "a.png")
    old, new, live = (store.create_session(title=title) for title in ("old", "new", "live"))
    for session in (old, live):
        store.add_user_turn(session.id, "", [file])
    only = tmp_path / "b.png"
    only.write_bytes(b"only here")
    turn = store.add_user_turn(old.id, "", [NewAttachment(only, "image", "image/png", "b.png")])
    for session in (old, new):
        trash.move_to_trash(store, session.id)
    with store.file.write() as db:
        db.execute("UPDATE sessions SET deleted_at = '2020-01-01T00:00:00.000000+00:00' WHERE id = ?", [old.id])
    assert [each.title for each in trash.purge(store, should_remove=False)] == ["old"]
    assert turn.attachments[0].path.is_file()
    assert [each.title for each in trash.purge(store)] == ["old"]
    assert not turn.attachments[0].path.exists()
    assert store.turns(live.id)[0].attachments[0].path.read_bytes() == b"shared"
    assert titles(store, "trash") == ["new"]
    assert [each.title for each in trash.purge(store, 0)] == ["new"]
    assert store.check_integrity() == []


def test_what_is_brought_back_meanwhile_is_not_purged(store: MemoryStore) -> None:
    session = store.create_session(title="wanted")
    seen = trash.move_to_trash(store, session.id).deleted_at
    trash.restore(store, session.id)
    assert not trash.delete_for_good(store, session.id, if_in_trash_since=seen)
    assert store.get_session(session.id).title == "wanted"


def test_archived_conversations_are_found_but_not_listed(store: MemoryStore) -> None:
    session = store.create_session(title="old project")
    store.add_user_turn(session.id, "the budget of 项目")
    assert shelves.set_archived(store, session.id, True).archived_at is not None
    assert (titles(store, "listed"), titles(store, "archived")) == ([], ["old project"])
    assert [each.id for each in store.list_sessions(query="项目")] == [session.id]
    assert store.latest_session() is None
    shelves.set_archived(store, session.id, False)
    assert titles(store, "listed") == ["old project"]


def test_tags(store: MemoryStore) -> None:
    session, other = store.create_session(title="a"), store.create_session(title="b")
    shelves.change_tags(store, session.id, add=["#Work", "旅行", " big   trip ", "work"])
    assert store.get_session(session.id).tags == ("big trip", "work", "旅行")
    shelves.change_tags(store, other.id, add=["work"])
    assert titles(store, "kept", "旅行", "WORK") == ["a"]
    assert shelves.change_tags(store, session.id, remove=["big trip", "never there"]).tags == ("work", "旅行")
    with pytest.raises(UsageError, match="cannot be a tag"):
        shelves.change_tags(store, session.id, add=["fine", "#"], remove=["work"])
    assert store.get_session(session.id).tags == ("work", "旅行")
    assert store.fork_session(session.id).tags == ("work", "旅行")
    store.delete_session(session.id)
    store.check_integrity()
