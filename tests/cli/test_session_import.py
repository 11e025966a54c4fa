"""`mmchat sessions export` and `import`, through the program's own entry point."""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmchat.domain import Seen
from mmchat.memory.store import MemoryStore, NewAttachment
from mmchat.wiring import open_store
from tests.cli.conftest import Run


@pytest.fixture
def store(scripted_home: Path) -> Iterator[MemoryStore]:
    opened = open_store()
    yield opened
    opened.close()


def talk(store: MemoryStore, title: str, *texts: str, files: tuple[NewAttachment, ...] = ()) -> str:
    """A conversation in which user and model take turns."""
    session = store.create_session(title=title)
    for position, text in enumerate(texts):
        if position % 2:
            asked = store.turns(session.id)[-1].id
            reply = store.start_reply(session.id, parent_id=asked, model="echo", engine="scripted", text=text)
            store.finish_reply(reply.id, text, status="complete")
        else:
            store.add_user_turn(session.id, text, () if position else files)
    return session.id


def test_what_is_exported_can_be_imported(run: Run, store: MemoryStore, tmp_path: Path) -> None:
    picture, sound = tmp_path / "a.png", tmp_path / "a.wav"
    picture.write_bytes(b"picture")
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"\0\0" * 160)
    files = (
        NewAttachment(picture, "image", "image/png", "a.png"),
        NewAttachment(sound, "audio", "audio/wav", "a.wav"),
    )
    talk(store, "pictures", "what is this?", "a dog 🐕\u202e", files=files)
    talk(store, "", "你好", "你好！", "", "unasked")
    out = tmp_path / "out" / "talks.jsonl"
    out.parent.mkdir()
    done = run("sessions", "export", "--all", "-o", str(out), "--with-files", str(out.parent / "files"))
    assert (done.code, done.out) == (0, "")
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row.get("title") for row in rows] == ["pictures", None]
    parts = rows[0]["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["image", "audio", "text"]
    assert (out.parent / parts[0]["image"]).read_bytes() == b"picture"
    assert [(each["role"], each["content"]) for each in rows[1]["messages"]] == [
        ("user", "你好"),
        ("assistant", "你好！"),
        ("assistant", "unasked"),
    ]
    assert [(each["role"], each["content"], each["position"]) for each in rows[1]["apart"]] == [("user", "", 3)]
    for session in store.list_sessions():
        store.delete_session(session.id)
    imported = json.loads(run("sessions", "import", str(out), "--json").out)["imported"]
    assert [session["turn_count"] for session in imported] == [2, 4]
    turns = store.turns(imported[0]["id"])
    assert [turn.text for turn in turns] == ["what is this?", "a dog 🐕\u202e"]
    assert [each.path.read_bytes() for each in turns[0].attachments] == [b"picture", sound.read_bytes()]
    again = run("sessions", "export", imported[1]["id"])
    assert [each["content"] for each in json.loads(again.out)["messages"]] == ["你好", "你好！", "unasked"]
    with_mark = run("sessions", "export", imported[0]["id"])
    assert "\u202e" not in with_mark.out
    assert json.loads(with_mark.out)["messages"][1]["content"] == "a dog 🐕\u202e"
    assert "你好" in run("sessions", "export", imported[1]["id"], "--format", "md").out


def test_export_needs_to_know_what(run: Run, store: MemoryStore) -> None:
    assert run("sessions", "export").code == 2
    assert run("sessions", "export", "--all", "--format", "pdf").code == 2


def test_memory_rows_are_imported_with_time_speaker_and_caption(run: Run, store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"cat")
    turns = [
        {"id": "1", "session": "s1", "role": "user", "text": "hi", "created_at": "2023-05-08T13:56:00Z"},
        {"id": "2", "session": "s1", "role": "assistant", "text": "look", "speaker": "Ann", "caption": "a cat"},
        {"id": "3", "session": "s2", "role": "user", "text": "", "image": "cat.png", "caption": "a grey cat"},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"id": "conv", "turns": turns, "questions": []}) + "\n\n")
    assert run("sessions", "import", str(path)).code == 0
    by_title = {session.title: session for session in store.list_sessions()}
    assert set(by_title) == {"conv s1", "conv s2"}
    assert by_title["conv s1"].created_at == "2023-05-08T13:56:00.000000Z"
    assert store.turns(by_title["conv s1"].id)[1].text == "look\n[picture: a cat]"
    (shown,) = store.turns(by_title["conv s2"].id)
    assert shown.attachments[0].seen == Seen((), caption="a grey cat", model="import")
    assert [each.title for each in store.list_sessions(query="grey cat")] == ["conv s2"]


def test_bad_rows_are_named_together_and_nothing_is_imported(run: Run, store: MemoryStore, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    lines: list[object] = [
        {"messages": [{"role": "user", "content": "fine"}]},
        {"messages": []},
        {"messages": [{"role": "narrator", "content": 3}, "x"]},
        {"messages": [{"role": "user", "content": [{"type": "image", "image": "gone.png"}, {"type": "video"}]}]},
        {"turns": [{"role": "user", "text": None, "created_at": "yesterday"}]},
        {"prompt": "x"},
        ["not", "an", "object"],
    ]
    path.write_bytes(b"\n".join([*(json.dumps(line).encode() for line in lines), b"{not json", b'"\xff"']))
    done = run("sessions", "import", str(path))
    assert done.code == 4
    problems = [line.split(": ", 2)[:2] for line in done.err.splitlines() if str(path) in line]
    places = [(int(where.rsplit(":", 1)[1]), field) for where, field in problems[1:]]
    first = done.err.splitlines()[0]
    assert first.startswith(f"Error: {path}:2: messages: is an empty list; it must be")
    assert places == [
        (3, "messages[0].role"),
        (3, "messages[0].content"),
        (3, "messages[1]"),
        (4, "messages[0].content[0].image"),
        (4, "messages[0].content[1]"),
        (5, "row"),
        (6, "completion"),
        (7, "row"),
        (8, "row"),
        (9, "row"),
    ]
    assert done.err.splitlines()[-1] == "No row was used. Mend these, or leave them out with --skip-bad."
    assert store.list_sessions() == ()
    skipping = run("sessions", "import", str(path), "--skip-bad", "--json")
    assert [session["turn_count"] for session in json.loads(skipping.out)["imported"]] == [1]
    assert "Left out, with what is wrong:" in skipping.err
    assert f"{path}:7: row: is a list; it must be an object, {{…}}" in skipping.err
    assert run("sessions", "import", str(tmp_path / "missing.jsonl")).code == 4


def test_rows_of_other_formats_are_imported(run: Run, store: MemoryStore, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [
        {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}], "system": "Be brief."},
        {"instruction": "Translate.", "input": "Hund", "output": "dog"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    imported = json.loads(run("sessions", "import", str(path), "--json").out)["imported"]
    turns = [[(turn.role, turn.text) for turn in store.turns(session["id"])] for session in imported]
    assert turns == [
        [("system", "Be brief."), ("user", "hi"), ("assistant", "hello")],
        [("user", "Translate.\nHund"), ("assistant", "dog")],
    ]


def test_rows_that_are_no_conversations_are_not_imported(run: Run, store: MemoryStore, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "where is my card", "label": "card"}\n')
    done = run("sessions", "import", str(path))
    assert (done.code, store.list_sessions()) == (4, ())
    assert "holds label rows, which are no conversations" in done.err


# --- export -------------------------------------------------------------------------------------


def test_the_ending_says_the_format_and_a_file_is_not_replaced_unasked(
    run: Run, store: MemoryStore, tmp_path: Path
) -> None:
    session = talk(store, "花园", "what grows?", "**beans**")
    for name, words in (("a.html", "<strong>beans</strong>"), ("a.md", "**beans**"), ("a.jsonl", '"mmchat": 1')):
        assert run("sessions", "export", session, "-o", str(tmp_path / name)).code == 0
        assert words in (tmp_path / name).read_text(encoding="utf-8")
    before = (tmp_path / "a.md").read_text(encoding="utf-8")
    talk(store, "later", "x")
    done = run("sessions", "export", "last", "-o", str(tmp_path / "a.md"))
    assert (done.code, (tmp_path / "a.md").read_text(encoding="utf-8")) == (2, before)
    assert "a.md? Nobody is there to ask." in done.err
    assert "--yes" in done.err
    assert run("sessions", "export", "last", "-o", str(tmp_path / "a.md"), "--yes").code == 0
    assert "later" in (tmp_path / "a.md").read_text(encoding="utf-8")
    assert "<strong>beans" in run("sessions", "export", session, "-f", "html").out
    (tmp_path / "all").mkdir()
    assert run("sessions", "export", "--all", "-f", "md", "-o", str(tmp_path / "all")).code == 0
    assert len(list((tmp_path / "all").glob("*.md"))) == 2
    for wrong in (("-o", str(tmp_path / "z.zip")), ("-f", "html", "-o", str(tmp_path / "z.html"))):
        done = run("sessions", "export", session, *wrong, "--with-files", str(tmp_path / "files"))
        assert (done.code, "holds its files itself" in done.err) == (2, True)


@pytest.mark.parametrize("name", ["talks.zip", "talks.jsonl", "talks.md"])
def test_every_format_that_is_read_back_comes_back_once(
    run: Run, store: MemoryStore, tmp_path: Path, name: str
) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"picture")
    session = talk(store, "花园", "a", "b", files=(NewAttachment(picture, "image", "image/png", "a.png"),))
    out = tmp_path / name
    with_files = () if name.endswith("zip") else ("--with-files", str(tmp_path / "files"))
    assert run("sessions", "export", session, "-o", str(out), *with_files).code == 0
    done = run("sessions", "import", str(out), "--json")
    assert [json.loads(done.out)[key] for key in ("imported", "there")] == [[], 1]
    assert "Passed over 1 conversation that are there already" in done.err
    store.delete_session(session)
    looked = json.loads(run("sessions", "import", str(out), "--dry-run", "--json").out)
    assert [(each["title"], each["turns"], each["state"]) for each in looked["would_import"]] == [("花园", 2, "new")]
    assert store.list_sessions() == ()
    table = run("sessions", "import", str(out), "--dry-run").out.split("\t")
    assert table[1:] == ["2", "new", "花园\n"]
    done = run("sessions", "import", str(out), "--json")
    assert (json.loads(done.out)["turns"], json.loads(done.out)["files"]) == (2, 1)
    (back,) = store.list_sessions()
    assert store.turns(back.id)[0].attachments[0].path.read_bytes() == b"picture"
    assert run("sessions", "import", str(out), "--again").code == 0
    assert len(store.list_sessions()) == 2


# --- import -------------------------------------------------------------------------------------


def test_what_could_not_come_is_said(run: Run, store: MemoryStore, tmp_path: Path) -> None:
    def conversation(name: str, *texts: str) -> dict[str, object]:
        blocks = [{"type": "thinking"}, {"type": "tool_use", "name": "clock"}]
        messages = [{"sender": "human", "content": [*blocks, {"type": "text", "text": text}]} for text in texts]
        return {"uuid": name, "name": name, "chat_messages": messages}

    path = tmp_path / "conversations.json"
    path.write_text(json.dumps([conversation("one", "a", "b"), conversation("two"), {"chat_messages": None}]))
    done = run("sessions", "import", str(path), "--from", "claude")
    assert done.code == 0
    assert done.err.splitlines() == [
        "Passed over 1 conversation in which nothing was said.",
        "Could not import 1 conversation:",
        "  conversation 3: has no messages ('chat_messages')",
        "Left out of them: 2 thoughts; 2 tool calls.",
    ]
    path.write_text(json.dumps([conversation("one", "a", "b", "c"), conversation("three", "x")])[:-30])
    done = run("sessions", "import", str(path), "--grown")
    assert done.code == 4
    assert done.err.splitlines()[0].startswith("Stopped. Imported 1 conversation with 3 turns (claude).")
    assert "conversations.json breaks off in item 2" in done.err
    assert run("sessions", "import", str(path), "--grown", "--again").code == 2
    assert run("sessions", "import", str(path), "--from", "gemini").code == 2
    assert run("sessions", "import", str(path), "--from", "llm").code == 4


# --- backup -------------------------------------------------------------------------------------


def test_backup_and_back(run: Run, store: MemoryStore, tmp_path: Path) -> None:
    talk(store, "花园", "a", "b")
    done = run("sessions", "backup")
    made = Path(done.out.strip())
    assert (done.code, made.parent.name, made.suffix) == (0, "backups", ".zip")
    report = json.loads(run("sessions", "backup", str(tmp_path / "b.zip"), "--json").out)
    assert (report["conversations"], report["turns"], report["problems"]) == (1, 2, [])
    assert run("sessions", "backup", str(tmp_path / "b.zip")).code == 2
    refused = run("sessions", "import", str(tmp_path / "b.zip"))
    assert (refused.code, "restore-backup" in refused.err) == (4, True)
    talk(store, "later", "x")
    asked = run("sessions", "restore-backup", str(tmp_path / "b.zip"))
    assert (asked.code, "Replace your 2 conversations by the 1 of" in asked.err) == (2, True)
    store.close()
    done = run("sessions", "restore-backup", str(tmp_path / "b.zip"), "--yes")
    assert (done.code, "before-restore-" in done.err) == (0, True)
    assert [line.split("\t")[3] for line in run("sessions", "list").out.splitlines()] == ["花园"]
