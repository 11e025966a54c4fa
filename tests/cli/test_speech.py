"""Replies spoken from the command line, by a program that writes down what it is given."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("scripted_home")


@pytest.fixture
def spoken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What was spoken so far."""
    said = tmp_path / "said.txt"
    program = tmp_path / "speaks.py"
    program.write_text(
        "import sys\n"
        f"with open({str(said)!r}, 'a', encoding='utf-8') as file:\n"
        "    file.write(sys.argv[1] + ': ' + sys.stdin.buffer.read().decode('utf-8'))\n"
    )
    monkeypatch.setenv("MMCHAT_SPEAK_COMMAND", f"{shlex.quote(sys.executable)} {program} {{voice}}")
    return lambda: said.read_text("utf-8").splitlines() if said.exists() else []


def test_an_answer_is_printed_and_spoken(run: Run, spoken: Callable[[], list[str]]) -> None:
    done = run("ask", "--speak", "One is here. 你好。")
    assert (done.code, done.err) == (0, "")
    assert done.out == "You said: One is here. 你好。\n"
    assert spoken() == ["en: You said: One is here.", "zh: 你好。"]


def test_without_the_flag_nothing_is_spoken(run: Run, spoken: Callable[[], list[str]]) -> None:
    assert run("ask", "hello").code == 0
    assert run("talk", stdin="hello\n").code == 0
    assert spoken() == []


def test_json_stays_one_object_while_it_is_spoken(run: Run, spoken: Callable[[], list[str]]) -> None:
    done = run("ask", "--speak", "--json", "hello")
    assert json.loads(done.out)["reply"] == "You said: hello"
    assert spoken() == ["en: You said: hello"]


def test_talk_speaks_each_reply_in_turn(run: Run, spoken: Callable[[], list[str]]) -> None:
    done = run("talk", "--speak", stdin="one\ntwo\n")
    assert done.out == "You said: one\nYou said: two\n"
    assert spoken() == ["en: You said: one", "en: You said: two"]


def test_a_command_turns_it_on_and_off(run: Run, spoken: Callable[[], list[str]]) -> None:
    done = run("talk", stdin="one\n/speak\ntwo\n/speak off\nthree\n")
    assert done.code == 0
    assert spoken() == ["en: You said: two"]
    assert "Replies are spoken by" in done.err
    assert "Replies are not spoken." in done.err
    done = run("talk", stdin="/speak loudly\n")
    assert done.code == 2
    assert "Say on or off." in done.err


def test_the_settings_can_want_it_always(
    run: Run, spoken: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMCHAT_SPEAK", "true")
    assert run("talk", stdin="hello\n").code == 0
    assert spoken() == ["en: You said: hello"]


def test_without_a_program_the_flag_is_refused_before_anything_is_said(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMCHAT_SPEAK_COMMAND", "no-such-program")
    for command in ("ask", "talk"):
        done = run(command, "--speak", *(["hello"] if command == "ask" else []), stdin="hello\n" * (command == "talk"))
        assert done.code == 3
        assert done.out == ""
        assert "'no-such-program' is not a program on this machine." in done.err
        assert "espeak-ng" in done.err


def test_where_only_the_settings_want_it_the_talk_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMCHAT_SPEAK_COMMAND", "no-such-program")
    monkeypatch.setenv("MMCHAT_SPEAK", "true")
    done = run("talk", stdin="one\ntwo\n")
    assert (done.code, done.out) == (0, "You said: one\nYou said: two\n")
    assert done.err.count("no-such-program") == 1


def test_a_program_that_fails_is_told_once_and_the_replies_come(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "fails.py"
    program.write_text("import sys; sys.stdin.read(); sys.exit('no sound card')\n")
    monkeypatch.setenv("MMCHAT_SPEAK_COMMAND", f"{shlex.quote(sys.executable)} {program}")
    done = run("talk", "--speak", stdin="one\ntwo\n")
    assert (done.code, done.out) == (0, "You said: one\nYou said: two\n")
    assert done.err.count("no sound card") == 1
    done = run("ask", "--speak", "hello")
    assert (done.code, done.out) == (0, "You said: hello\n")
    assert "no sound card" in done.err


def test_doctor_names_what_speaks(run: Run, spoken: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def finding() -> dict[str, str]:
        rows = json.loads(run("doctor", "--json", "--no-listen").out)
        return next(row for row in rows if row["name"] == "speaking")

    assert finding()["status"] == "ok"
    assert "/speak" in finding()["detail"]
    monkeypatch.setenv("MMCHAT_SPEAK_COMMAND", "no-such-program")
    assert finding()["status"] == "warn"
    assert "espeak-ng" in finding()["fix"]
