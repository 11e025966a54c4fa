"""What messages want, in the plain mode and in JSON, and conversations handed over at the command line."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mmchat.chat.desk import Desk
from mmchat.chat.mic import Microphone
from mmchat.chat.session import SessionSettings
from mmchat.cli.ask import answer
from mmchat.cli.plain import PlainChat
from mmchat.domain import Likely, Understood
from mmchat.memory.hand_overs import hand_overs
from mmchat.memory.understood import save_understood
from mmchat.wiring import open_store
from tests.cli.conftest import Run
from tests.fakes import Bench
from tests.unit.chat.test_understanding import CLERK

# --- in a talk ------------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    bench = Bench(tmp_path / "data", settings=SessionSettings(persona=CLERK, should_recall=False))
    with closing(Desk(bench.store, bench.recall, bench.engines, bench.settings, Microphone(NotImplemented))) as made:
        yield made


def talk(desk: Desk, monkeypatch: pytest.MonkeyPatch, *lines: str, is_interactive: bool = True) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(line + "\n" for line in lines)))
    PlainChat(desk, desk.new_session(), is_interactive=is_interactive).run()


def test_the_plain_mode_says_what_is_wanted_and_offers_a_person(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    talk(desk, monkeypatch, "I want my money back!", "I want to talk to a person")
    out = capsys.readouterr().out
    assert "Understood: refund 80 %, mood low" in out
    assert "Shall a colleague take over? (/handover)" in out


def test_in_a_pipe_it_goes_beside_the_replies(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    talk(desk, monkeypatch, "which pills should I take", "I want to talk to a person", is_interactive=False)
    done = capsys.readouterr()
    assert done.out == "We only talk about lamps.\nYou said: I want to talk to a person\n"
    assert "Understood: forbidden: medical" in done.err
    assert "(/handover)" in done.err


def test_why_tells_intent_mood_and_what_was_done(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    talk(desk, monkeypatch, "I want my money back!", "/why", "which pills should I take", "/why")
    out = capsys.readouterr().out
    for line in (
        "Wants: refund 80 %, as scripted reads it",
        "Mood: -0.80, low",
        "Told to: Ask for the order number.",
        "Forbidden topic: medical",
        "Not drawn from the model: the role's reply to a forbidden topic",
    ):
        assert line in out
    assert "Nothing is known of what" not in out


def test_ask_gives_it_as_json(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    session = desk.new_session()
    answer(desk, session, "I want to talk to a person", (), as_json=True)
    row = json.loads(capsys.readouterr().out)
    assert row["understood"] == {
        "intents": [{"label": "person", "probability": 0.8571}],
        "topic": "",
        "mood": 0.0,
        "reader": "scripted",
    }
    assert row["person"] == {"reason": "intent", "text": "Shall a colleague take over?"}
    answer(desk, session, "which pills should I take", (), as_json=True)
    row = json.loads(capsys.readouterr().out)
    assert (row["prepared"], row["engine"], row["person"], row["usage"]) == ("forbidden", "role", None, None)


def test_the_plain_mode_hands_over_and_writes_where_it_says(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    talk(desk, monkeypatch, "I want my money back!", "/handover", "/handover case.md", "/handover case.md", "n")
    out = capsys.readouterr().out
    assert "# Hand-over: Shop" in out
    assert f"The summary was written to {tmp_path / 'case.md'}" in out
    assert "is there already" in out
    assert "I want my money back!" in (tmp_path / "case.md").read_text("utf-8")


# --- at the command line --------------------------------------------------------------------------


@pytest.fixture
def spoken(scripted_home: Path, run: Run) -> str:
    """A stored conversation that was read; its id."""
    run("ask", "I want my money back for order LO-204518")
    with closing(open_store()) as store:
        session = store.latest_session()
        assert session is not None
        asked = store.turns(session.id)[0]
        save_understood(store, asked.id, Understood((Likely("refund", 0.875),), "", -0.25, "examples"))
    return session.id


def test_a_hand_over_is_printed_and_kept(spoken: str, run: Run) -> None:
    done = run("sessions", "handover", "last")
    assert (done.code, done.err) == (0, "")
    assert "- refund (88%): “I want my money back for order LO-204518”" in done.out
    run("sessions", "handover", spoken)
    with closing(open_store()) as store:
        assert [each.text for each in hand_overs(store, spoken)] == [done.out]


def test_a_hand_over_as_json(spoken: str, run: Run) -> None:
    row = json.loads(run("sessions", "handover", "last", "--json").out)
    assert row["session"] == spoken
    assert row["wanted"][0]["intent"] == "refund"
    assert row["answered"] == [
        {
            "asked": "I want my money back for order LO-204518",
            "reply": "You said: I want my money back for order LO-204518",
            "cited": [],
        }
    ]
    assert (row["moods"], row["reason"], row["open"]) == ([-0.25], "asked", [])


def test_a_hand_over_in_a_file_that_is_there_only_after_a_yes(spoken: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "case.md"
    assert run("sessions", "handover", "last", "-o", str(path)).code == 0
    text = path.read_text("utf-8")
    assert text.startswith("# Hand-over")
    path.write_text("mine")
    assert run("sessions", "handover", "last", "-o", str(path)).code != 0
    assert path.read_text() == "mine"
    assert run("sessions", "handover", "last", "-o", str(path), "--yes").code == 0
    assert path.read_text("utf-8") == text
    assert run("sessions", "handover", "last", "-o", str(tmp_path)).code == 0
    assert list(tmp_path.glob("handover-*.md"))


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
@pytest.mark.parametrize("name", ["case.md", "case.jsonl", "case.html", "case.zip"])
def test_what_was_said_is_exported_for_the_user_alone(spoken: str, run: Run, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert run("sessions", "export", spoken, "-o", str(path)).code == 0
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_hand_over_without_a_clipboard_names_the_file(
    spoken: str, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    done = run("sessions", "handover", "last", "--copy")
    assert done.code == 3
    assert "--output FILE" in done.err
    assert run("sessions", "handover", "last", "--copy", "--json").code == 2


def test_sessions_show_tells_what_was_understood(spoken: str, run: Run) -> None:
    asked, reply = json.loads(run("sessions", "show", "last", "--json").out)["turns"]
    assert asked["understood"] == {
        "intents": [{"label": "refund", "probability": 0.875}],
        "topic": "",
        "mood": -0.25,
        "reader": "examples",
    }
    assert (reply["understood"], reply["prepared"]) == (None, "")
