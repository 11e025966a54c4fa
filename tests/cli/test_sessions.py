"""`mmchat sessions`, through the program's own entry point."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmchat.domain import Seen, Tag
from mmchat.memory.store import MemoryStore, NewAttachment
from mmchat.wiring import open_store
from tests.cli.conftest import Run


@pytest.fixture
def store(scripted_home: Path) -> Iterator[MemoryStore]:
    opened = open_store()
    yield opened
    opened.close()


def talk(store: MemoryStore, title: str, *texts: str, files: tuple[NewAttachment, ...] = ()) -> str:
    session = store.create_session(title=title)
    for position, text in enumerate(texts):
        if position % 2:
            asked = store.turns(session.id)[-1].id
            reply = store.start_reply(session.id, parent_id=asked, model="echo", engine="scripted", text=text)
            store.finish_reply(reply.id, text, status="complete")
        else:
            store.add_user_turn(session.id, text, () if position else files)
    return session.id


def test_an_empty_home_lists_nothing(run: Run, store: MemoryStore) -> None:
    done = run("sessions", "list")
    assert (done.code, done.out) == (0, "")
    assert run("sessions", "list", "--json").out == "[]\n"
    assert run("sessions", "show", "last").code == 2


def test_list_shows_the_latest_first(run: Run, store: MemoryStore) -> None:
    first, second = talk(store, "trains", "a", "b"), talk(store, "火车", "c")
    done = run("sessions", "list")
    assert [line.split("\t")[0] for line in done.out.splitlines()] == [second, first]
    assert [line.split("\t")[2:] for line in done.out.splitlines()] == [["1", "火车", "-"], ["2", "trains", "-"]]
    (found,) = json.loads(run("sessions", "list", "--json", "-q", "火车").out)
    known = {"id", "title", "created_at", "updated_at", "model", "persona", "role", "turn_count"}
    assert found.keys() == known | {"tags", "archived_at", "deleted_at"}
    assert found["id"] == second


def test_show_prints_a_transcript_that_cannot_act_on_the_terminal(run: Run, store: MemoryStore, tmp_path: Path) -> None:
    evil = tmp_path / "photo.png"
    evil.write_bytes(b"x")
    attachment = NewAttachment(evil, "image", "image/png", "ph\x1b]0;owned\x07oto].png")
    session = talk(store, "t\x1b[2Jitle", "hi \x1b[31mred [bold]", "plain", files=(attachment,))
    turn = store.turns(session)[0]
    store.save_seen(turn.attachments[0].id, Seen((Tag("dog\x9b2J", 0.9),), model="eyes"))
    done = run("sessions", "show", session[:24])
    assert done.code == 0
    assert "\x1b" not in done.out
    assert "\x9b" not in done.out
    for text in ("# title", "hi red [bold]", "## You", "## echo", "plain", "Seen: dog"):
        assert text in done.out
    shown = json.loads(run("sessions", "show", session, "--json").out)
    assert [turn["text"] for turn in shown["turns"]] == ["hi \x1b[31mred [bold]", "plain"]
    assert shown["turns"][0]["attachments"][0]["seen"]["tags"][0]["label"] == "dog\x9b2J"
    assert run("sessions", "list").out.count("\x1b") == 0


def test_search_marks_the_words_in_any_form(run: Run, store: MemoryStore) -> None:
    session = talk(store, "holiday", "We were running along the river in 里斯本的河边. " + "x " * 200, "Nice")
    talk(store, "other", "nothing here")
    for query, marked in [("run", "running"), ("RIVERS", "river"), ("河边", "河边"), ("riv", "river"), ("河", "河")]:
        (hit,) = json.loads(run("sessions", "search", query, "--json").out)
        assert (hit["session"], hit["role"]) == (session, "user")
        assert [hit["snippet"][start:end] for start, end in hit["spans"]] == [marked]
    (hit,) = json.loads(run("sessions", "search", "holidays", "--json").out)
    assert (hit["turn"], hit["snippet"]) == (None, "holiday")
    done = run("sessions", "search", "running", "river")
    assert "We were running along the river" in done.out
    assert run("sessions", "search", "zebra").out == ""


def test_rename_and_fork(run: Run, store: MemoryStore) -> None:
    session = talk(store, "old", "one", "two", "three")
    assert run("sessions", "rename", session, " new name ").code == 0
    assert store.get_session(session).title == "new name"
    assert run("sessions", "rename", session, "  ").code == 2
    second = store.turns(session)[1]
    forked = run("sessions", "fork", session, "--at", second.id).out.strip()
    assert [turn.text for turn in store.turns(forked)] == ["one", "two"]
    done = run("sessions", "fork", session, "--at", "nope")
    assert (done.code, done.out) == (2, "")


def test_deleted_conversations_go_to_the_trash_and_come_back(run: Run, store: MemoryStore) -> None:
    kept, gone = talk(store, "kept", "apples"), talk(store, "gone", "apples", "pears")
    done = run("sessions", "delete", "last")
    assert done.code == 0
    assert f"mmchat sessions restore {gone}" in done.err
    assert [line.split("\t")[0] for line in run("sessions", "list").out.splitlines()] == [kept]
    assert [line.split("\t")[0] for line in run("sessions", "list", "--trash").out.splitlines()] == [gone]
    assert [hit["session"] for hit in json.loads(run("sessions", "search", "apples", "--json").out)] == [kept]
    assert "gone" not in run("sessions", "export", "--all").out
    assert run("talk", "-s", gone, stdin="hello\n").code == 2
    assert "# gone" in run("sessions", "show", gone).out
    assert run("sessions", "restore", "last").code == 0
    assert {each.id for each in store.list_sessions()} == {kept, gone}
    assert run("sessions", "restore", "last").code == 2
    assert run("sessions", "restore", "nope").code == 2


def test_deleting_for_good_asks_first(run: Run, store: MemoryStore, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    session = talk(store, "doomed", "one", files=(NewAttachment(path, "image", "image/png", "a.png"),))
    done = run("sessions", "delete", session, "--now")
    assert done.code == 2
    assert f"Delete 'doomed' ({session}) with 1 turns and 1 files for good?" in done.err
    assert store.get_session(session).turn_count == 1
    assert run("sessions", "delete", session, "--now", "--yes").code == 0
    assert store.list_sessions() == ()
    assert run("sessions", "delete", session, "--now", "--yes").code == 2


def test_the_trash_is_emptied_only_after_yes(run: Run, store: MemoryStore) -> None:
    assert json.loads(run("sessions", "empty-trash", "--json").out) == []
    session = talk(store, "doomed", "one")
    kept = talk(store, "kept", "two")
    run("sessions", "delete", session)
    assert run("sessions", "empty-trash").code == 2
    assert json.loads(run("sessions", "empty-trash", "--yes", "--json").out) == [session]
    assert run("sessions", "show", session).code == 2
    assert [each.id for each in store.list_sessions()] == [kept]


def test_archived_conversations_are_out_of_the_list(run: Run, store: MemoryStore) -> None:
    session, other = talk(store, "old", "apples"), talk(store, "new", "pears")
    assert run("sessions", "archive", session).code == 0
    assert [each["id"] for each in json.loads(run("sessions", "list", "--json").out)] == [other]
    (archived,) = json.loads(run("sessions", "list", "--archived", "--json").out)
    assert (archived["id"], archived["archived_at"] is not None) == (session, True)
    assert [each["id"] for each in json.loads(run("sessions", "list", "-q", "apples", "--json").out)] == [session]
    assert run("sessions", "list", "--archived", "--trash").code == 2
    assert run("sessions", "unarchive", session).code == 0
    assert run("sessions", "list", "--archived").out == ""


def test_tags_are_added_taken_off_and_listed(run: Run, store: MemoryStore) -> None:
    session = talk(store, "trip", "one")
    talk(store, "other", "two")
    assert run("sessions", "tag", session, "+Work", "旅行", "big trip").out == "big trip\nwork\n旅行\n"
    assert run("sessions", "tag", session, "-work", "-never").out == "big trip\n旅行\n"
    assert run("sessions", "tag", session).out == "big trip\n旅行\n"
    assert json.loads(run("sessions", "tag", "--json", session, "-big trip").out)["tags"] == ["旅行"]
    (line,) = run("sessions", "list", "--tag", "旅行").out.splitlines()
    assert line.split("\t")[3:] == ["trip", "旅行"]
    assert run("sessions", "list", "--tag", "旅行", "--tag", "work").out == ""
    assert run("sessions", "tag", session, "#").code == 2
