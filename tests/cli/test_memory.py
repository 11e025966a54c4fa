"""What is remembered, on the command line and line by line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmchat.memory.temporary import PREFIX, TemporaryStore, remove_leftovers
from tests.cli.conftest import Run


@pytest.fixture
def pipe(scripted_home: Path, run: Run) -> Run:
    return run


def listed(run: Run) -> list[str]:
    return [fact["text"] for fact in json.loads(run("memory", "list", "--json").out)]


def test_ask_tells_what_it_learnt_and_what_it_was_told(pipe: Run) -> None:
    said = json.loads(pipe("ask", "I'm allergic to peanuts. Hello!", "--json").out)
    (fact,) = said["learnt"]
    assert (fact["text"], fact["turn"] is None, said["facts"]) == ("I'm allergic to peanuts", False, [])
    asked = json.loads(pipe("ask", "What can I cook?", "--json").out)
    assert [(each["id"], each["text"]) for each in asked["facts"]] == [(fact["id"], fact["text"])]
    assert asked["learnt"] == []
    reply = json.loads(pipe("sessions", "show", "last", "--json").out)["turns"][-1]
    assert ([each["id"] for each in reply["facts"]], reply["recalled"]) == ([fact["id"]], [])
    assert "peanuts" in asked["reply"], "the model was told"


def test_what_is_piped_in_is_not_learnt_from(pipe: Run) -> None:
    said = json.loads(pipe("ask", "Who is this?", "--json", stdin="My name is Judith. I live in Lyon.").out)
    assert "My name is Judith" in said["reply"]
    assert said["learnt"] == []
    assert json.loads(pipe("ask", "My name is Ada.", "--json").out)["learnt"][0]["text"] == "My name is Ada"


@pytest.mark.parametrize("flag", ["--no-recall", "--no-log"])
def test_scripts_and_temporary_conversations_leave_no_facts(pipe: Run, flag: str) -> None:
    pipe("memory", "add", "I live in Lyon")
    said = json.loads(pipe("ask", "My name is Judith. Where do I live?", "--json", flag).out)
    assert (said["facts"], said["learnt"]) == ([], [])
    assert listed(pipe) == ["I live in Lyon"]


def test_settings_turn_facts_off(pipe: Run, scripted_home: Path) -> None:
    (scripted_home / "config" / "settings.toml").write_text("facts = false\n")
    said = json.loads(pipe("ask", "My name is Judith.", "--json").out)
    assert said["learnt"] == []


def test_add_edit_search_and_forget(pipe: Run) -> None:
    added = json.loads(pipe("memory", "add", "I", "live", "in", "Lyon", "--json").out)
    pipe("memory", "add", "我对花生过敏")
    assert added["topic"] == "home"
    assert listed(pipe) == ["我对花生过敏", "I live in Lyon"]
    row = pipe("memory", "search", "lyon").out.rstrip("\n").split("\t")
    assert (row[0], row[2:]) == (added["id"][-8:], ["told", "I live in Lyon"])
    assert json.loads(pipe("memory", "search", "zebra", "--json").out) == []
    edited = json.loads(pipe("memory", "edit", row[0], "I live in Porto", "--json").out)
    assert (edited["text"], edited["edited"], edited["id"]) == ("I live in Porto", True, added["id"])
    done = pipe("memory", "forget", "porto")
    assert (done.code, "--yes" in done.err) == (2, True), "nobody is there to be asked"
    assert pipe("memory", "forget", "porto", "--yes").code == 0
    assert listed(pipe) == ["我对花生过敏"]
    assert pipe("memory", "forget", "--all", "--yes").code == 0
    assert listed(pipe) == []
    assert pipe("memory", "list").out == ""


def test_what_fits_no_fact_or_several_is_refused(pipe: Run) -> None:
    assert pipe("memory", "forget").code == 2
    assert pipe("memory", "forget", "lyon", "--all").code == 2
    pipe("memory", "add", "I like tea")
    pipe("memory", "add", "I like chess")
    done = pipe("memory", "forget", "like", "--yes")
    assert (done.code, "2 facts hold" in done.err, "I like tea" in done.err) == (2, True, True)
    assert "No fact 'zebra'" in pipe("memory", "edit", "zebra", "x").err
    assert "needs words" in pipe("memory", "edit", json.loads(pipe("memory", "list", "--json").out)[0]["id"], " ").err
    assert len(listed(pipe)) == 2


def test_messages_of_before_are_learnt_from_only_with_the_users_word(pipe: Run, tmp_path: Path) -> None:
    rows = tmp_path / "talk.jsonl"
    rows.write_text(
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": "I live in Lyon."},
                    {"role": "assistant", "content": "I live in a box."},
                ]
            }
        )
        + "\n"
    )
    assert pipe("sessions", "import", str(rows)).code == 0
    assert listed(pipe) == []
    assert [fact["text"] for fact in json.loads(pipe("memory", "learn", "--json").out)] == ["I live in Lyon"]
    assert listed(pipe) == [], "found is not kept"
    done = pipe("memory", "learn")
    assert (done.code, "1/1  I live in Lyon" in done.out, listed(pipe)) == (2, True, [])
    pipe("memory", "learn", "--yes")
    assert listed(pipe) == ["I live in Lyon"]
    pipe("memory", "forget", "--all", "--yes")
    assert json.loads(pipe("memory", "learn", "--json").out) == []


def test_the_plain_conversation_remembers_and_forgets(pipe: Run) -> None:
    done = pipe(
        "talk",
        stdin="I live in Lyon. Hi!\n/memory\n/forget\n/memory\n/forget undo\n/remember My cat is deaf\n/memory cat\n",
    )
    assert done.code == 0
    assert "remembered: I live in Lyon · /forget takes it back" in done.err
    assert "Forgotten: I live in Lyon · /forget undo brings it back" in done.err
    assert "Nothing is remembered of you yet." in done.err
    assert done.out.count("I live in Lyon (said") == 1
    assert "My cat is deaf (told" in done.out
    assert listed(pipe) == ["My cat is deaf", "I live in Lyon"]
    for words in ("zebra", "I"):  # none, several
        failed = pipe("talk", stdin=f"/forget {words}\n")
        assert failed.code == 2


def test_private_conversations_leave_nothing(
    pipe: Run, scripted_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    secret = "My gate code is 998877"
    done = pipe("talk", stdin=f"/private\n{secret}\n/why\n/private\nhello\n")
    assert done.code == 0
    assert f"You said: {secret}" in done.out
    assert "remembered" not in done.err
    assert "The private conversation is gone" in done.err
    refused = pipe("talk", stdin=f"/private\n{secret}\n/delete\n")
    assert "not stored" in refused.err
    assert "Nothing is remembered in a private" in pipe("talk", stdin="/private\n/remember x\n").err
    sessions = json.loads(pipe("sessions", "list", "--json").out)
    assert [session["title"] for session in sessions] == ["hello"]
    assert listed(pipe) == []
    left = [path for path in (*scripted_home.rglob("*"), *(tmp_path / "tmp").rglob("*")) if path.is_file()]
    assert all(b"998877" not in path.read_bytes() for path in left), "neither in the store nor in a log"
    assert list((tmp_path / "tmp").glob(f"{PREFIX}*")) == []


def test_what_a_killed_program_left_is_removed_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    leave = (
        "import os, signal; from mmchat.memory.temporary import TemporaryStore; room = TemporaryStore();"
        " room.store.add_user_turn(room.store.create_session().id, 'secret'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", leave], env={**os.environ, "TMPDIR": str(tmp_path)}, check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.glob(f"{PREFIX}*")
    assert (left / "mmchat.db").is_file()
    assert remove_leftovers() == 1
    assert not left.exists()
    alive = TemporaryStore()
    assert remove_leftovers() == 0, "one in use is spared, also by its own program"
    assert alive.folder.is_dir()
    alive.close()
    alive.close()
    assert list(tmp_path.iterdir()) == []


def test_foreign_and_young_folders_are_spared(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}young").mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    (tmp_path / f"{PREFIX}file").write_text("x")
    assert remove_leftovers(tmp_path) == 0
    assert (tmp_path / f"{PREFIX}young").is_dir()
