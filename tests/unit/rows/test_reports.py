"""The report of a file in which every row is broken in a way of its own, and what holds for any bytes."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.errors import DataError
from mmchat.rows.reader import read_rows
from mmchat.rows.values import DialogueRow, LabelRow, MemoryRow, PersonaRow, PreferenceRow, RowFile, TextRow

BROKEN = (
    b'{"messages": []}',
    b'{"messages": "hi"}',
    b'{"messages": ["hi"]}',
    b'{"messages": [{"content": "hi"}]}',
    b'{"messages": [{"role": "narrator", "content": "hi"}]}',
    b'{"messages": [{"role": "user"}]}',
    b'{"messages": [{"role": "user", "content": ""}]}',
    b'{"messages": [{"role": "user", "content": [{"type": "video", "video": "a.mp4"}]}]}',
    b'{"messages": [{"role": "user", "content": [{"type": "image", "image": "gone.png"}]}]}',
    b'{"messages": [{"role": "user", "content": [{"type": "image", "image": "data:image/png;base64,iVBO"}]}]}',
    b'{"messages": [{"role": "user", "content": "hi"}], "lang": "Chinese"}',
    b'{"messages": [{"role": "user", "content": "hi"}], "title": 7}',
    b'{"mesages": [{"role": "user", "content": "hi"}]}',
    b'{"audio": "gone.wav", "text": "hello"}',
    b'["hi"]',
    b"{hi}",
    b'{"messages": [{"role": "user", "content": "\xff"}]}',
    b'{"messages": [{"role": "user", "content": "\\ud83d"}]}',
    b'{"messages": [{"role": "user", "content": NaN}]}',
    b'{"messages": [{"role": "user", "role": "assistant", "content": "hi"}]}',
    b'{"messages": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    b'{"messages": [{"role": "user", "content": "hi"}], "n": ' + b"9" * 5000 + b"}",
)

REPORT = """\
1: messages: is an empty list; it must be a list with at least one message
2: messages: is 'hi'; it must be a list with at least one message
3: messages[0]: is 'hi'; it must be {"role": …, "content": …}
4: messages[0].role: is missing; it must be one of system, user, assistant
5: messages[0].role: is 'narrator'; it must be one of system, user, assistant
6: messages[0].content: is missing; it must be a text or a list of parts
7: messages[0].content: is an empty text; give it words, or leave the row out
8: messages[0].content[0]: has no known type; it must be {"type": "text" | "image" | "audio", …}
9: messages[0].content[0].image: 'gone.png' is not a file; paths are relative to the file of rows
10: messages[0].content[0].image: 'data:image/png;base64,iVBO' is not on this machine; \
save it as a file, and give the file's path
11: lang: 'Chinese' is no language code; write two letters such as en or zh, or leave it out
12: title: is a number; it must be a text, or be left out
13: row: unknown key 'mesages': did you mean 'messages'?
14: row: is a speech row among dialogue rows; put it into a file of its own
15: row: is a list; it must be an object, {…}
16: row: is not JSON (Expecting property name enclosed in double quotes at column 2); put one whole object on each line
17: row: is not UTF-8 (byte 44); save the file as UTF-8
18: row: holds half a character (\\ud83d); write the whole character
19: row: holds NaN, which is no number in JSON; write a number or null
20: row: names 'role' twice; keep one of them
21: row: is nested too deeply; rows are flat objects
22: row: holds a number of thousands of digits; write it as a text
"""


def test_every_broken_row_is_named_with_its_remedy(tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    good = b'{"messages": [{"role": "user", "content": "hi"}]}'
    path.write_bytes(b"\n".join([*BROKEN, good]))
    file = read_rows(path, should_skip_bad=True)
    assert [row.place.line for row in file.rows] == [len(BROKEN) + 1]
    assert "".join(f"{each}\n".removeprefix(f"{path}:") for each in file.problems) == REPORT
    with pytest.raises(DataError) as caught:
        read_rows(path)
    *lines, more = caught.value.message.split("\n")
    assert [line.removeprefix(f"{path}:") for line in lines] == REPORT.splitlines()[:20]
    assert (more, caught.value.hint) == (
        "… and 2 more",
        "No row was used. Mend these, or leave them out with --skip-bad.",
    )


# --- any bytes ------------------------------------------------------------------------------------

VALID: tuple[dict[str, Any], ...] = (
    {"messages": [{"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "hi"}]}]},
    {"conversations": [{"from": "human", "value": "<image>hi"}, {"from": "gpt", "value": "ho"}], "image": "a.png"},
    {"instruction": "hi", "input": "there", "output": "ho", "system": "be", "history": [["a", "b"]]},
    {"prompt": "hi", "completion": "ho", "persona": "p", "title": "t"},
    {"audio": "a.png", "text": "hi", "lang": "en"},
    {"image": "a.png", "captions": ["a dog"], "caption": None},
    {"text": "hi", "label": "x"},
    {"text": "hi"},
    {"messages": [{"role": "user", "content": "hi"}], "chosen": "a", "rejected": "b"},
    {"prompt": "hi", "completion": "ho", "label": True},
    {
        "id": "c",
        "turns": [{"id": "1", "session": "s", "role": "user", "text": "hi", "created_at": "2026-01-01", "caption": ""}],
        "questions": [{"question": "who?", "evidence": ["1"], "answer": 3}],
    },
)
KEYS = sorted({key for row in VALID for key in row} | {"role", "content", "type", "images", "language", "value"})
WORDS_OR_NOT = st.text(max_size=5) | st.sampled_from(["user", "gpt", ".", "a.png", "en"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS_OR_NOT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
CHANGES = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), JSON, max_size=2)
ROWS = st.lists(st.builds(lambda row, changes: {**row, **changes}, st.sampled_from(VALID), CHANGES), max_size=3)


def checked(content: bytes) -> RowFile | None:
    """Read bytes as rows; whatever they are, there is a file of rows or an error in words."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.jsonl")
        Path(folder, "a.png").touch()
        path.write_bytes(content)
        strict = _read(path, should_skip_bad=False)
        lenient = _read(path, should_skip_bad=True)
    line = re.compile(re.escape(str(path)) + r":[1-9]\d*: [^\s:]+: \S.*")
    if isinstance(strict, DataError):
        assert strict.message
        if isinstance(lenient, RowFile):
            assert lenient.problems
        if strict.hint.endswith("--skip-bad."):
            for each in strict.message.split("\n")[:20]:
                assert line.fullmatch(each)
                assert len(each.splitlines()) == 1
        return None
    assert isinstance(lenient, RowFile)
    assert strict == lenient
    assert strict.rows
    assert not strict.problems
    return strict


def _read(path: Path, *, should_skip_bad: bool) -> RowFile | DataError:
    try:
        return read_rows(path, should_skip_bad=should_skip_bad)
    except DataError as error:
        return error


@given(content=st.binary(max_size=200))
def test_any_bytes_are_rows_or_an_error_in_words(content: bytes) -> None:
    checked(content)


@given(rows=ROWS)
def test_any_objects_are_rows_or_an_error_in_words(rows: list[dict[str, Any]]) -> None:
    checked("\n".join(map(json.dumps, rows)).encode())


@given(rows=ROWS)
def test_nothing_that_is_read_is_empty(rows: list[dict[str, Any]]) -> None:
    """Whatever objects come, a row that is read has the words its kind is scored by."""
    file = checked("\n".join(map(json.dumps, rows)).encode())
    for row in file.rows if file else ():
        match row:
            case DialogueRow():
                assert row.messages
                assert all(message.files or message.text.strip() for message in row.messages)
            case PreferenceRow():
                assert row.messages
                assert (
                    all((row.chosen.strip(), row.rejected.strip())) if row.is_liked is None else row.completion.strip()
                )
            case LabelRow():
                assert row.label.strip()
                assert row.text.strip() or row.image_path
            case TextRow():
                assert row.text.strip()
            case MemoryRow():
                assert all(turn.text.strip() or turn.caption or turn.image_path for turn in row.turns)
            case PersonaRow():
                assert row.role.strip()
                assert row.probes
                continue
        assert re.fullmatch("|[a-z]{2}", row.language)


@pytest.mark.parametrize("row", VALID)
def test_the_rows_that_are_changed_are_valid(row: dict[str, Any]) -> None:
    assert checked(json.dumps(row).encode())


# --- what is written can be read ------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": WORDS}),
    min_size=1,
    max_size=5,
)


@given(rows=st.lists(st.fixed_dictionaries({"messages": MESSAGES}), min_size=1, max_size=5), is_ascii=st.booleans())
def test_valid_dialogues_come_back_as_they_were(rows: list[dict[str, Any]], is_ascii: bool) -> None:
    file = checked("\n".join(json.dumps(row, ensure_ascii=is_ascii) for row in rows).encode())
    assert file is not None
    found = [
        {"messages": [{"role": message.role, "content": message.text} for message in row.messages]}
        for row in file.rows
        if isinstance(row, DialogueRow)
    ]
    assert found == rows


@given(rows=st.lists(st.fixed_dictionaries({"text": WORDS, "label": WORDS}), min_size=1, max_size=5))
def test_valid_labels_come_back_without_blanks_around_them(rows: list[dict[str, str]]) -> None:
    file = checked("\n".join(map(json.dumps, rows)).encode())
    assert file is not None
    found = [(row.text, row.label) for row in file.rows if isinstance(row, LabelRow)]
    assert found == [(row["text"], row["label"].strip()) for row in rows]
