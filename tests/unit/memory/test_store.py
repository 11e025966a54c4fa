"""The store of conversations: what goes in comes out, in order, for any text, from any thread and process."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmchat.domain import Heard, Recalled, Seen, Segment, Tag, Turn, Usage, Window
from mmchat.errors import MediaError, MemoryStoreError, UsageError
from mmchat.memory.store import MemoryStore, NewAttachment
from mmchat.memory.text_search import storable
from tests.variants import retire


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


def open_store(folder: Path) -> MemoryStore:
    return MemoryStore(folder / "data" / "mmchat.db", folder / "data" / "blobs")


def picture(folder: Path, content: bytes = b"\x89PNG not really", name: str = "dog.png") -> NewAttachment:
    path = folder / name
    path.write_bytes(content)
    return NewAttachment(path, "image", "image/png", name)


def kept_files(folder: Path) -> list[Path]:
    return [path for path in (folder / "data" / "blobs").rglob("*") if path.is_file()]


def exchange(store: MemoryStore, session_id: str, question: str, answer: str) -> tuple[Turn, Turn]:
    user = store.add_user_turn(session_id, question)
    reply = store.start_reply(session_id, parent_id=user.id, model="m", engine="scripted", text=answer[:1])
    return user, store.finish_reply(reply.id, answer, status="complete")


# --- sessions -----------------------------------------------------------------------------------


def test_a_session_is_found_by_a_unique_beginning_of_its_id(store: MemoryStore) -> None:
    first, second = store.create_session(title="one"), store.create_session(title="two")
    # Ids of the same millisecond may differ in their last letter only.
    shared = os.path.commonprefix([first.id, second.id])
    assert store.get_session(first.id.upper()[: len(shared) + 1]) == first
    with pytest.raises(UsageError, match="Several conversations begin with") as several:
        store.get_session(shared)
    assert first.id in several.value.message
    for nonsense in ("nope", "", "%", "_" * 26, "\ud800"):
        with pytest.raises(UsageError):
            store.get_session(nonsense)


def test_the_latest_session_is_the_one_last_spoken_in(store: MemoryStore) -> None:
    assert store.latest_session() is None
    first, second = store.create_session(), store.create_session()
    store.add_user_turn(first.id, "again here")
    latest = store.latest_session()
    assert latest is not None
    assert latest.id == first.id
    assert [session.id for session in store.list_sessions()] == [first.id, second.id]
    assert len(store.list_sessions(limit=1)) == 1


def test_titling_itself_never_overwrites_the_users_title(store: MemoryStore) -> None:
    session = store.create_session()
    store.title_session(session.id, "by itself")
    assert store.get_session(session.id).title == "by itself"
    store.rename_session(session.id, "by the user")
    store.title_session(session.id, "by itself again")
    assert store.get_session(session.id).title == "by the user"


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("学习", True),
        ("机器", True),
        ("机", True),
        ("器学习", True),
        ("学机", False),
        ("BICYCLES", True),
        ("repair", True),
        ("bicy", True),
        ("repairing chains", False),
        ("café", True),
        ("cafe", True),
        ("🎉", True),
        ("🎈", False),
        ("Ｂｉｃｙｃｌｅ", True),
        ('"', False),
        ("bicycle AND NOT", False),
        ("gardening", True),
        ("-- ; DROP TABLE turns", False),
    ],
)
def test_sessions_are_searched_by_title_and_text(store: MemoryStore, query: str, is_found: bool) -> None:
    other = store.create_session(title="gardening notes")
    session = store.create_session()
    exchange(store, session.id, "我想学习机器学习，还有bicycle repairs at the Café 🎉", "好的")
    found = {each.id for each in store.list_sessions(query=query)}
    assert found == (({other.id} if query == "gardening" else {session.id}) if is_found else set())


def test_a_fork_holds_copies_up_to_the_turn_and_outlives_its_source(store: MemoryStore, tmp_path: Path) -> None:
    session = store.create_session(title="source", persona="pirate")
    first = store.add_user_turn(session.id, "look", [picture(tmp_path)])
    store.save_seen(first.attachments[0].id, Seen((Tag("dog", 0.9),), model="v"))
    reply = store.start_reply(session.id, parent_id=first.id, model="m", engine="e", text="a")
    reply = store.finish_reply(reply.id, "a dog", status="complete", usage=Usage(3, 2, 1))
    exchange(store, session.id, "later", "not in the fork")
    fork = store.fork_session(session.id, at_turn=reply.id)
    copies = store.turns(fork.id)
    assert [turn.text for turn in copies] == ["look", "a dog"]
    assert copies[1].parent_id == copies[0].id
    assert copies[1].usage == Usage(3, 2, 1)
    assert (fork.title, fork.persona, fork.turn_count) == ("source", "pirate", 2)
    store.delete_session(session.id)
    seen = store.turns(fork.id)[0].attachments[0].seen
    assert seen is not None
    assert seen.tags[0].label == "dog"
    assert [each.id for each in store.list_sessions(query="dog")] == [fork.id]
    assert store.check_integrity() == []
    with pytest.raises(UsageError, match="is not in conversation"):
        store.fork_session(fork.id, at_turn=first.id)


def test_deleting_a_session_leaves_nothing_of_it_and_everything_of_others(store: MemoryStore, tmp_path: Path) -> None:
    shared = picture(tmp_path)
    doomed, kept = store.create_session(title="doomed"), store.create_session(title="kept")
    turn = store.add_user_turn(doomed.id, "secret words", [shared, picture(tmp_path, b"only here", "x.png")])
    survivor = store.add_user_turn(kept.id, "hello", [shared])
    reply = store.start_reply(kept.id, parent_id=survivor.id, model="m", engine="e", text="h")
    recalled = Recalled(doomed.id, turn.id, "user", turn.text, turn.created_at, 0.5)
    reply = store.finish_reply(reply.id, "hi", status="complete", recalled=[recalled])
    assert [each.text for each in reply.recalled] == ["secret words"]
    assert len(kept_files(tmp_path)) == 2
    store.delete_session(doomed.id)
    assert [path.read_bytes() for path in kept_files(tmp_path)] == [b"\x89PNG not really"]
    assert store.get_turn(reply.id).recalled == ()
    assert store.list_sessions(query="secret") == ()
    for table in ("turns", "attachments", "turns_fts", "sessions_fts", "blobs"):
        count = store.file.rows(f"SELECT count(*) AS count FROM {table}")[0]["count"]
        assert count == {"turns": 2, "turns_fts": 2}.get(table, 1)
    assert store.check_integrity() == []
    with pytest.raises(UsageError):
        store.delete_session(doomed.id)
    with pytest.raises(UsageError, match="no longer exists"):
        store.add_user_turn(doomed.id, "too late")


# --- turns --------------------------------------------------------------------------------------


def test_a_whole_turn_comes_back_as_it_went_in(store: MemoryStore, tmp_path: Path) -> None:
    session = store.create_session()
    user = store.add_user_turn(session.id, "what is this?", [picture(tmp_path), picture(tmp_path, b"2", "b.png")])
    assert [each.name for each in user.attachments] == ["dog.png", "b.png"]
    assert user.attachments[0].path.read_bytes() == b"\x89PNG not really"
    reply = store.start_reply(session.id, parent_id=user.id, model="smol", engine="llamacpp", text="A")
    assert reply.status == "streaming"
    store.checkpoint_reply(reply.id, "A dog")
    assert store.get_turn(reply.id).text == "A dog"
    finished = store.finish_reply(
        reply.id,
        "A dog.",
        status="stopped",
        usage=Usage(10, 4, 3, 0.2, 50.0),
        window=Window(2, 1, 30, 8192, user.id),
        notice="stopped by you",
    )
    assert store.turns(session.id) == (store.get_turn(user.id), finished)
    assert (finished.status, finished.notice, finished.engine) == ("stopped", "stopped by you", "llamacpp")
    assert finished.usage == Usage(10, 4, 3, 0.2, 50.0)
    assert finished.window == Window(2, 1, 30, 8192, user.id)
    store.checkpoint_reply(reply.id, "late")
    assert store.get_turn(reply.id).text == "A dog."


def test_what_was_heard_and_seen_is_kept_by_bytes_and_model_and_searched(store: MemoryStore, tmp_path: Path) -> None:
    session = store.create_session()
    (attachment,) = store.add_user_turn(session.id, "", [picture(tmp_path)]).attachments
    heard = Heard("turn the lights off", "en", 2.5, (Segment(0.0, 2.5, "turn the lights off"),), "tiny", 0.1)
    seen = Seen((Tag("otter", 0.7),), text="EXIT", caption="an otter swims", model="clip")
    assert store.save_heard(attachment.id, heard).heard == heard
    assert store.save_seen(attachment.id, seen).heard == heard
    assert store.find_heard(attachment.sha256, "tiny") == heard
    assert store.find_seen(attachment.sha256, "clip") == seen
    assert store.find_seen(attachment.sha256, "other") is None
    assert store.find_heard("0" * 64, "tiny") is None
    for query in ("light", "otters", "exit", "swimming", "dog.png"):
        assert [each.id for each in store.list_sessions(query=query)] == [session.id]
    with pytest.raises(UsageError):
        store.save_seen("nope", seen)


def test_a_retired_reply_stays_stored_but_leaves_the_conversation(store: MemoryStore) -> None:
    session = store.create_session()
    user, first = exchange(store, session.id, "question", "first answer")
    retire(store, first.id)
    reply = store.start_reply(session.id, parent_id=user.id, model="m", engine="e", text="s")
    second = store.finish_reply(reply.id, "second answer", status="complete")
    assert [turn.id for turn in store.turns(session.id)] == [user.id, second.id]
    assert store.get_turn(first.id).text == "first answer"
    assert store.get_session(session.id).turn_count == 2
    assert store.list_sessions(query="first") == ()
    assert store.add_user_turn(session.id, "next").parent_id == second.id


def test_nothing_is_stored_when_a_file_cannot_be_read(store: MemoryStore, tmp_path: Path) -> None:
    session = store.create_session()
    missing = NewAttachment(tmp_path / "gone.png", "image", "image/png", "gone.png")
    with pytest.raises(MediaError, match="gone.png"):
        store.add_user_turn(session.id, "look", [picture(tmp_path), missing])
    assert store.turns(session.id) == ()


def test_a_reply_whose_session_was_deleted_says_so(store: MemoryStore) -> None:
    session = store.create_session()
    user = store.add_user_turn(session.id, "q")
    reply = store.start_reply(session.id, parent_id=user.id, model="m", engine="e", text="x")
    store.delete_session(session.id)
    with pytest.raises(MemoryStoreError, match="deleted meanwhile"):
        store.finish_reply(reply.id, "xy", status="complete")


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)  # surrogates and controls included


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=5), title=ANY_TEXT)
def test_any_text_is_kept_in_order(store: MemoryStore, texts: list[str], title: str) -> None:
    session = store.create_session(title=title)
    for text in texts:
        store.add_user_turn(session.id, text)
    assert [turn.text for turn in store.turns(session.id)] == [storable(text) for text in texts]
    times = [turn.created_at for turn in store.turns(session.id)]
    assert times == sorted(times)
    for text in texts:
        store.list_sessions(query=text)
    assert store.get_session(session.id).title == storable(title)


HAN = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=2, max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(run=HAN, data=st.data())
def test_every_piece_of_a_chinese_text_is_found(store: MemoryStore, run: str, data: st.DataObject) -> None:
    session = store.create_session()
    store.add_user_turn(session.id, f"记录{run}。end")
    start = data.draw(st.integers(0, len(run) - 1))
    end = data.draw(st.integers(start + 1, len(run)))
    assert session.id in {each.id for each in store.list_sessions(query=run[start:end], limit=1000)}


# --- the file -----------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX; Windows keeps the user's folder private")
def test_files_are_readable_by_the_user_alone(store: MemoryStore, tmp_path: Path) -> None:
    session = store.create_session()
    user = store.add_user_turn(session.id, "x", [picture(tmp_path)])
    store.start_reply(session.id, parent_id=user.id, model="m", engine="e", text="x")
    data = tmp_path / "data"
    assert {"mmchat.db", "mmchat.db-wal", "mmchat.db-shm"} <= {path.name for path in data.iterdir()}
    for path in [data, *data.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_each_thread_has_its_own_connection(store: MemoryStore) -> None:
    session = store.create_session()
    threads = [
        threading.Thread(target=lambda n=n: [store.add_user_turn(session.id, f"{n}.{i}") for i in range(10)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    texts = [turn.text for turn in store.turns(session.id)]
    assert sorted(texts) == sorted(f"{n}.{i}" for n in range(4) for i in range(10))
    for n in range(4):
        assert [text for text in texts if text.startswith(f"{n}.")] == [f"{n}.{i}" for i in range(10)]


WRITER = """
import sys
from pathlib import Path
from mmchat.memory.store import MemoryStore
folder, session_id, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
store = MemoryStore(folder / "data" / "mmchat.db", folder / "data" / "blobs")
for index in range(20):
    user = store.add_user_turn(session_id, f"{name} asks {index}")
    reply = store.start_reply(session_id, parent_id=user.id, model="m", engine="e", text="a")
    assert any(turn.id == reply.id and turn.status == "streaming" for turn in store.turns(session_id))
    store.checkpoint_reply(reply.id, "answer")
    assert store.finish_reply(reply.id, f"{name} answers {index}", status="complete").notice == ""
store.close()
"""


def test_two_processes_write_at_once(store: MemoryStore, tmp_path: Path) -> None:
    session = store.create_session()
    children = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), session.id, name], stderr=subprocess.PIPE)
        for name in ("left", "right")
    ]
    while any(child.poll() is None for child in children):
        store.turns(session.id)  # looks for orphans, and must not take a living writer's reply for one
    for child in children:
        assert child.communicate()[1] == b""
        assert child.returncode == 0
    turns = store.turns(session.id)
    assert len(turns) == 80
    assert all(turn.status == "complete" for turn in turns)
    for name in ("left", "right"):
        asked = [turn.text for turn in turns if turn.role == "user" and turn.text.startswith(name)]
        assert asked == [f"{name} asks {index}" for index in range(20)]
    assert store.check_integrity() == []


def test_a_reply_left_by_a_dead_process_comes_back_stopped_and_a_living_ones_does_not(tmp_path: Path) -> None:
    living, other = open_store(tmp_path), open_store(tmp_path)
    session = living.create_session()
    user = living.add_user_turn(session.id, "q")
    reply = living.start_reply(session.id, parent_id=user.id, model="m", engine="e", text="unfinished words")
    assert other.turns(session.id)[1].status == "streaming"
    third = open_store(tmp_path)
    assert third.get_turn(reply.id).status == "streaming"
    living.close()  # gives up its writer's lock, as the kernel does for a killed process
    assert other.turns(session.id)[1].status == "stopped"
    turn = open_store(tmp_path).get_turn(reply.id)
    assert (turn.status, turn.text) == ("stopped", "unfinished words")
    assert "ended before" in turn.notice
    assert [each.id for each in other.list_sessions(query="unfinished")] == [session.id]
    other.close()
    third.close()


def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "mmchat.db"
    path.parent.mkdir()
    path.write_bytes(b"this is not a database, " * 50)
    before = path.read_bytes()
    with pytest.raises(MemoryStoreError, match="damaged or is not a database") as error:
        open_store(tmp_path)
    assert "left as it is" in error.value.hint
    assert path.read_bytes() == before


def test_a_page_damaged_inside_is_reported_by_the_check(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    session = store.create_session()
    for index in range(200):
        store.add_user_turn(session.id, f"turn {index} " + "words " * 50)
    store.close()
    path = tmp_path / "data" / "mmchat.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'turns'").fetchone()[0]
    connection.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(os.urandom(4096))
    with pytest.raises(MemoryStoreError, match="damaged"):
        open_store(tmp_path).turns(session.id)


def test_a_locked_file_is_waited_for_then_named(tmp_path: Path) -> None:
    from mmchat.memory.database import DatabaseFile

    open_store(tmp_path).close()
    path = tmp_path / "data" / "mmchat.db"
    blocker = sqlite3.connect(path)
    blocker.execute("BEGIN IMMEDIATE")
    impatient = DatabaseFile(path, busy_timeout_s=0.05)
    with pytest.raises(MemoryStoreError, match=r"in use by another program .* within 0\.05 s"), impatient.write():
        pass
    blocker.rollback()
    blocker.close()
    with impatient.write() as db:
        db.execute("DELETE FROM sessions")
    impatient.close()


def test_a_missing_kept_file_is_found_by_the_check(store: MemoryStore, tmp_path: Path) -> None:
    session = store.create_session()
    turn = store.add_user_turn(session.id, "x", [picture(tmp_path)])
    assert store.check_integrity() == []
    turn.attachments[0].path.unlink()
    assert "is missing" in store.check_integrity()[0]


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.close()
    store.close()
    with pytest.raises(MemoryStoreError, match="closed"):
        store.list_sessions()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(MemoryStoreError, match="cannot be used"):
        open_store(tmp_path)


def test_turns_about_one_are_read_alone(store: MemoryStore) -> None:
    session = store.create_session()
    ids = [store.add_turn(session.id, role="user", text=str(number)).id for number in range(9)]

    def around(place: int, count: int) -> str:
        return "".join(turn.text for turn in store.turns(session.id, newest=count, around=ids[place]))

    assert [around(4, 2), around(0, 2), around(8, 3), around(4, 99)] == ["23456", "012", "5678", "012345678"]
    retire(store, ids[4])
    assert len(store.turns(session.id, newest=2, around=ids[4])) == 4, "all, where it is not in view"
    assert around(3, 1) == "23"
