"""Files of rows: what is found, what is refused, and in which words."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from mmchat.errors import DataError
from mmchat.rows.lines import LINE_LIMIT_BYTES
from mmchat.rows.reader import find_row_files, problem_lines, read_rows
from mmchat.rows.values import (
    CaptionRow,
    DialogueRow,
    LabelRow,
    MemoryQuestion,
    MemoryRow,
    Place,
    PreferenceRow,
    RowFile,
    RowKind,
    RowMessage,
    RowPart,
    SpeechRow,
    TextRow,
)

HI = RowMessage("user", (RowPart("text", "hi"),))
HELLO = RowMessage("assistant", (RowPart("text", "hello"),))
EACH_ON_ITS_OWN = "rows are JSON Lines, each object on a line of its own."
TALK = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png", "a.wav"):
        (tmp_path / name).write_bytes(b"bytes")
    return tmp_path


def written(folder: Path, *rows: object) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(folder: Path, *rows: object) -> RowFile:
    return read_rows(written(folder, *rows))


def dialogue(folder: Path, row: object) -> tuple[RowMessage, ...]:
    (found,) = read(folder, row).rows
    assert isinstance(found, DialogueRow)
    return found.messages


def refused(folder: Path, *rows: object) -> list[str]:
    """What is wrong, without the path, which must stand before each line."""
    path = written(folder, *rows)
    with pytest.raises(DataError) as caught:
        read_rows(path)
    lines = caught.value.message.split("\n")
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}:") for line in lines]


# --- dialogues ------------------------------------------------------------------------------------


def test_a_dialogue_with_everything(folder: Path) -> None:
    content = [{"type": "image", "image": "a.png"}, {"type": "audio", "audio": "a.wav"}, {"type": "text", "text": "?"}]
    row = {
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": content}, TALK[1]],
        "persona": "cook",
        "title": "soup",
        "lang": "EN_gb",
        "licence": ["kept", "out"],
    }
    file = read(folder, row)
    path = folder / "rows.jsonl"
    parts = (RowPart("image", path=folder / "a.png"), RowPart("audio", path=folder / "a.wav"), RowPart("text", "?"))
    messages = (RowMessage("system", (RowPart("text", "Be kind."),)), RowMessage("user", parts), HELLO)
    expected = DialogueRow(Place(path, 1), messages, "cook", "soup", "en")
    assert file == RowFile(path, hashlib.sha256(path.read_bytes()).hexdigest(), "dialogue", (expected,))
    assert str(expected.place) == "rows.jsonl:1"


@pytest.mark.parametrize(
    "row",
    [
        {"messages": TALK},
        {"messages": [{"role": "human", "content": "hi"}, {"role": "model", "content": "hello"}]},
        {"messages": [{"role": "system", "content": " "}, *TALK]},
        {"messages": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}, TALK[1]]},
        {"messages": TALK, "chosen": None, "text": "<|user|>hi"},
        {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]},
        {"conversations": [{"role": "User", "content": "hi"}, {"role": "bot", "content": "hello"}], "image": ""},
        {"instruction": "hi", "input": "", "output": "hello", "system": "", "history": []},
        {"prompt": "hi", "completion": "hello"},
        {"prompt": TALK[:1], "completion": TALK[1:]},
    ],
)
def test_the_usual_formats_say_the_same(folder: Path, row: object) -> None:
    assert dialogue(folder, row) == (HI, HELLO)


def test_alpaca_with_history_and_system(folder: Path) -> None:
    row = {
        "instruction": "And this?",
        "input": "Katze",
        "output": "cat",
        "system": "Translate.",
        "history": [["Hund", "dog"]],
    }
    said = [(message.role, message.text) for message in dialogue(folder, row)]
    assert said == [
        ("system", "Translate."),
        ("user", "Hund"),
        ("assistant", "dog"),
        ("user", "And this?\nKatze"),
        ("assistant", "cat"),
    ]


def test_llava_pictures_stand_where_they_are_marked(folder: Path) -> None:
    row = {
        "image": ["a.png", "b.png"],
        "conversations": [
            {"from": "human", "value": "<image>\nWhat differs from this one: <image>?"},
            {"from": "gpt", "value": "the hat"},
        ],
    }
    asked, _ = dialogue(folder, row)
    assert asked.parts == (
        RowPart("image", path=folder / "a.png"),
        RowPart("text", "What differs from this one: "),
        RowPart("image", path=folder / "b.png"),
        RowPart("text", "?"),
    )
    assert [part.path for part in asked.files] == [folder / "a.png", folder / "b.png"]


def test_files_without_a_mark_stand_before_the_first_words_of_the_user(folder: Path) -> None:
    asked, answered = dialogue(folder, {"messages": TALK, "images": ["a.png"], "audio": "a.wav"})
    assert [part.kind for part in asked.parts] == ["audio", "image", "text"]
    assert answered == HELLO


def test_openai_spells_pictures_its_own_way(folder: Path) -> None:
    content = [
        {"type": "image_url", "image_url": {"url": "a.png"}},
        {"type": "image_url", "image_url": "b.png"},
        {"type": "input_image", "image_url": str(folder / "a.png")},
    ]
    (asked,) = dialogue(folder, {"messages": [{"role": "user", "content": content}]})
    assert [part.path for part in asked.parts] == [folder / "a.png", folder / "b.png", folder / "a.png"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (
            {"messages": [{"role": "tool", "content": "42"}]},
            "1: messages[0].role: is 'tool'; it must be one of system, user, assistant",
        ),
        (
            {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": " \n"}]},
            "1: conversations[1].value: is an empty text; give it words, or leave the row out",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
            "1: messages[0].content: holds neither words nor a file; give it words, or leave the row out",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/a.png"}}]}
                ]
            },
            "1: messages[0].content[0].image_url.url: 'https://x/a.png' is not on this machine;"
            " save it as a file, and give the file's path",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "UklGR"}}]}]},
            "1: messages[0].content[0].input_audio: holds the sound itself;"
            " save it as a file, and give the file's path",
        ),
        (
            {"messages": [{"role": "user", "content": "<image> and <image>"}], "image": "a.png"},
            "1: image: names 1, but the messages hold '<image>' 2 times; make them agree",
        ),
        (
            {"messages": [TALK[1]], "image": "a.png"},
            "1: image: names a file, but no message of the user and no <image> says where it belongs",
        ),
        (
            {"messages": [{"role": "system", "content": ""}]},
            "1: messages: holds no words; give it what was said, or leave the row out",
        ),
        (
            {"instruction": "hi", "history": [["only one"]], "output": "hello"},
            "1: history[0]: is a list; it must be a pair: what the user said, and the reply",
        ),
        (
            {"prompt": "hi", "completed": "hello"},
            "1: completion: is missing; rename the key 'completed', if that is what it holds",
        ),
    ],
)
def test_dialogues_that_cannot_be_used(folder: Path, row: object, problem: str) -> None:
    assert refused(folder, row) == [problem]


# --- other kinds ----------------------------------------------------------------------------------


def test_speech(folder: Path) -> None:
    path = folder / "rows.jsonl"
    file = read(folder, {"audio": "a.wav", "text": "好", "language": "zh-Hans-CN"})
    assert (file.kind, file.rows) == ("speech", (SpeechRow(Place(path, 1), folder / "a.wav", "好", "zh"),))


def test_captions_as_a_list_or_one_sentence(folder: Path) -> None:
    place = Place(folder / "rows.jsonl", 1)
    for row, captions in (
        ({"image": "a.png", "captions": ["a dog", "dogs"], "label": 3}, ("a dog", "dogs")),
        ({"image": "a.png", "caption": "a dog"}, ("a dog",)),
        ({"image": str(folder / "a.png"), "captions": "a dog", "caption": None}, ("a dog",)),
    ):
        file = read(folder, row)
        assert (file.kind, file.rows) == ("caption", (CaptionRow(place, folder / "a.png", captions),))


@pytest.mark.parametrize(("label", "text"), [("card ", "card"), (7, "7"), (True, "true"), (0, "0"), (0.5, "0.5")])
def test_labels_become_text(folder: Path, label: object, text: str) -> None:
    (row,) = read(folder, {"text": "where is my card", "label": label}).rows
    assert row == LabelRow(Place(folder / "rows.jsonl", 1), text, "where is my card")


def test_a_label_may_be_of_a_picture_or_of_both(folder: Path) -> None:
    file = read(folder, {"image": "a.png", "label": "dog"}, {"image": "a.png", "text": "wet", "label": "dog"})
    place = Place(folder / "rows.jsonl", 2)
    assert file.kind == "label"
    assert file.rows[1] == LabelRow(place, "dog", "wet", folder / "a.png")


def test_memory(folder: Path) -> None:
    turns = [
        {"id": 1, "session": "s1", "role": "user", "text": "hi", "created_at": "2023-05-08T15:56:00+02:00"},
        {"id": "2", "session": "s1", "role": "assistant", "text": "", "image": "a.png", "speaker": "Ann"},
    ]
    questions = [{"question": "Who?", "answer": 2022, "evidence": [1, "2", 1]}, {"question": "What?", "evidence": []}]
    (row,) = read(folder, {"id": "c", "turns": turns, "questions": questions, "lang": "en"}).rows
    assert isinstance(row, MemoryRow)
    assert (row.id, row.language) == ("c", "en")
    assert row.questions == (MemoryQuestion("Who?", ("1", "2"), "2022"), MemoryQuestion("What?", ()))
    first, second = row.turns
    assert (first.id, first.created_at) == ("1", "2023-05-08T13:56:00.000000Z")
    assert (second.text, second.image_path, second.speaker) == ("", folder / "a.png", "Ann")


def test_memory_questions_must_point_at_turns(folder: Path) -> None:
    turns = [{"id": "a", "role": "user", "text": "hi"}, {"id": "a", "role": "user", "text": "ho"}]
    questions = [{"question": "Who?", "evidence": ["a", "b"]}, {"question": "", "evidence": "a"}, 3]
    rows = [{"turns": turns[:1], "questions": questions}, {"turns": turns}, {"turns": [], "questions": {}}]
    assert refused(folder, *rows) == [
        "1: questions[0].evidence[1]: 'b' is the id of no turn; name one of 'turns'",
        "1: questions[1].question: is an empty text; give it words, or leave the row out",
        "1: questions[1].evidence: is 'a'; it must be a list of the ids of turns",
        "1: questions[2]: is a number; it must be an object",
        "2: turns[1].id: is 'a' again; give each turn an id of its own",
        "3: turns: is an empty list; it must be a list with at least one turn",
        "3: questions: is an empty object; it must be a list",
    ]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": TALK[:1], "chosen": "hello", "rejected": "no"},
        {"prompt": "hi", "chosen": [TALK[1]], "rejected": {"role": "assistant", "content": "no"}},
        {"prompt": "hi", "chosen": TALK, "rejected": "no"},
        {"chosen": TALK, "rejected": [TALK[0], {"role": "assistant", "content": "no"}]},
        {"instruction": "hi", "input": "", "chosen": "hello", "rejected": "no"},
    ],
)
def test_preferences(folder: Path, row: object) -> None:
    file = read(folder, row)
    place = Place(folder / "rows.jsonl", 1)
    assert (file.kind, file.rows) == ("preference", (PreferenceRow(place, (HI,), "hello", "no"),))


@pytest.mark.parametrize("is_liked", [True, False])
def test_replies_that_were_liked_or_not(folder: Path, is_liked: bool) -> None:
    place = Place(folder / "rows.jsonl", 1)
    for prompt in ({"messages": TALK[:1]}, {"prompt": "hi"}):
        (row,) = read(folder, {**prompt, "completion": "hello", "label": is_liked}).rows
        assert row == PreferenceRow(place, (HI,), completion="hello", is_liked=is_liked)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"messages": TALK[:1], "chosen": "hello"}, "1: rejected: is missing; it must be a text"),
        ({"chosen": "a", "rejected": "b"}, "1: messages: is missing; it must hold what is answered"),
        (
            {"prompt": "ho", "chosen": TALK, "rejected": "b"},
            "1: chosen: begins otherwise than its prompt; give only the reply, or the same messages before it",
        ),
        (
            {"prompt": "hi", "chosen": TALK[:1], "rejected": "b"},
            "1: chosen: does not end with words of the assistant; make them its last message",
        ),
        (
            {"prompt": "hi", "completion": "hello", "label": "good"},
            "1: label: is 'good'; it must be true (a good reply) or false",
        ),
    ],
)
def test_preferences_that_cannot_be_used(folder: Path, row: object, problem: str) -> None:
    assert refused(folder, row) == [problem]


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_bare_texts_in_a_list_are_not_joined_by_guess(folder: Path, role: str) -> None:
    row = {"messages": [*TALK, {"role": role, "content": ["a b c", "d e f"]}]}
    at = len(TALK)
    assert refused(folder, row) == [
        f"1: messages[{at}].content[{number}]: is a bare text, '{text}'; "
        'write {"type": "text", "text": …}, or one text alone'
        for number, text in enumerate(["a b c", "d e f"])
    ]


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"text": "x"}, "text"),
        ({"text": "x", "source": "web", "licence": "MIT"}, "text"),
        ({"text": "x", "label": "y"}, "label"),
        ({"text": "x", "audio": "a.wav", "label": "y"}, "speech"),
        ({"text": "x", "image": "a.png", "captions": ["z"]}, "caption"),
        ({"prompt": "x", "completion": "y", "label": True}, "preference"),
        ({"prompt": "x", "completion": "y"}, "dialogue"),
        ({"messages": TALK, "label": "y"}, "dialogue"),
    ],
)
def test_keys_tell_the_kind(folder: Path, row: object, kind: RowKind) -> None:
    assert read(folder, row).kind == kind


def test_plain_text(folder: Path) -> None:
    assert read(folder, {"text": "once\nupon"}).rows == (TextRow(Place(folder / "rows.jsonl", 1), "once\nupon"),)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"mesages": []}, "unknown key 'mesages': did you mean 'messages'?"),
        ({"text": "hi", "lable": "x"}, "unknown key 'lable': did you mean 'label'?"),
        ({"text": "hi", "audio_filepath": "a.wav"}, "unknown key 'audio_filepath': did you mean 'audio'?"),
        ({"label": "x"}, "has 'label', but neither 'text' nor 'image'; add what the label is of"),
        (
            {"image": "a.png", "text": "x"},
            "has 'image', but neither 'captions' nor 'label'; add what is said of the picture or what it shows",
        ),
    ],
)
def test_rows_of_no_kind_name_the_nearest_key(folder: Path, row: object, problem: str) -> None:
    assert refused(folder, row) == [f"1: row: {problem}"]


# --- files ----------------------------------------------------------------------------------------


def test_most_rows_decide_the_kind_of_a_file(folder: Path) -> None:
    rows = [{"text": "x"}, {"messages": TALK}, {"messages": []}, {"audio": "gone.wav"}]
    assert refused(folder, *rows) == [
        "1: row: is a text row among dialogue rows; put it into a file of its own",
        "3: messages: is an empty list; it must be a list with at least one message",
        "4: row: is a speech row among dialogue rows; put it into a file of its own",
    ]


def test_bad_rows_can_be_left_out_but_not_all(folder: Path) -> None:
    file = read_rows(written(folder, {"text": ""}, {"text": "x"}, [], {"text": 3}), should_skip_bad=True)
    assert [row.place.line for row in file.rows] == [2]
    assert [(each.line, each.field) for each in file.problems] == [(1, "text"), (3, "row"), (4, "text")]
    with pytest.raises(DataError, match="1: text: is an empty text") as caught:
        read_rows(written(folder, {"text": ""}), should_skip_bad=True)
    assert caught.value.hint == "No row of the file is good; mend them."


def test_a_long_report_is_cut_and_counted(folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_rows(written(folder, *({"text": ""} for _ in range(33))))
    *lines, more = caught.value.message.split("\n")
    assert (len(lines), more) == (20, "… and 13 more")
    assert problem_lines(()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", " holds no rows."),
        (b"\n \r\n", " holds no rows."),
        (b"\xef\xbb\xbf", " holds no rows."),
        (b'[{"text": "a"}, {"text": "b"}]', f" is one JSON list; {EACH_ON_ITS_OWN}"),
        (b'[{"text": "a"},\n{"text": "b"}]', f" is one JSON list; {EACH_ON_ITS_OWN}"),
        (b'{\n"text": "a"\n}', f" is one JSON object; {EACH_ON_ITS_OWN}"),
        ('{"text": "a"}'.encode("utf-16"), " is UTF-16 text."),
    ],
)
def test_files_that_are_no_rows(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_rows(path)
    assert caught.value.message == f"{path}{message}"
    assert caught.value.hint


def test_marks_and_line_ends_of_other_systems(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n\r\n{"text": "\xe2\x80\xa8b"}')
    rows = read_rows(path).rows
    assert [(row.place.line, row.text) for row in rows if isinstance(row, TextRow)] == [(1, "a"), (3, "\u2028b")]


def test_a_line_that_is_far_too_long_is_a_problem_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with path.open("wb") as file:
        file.write(b'{"text": "a"}\n{"text": "')
        file.seek(LINE_LIMIT_BYTES + 100)  # a hole: nothing is written
        file.write(b'"}\n{"text": "b"}\n')
    file_rows = read_rows(path, should_skip_bad=True)
    assert [row.place.line for row in file_rows.rows] == [1, 3]
    assert [(each.line, each.text[:24]) for each in file_rows.problems] == [(2, "is longer than 64 MiB; p")]
    with path.open("rb") as file:
        assert file_rows.sha256 == hashlib.file_digest(file, "sha256").hexdigest()


def test_what_is_not_there_or_is_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.jsonl", tmp_path):
        with pytest.raises(DataError, match=re.escape(f"{path} cannot be read")):
            read_rows(path)


def test_find_row_files(tmp_path: Path) -> None:
    deep = tmp_path / "set" / "deep"
    deep.mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    files = [tmp_path / "set" / "b.jsonl", deep / "a.jsonl", tmp_path / "set" / "notes.txt"]
    for file in files:
        file.touch()
    assert find_row_files([tmp_path / "set"]) == (files[0], files[1])
    assert find_row_files([files[2], tmp_path / "set", files[2]]) == (files[2], files[0], files[1])
    with pytest.raises(DataError, match=r"empty holds no file of rows\."):
        find_row_files([tmp_path / "empty"])
    with pytest.raises(DataError, match=re.escape(f"There is no {tmp_path / 'gone'}.")):
        find_row_files([files[0], tmp_path / "gone"])
