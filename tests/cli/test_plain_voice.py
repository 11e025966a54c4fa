"""The microphone in the plain mode, with a scripted recogniser and a recorder that needs no sound."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mmchat.chat.desk import Desk
from mmchat.chat.mic import Microphone, MicSettings
from mmchat.chat.ports import RecorderState
from mmchat.cli.plain import PlainChat
from mmchat.engines.input_devices import InputDevice
from mmchat.engines.scripted import ScriptedLanguageModel, ScriptedRecognizer
from mmchat.errors import AudioError
from tests.fakes import Bench, FakeEngines


class Tape:
    """A microphone that records at once, until it is stopped or goes away."""

    elapsed_s = 1.0
    peak_dbfs = -20.0
    device_name = "Desk mic"
    warning = ""

    def __init__(self, end: RecorderState = "recording", error: AudioError | None = None) -> None:
        self.state: RecorderState = "idle"
        self._end, self._error = end, error
        self.was_cancelled = False

    def start(self) -> None:
        if self._error is not None:
            raise self._error
        self.state = self._end

    def sound(self, since: int = 0) -> NDArray[np.float32]:
        return np.zeros(1600, dtype=np.float32)

    def stop(self) -> NDArray[np.float32]:
        self.state = "stopped"
        return np.full(16_000, 0.1, dtype=np.float32)

    def cancel(self) -> None:
        self.was_cancelled = True


class Paused:
    """Somebody has spoken, and is quiet since."""

    has_speech = True
    silence_s = 5.0

    def add(self, pcm: NDArray[np.float32]) -> None: ...


class Quiet(Paused):
    """Nobody speaks."""

    has_speech = False
    silence_s = 100.0


DEVICES = (InputDevice("Desk mic", "PulseAudio", 1, 48_000, True), InputDevice("Headset", "ALSA", 1, 16_000, False))


class Person:
    """Somebody at the plain mode."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.tapes = [Tape()]
        self.speech: list[Paused] = []
        self.engines = FakeEngines(ScriptedLanguageModel(["Understood."]), ScriptedRecognizer("what is this"))
        self._bench = Bench(folder, self.engines)
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.mic = Microphone(
            lambda name: self.tapes.pop(0) if len(self.tapes) > 1 else self.tapes[0],
            MicSettings(auto_stop_s=1.5, recording_path=folder / "last.wav"),
            list_devices=lambda: DEVICES,
            make_speech_watch=lambda: self.speech.pop(0) if self.speech else Paused(),
        )
        bench = self._bench
        self.desk = Desk(bench.store, bench.recall, self.engines, bench.settings, self.mic)
        self.chat: PlainChat

    def types(self, *lines: str, is_interactive: bool = True, is_hands_free: bool = False) -> str:
        """Start, type, press Ctrl+D; everything that was printed."""
        self._monkeypatch.setattr("sys.stdin", io.StringIO("".join(line + "\n" for line in lines)))
        self.chat = PlainChat(self.desk, self.desk.new_session(), is_interactive=is_interactive)
        self.chat.run(is_hands_free=is_hands_free)
        captured = self._capsys.readouterr()
        return captured.out + captured.err

    def said(self) -> list[str]:
        return [turn.text for turn in self.chat.conversation.turns() if turn.role == "user"]


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Person]:
    person = Person(tmp_path, monkeypatch, capsys)
    yield person
    person.desk.close()


def test_what_is_spoken_is_shown_and_sent_when_it_is_agreed_to(person: Person) -> None:
    out = person.types("/voice", "", "/voice", "n")
    assert out.count("Heard: what is this") == 2
    assert "Understood." in out
    assert person.said() == ["what is this"]


def test_silence_and_a_microphone_that_goes_are_told(person: Person) -> None:
    person.speech = [Quiet()]
    out = person.types("/voice")
    assert "Nothing was said, so the microphone was closed." in out
    assert person.tapes[0].was_cancelled
    person.tapes = [Tape("failed")]
    out = person.types("/voice", "")
    assert "The microphone went away. What was heard until then follows." in out
    assert "Heard: what is this" in out


def test_no_microphone_is_a_sentence_and_the_conversation_goes_on(person: Person) -> None:
    person.tapes = [Tape(error=AudioError("No microphone was found.", hint="Plug one in."))]
    out = person.types("/voice", "hello")
    assert "No microphone was found." in out
    assert "Plug one in." in out
    assert person.said() == ["hello"]


def test_hands_free_goes_round_until_nobody_speaks(person: Person) -> None:
    person.speech = [Paused(), Paused(), Quiet()]
    out = person.types(is_hands_free=True)
    assert person.said() == ["what is this", "what is this"]
    assert out.count("You: what is this") == 2
    assert out.count("Understood.") >= 1
    assert "Hands-free is over." in out


def test_ctrl_c_leaves_hands_free(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(person.mic, "follow", interrupt)
    out = person.types("/handsfree", "hello")
    assert "Hands-free is over." in out
    assert person.tapes[0].was_cancelled
    assert person.said() == ["hello"]


def test_the_last_recording_is_heard_again(person: Person) -> None:
    assert "Nothing was recorded yet." in person.types("/retranscribe")
    person.types("/voice", "n")
    out = person.types("/retranscribe whisper-small", "")
    assert "Transcribing 1.0 s with whisper-small." in out
    assert person.said() == ["what is this"]


def test_microphones_pauses_and_languages_are_chosen(person: Person) -> None:
    out = person.types("/mic", "/mic head", "/mic", "/autostop off", "/language german", "/language", "/mic Studio")
    assert "Desk mic, PulseAudio (48 kHz, the system's default)" in out
    assert "Recordings come from Headset, ALSA from now on." in out
    assert "Headset, ALSA (in use, 16 kHz)" in out
    assert "A recording ends when you press Enter." in out
    assert "German, as you chose." in out
    assert "No microphone is called 'Studio'." in out
    assert person.mic.auto_stop_s == 0.0


def test_a_pipe_cannot_speak(person: Person) -> None:
    assert "needs a person" in person.types("/voice", is_interactive=False)
    assert not person.said()
