"""The conversation line by line, in a pipe and with a person."""

from __future__ import annotations

import io
import os
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mmchat.chat.desk import Desk
from mmchat.chat.mic import Microphone
from mmchat.cli.plain import PlainChat
from mmchat.cli.plain_commands import COMMANDS
from mmchat.cli.replies import read_turn
from mmchat.domain import LoadState, ReplyDelta, ReplyEvent, WorkStarted
from mmchat.engines.scripted import ScriptedLanguageModel
from mmchat.errors import EngineUnavailable, MmchatError
from tests.cli.conftest import Run
from tests.cli.test_ask import HOSTILE, stored, write_picture, write_sound
from tests.fakes import Bench, FakeEngines

# --- in a pipe ----------------------------------------------------------------------------------


@pytest.fixture
def pipe(scripted_home: Path, run: Run) -> Run:
    return run


def test_each_line_is_answered_and_the_end_of_input_is_a_good_end(pipe: Run) -> None:
    done = pipe("talk", stdin="one\n\ntwo\n")
    assert (done.code, done.out, done.err) == (0, "You said: one\nYou said: two\n", "")
    ((_, turns),) = stored()
    assert [turn.text for turn in turns] == ["one", "You said: one", "two", "You said: two"]


def test_lines_between_triple_quotes_are_one_message(pipe: Run) -> None:
    assert pipe("talk", "-n", stdin='"""one\ntwo\n"""\n').out == "You said: one\ntwo\n"
    assert pipe("talk", "-n", stdin='"""\none\n  two"""\nthree').out == "You said: one\n  two\nYou said: three\n"
    assert pipe("talk", "-n", stdin='"""never\nended').out == "You said: never\nended\n"


def test_commands_work_in_a_pipe(pipe: Run) -> None:
    done = pipe(
        "talk", stdin="hello\n/rename My [b]title[/b]\n/sessions\n/new\nother\n/sessions hello\n/why\n/quit\nnot read\n"
    )
    assert done.code == 0
    assert "My [b]title[/b]" in done.out
    assert "not read" not in done.out
    assert "tokens" in done.out
    assert len(stored()) == 2


def test_every_command_is_in_the_help(pipe: Run) -> None:
    out = pipe("talk", stdin="/help\n").out
    assert all(f"/{name}" in out for name in COMMANDS)


def test_deleting_moves_to_the_trash(pipe: Run) -> None:
    done = pipe("talk", stdin="hello\n/delete\n")
    assert stored() == []
    (session_id,) = re.findall(r"/restore (\w+)", done.err)
    assert "You said: more" in pipe("talk", stdin=f"/restore {session_id}\nmore\n").out
    assert len(stored()) == 1


def test_a_command_that_fails_drops_nothing_of_a_script_and_is_seen_in_its_end(pipe: Run) -> None:
    done = pipe("talk", stdin="/hlep\n/open nosuch\nhello\n/why\n")
    assert done.code == 2
    for problem in ("/hlep", "nosuch"):
        assert problem in done.err
    assert done.out.startswith("You said: hello\n")
    assert "tokens" in done.out


def test_a_message_that_fails_ends_a_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = ScriptedLanguageModel(error=EngineUnavailable("The server is away."))
    bench = Bench(tmp_path / "data", FakeEngines(lm))
    monkeypatch.setattr("sys.stdin", io.StringIO("one\ntwo\n"))
    desk = Desk(bench.store, bench.recall, bench.engines, bench.settings, Microphone(NotImplemented))
    with closing(desk), pytest.raises(EngineUnavailable, match="away"):
        PlainChat(desk, desk.new_session(), is_interactive=False).run()
    assert sys.stdin.read() == "two\n"


def test_a_file_named_in_a_message_goes_with_it(pipe: Run, tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "my dog.png")
    done = pipe("talk", stdin=f"What is in '{picture}' here?\n")
    assert done.code == 0
    assert "Seen in my dog.png" in done.err
    ((_, turns),) = stored()
    assert turns[0].text == "What is in here?"
    assert [attachment.name for attachment in turns[0].attachments] == ["my dog.png"]


def test_files_alone_wait_for_the_next_message_and_are_not_lost_at_the_end(pipe: Run, tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "day.wav")
    pipe("talk", stdin=f"{sound}\nWhat was that?\n/audio {sound}\n")
    ((_, turns),) = stored()
    asked = [turn for turn in turns if turn.role == "user"]
    assert [(turn.text, len(turn.attachments)) for turn in asked] == [("What was that?", 1), ("", 1)]


def test_a_missing_file_is_told_and_not_asked_about(pipe: Run) -> None:
    done = pipe("talk", stdin="/nowhere/dog.png\n")
    assert "No such file: /nowhere/dog.png" in done.err
    assert stored() == []


def test_a_hostile_reply_title_and_file_name_are_inert(pipe: Run, tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a\x1b[31mb\x1b]0;x\x07.png")
    done = pipe(
        "talk", "-a", str(picture), stdin=f"{HOSTILE}\n/sessions\n/rename {HOSTILE}\n/sessions\n/why\n/bogus\x1b[2J\n"
    )
    printed = done.out + done.err
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert "\x9b" not in printed
    assert "[bold]not bold[/bold]" in done.out


def test_nothing_is_stored_on_request(pipe: Run) -> None:
    assert pipe("talk", "--no-log", stdin="hello\n").out == "You said: hello\n"
    assert stored() == []


@pytest.mark.parametrize("args", [["-c", "-s", "x"], ["-a", "-"], ["-s", "nosuch"], ["--no-log", "-c"]])
def test_mistakes(pipe: Run, args: list[str]) -> None:
    done = pipe("talk", *args, stdin="hello\n")
    assert done.code == 2
    assert done.out == ""


# --- with a person ------------------------------------------------------------------------------


class Person:
    """A conversation with somebody who types."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.engines = FakeEngines()
        self._bench = Bench(folder, self.engines)
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self._desks: list[Desk] = []

    def types(self, *lines: str) -> str:
        """Start, type, press Ctrl+D; everything that was printed."""
        self._monkeypatch.setattr("sys.stdin", io.StringIO("".join(line + "\n" for line in lines)))
        bench = self._bench
        desk = Desk(bench.store, bench.recall, self.engines, bench.settings, Microphone(NotImplemented))
        self._desks.append(desk)
        PlainChat(desk, desk.new_session(), is_interactive=True).run()
        captured = self._capsys.readouterr()
        return captured.out + captured.err

    def leaves(self) -> None:
        for desk in reversed(self._desks):  # each waits for what it still does in the background
            desk.close()
        self._bench.store.close()

    def add(self, said: str, replied: str) -> str:
        """An imported conversation."""
        session = self._bench.store.create_session(title="Imported")
        self._bench.store.add_turn(session.id, role="user", text=said)
        self._bench.store.add_turn(session.id, role="assistant", text=replied)
        return session.id

    def turns(self) -> list[str]:
        return [
            turn.text for session in self._bench.store.list_sessions() for turn in self._bench.store.turns(session.id)
        ]


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Person]:
    somebody = Person(tmp_path / "data", monkeypatch, capsys)
    yield somebody
    somebody.leaves()


def test_a_person_is_prompted_and_told_how_to_leave(person: Person) -> None:
    printed = person.types("hello")
    assert "/help" in printed
    assert "Model: You said: hello\n" in printed
    assert "stored" in printed
    assert "\x1b" not in printed


def test_a_mistake_does_not_end_a_person_s_conversation(person: Person) -> None:
    printed = person.types("/bogus", "/regen", "/open nosuch", "still here")
    assert "Unknown command '/bogus'" in printed
    assert "no message to regenerate" in printed
    assert "You said: still here" in printed


def test_a_failing_model_does_not_end_it_either(person: Person) -> None:
    person.engines.lm = ScriptedLanguageModel(error=EngineUnavailable("The server is away.", hint="Start it."))
    printed = person.types("hello")
    assert "The server is away." in printed
    assert "Start it." in printed
    assert "Traceback" not in printed
    assert person.turns()[0] == "hello"


def test_what_was_seen_and_heard_is_told(person: Person, tmp_path: Path) -> None:
    picture, sound = write_picture(tmp_path / "dog.png"), write_sound(tmp_path / "day.wav")
    printed = person.types(f"/image {picture}", f"/audio {sound}", "and?")
    assert "Seen in dog.png" in printed
    assert 'Heard in day.wav (en, 1.0 s): "hello from the recording"' in printed


def test_a_message_is_edited_and_its_variants_are_flipped(person: Person) -> None:
    printed = person.types(
        "one", "two", "/edit", "/edit -2 uno", "/variant", "/variant prev", "/variant 3", "/variant sideways"
    )
    assert "The message is: two" in printed
    assert "Model: You said: uno" in printed
    assert "Variant 2 of 2:\nYou: uno\nModel: You said: uno" in printed
    assert "Variant 1 of 2:\nYou: one\nModel: You said: one\nYou: two\nModel: You said: two" in printed
    assert "There is no variant 3." in printed
    assert "'sideways' is no variant" in printed
    assert person.turns() == ["one", "You said: one", "two", "You said: two"]


def test_the_window_is_shown_pinned_compacted_and_explained(person: Person) -> None:
    told = person.types(
        *(
            "My name is Ada.",
            "My cat is called Biscuit.",
            "Hello",
            "/pin 6",
            "/pins",
            "/compact sentences",
            "y",
            "Go on",
            "/why",
        ),
        *("/context", "/compact edit Ada has a cat.", "/compact show", "/compact undo", "/compact redo", "/unpin"),
        *("/unpin", "/pin 99", "/compact sideways"),
    )
    assert "Pinned: My name is Ada." in told
    assert "1. You: My name is Ada." in told
    assert "For the first 2 messages, out of your own sentences:\n- My name is Ada." in told
    assert "Summary (out of your own sentences): - My name is Ada." in told
    assert "Pinned: My name is Ada.\n" in told
    assert "user: Earlier I told you:\n- My name is Ada." in told
    assert "Written out of your own sentences, edited by you:\nAda has a cat." in told
    assert "The messages speak for themselves again." in told
    assert "In force again: Ada has a cat." in told
    assert "Not pinned any more: My name is Ada." in told
    assert "No message is pinned." in told
    assert "'99' is no message here." in told
    assert "/compact sideways: there is no such thing." in told


def test_why_of_an_imported_reply_says_that_nothing_is_known(person: Person) -> None:
    assert "Nothing is known of what this reply was drawn from" not in person.types("hello", "/why")
    session = person.add("What is new?", "Nothing much.")
    assert "Nothing is known of what this reply was drawn from" in person.types(f"/open {session}", "/why")


def test_an_exchange_is_taken_back_and_brought_back_and_a_copy_made(person: Person) -> None:
    printed = person.types("one", "/undo", "/undo", "/redo", "/redo", "/fork", "two")
    assert "Out of view, and kept: one" in printed
    assert "There is nothing to undo" in printed
    assert "You: one\nModel: You said: one" in printed
    assert "There is nothing to redo" in printed
    assert person.turns() == ["one", "You said: one", "two", "You said: two", "one", "You said: one"]


def test_conversations_are_tagged_put_away_and_searched(person: Person) -> None:
    printed = person.types(
        "在里斯本的酒店", "/tag #旅行 work", "/archive", "/sessions", "/sessions #旅行", "/search 酒店", "/unarchive",
        "/sessions #旅行", "/tag -work", "/search zebra", "/archive",
    )  # fmt: skip
    assert "Tags: work, 旅行" in printed
    assert printed.count("No conversations yet.") == 1
    assert printed.count("No conversation matches.") == 1
    assert "you: 在里斯本的酒店" in printed
    assert '"在里斯本的酒店"  #work  #旅行' in printed
    assert "Tags: 旅行\n" in printed
    assert "Nothing holds all of these words." in printed


def test_the_model_can_be_switched(person: Person) -> None:
    printed = person.types("/model other", "hello")
    assert "The next reply comes from other." in printed


# --- reading a turn -----------------------------------------------------------------------------


def test_ctrl_c_while_the_model_loads_leaves_at_once() -> None:
    released = threading.Event()

    def stuck(cancel: threading.Event) -> Iterator[ReplyEvent]:
        yield WorkStarted("waiting for the model")
        signal.raise_signal(signal.SIGINT)
        released.wait(30)

    with pytest.raises(KeyboardInterrupt):
        read_turn(stuck, load_states=lambda: (), on_text=lambda _: None)
    released.set()


def test_the_first_ctrl_c_stops_the_reply_and_the_turn_ends_in_order() -> None:
    def replying(cancel: threading.Event) -> Iterator[ReplyEvent]:
        yield ReplyDelta("half")
        signal.raise_signal(signal.SIGINT)
        assert cancel.wait(30)
        yield ReplyDelta(" a")

    pieces: list[str] = []
    outcome = read_turn(replying, load_states=lambda: (), on_text=pieces.append)
    assert outcome.was_interrupted
    assert outcome.text == "".join(pieces) == "half a"


def test_an_error_of_the_turn_is_raised_where_it_is_read_and_ctrl_c_is_as_before() -> None:
    def failing(cancel: threading.Event) -> Iterator[ReplyEvent]:
        yield ReplyDelta("x")
        raise EngineUnavailable("gone")

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(MmchatError, match="gone"):
        read_turn(failing, load_states=lambda: (), on_text=lambda _: None)
    assert signal.getsignal(signal.SIGINT) is handler


def test_progress_is_told_until_the_reply_begins() -> None:
    told = threading.Event()
    shown: list[str] = []

    class Status:
        def show(self, text: str) -> None:
            shown.append(text)
            told.set()

        def clear(self) -> None: ...

    def slow(cancel: threading.Event) -> Iterator[ReplyEvent]:
        assert told.wait(30)
        yield ReplyDelta("x")

    state = LoadState("lm", "tiny", "llamacpp", "pulling", detail="downloading 62%")
    read_turn(slow, load_states=lambda: (state,), on_text=lambda _: None, status=Status())
    assert shown[0] == "Fetching language model tiny: downloading 62%"


# --- the terminal afterwards --------------------------------------------------------------------

GUARDED = """
import os, signal, sys
from mmchat.cli.terminal_guard import guarded_terminal
with guarded_terminal():
    sys.stdout.write("\\x1b[?1003h\\x1b[?1049hdrawing")
    sys.stdout.flush()
    if sys.argv[1] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
@pytest.mark.parametrize("way", ["die", "live"])
def test_the_terminal_is_given_back_even_when_the_process_is_killed(way: str) -> None:
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", GUARDED, way], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    process.wait(timeout=30)
    os.close(theirs)
    printed = read_all(ours, until=b"mmchat talk -c" if way == "die" else b"drawing")
    os.close(ours)
    assert b"drawing" in printed
    assert (b"\x1b[?1003l" in printed) is (way == "die")
    assert (b"\x1b[?1049l" in printed) is (way == "die")
    assert (b"\x1b[?7h" in printed) is (way == "die")


def read_all(descriptor: int, *, until: bytes) -> bytes:
    printed = b""
    while until not in printed:
        if not select.select([descriptor], [], [], 30)[0]:
            raise AssertionError(f"the terminal shows {printed!r} and nothing more")
        try:
            printed += os.read(descriptor, 4096)
        except OSError:  # Linux says so when the last holder of the other end has gone
            break
    return printed
