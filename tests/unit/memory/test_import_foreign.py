"""Exports of other programs, whole, odd and broken. All samples are made up here."""

from __future__ import annotations

import base64
import io
import json
import sqlite3
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmchat.domain import Rating
from mmchat.errors import DataError, UsageError
from mmchat.memory.import_open import KINDS, open_source
from mmchat.memory.import_run import ImportChoice, ImportTally, Unreadable, run_import
from mmchat.memory.incoming import NewConversation
from mmchat.memory.store import MemoryStore


def png(colour: str = "red") -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (4, 3), colour).save(data, "PNG")
    return data.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    opened = MemoryStore(tmp_path / "data" / "mmchat.db", tmp_path / "data" / "blobs")
    yield opened
    opened.close()


def read(path: Path, kind: str = "auto") -> list[NewConversation]:
    """All conversations of a file that holds nothing unreadable."""
    with open_source(path, kind) as source:
        found = list(source.incoming)
    assert not [each for each in found if isinstance(each, Unreadable)]
    return [each for each in found if isinstance(each, NewConversation)]


def written(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def said(conversation: NewConversation) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in conversation.turns]


# --- ChatGPT ------------------------------------------------------------------------------------


def message(role: str, *parts: object, **further: Any) -> dict[str, Any]:
    content = {"content_type": "text" if all(isinstance(part, str) for part in parts) else "multimodal_text"}
    return {
        "author": {"role": role, "name": None, "metadata": {}},
        "create_time": 1700000000.5,
        "content": {**content, "parts": list(parts)},
        "recipient": "all",
        "metadata": {},
        **further,
    }


def tree(*messages: Mapping[str, Any] | None, **further: Any) -> dict[str, Any]:
    """A conversation in which each message follows the one before."""
    mapping: dict[str, Any] = {"root": {"id": "root", "parent": None, "children": [], "message": None}}
    before = "root"
    for number, each in enumerate(messages):
        name = f"n{number}"
        mapping[before]["children"].append(name)
        mapping[name] = {"id": name, "parent": before, "children": [], "message": each and {"id": f"m{number}", **each}}
        before = name
    about = {"title": "Bikes", "create_time": 1700000000.0, "update_time": 1700000900.0, "conversation_id": "c1"}
    return {**about, "mapping": mapping, "current_node": before, **further}


def test_chatgpt_takes_the_path_in_view_and_counts_the_others(tmp_path: Path) -> None:
    conversation = tree(message("user", "hi"), message("assistant", "hello", metadata={"model_slug": "gpt-4o"}))
    mapping = conversation["mapping"]
    # The question was edited, and its reply drawn anew.
    mapping["root"]["children"].append("other")
    mapping["other"] = {"id": "other", "parent": "root", "children": ["o1", "o2"], "message": message("user", "hi!")}
    for name in ("o1", "o2"):
        mapping[name] = {"id": name, "parent": "other", "children": [], "message": message("assistant", name)}
    (found,) = read(written(tmp_path / "conversations.json", [conversation]))
    assert said(found) == [("user", "hi"), ("assistant", "hello")]
    assert found.left_out == {"other branch": 2}
    assert (found.title, found.source, found.turns[1].model) == ("Bikes", "chatgpt:c1", "gpt-4o")
    assert (found.turns[0].created_at, found.created_at) == (
        "2023-11-14T22:13:20.500000Z",
        "2023-11-14T22:13:20.000000Z",
    )


def test_chatgpt_messages_of_every_kind_leave_a_trace(tmp_path: Path) -> None:
    canvas = json.dumps({"name": "Poem", "type": "document", "content": "Roses"})
    conversation = tree(
        message("system", ""),
        message("system", "hidden", metadata={"is_visually_hidden_from_conversation": True}),
        {
            **message("user"),
            "content": {
                "content_type": "user_editable_context",
                "user_profile": "I ride.",
                "user_instructions": "Short.",
            },
        },
        message(
            "user", "what is it?", {"content_type": "image_asset_pointer", "asset_pointer": "sediment://file_00ff"}
        ),
        message("assistant", "search(1)", recipient="web.run"),
        {**message("tool"), "content": {"content_type": "execution_output", "text": "42"}},
        {**message("assistant"), "content": {"content_type": "thoughts", "thoughts": [{"summary": "hm"}]}},
        message("assistant", "A bike\ue200cite\ue202turn0\ue201【3†source】."),
        message("assistant", canvas, recipient="canmore.create_textdoc"),
        message(
            "user",
            {"content_type": "audio_transcription", "text": "and this?"},
            {"content_type": "audio_asset_pointer", "asset_pointer": "sediment://file_00aa"},
            {"content_type": "hologram", "x": 1},
            metadata={"attachments": [{"id": "file-PDF", "name": "plan.pdf"}]},
        ),
        None,
        {**message("critic", "boo")},
        {**message("assistant"), "content": {"content_type": "code", "language": "python", "text": "print(1)"}},
    )
    (found,) = read(written(tmp_path / "conversations.json", [conversation]))
    assert said(found) == [
        ("system", "I ride.\n\nShort."),
        ("user", "what is it?\n\n[picture]"),
        ("assistant", "[tool: web.run]\n\nA bike.\n\n[canvas: Poem]\n\nRoses"),
        ("user", "and this?\n\n[voice]\n\n[hologram]\n\n[file: plan.pdf]"),
        ("assistant", "```python\nprint(1)\n```"),
    ]
    assert found.left_out == {
        "hidden message": 1,
        "tool call": 1,
        "tool result": 1,
        "thought": 1,
        "picture that is not in the export": 1,
        "voice recording": 1,
        "hologram": 1,
        "file": 1,
        "message of a critic": 1,
    }


def test_a_chatgpt_zip_brings_its_pictures_sounds_and_ratings(tmp_path: Path, store: MemoryStore) -> None:
    pictures = [
        {"content_type": "image_asset_pointer", "asset_pointer": "file-service://file-AbC1"},
        {"content_type": "image_asset_pointer", "asset_pointer": "sediment://file_00ff#page"},
        {
            "content_type": "real_time_user_audio_video_asset_pointer",
            "audio_asset_pointer": {"asset_pointer": "sediment://file_0aa0"},
        },
    ]
    first = tree(message("user", *pictures, "these"), message("assistant", "nice"))
    second = tree(message("user", "more"), conversation_id="c2", title=None, is_archived=True)
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("conversations-000.json", json.dumps([first]))
        archive.writestr("conversations-001.json", json.dumps([second]))
        archive.writestr("file-AbC1-dog.png", png())
        archive.writestr("user-1/file_00ff-sanitized.dat", png("blue"))
        archive.writestr("c1/audio/file_0aa0-x.wav", b"RIFF")
        archive.writestr("message_feedback.json", json.dumps([{"id": "m1", "rating": "thumbs_up"}]))
        archive.writestr("../conversations.json.bak", "x")
    found = read(tmp_path / "export.zip", "chatgpt")
    assert [(each.title, each.source) for each in found] == [("Bikes", "chatgpt:c1"), ("more", "chatgpt:c2")]
    assert [(file.kind, file.media_type) for file in found[0].turns[0].files] == [
        ("image", "image/png"),
        ("image", "image/png"),
        ("audio", "audio/wav"),
    ]
    assert found[0].turns[1].rating == Rating("good")
    assert found[1].archived_at == "2023-11-14T22:28:20.000000Z"
    tally = imported(store, tmp_path / "export.zip")
    turn = store.turns(tally.imported[0].id)[0]
    assert [file.path.read_bytes() for file in turn.attachments] == [png(), png("blue"), b"RIFF"]
    # The same, unpacked: as a folder, and only its list with the pictures beside it.
    with zipfile.ZipFile(tmp_path / "export.zip") as archive:
        archive.extractall(tmp_path / "unpacked", [name for name in archive.namelist() if ".." not in name])
    for path in (tmp_path / "unpacked", tmp_path / "unpacked" / "conversations-000.json"):
        assert len(read(path)[0].turns[0].files) >= 2


def test_chatgpt_without_a_pointer_takes_what_was_said_last(tmp_path: Path) -> None:
    conversation = tree(message("user", "hi"), message("assistant", "old", create_time=1.0))
    conversation["mapping"]["n9"] = {"id": "n9", "parent": "n0", "children": [], "message": message("assistant", "new")}
    conversation["current_node"] = None
    (found,) = read(written(tmp_path / "x.json", [conversation]))
    assert said(found)[-1] == ("assistant", "new")


# --- Claude -------------------------------------------------------------------------------------


def test_claude_blocks_attachments_and_files(tmp_path: Path) -> None:
    picture = {"type": "image", "source": {"type": "base64", "data": base64.b64encode(png()).decode()}}
    messages = [
        {
            "uuid": "1",
            "sender": "human",
            "text": "old form",
            "created_at": "2024-03-01T10:00:00.25Z",
            "attachments": [{"file_name": "notes.txt", "extracted_content": "buy milk"}, {"file_name": "x.bin"}],
            "files": [{"file_name": "dog.jpg"}],
        },
        {
            "uuid": "2",
            "sender": "assistant",
            "text": "This block is not supported on your current device yet.",
            "content": [
                {"type": "thinking", "thinking": "hm"},
                {"type": "text", "text": "Here."},
                {"type": "tool_use", "name": "artifacts", "input": {"title": "List", "content": "- milk"}},
                {"type": "tool_use", "name": "web_search", "input": {"query": "milk"}},
                {"type": "tool_result", "content": []},
                {"type": "hologram"},
                picture,
            ],
            "created_at": "2024-03-01T11:00:00+01:00",
        },
        {"uuid": "3", "sender": "narrator", "text": "meanwhile"},
    ]
    conversations = [
        {"uuid": "u1", "name": "", "created_at": "2024-03-01T09:00:00Z", "chat_messages": messages},
        {"uuid": "u2", "name": "empty", "chat_messages": []},
    ]
    found, empty = read(written(tmp_path / "conversations.json", conversations), "claude")
    assert said(found) == [
        ("user", "old form\n\n[file: notes.txt]\n\nbuy milk\n\n[file: x.bin]\n\n[file: dog.jpg]"),
        ("assistant", "Here.\n\n[artifact: List]\n\n- milk\n\n[tool: web_search]\n\n[hologram]"),
    ]
    assert [file.kind for file in found.turns[1].files] == ["image"]
    assert found.left_out == {
        "file": 2, "thought": 1, "tool call": 1, "tool result": 1, "hologram": 1, "message of a narrator": 1
    }  # fmt: skip
    assert found.title.startswith("old form [file: notes.txt] buy milk")
    assert [turn.created_at for turn in found.turns] == ["2024-03-01T10:00:00.250000Z", "2024-03-01T10:00:00.000000Z"]
    assert empty.turns == ()


def test_claude_branches_follow_the_parents(tmp_path: Path) -> None:
    def one(name: str, parent: str, sender: str) -> dict[str, str]:
        return {"uuid": name, "parent_message_uuid": parent, "sender": sender, "text": name}

    messages = [
        one("a", "00000000", "human"),
        one("b", "a", "assistant"),
        one("c", "a", "assistant"),
        one("d", "b", "human"),
    ]
    value = {"uuid": "u", "name": "n", "chat_messages": messages, "current_leaf_message_uuid": "c"}
    (found,) = read(written(tmp_path / "one.json", value))
    assert said(found) == [("user", "a"), ("assistant", "c")]
    assert found.left_out == {"other branch": 1}


# --- llm ----------------------------------------------------------------------------------------

OLD_LLM = """
CREATE TABLE conversations (id TEXT PRIMARY KEY, name TEXT, model TEXT);
CREATE TABLE responses (id TEXT PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, response TEXT, conversation_id TEXT,
    datetime_utc TEXT);
CREATE TABLE attachments (id TEXT PRIMARY KEY, type TEXT, path TEXT, url TEXT, content BLOB);
CREATE TABLE prompt_attachments (response_id TEXT, attachment_id TEXT, "order" INTEGER);
CREATE TABLE fragments (id INTEGER PRIMARY KEY, content TEXT);
CREATE TABLE prompt_fragments (response_id TEXT, fragment_id INTEGER, "order" INTEGER);
CREATE TABLE tool_calls (id INTEGER PRIMARY KEY, response_id TEXT, name TEXT);
INSERT INTO conversations VALUES ('c1', 'talk', 'gpt-4');
INSERT INTO responses VALUES ('r2', 'gpt-4', '再见', 'be kind', 'bye', 'c1', '2024-05-02T10:00:00+00:00');
INSERT INTO responses VALUES ('r1', 'gpt-4', 'hi', 'be kind', 'hello', 'c1', '2024-05-01T10:00:00.5+00:00');
INSERT INTO responses VALUES ('r3', 'gpt-4', 'alone', NULL, 'yes', NULL, '2024-05-03T10:00:00');
INSERT INTO attachments VALUES ('a2', 'application/pdf', '/nowhere/x.pdf', NULL, NULL);
INSERT INTO prompt_attachments VALUES ('r1', 'a1', 0), ('r1', 'a2', 1);
INSERT INTO fragments VALUES (1, 'a long text');
INSERT INTO prompt_fragments VALUES ('r1', 1, 0);
INSERT INTO tool_calls VALUES (1, 'r2', 'clock');
"""
NEW_LLM = """
CREATE TABLE messages (hash TEXT PRIMARY KEY, parent_hash TEXT, role TEXT, provider_metadata TEXT);
CREATE TABLE parts (id INTEGER PRIMARY KEY, message_hash TEXT, position INTEGER, type TEXT, tool_name TEXT, text TEXT,
    payload TEXT);
CREATE TABLE part_attachments (part_id INTEGER, attachment_id TEXT, "order" INTEGER);
CREATE TABLE threads (id TEXT PRIMARY KEY, name TEXT, tip_message_hash TEXT, forked_from TEXT, datetime_utc TEXT);
CREATE TABLE turns (id TEXT PRIMARY KEY, thread_id TEXT, parent_message_hash TEXT, tip_message_hash TEXT, model TEXT,
    resolved_model TEXT, datetime_utc TEXT);
INSERT INTO messages VALUES ('h1', NULL, 'user', NULL), ('h2', 'h1', 'assistant', NULL), ('h3', 'h2', 'tool', NULL),
    ('h4', 'h3', 'assistant', NULL), ('h5', 'h1', 'assistant', NULL);
INSERT INTO parts VALUES (1, 'h1', 0, 'text', NULL, NULL, '{"text_ref": [{"fragment": 1}, {"literal": " – sum up"}]}'),
    (2, 'h1', 1, 'attachment', NULL, NULL, '{}'), (3, 'h2', 0, 'reasoning', NULL, 'hm', NULL),
    (4, 'h2', 1, 'tool_call', 'clock', NULL, '{}'), (5, 'h3', 0, 'tool_result', 'clock', NULL, '{}'),
    (6, 'h4', 0, 'text', NULL, 'done', NULL), (7, 'h5', 0, 'text', NULL, 'otherwise', NULL);
INSERT INTO part_attachments VALUES (2, 'a1', 0);
INSERT INTO threads VALUES ('t1', 'new talk', 'h4', NULL, '2026-08-01 10:00:00+00:00'),
    ('t2', NULL, 'h5', 't1', '2026-08-02 10:00:00+00:00'), ('t3', 'broken', 'gone', NULL, NULL);
INSERT INTO turns VALUES ('r9', 't1', 'h1', 'h4', 'm', 'm-2026', '2026-08-01T10:00:00.25+00:00'),
    ('r3', 't2', 'h1', 'h5', 'm', NULL, '2026-08-02T10:00:00+00:00');
"""


def llm_database(path: Path, *scripts: str) -> Path:
    connection = sqlite3.connect(path)
    for script in scripts:
        connection.executescript(script)
    connection.execute("INSERT INTO attachments VALUES ('a1', 'image/png', NULL, NULL, ?)", [png()])
    connection.commit()
    connection.close()
    return path


def test_llm_conversations_and_single_responses(tmp_path: Path) -> None:
    talk, alone = read(llm_database(tmp_path / "logs.db", OLD_LLM), "llm")
    assert said(talk) == [
        ("system", "be kind"),
        ("user", "a long text\n\nhi\n\n[file: /nowhere/x.pdf]"),
        ("assistant", "hello"),
        ("user", "再见"),
        ("assistant", "[tool: clock]\n\nbye"),
    ]
    assert talk.turns[1].created_at == "2024-05-01T10:00:00.500000Z"
    assert [file.media_type for file in talk.turns[1].files] == ["image/png"]
    assert talk.left_out == {"file": 1, "tool call": 1}
    assert (talk.title, talk.source, talk.model) == ("talk", "llm:c1", "gpt-4")
    assert (alone.title, alone.source, said(alone)) == ("alone", "llm:r3", [("user", "alone"), ("assistant", "yes")])


def test_llm_threads_stand_beside_what_was_logged_before(tmp_path: Path) -> None:
    talk, broken, thread, fork = read(llm_database(tmp_path / "logs.db", OLD_LLM, NEW_LLM))
    assert talk.source == "llm:c1"  # r3 is also a turn, and comes with its thread
    asked = ("user", "a long text – sum up")
    assert said(thread) == [asked, ("assistant", "[tool: clock]\n\ndone")]
    assert said(fork) == [asked, ("assistant", "otherwise")]
    assert (thread.turns[1].model, thread.turns[1].created_at) == ("m-2026", "2026-08-01T10:00:00.250000Z")
    assert [file.kind for file in thread.turns[0].files] == ["image"]
    assert thread.left_out == {"thought": 1, "tool call": 1, "tool result": 1}
    assert (fork.title, broken.turns, broken.left_out) == ("a long text – sum up", (), {"message that is missing": 1})


def test_llm_logs_of_its_first_versions(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "log.db")
    connection.executescript(
        "CREATE TABLE logs (id INTEGER PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, response TEXT,"
        " chat_id INTEGER, datetime_utc TEXT);"
        "INSERT INTO logs VALUES (1, 'm', 'one', NULL, 'two', NULL, '2023-06-01 10:00:00'),"
        " (2, 'm', 'three', NULL, 'four', 1, '2023-06-01 10:01:00'), (3, 'm', 'five', NULL, 'six', NULL, NULL);"
    )
    connection.close()
    first, second = read(tmp_path / "log.db")
    assert [text for _, text in said(first)] == ["one", "two", "three", "four"]
    assert [text for _, text in said(second)] == ["five", "six"]


# --- oterm --------------------------------------------------------------------------------------

OTERM = """
CREATE TABLE chat (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, model TEXT NOT NULL, system TEXT, format TEXT);
CREATE TABLE message (id INTEGER PRIMARY KEY AUTOINCREMENT, chat_id INTEGER NOT NULL, author TEXT NOT NULL,
    text TEXT NOT NULL, images TEXT DEFAULT '[]');
INSERT INTO chat VALUES (1, 'pets', 'llava', 'Be brief.', NULL), (2, '', 'llama', NULL, NULL),
    (3, 'x', 'm', 'only this', NULL);
INSERT INTO message (chat_id, author, text) VALUES (2, 'me', '你好'), (2, 'ollama', '你好！'), (2, 'ghost', 'boo');
"""


def oterm_database(path: Path) -> Path:
    connection = sqlite3.connect(path)
    connection.executescript(OTERM)
    images = json.dumps([base64.b64encode(png()).decode(), "%%%"])
    connection.execute("INSERT INTO message (chat_id, author, text, images) VALUES (1, 'user', 'who?', ?)", [images])
    connection.execute(
        "INSERT INTO message (chat_id, author, text, images) VALUES (1, 'assistant', 'a dog', 'no list')"
    )
    connection.commit()
    connection.close()
    return path


def test_oterm_chats_of_old_and_new_versions(tmp_path: Path) -> None:
    pets, hello, nothing = read(oterm_database(tmp_path / "store.db"), "oterm")
    assert said(pets) == [("system", "Be brief."), ("user", "who?"), ("assistant", "a dog")]
    assert [len(turn.files) for turn in pets.turns] == [0, 1, 0]
    assert pets.turns[2].model == "llava"
    assert pets.left_out == {"picture that cannot be read": 2}
    assert said(hello) == [("user", "你好"), ("assistant", "你好！")]
    assert (hello.title, hello.left_out, nothing.turns) == ("你好", {"message of a ghost": 1}, ())
    assert hello.turns[0].created_at.endswith("Z")


def test_a_database_is_read_while_its_program_writes_and_never_changed(tmp_path: Path) -> None:
    path = oterm_database(tmp_path / "store.db")
    before = path.read_bytes()
    owner = sqlite3.connect(path, isolation_level=None)
    owner.execute("BEGIN IMMEDIATE")
    assert len(read(path)) == 3
    owner.execute("ROLLBACK")
    assert path.read_bytes() == before
    owner.execute("PRAGMA journal_mode=WAL")
    owner.execute("INSERT INTO message (chat_id, author, text) VALUES (1, 'user', 'in the log')")
    assert said(read(path)[0])[-1] == ("user", "in the log")
    owner.close()
    assert len(read(path)) == 3
    assert sorted(each.name for each in tmp_path.iterdir()) == ["home", "store.db"] or not (tmp_path / "home").exists()


def test_other_databases_are_named(tmp_path: Path, store: MemoryStore) -> None:
    sqlite3.connect(tmp_path / "x.db").executescript("CREATE TABLE bills (a)").connection.close()
    with pytest.raises(DataError, match=r"no known program \(its tables: bills\)"):
        read(tmp_path / "x.db")
    with pytest.raises(DataError, match="is a database of mmchat") as error:
        read(store.file.path)
    assert "sessions export --all" in error.value.hint
    (tmp_path / "y.db").write_bytes(b"SQLite format 3\x00" + b"rubbish" * 200)
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "y.db")


# --- what is what -------------------------------------------------------------------------------


def test_files_that_hold_nothing_known(tmp_path: Path) -> None:
    cases = {
        "page.html": ("<!DOCTYPE html><p>", "is HTML, which is only to be read"),
        "notes.md": ("# Notes\n\nmilk", "is no Markdown of"),
        "cut.json": ('[{"mapping": {"a": ', "breaks off in item 1"),
        "list.json": ('[{"messages": []}]', "is one JSON list; rows are JSON Lines"),
    }
    for name, (text, words) in cases.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=words):
            read(tmp_path / name)
    with pytest.raises(DataError, match="nowhere cannot be read: No such file"):
        read(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds nothing to import"):
        read(tmp_path / "empty")
    with zipfile.ZipFile(tmp_path / "cut.zip", "w") as archive:
        archive.writestr("conversations.json", json.dumps([tree(message("user", "hi"))]))
    (tmp_path / "cut.zip").write_bytes((tmp_path / "cut.zip").read_bytes()[:-40])
    with pytest.raises(DataError):
        read(tmp_path / "cut.zip")


def test_a_wrong_kind_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "conversations.json", [tree(message("user", "hi"))])
    with pytest.raises(DataError, match="is not of claude: it looks like chatgpt"):
        read(path, "claude")
    with pytest.raises(UsageError, match="'gemini' is nothing to import from"):
        read(path, "gemini")
    assert "chatgpt" in KINDS


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_nothing_odd_in_an_export_breaks_the_reading(tmp_path: Path, data: st.DataObject) -> None:
    conversation = tree(
        message("user", "hi", {"content_type": "image_asset_pointer", "asset_pointer": "x"}),
        message("assistant", "yes", metadata={"attachments": [{"name": "a"}], "content_references": [{"alt": "b"}]}),
    )
    claude = {
        "uuid": "u",
        "name": "n",
        "chat_messages": [
            {"sender": "human", "content": [{"type": "text", "text": "t"}], "attachments": [{}], "files": [{}]}
        ],
    }
    value = data.draw(st.sampled_from([conversation, claude]))
    # Put something odd somewhere.
    spot: Any = value
    while True:
        keys = list(spot) if isinstance(spot, dict) else list(range(len(spot)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(spot[key], dict | list) or not spot[key] or data.draw(st.integers(0, 3)) == 0:
            spot[key] = data.draw(ODD)
            break
        spot = spot[key]
    path = written(tmp_path / "conversations.json", [value])
    with open_source(path) as source:
        for each in source.incoming:
            assert isinstance(each, NewConversation | Unreadable)


# --- storing ------------------------------------------------------------------------------------


def imported(store: MemoryStore, path: Path, **choice: bool) -> ImportTally:
    tally = ImportTally()
    with open_source(path) as source:
        run_import(store, source.incoming, ImportChoice(**choice), tally=tally, cancel=Event())
    return tally


def test_the_same_file_twice_brings_nothing_twice(store: MemoryStore, tmp_path: Path) -> None:
    one, two = tree(message("user", "hi")), tree(message("user", "ho"), conversation_id="c2")
    path = written(tmp_path / "conversations.json", [one, two, {"mapping": 3}, tree(conversation_id="c3")])
    first = imported(store, path)
    assert (len(first.imported), first.turns, first.there, first.empty) == (2, 2, 0, 1)
    assert first.unreadable == [Unreadable("conversation 3", "has no messages ('mapping')")]
    second = imported(store, path)
    assert (len(second.imported), second.there, second.grown) == (0, 2, 0)
    written(path, [tree(message("user", "hi"), message("assistant", "ha")), two])
    third = imported(store, path, is_dry=True)
    assert [(each.title, each.standing) for each in third.looked] == [("Bikes", "grown"), ("Bikes", "there")]
    assert (len(store.list_sessions()), third.grown) == (2, 1)
    assert len(imported(store, path, should_take_grown=True).imported) == 1
    assert len(imported(store, path, should_repeat=True).imported) == 2
    assert len(store.list_sessions()) == 5


def test_conversations_stand_where_they_were_said(store: MemoryStore, tmp_path: Path) -> None:
    store.create_session(title="today")
    old = tree(message("user", "hi", create_time=1600000000), message("assistant", "ho", create_time=None))
    imported(store, written(tmp_path / "conversations.json", [old]))
    newest, oldest = store.list_sessions()
    assert (newest.title, oldest.title) == ("today", "Bikes")
    times = [turn.created_at for turn in store.turns(oldest.id)]
    assert times == ["2020-09-13T12:26:40.000000Z"] * 2
    assert oldest.updated_at == times[1]


def test_a_stopped_import_holds_whole_conversations_and_goes_on_later(store: MemoryStore, tmp_path: Path) -> None:
    conversations = [tree(message("user", "a"), message("assistant", "b"), conversation_id=f"c{n}") for n in range(5)]
    path = written(tmp_path / "conversations.json", conversations)
    tally, cancel = ImportTally(), Event()

    def stop_after_two() -> None:
        if len(tally.imported) == 2:
            cancel.set()

    with open_source(path) as source:
        run_import(store, source.incoming, ImportChoice(), tally=tally, cancel=cancel, on_step=stop_after_two)
    assert tally.is_stopped
    assert [session.turn_count for session in store.list_sessions()] == [2, 2]
    assert len(imported(store, path).imported) == 3


def test_a_file_that_breaks_off_brings_what_came_before(store: MemoryStore, tmp_path: Path) -> None:
    path = written(tmp_path / "conversations.json", [tree(message("user", "hi")), tree(conversation_id="c2")])
    path.write_bytes(path.read_bytes()[:-20])
    tally = ImportTally()
    with open_source(path) as source, pytest.raises(DataError, match="breaks off in item 2"):
        run_import(store, source.incoming, ImportChoice(), tally=tally, cancel=Event())
    assert [session.title for session in tally.imported] == ["Bikes"]


def test_a_file_that_cannot_be_stored_leaves_its_conversation_out(store: MemoryStore, tmp_path: Path) -> None:
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "sediment://file_00ff"}
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(
            "conversations.json",
            json.dumps([tree(message("user", picture)), tree(message("user", "b"), conversation_id="d")]),
        )
        archive.writestr("file_00ff.png", png() * 2000)
    # The head can be read; what follows is spoiled.
    packed = bytearray((tmp_path / "x.zip").read_bytes())
    at = packed.find(png()) + 80_000
    packed[at : at + 8] = b"spoiled!"
    (tmp_path / "x.zip").write_bytes(packed)
    tally = imported(store, tmp_path / "x.zip")
    assert [session.turn_count for session in tally.imported] == [1]
    assert [each.name for each in tally.unreadable] == ["Bikes"]
    assert "file_00ff.png" in tally.unreadable[0].reason
    assert len(store.list_sessions()) == 1
