"""`mmchat ask`: what it prints, where, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import wave
from pathlib import Path

import pytest
from PIL import Image

from mmchat import paths
from mmchat.domain import Session, Turn
from mmchat.memory.store import MemoryStore
from tests.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("scripted_home")


def stored() -> list[tuple[Session, tuple[Turn, ...]]]:
    if not paths.database_path().exists():
        return []
    store = MemoryStore(paths.database_path(), paths.blobs_dir())
    sessions = [(session, store.turns(session.id)) for session in store.list_sessions()]
    store.close()
    return sessions


def write_picture(path: Path, colour: str = "red") -> Path:
    Image.new("RGB", (32, 32), colour).save(path)
    return path


def write_sound(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(b"\x00\x10\x00\xf0" * 8000)
    return path


def start(*args: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "mmchat", *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )


# --- the reply ----------------------------------------------------------------------------------


def test_the_reply_is_all_there_is_on_stdout(run: Run) -> None:
    done = run("ask", "hello", "there")
    assert (done.code, done.out, done.err) == (0, "You said: hello there\n", "")


def test_piped_text_comes_before_the_question(run: Run) -> None:
    assert run("ask", "Sum up.", stdin="line 1\nline 2\n").out == "You said: line 1\nline 2\n\nSum up.\n"
    assert run("ask", stdin="only this").out == "You said: only this\n"


def test_the_turn_is_stored_and_can_be_continued(run: Run) -> None:
    run("ask", "first")
    run("ask", "second", "-c")
    ((session, turns),) = stored()
    assert [turn.text for turn in turns] == ["first", "You said: first", "second", "You said: second"]

    run("ask", "third", "-s", session.id[:12])
    ((_, turns),) = stored()
    assert turns[-2].text == "third"


def test_last_is_the_latest_conversation(run: Run) -> None:
    refused = run("ask", "hello", "-s", "last")
    assert (refused.code, "no conversations yet" in refused.err) == (2, True)
    run("ask", "first")
    assert run("ask", "second", "-s", "last").code == 0
    ((_, turns),) = stored()
    assert [turn.text for turn in turns if turn.role == "user"] == ["first", "second"]


def test_a_script_is_told_that_its_message_was_cut(run: Run) -> None:
    done = run("ask", "--json", stdin="word " * 6000)
    assert "longer than the model can read" in done.err
    assert "longer than the model can read" in json.loads(done.out)["notice"]


def test_what_is_said_of_a_reply_comes_after_its_line(run: Run) -> None:
    done = run("ask", "around and around " * 40)
    assert done.out.endswith("\n")
    assert done.err == "The model began to repeat itself, so the reply was ended there.\n"


def test_continuing_nothing_starts_anew(run: Run) -> None:
    assert run("ask", "hello", "-c").code == 0
    assert len(stored()) == 1


def test_without_a_log_nothing_is_stored(run: Run) -> None:
    done = run("ask", "hello", "--no-log")
    assert done.out == "You said: hello\n"
    assert stored() == []


def test_the_longest_reply_can_be_set(run: Run) -> None:
    assert run("ask", "a b c d", "--max-tokens", "3").out == "You said: a\n"


# --- JSON ---------------------------------------------------------------------------------------


def test_json_has_exactly_the_promised_shape(run: Run, tmp_path: Path) -> None:
    picture, sound = write_picture(tmp_path / "dog.png"), write_sound(tmp_path / "day.wav")
    done = run("ask", "hello", "-a", str(picture), "-a", str(sound), "--json")
    assert done.code == 0
    assert done.err == ""
    reply = json.loads(done.out)
    ((session, turns),) = stored()

    assert (reply["session"], reply["turn"]) == (session.id, turns[-1].id)
    assert reply["reply"] == turns[-1].text
    assert (reply["status"], reply["model"], reply["engine"]) == ("complete", "echo", "scripted")
    assert set(reply["usage"]) == {"prompt_tokens", "cached_tokens", "reply_tokens", "first_token_s", "tokens_per_s"}
    assert reply["usage"]["prompt_tokens"] > 0
    (heard,) = reply["heard"]
    assert (heard["file"], heard["text"], heard["language"]) == ("day.wav", "what a fine day", "en")
    assert heard["duration_s"] == pytest.approx(1.0, abs=0.01)
    (seen,) = reply["seen"]
    assert seen["file"] == "dog.png"
    assert set(seen) == {"file", "tags", "text", "caption"}
    assert all(set(tag) == {"label", "score"} for tag in seen["tags"])
    assert seen["tags"]
    assert reply["recalled"] == []
    assert set(reply["window"]) == {"turns_in", "turns_out", "tokens", "budget", "room", "parts", "pinned"}
    assert sum(reply["window"]["parts"].values()) == reply["window"]["tokens"]


def test_json_names_what_was_recalled(run: Run) -> None:
    run("ask", "The neighbours' rabbit is called Lavender.")
    reply = json.loads(run("ask", "What is the neighbours' rabbit called?", "--json").out)
    assert reply["facts"] == []
    assert reply["recalled"]
    assert all(set(note) == {"session", "turn", "text", "score", "partner"} for note in reply["recalled"])
    assert any("Lavender" in note["text"] for note in reply["recalled"])


# --- attachments --------------------------------------------------------------------------------


def test_a_picture_can_come_through_stdin(run: Run, tmp_path: Path) -> None:
    data = write_picture(tmp_path / "x.png").read_bytes()
    reply = json.loads(run("ask", "What is it?", "-a", "-", "--json", stdin=data).out)
    assert [seen["file"] for seen in reply["seen"]] == ["stdin.png"]


def test_a_sound_can_come_through_stdin(run: Run, tmp_path: Path) -> None:
    data = write_sound(tmp_path / "x.wav").read_bytes()
    reply = json.loads(run("ask", "-a", "-", "--json", stdin=data).out)
    assert [heard["file"] for heard in reply["heard"]] == ["stdin.wav"]


@pytest.mark.parametrize("data", [b"", b"just text", b"\x00\x01\x02\x03" * 10])
def test_what_is_neither_is_refused(run: Run, data: bytes) -> None:
    done = run("ask", "hm", "-a", "-", stdin=data)
    assert done.code == 4
    assert "neither a picture nor a sound" in done.err
    assert stored() == []


@pytest.mark.parametrize("name", ["nope.png", "folder", "notes.txt", "broken.png"])
def test_a_file_that_cannot_be_used_is_named_and_nothing_is_stored(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    done = run("ask", "hm", "-a", str(tmp_path / name))
    assert done.code == 4
    assert name in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    assert stored() == []


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["ask"], 2, "nothing to ask"),
        (["ask", "x", "-c", "-s", "abc"], 2, "exclude each other"),
        (["ask", "x", "-n", "-c"], 2, "--no-log"),
        (["ask", "x", "-s", "nosuch"], 2, "nosuch"),
        (["ask", "x", "-m", "ecco"], 3, "Did you mean 'echo'?"),
        (["ask", "x", "-m", "ears"], 3, "a speech model, not a language model"),
        (["ask", "x", "-a", "-", "-a", "-"], 2, "Only one"),
        (["ask", "x", "--temperature", "-1"], 2, "--temperature"),
        (["ask", "x", "--max-tokens", "0"], 2, "--max-tokens"),
        (["ask", "x", "--seed", "soon"], 2, "--seed"),
        (["ask", "x", "--jsno"], 2, "--jsno"),
        (["aks", "x"], 2, "ask"),
    ],
)
def test_mistakes_are_named_on_stderr_with_their_exit_code(run: Run, args: list[str], code: int, words: str) -> None:
    done = run(*args)
    assert done.code == code
    assert words in done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    assert stored() == []


def test_a_home_that_cannot_be_written_is_said_in_words(
    run: Run, scripted_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scripted_home / "file").write_text("")
    monkeypatch.setenv("MMCHAT_HOME", str(scripted_home / "file"))
    for args in (["sessions", "list"], ["recall", "x"], ["ask", "x"]):
        done = run(*args)
        assert "folder of conversations cannot be used" in done.err
        assert "mistake in mmchat" not in done.err
    assert run("doctor", "--no-listen").code == 1


def test_a_failing_model_keeps_the_question(run: Run, scripted_home: Path) -> None:
    with (scripted_home / "config" / "models.toml").open("a") as file:
        file.write('[models.away]\nkind = "lm"\nengine = "openai"\nbase_url = "http://127.0.0.1:9/v1"\n')
    done = run("ask", "are you there?", "-m", "away")
    assert done.code == 3
    assert "Traceback" not in done.err
    ((_, turns),) = stored()
    assert turns[0].text == "are you there?"


# --- the screen is safe -------------------------------------------------------------------------

HOSTILE = "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b]52;c;aGk=\x1b\\\x9b2J [bold]not bold[/bold] \x07done"


def test_escapes_in_a_reply_are_inert_and_markup_is_text(run: Run) -> None:
    out = run("ask", HOSTILE).out
    assert not any(ord(char) < 32 and char != "\n" or 0x7F <= ord(char) < 0xA0 for char in out)
    assert "[bold]not bold[/bold]" in out
    assert "red" in out


def test_escapes_in_json_are_escaped_and_nothing_is_lost(run: Run) -> None:
    done = run("ask", HOSTILE, "--json")
    assert not any(ord(char) < 32 and char != "\n" or 0x7F <= ord(char) < 0xA0 for char in done.out)
    assert json.loads(done.out)["reply"] == f"You said: {HOSTILE}"


def test_escapes_in_an_error_are_inert(run: Run) -> None:
    done = run("ask", "x", "-a", "no\x1b[31mpe.png")
    assert "nope.png" in done.err
    assert "\x1b" not in done.err


# --- ways to end --------------------------------------------------------------------------------


def test_ctrl_c_stops_the_reply_and_keeps_it() -> None:
    process = start("ask", " ".join(map(str, range(500))), "-m", "slow")
    assert process.stdout is not None
    assert process.stdout.read(3) == b"You"
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=30)

    assert process.returncode == 130
    assert b"Traceback" not in errors
    ((_, turns),) = stored()
    assert turns[-1].status == "stopped"
    assert turns[-1].text.startswith("You")
    assert turns[-1].text.strip() == (b"You" + rest).decode().strip()


def test_a_reader_that_goes_away_is_no_error_and_the_reply_is_kept() -> None:
    process = start("ask", " ".join(map(str, range(500))), "-m", "slow")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(3) == b"You"
    process.stdout.close()
    errors = process.stderr.read()
    process.wait(timeout=30)
    process.stderr.close()

    assert errors == b""
    ((_, turns),) = stored()
    assert turns[-1].status == "stopped"
    assert turns[-1].text.startswith("You")


def boom() -> None:
    """Fail as only a bug can."""
    raise RuntimeError("a bug \x1b[31m here")


def test_a_bug_of_ours_is_one_sentence_and_a_private_log(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmchat.cli.app import COMMANDS

    monkeypatch.setitem(COMMANDS, "boom", f"{__name__}:boom")
    done = run("boom")
    log = paths.log_dir() / "mmchat.log"
    assert done.code == 1
    assert "Internal error" in done.err
    assert str(log) in done.err
    assert "Traceback" not in done.err
    assert "\x1b" not in done.err
    assert "RuntimeError: a bug" in log.read_text()
    assert os.name != "posix" or log.stat().st_mode & 0o077 == 0


# --- in earnest ---------------------------------------------------------------------------------


@pytest.mark.weights
def test_the_default_model_answers(run: Run, scripted_home: Path, weights_dir: Path) -> None:
    (scripted_home / "config" / "models.toml").unlink()
    done = run("ask", "Name three primary colours.", "--seed", "1", "--max-tokens", "48", "--json")
    assert done.code == 0
    reply = json.loads(done.out)
    assert done.err.strip() == reply["notice"], "nothing of a library's reaches the screen"
    assert reply["status"] == "complete"
    assert (reply["model"], reply["engine"]) == ("smollm2-135m", "llamacpp")
    assert "red" in reply["reply"].lower()
    assert reply["usage"]["prompt_tokens"] > 10
    assert 5 < reply["usage"]["reply_tokens"] <= 48
    assert 0 < reply["usage"]["first_token_s"] < 60
    assert reply["window"]["tokens"] == reply["usage"]["prompt_tokens"]


def test_what_was_masked_is_told_and_never_stored(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMCHAT_MASK", "card,mail")
    done = run("ask", "Use 4111 1111 1111 1111 and write to anna@example.com", "--json")
    told = json.loads(done.out)
    assert told["masked"] == ["card", "mail"]
    assert told["notice"].startswith("A card number and an e-mail address were masked")
    ((session, turns),) = stored()
    assert turns[0].text == "Use [card number ending 1111] and write to [e-mail address]"
    assert "4111" not in session.title
    assert json.loads(run("ask", "hello", "--json").out)["masked"] == []
