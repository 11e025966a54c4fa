"""How rows become conversations."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mmchat.errors import DataError
from mmchat.memory.import_rows import read_conversations
from mmchat.memory.incoming import NewConversation, NewFile, NewTurn


def written(folder: Path, row: object) -> Path:
    path = folder / "rows.jsonl"
    path.write_text(json.dumps(row), encoding="utf-8")
    return path


def test_a_dialogue_is_one_conversation(tmp_path: Path) -> None:
    (tmp_path / "cat.PNG").touch()
    content = [
        {"type": "image", "image": "cat.PNG"},
        {"type": "text", "text": "what"},
        {"type": "text", "text": "is it?"},
    ]
    row = {"messages": [{"role": "human", "content": content}], "title": "pets", "persona": "vet"}
    picture = NewFile("image", "image/png", "cat.PNG", tmp_path / "cat.PNG")
    asked = NewTurn("user", "what\nis it?", files=(picture,))
    (read,) = read_conversations(written(tmp_path, row))
    assert replace(read, source="") == NewConversation("pets", (asked,), "vet")
    (again,) = read_conversations(written(tmp_path, {**row, "title": "cats"}))
    assert read.source.startswith("rows:")
    assert again.source != read.source


def test_a_memory_is_one_conversation_for_each_session_without_its_questions(tmp_path: Path) -> None:
    turns = [
        {"id": "1", "session": "mon", "role": "user", "text": "hi", "created_at": "2023-05-08"},
        {"id": "2", "session": "tue", "role": "user", "text": "", "caption": "a cat"},
        {"id": "3", "session": "mon", "role": "assistant", "text": "ho", "speaker": "Ann"},
    ]
    row = {"id": "c", "turns": turns, "questions": [{"question": "who?", "evidence": ["1"]}]}
    monday = (
        NewTurn("user", "hi", "2023-05-08T00:00:00.000000Z", row_id="1"),
        NewTurn("assistant", "ho", speaker="Ann", row_id="3"),
    )
    tuesday = (NewTurn("user", "[picture: a cat]", row_id="2"),)
    read = read_conversations(written(tmp_path, row))
    assert [replace(each, source="") for each in read] == [
        NewConversation("c mon", monday),
        NewConversation("c tue", tuesday),
    ]


def test_rows_of_another_kind_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds text rows, which are no conversations"):
        read_conversations(written(tmp_path, {"text": "hi"}))
