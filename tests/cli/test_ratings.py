"""From a rating in the plain conversation to rows that finetuning takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmchat.cli.plain_ratings import rating_words
from mmchat.domain import Rating
from mmchat.rows.reader import read_rows
from mmchat.rows.values import DialogueRow, PreferenceRow
from tests.cli.conftest import Run
from tests.cli.test_ask import stored, write_picture
from tests.cli.test_talk_plain import Person

TALK = """\
hello
/good
法国的首都是哪里？
/better 巴黎。
third
/bad
/regen
/good
"""


@pytest.fixture
def pipe(scripted_home: Path, run: Run) -> Run:
    return run


def test_ratings_in_a_pipe_become_rows_that_the_reader_takes(pipe: Run, tmp_path: Path) -> None:
    done = pipe("talk", stdin=TALK)
    assert done.code == 0
    assert "Marked as good" in done.err
    assert "sessions export --rated" in done.err
    assert "for finetuning" in done.err
    out = tmp_path / "rows.jsonl"
    done = pipe("sessions", "export", "--rated", "--to", str(out), "--json")
    assert json.loads(done.out) == {
        "file": str(out), "as": "preference", "rows": 3, "pairs": 1, "good": 2, "bad": 0, "dialogues": 0, "left_out": 0
    }  # fmt: skip
    first, second, third = read_rows(out).rows
    assert isinstance(first, PreferenceRow)
    assert (first.completion, first.is_liked) == ("You said: hello", True)
    assert isinstance(second, PreferenceRow)
    assert (second.chosen, second.rejected) == ("巴黎。", "You said: 法国的首都是哪里？")
    assert [message.text for message in second.messages] == ["hello", "You said: hello", "法国的首都是哪里？"]
    # The scripted model drew the same words again, and the later mark counts.
    assert isinstance(third, PreferenceRow)
    assert third.is_liked is True
    assert not out.with_name("rows.jsonl.files").exists()


def test_what_was_good_as_dialogues(pipe: Run, scripted_home: Path, tmp_path: Path) -> None:
    (scripted_home / "config" / "settings.toml").write_text('system = "Be kind."\n')
    pipe("talk", stdin=TALK)
    out = tmp_path / "rows.jsonl"
    assert pipe("sessions", "export", "last", "--rated", "--as", "dialogue", "-o", str(out)).code == 0
    (row,) = read_rows(out).rows
    assert isinstance(row, DialogueRow)
    assert [message.text for message in row.messages[:3]] == ["Be kind.", "hello", "You said: hello"]
    assert row.messages[4].text == "巴黎。"


def test_what_is_in_no_row_is_told_in_a_script_too(pipe: Run, tmp_path: Path) -> None:
    pipe("talk", stdin="one\n/good\ntwo\n/bad\n/better three\n")
    done = pipe("sessions", "export", "--rated", "--as", "pairs", "--to", str(tmp_path / "rows.jsonl"))
    assert done.code == 0
    assert "Of 2 rated replies, 1 are in no row" in done.err
    assert pipe("sessions", "export", "--rated").err == ""


def test_files_are_copied_beside_the_rows(pipe: Run, tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "my dog.png")
    pipe("talk", stdin=f"What is in '{picture}' here?\n/bad\n")
    out = tmp_path / "out" / "rows.jsonl"
    assert pipe("sessions", "export", "--rated", "--to", str(out)).code == 0
    (row,) = read_rows(out).rows
    assert isinstance(row, PreferenceRow)
    path = row.messages[0].files[0].path
    assert path is not None
    assert path.parent.name == "rows.jsonl.files"
    assert path.read_bytes() == picture.read_bytes()
    # On stdout there is no place beside the rows: they name the kept copies.
    (line,) = pipe("sessions", "export", "--rated").out.splitlines()
    assert Path(json.loads(line)["messages"][0]["content"][0]["image"]).is_absolute()


def test_with_nothing_rated_it_says_how_to_rate(pipe: Run, tmp_path: Path) -> None:
    pipe("talk", stdin="hello\n")
    out = tmp_path / "rows.jsonl"
    done = pipe("sessions", "export", "--rated", "--to", str(out))
    assert done.code == 2
    assert all(word in done.err for word in ("/good", "/bad", "/better"))
    assert not out.exists()
    pipe("talk", "-c", stdin="/bad\n")
    done = pipe("sessions", "export", "--rated", "--as", "pairs", "--to", str(out))
    assert done.code == 2
    assert "'thumbs'" in done.err
    assert not out.exists()


@pytest.mark.parametrize(
    "args",
    [
        ["--rated", "--as", "hearts"],
        ["--rated", "--format", "md"],
        ["--rated", "--json"],
        ["--rated", "--all", "last"],
        ["--all", "--as", "pairs"],
        ["--all", "--json"],
        [],
    ],
)
def test_mistakes_are_told_before_anything_is_written(pipe: Run, args: list[str]) -> None:
    pipe("talk", stdin="hello\n/good\n")
    done = pipe("sessions", "export", *args)
    assert (done.code, done.out) == (2, "")


def test_nothing_is_rated_in_a_conversation_that_is_not_kept(pipe: Run) -> None:
    done = pipe("talk", "--no-log", stdin="hello\n/good\n")
    assert done.code == 2
    assert "would be lost" in done.err
    assert stored() == []


def test_show_marks_what_was_rated(pipe: Run) -> None:
    pipe("talk", stdin="hello\n/bad\n/better 你好\x1b[2J\n")
    out = pipe("sessions", "show", "last").out
    assert "*(rated bad)*" in out
    assert "> 你好" in out
    assert "\x1b" not in out
    assert json.loads(pipe("sessions", "show", "last", "--json").out)["turns"][1]["rating"]["mark"] == "bad"


def test_a_person_is_told_what_became_of_a_rating(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    person = Person(tmp_path, monkeypatch, capsys)
    out = person.types(
        "/good", "hi", "/good", "/good", "/better", "/bad", '"""/better first line', 'second line"""', "/bad", "/unrate"
    )
    for words in (
        "There is no reply to rate yet.",
        "Marked as good, for finetuning.",
        "The reply is not rated any more.",
        "What should the reply have been?",
        "Marked as bad, for finetuning.",
        "Kept as the better reply; the conversation stays as it is.",
        "The mark is taken back; your better reply is kept.",
    ):
        assert words in out, words
    assert out.count("not rated any more") == 2
    person.leaves()


def test_a_rating_in_words() -> None:
    assert rating_words(Rating("good")) == "good"
    assert rating_words(Rating("bad", "one\n two")) == "bad; better: one two"
    assert rating_words(Rating(None, "one")) == "better: one"
