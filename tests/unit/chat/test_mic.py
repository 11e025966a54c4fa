"""The desk's microphone: what ends a recording, which device is meant, what is kept of the last."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from numpy.typing import NDArray

from mmchat.chat.mic import Ending, Microphone, MicSettings, auto_stop_seconds
from mmchat.chat.ports import Recorder, RecorderState
from mmchat.engines.input_devices import InputDevice
from mmchat.errors import AudioError, UsageError

RATE = 16_000
DEVICES = (
    InputDevice("Desk mic", "PulseAudio", 1, 48_000, True),
    InputDevice("Headset", "PulseAudio", 1, 16_000, False),
    InputDevice("Headset", "ALSA", 1, 44_100, False),
)


class Tape:
    """A recorder that gives a tenth of a second whenever it is asked, and then ends."""

    elapsed_s = 0.0
    peak_dbfs = -20.0
    device_name = "tape"
    warning = ""

    def __init__(self, blocks: int = 1000, end: RecorderState = "stopped") -> None:
        self.blocks, self._end = blocks, end
        self._given = 0

    @property
    def state(self) -> RecorderState:
        return "recording" if self._given < self.blocks else self._end

    def start(self) -> None: ...

    def sound(self, since: int = 0) -> NDArray[np.float32]:
        assert since == self._given * RATE // 10  # every sample once
        self._given += 1
        return np.full(RATE // 10, float(self._given), dtype=np.float32)

    def stop(self) -> NDArray[np.float32]:
        return np.zeros(0, dtype=np.float32)

    def cancel(self) -> None: ...


class Speech:
    """Speech in the blocks of these numbers."""

    def __init__(self, spoken: range) -> None:
        self._spoken = spoken
        self._quiet = 0
        self.has_speech = False

    @property
    def silence_s(self) -> float:
        return self._quiet * 0.1

    def add(self, pcm: NDArray[np.float32]) -> None:
        is_spoken = int(pcm[0]) in self._spoken
        self.has_speech = self.has_speech or is_spoken
        self._quiet = 0 if is_spoken else self._quiet + 1


class Instant(Event):
    """Waits no time."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def follow(tape: Tape, spoken: range, *, pause_s: float = 1.5, is_hands_free: bool = False) -> tuple[Ending, int]:
    mic = Microphone(lambda _: tape, MicSettings(auto_stop_s=pause_s), make_speech_watch=lambda: Speech(spoken))
    ending = mic.follow(tape, Instant(), is_hands_free=is_hands_free)
    return ending, tape._given


def test_a_recording_ends_a_pause_after_the_speech() -> None:
    assert follow(Tape(), range(5, 20)) == ("paused", 19 + 15)
    assert follow(Tape(), range(5, 20), pause_s=0.5) == ("paused", 19 + 5)


def test_a_thinking_pause_does_not_end_it() -> None:
    class Thinking(Speech):
        def add(self, pcm: NDArray[np.float32]) -> None:
            super().add(pcm if not 12 <= int(pcm[0]) < 19 else -pcm)

    tape = Tape()
    mic = Microphone(lambda _: tape, MicSettings(auto_stop_s=1.5), make_speech_watch=lambda: Thinking(range(5, 30)))
    assert mic.follow(tape, Instant()) == "paused"
    assert tape._given == 29 + 15


def test_where_nobody_speaks_it_ends_with_nothing() -> None:
    assert follow(Tape(), range(0)) == ("nothing said", 100)
    assert follow(Tape(), range(0), is_hands_free=True) == ("nothing said", 600)


def test_hands_free_ends_at_a_pause_whatever_was_chosen() -> None:
    assert follow(Tape(), range(5, 20), pause_s=0.0, is_hands_free=True) == ("paused", 34)


@pytest.mark.parametrize(("end", "ending"), [("failed", "failed"), ("stopped", "limit")])
def test_a_device_that_goes_and_a_full_recording_are_told_apart(end: RecorderState, ending: Ending) -> None:
    assert follow(Tape(3, end), range(1, 1000)) == (ending, 3)


def test_a_stream_that_falls_silent_without_a_word_is_given_up() -> None:
    class Stalled(Tape):
        def sound(self, since: int = 0) -> NDArray[np.float32]:
            return super().sound(since) if self._given < 5 else np.zeros(0, dtype=np.float32)

    tape = Stalled()
    mic = Microphone(lambda _: tape, MicSettings(auto_stop_s=1.5), make_speech_watch=lambda: Speech(range(9)))
    assert mic.follow(tape, Instant()) == "failed"


def test_without_automatic_end_only_the_user_ends_it() -> None:
    tape, over, endings = Tape(), Event(), []
    mic = Microphone(lambda _: tape, make_speech_watch=lambda: Speech(range(2)))
    thread = Thread(target=lambda: endings.append(mic.follow(tape, over)))
    thread.start()
    over.set()
    thread.join(10)
    assert endings == ["asked"]
    assert tape._given == 0


@pytest.mark.parametrize(
    ("words", "current_s", "seconds"),
    [("", 0.0, 1.5), ("", 2.0, 0.0), ("on", 2.0, 1.5), ("OFF", 2.0, 0.0), ("2", 0.0, 2.0), ("0.8 s", 0.0, 0.8)],
)
def test_a_pause_in_words(words: str, current_s: float, seconds: float) -> None:
    assert auto_stop_seconds(words, current_s) == seconds


@pytest.mark.parametrize("words", ["soon", "0.1", "11", "-1", "nan", "１"])
def test_what_is_no_pause_is_refused(words: str) -> None:
    with pytest.raises(UsageError, match="is no pause"):
        auto_stop_seconds(words, 0.0)


# --- which one ----------------------------------------------------------------------------------


def chooser(saved: dict[str, str | float], devices: tuple[InputDevice, ...] = DEVICES, device: str = "") -> Microphone:
    def refuse(name: str) -> Recorder:
        raise AssertionError(name)

    return Microphone(refuse, MicSettings(device), list_devices=lambda: devices, save=saved.__setitem__)


@pytest.mark.parametrize(
    ("name", "label"),
    [("desk", "Desk mic, PulseAudio"), ("Headset, ALSA", "Headset, ALSA"), ("headset", "Headset, PulseAudio")],
)
def test_a_microphone_is_chosen_by_name_and_remembered(name: str, label: str) -> None:
    saved: dict[str, str | float] = {}
    mic = chooser(saved)
    assert mic.choose(name) == label
    assert mic.device == label
    assert saved == {"microphone": label}
    assert [device.label for device in mic.devices() if device.is_chosen] == [label]
    assert mic.choose("default") == ""
    assert saved == {"microphone": ""}


@pytest.mark.parametrize(("name", "problem"), [("Studio", "No microphone is called"), ("e", "Several microphones")])
def test_a_name_that_means_none_or_several_changes_nothing(name: str, problem: str) -> None:
    saved: dict[str, str | float] = {}
    mic = chooser(saved, device="Desk mic")
    with pytest.raises(UsageError, match=problem) as caught:
        mic.choose(name)
    assert "Headset, ALSA" in caught.value.hint
    assert saved == {}
    assert mic.device == "Desk mic"


def test_a_new_recorder_has_the_chosen_device() -> None:
    names: list[str] = []
    tape = Tape()

    def make(name: str) -> Recorder:
        names.append(name)
        return tape

    mic = Microphone(make, MicSettings("Desk"), list_devices=lambda: DEVICES)
    mic.new_recorder()
    mic.choose("Headset, ALSA")
    mic.new_recorder()
    assert names == ["Desk", "Headset, ALSA"]


# --- the last recording -------------------------------------------------------------------------


def sound(level: float) -> NDArray[np.float32]:
    return np.full(RATE, level, dtype=np.float32)


def keeper(folder: Path, *, should_keep: bool = True) -> Microphone:
    settings = MicSettings(should_keep=should_keep, recording_path=folder / "data" / "last.wav")
    return Microphone(lambda _: Tape(), settings)


def test_the_last_recording_is_one_private_file_that_outlives_the_program(tmp_path: Path) -> None:
    keeper(tmp_path).keep(sound(0.1))
    keeper(tmp_path).keep(sound(0.25))
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["last.wav"]
    assert (tmp_path / "data" / "last.wav").stat().st_mode & 0o777 == 0o600
    np.testing.assert_allclose(keeper(tmp_path).last(), sound(0.25), atol=1e-4)


def test_nothing_is_kept_where_that_was_asked_for(tmp_path: Path) -> None:
    mic = keeper(tmp_path, should_keep=False)
    mic.keep(sound(0.1))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="not kept"):
        mic.last()


def test_a_private_recording_stays_in_memory_and_goes_with_the_conversation(tmp_path: Path) -> None:
    mic = keeper(tmp_path)
    mic.keep(sound(0.1))
    mic.keep(sound(0.5), is_private=True)
    assert mic.last()[0] == pytest.approx(0.5)
    assert keeper(tmp_path).last()[0] == pytest.approx(0.1, abs=1e-4)
    mic.forget_private()
    assert mic.last()[0] == pytest.approx(0.1, abs=1e-4)


def test_before_the_first_recording_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Nothing was recorded yet"):
        keeper(tmp_path).last()


def test_a_full_disk_leaves_the_recording_in_memory(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    mic = keeper(tmp_path)
    with pytest.raises(AudioError, match="could not be saved"):
        mic.keep(sound(0.5))
    assert mic.last()[0] == pytest.approx(0.5)
