"""The recorder against a fake PortAudio: fallbacks, limits, warnings, and what is kept when things go wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mmchat.chat.ports import Recorder
from mmchat.engines import input_devices
from mmchat.engines.input_devices import choose_device, import_sounddevice
from mmchat.engines.microphone import MicrophoneRecorder, level_test
from mmchat.errors import AudioError


class PortAudioError(Exception):
    pass


class CallbackStop(Exception):  # noqa: N818  # sounddevice's name
    pass


class FakeStream:
    def __init__(self, library: FakeSounddevice, options: dict[str, Any]) -> None:
        self.library = library
        self.rate_hz: int = options["samplerate"]
        self.channels: int = options["channels"]
        self._callback: Callable[..., None] = options["callback"]
        self._finished: Callable[[], None] = options["finished_callback"]
        self.is_closed = False

    def start(self) -> None:
        if self.library.start_error:
            raise PortAudioError(self.library.start_error)

    def feed(self, level: int, frames: int) -> None:
        data = np.full(frames * self.channels, level, dtype=np.int16).tobytes()
        try:
            self._callback(memoryview(data), frames, None, None)
        except CallbackStop:
            self._finished()

    def die(self) -> None:
        self._finished()

    def stop(self) -> None:
        self._finished()

    abort = stop

    def close(self) -> None:
        self.is_closed = True


class FakeSounddevice:
    """The few names of sounddevice that the recorder uses."""

    PortAudioError = PortAudioError
    CallbackStop = CallbackStop

    def __init__(self, names: tuple[str, ...] = ("Built-in", "USB mic"), rates: tuple[int, ...] = (16_000,)) -> None:
        self.devices = [self.device(name) for name in names]
        self.rates = rates
        self.start_error = ""
        self.streams: list[FakeStream] = []
        self.arrives_later: list[dict[str, Any]] = []
        self.default = type("Default", (), {"device": (0 if names else -1, -1)})()

    @staticmethod
    def device(name: str, channels: int = 2, api: int = 0) -> dict[str, Any]:
        return {"name": name, "hostapi": api, "max_input_channels": channels, "default_samplerate": 48_000.0}

    def query_hostapis(self) -> list[dict[str, Any]]:
        return [{"name": "ALSA"}, {"name": "JACK"}]

    def query_devices(self, index: int | None = None) -> Any:
        return self.devices if index is None else self.devices[index]

    def RawInputStream(self, **options: Any) -> FakeStream:  # noqa: N802  # sounddevice's name
        if options["samplerate"] not in self.rates:
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")
        self.streams.append(FakeStream(self, options))
        return self.streams[-1]

    def _terminate(self) -> None:
        self.devices += self.arrives_later

    def _initialize(self) -> None:
        pass


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def recorder(library: FakeSounddevice, device: str = "", **options: Any) -> MicrophoneRecorder:
    return MicrophoneRecorder(device, library=lambda: library, tail_s=0.0, **options)


def state_of(mic: MicrophoneRecorder) -> str:
    """The state now. Read in place, it would be taken for the one it was asserted to be before."""
    return mic.state


def test_it_keeps_the_recorder_protocol() -> None:
    made: Recorder = MicrophoneRecorder()
    assert made.state == "idle"
    assert made.elapsed_s == 0
    assert made.peak_dbfs == -96
    assert made.warning == ""
    assert made.stop().size == 0


def test_a_recording_from_start_to_stop() -> None:
    library = FakeSounddevice()
    mic = recorder(library)
    mic.start()
    assert state_of(mic) == "starting"
    stream = library.streams[0]
    stream.feed(16_384, 1600)
    assert state_of(mic) == "recording"
    assert mic.device_name == "Built-in"
    assert mic.elapsed_s == pytest.approx(0.1)
    assert mic.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    stream.feed(0, 1600)
    assert mic.peak_dbfs == -96  # the last tenth of a second only
    pcm = mic.stop()
    assert state_of(mic) == "stopped"
    assert stream.is_closed
    assert pcm.dtype == np.float32
    assert np.array_equal(pcm, np.repeat(np.array([0.5, 0.0], np.float32), 1600))
    assert np.array_equal(mic.stop(), pcm)  # a second stop loses nothing


def test_a_device_that_refuses_16_khz_is_used_at_its_own_rate() -> None:
    library = FakeSounddevice(rates=(48_000,))
    mic = recorder(library)
    mic.start()
    library.streams[0].feed(8192, 48_000)
    pcm = mic.stop()
    assert mic.elapsed_s == pytest.approx(1.0)
    assert pcm.size == pytest.approx(16_000, abs=50)
    assert float(np.median(pcm)) == pytest.approx(0.25, abs=0.01)


def test_cancel_discards() -> None:
    library = FakeSounddevice()
    mic = recorder(library)
    mic.start()
    library.streams[0].feed(1000, 1600)
    mic.cancel()
    assert state_of(mic) == "idle"
    assert library.streams[0].is_closed
    assert mic.stop().size == 0
    mic.start()
    assert state_of(mic) == "starting"
    assert mic.elapsed_s == 0


def test_the_limit_warns_then_stops_and_keeps() -> None:
    library, clock = FakeSounddevice(), Clock()
    mic = recorder(library, max_duration_s=2.0, clock=clock)
    mic.start()
    for _ in range(16):
        clock.now_s += 0.1
        library.streams[0].feed(1000, 1600)
    assert mic.warning == "recording stops at 2 s"
    for _ in range(6):
        clock.now_s += 0.1
        library.streams[0].feed(1000, 1600)
    assert state_of(mic) == "stopped"
    assert "limit of 2 s was reached" in mic.warning
    assert mic.stop().size == 32_000


def test_digital_silence_is_said_while_it_can_be_mended() -> None:
    library = FakeSounddevice()
    mic = recorder(library)
    mic.start()
    library.streams[0].feed(0, 4800)
    assert mic.warning == ""
    library.streams[0].feed(0, 4800)
    assert mic.warning.startswith("only digital silence")
    library.streams[0].feed(5, 1600)
    assert mic.warning == ""
    library.streams[0].feed(0, 16_000)
    assert mic.warning == ""  # noise suppression between words
    library.streams[0].feed(0, 80_000)
    assert mic.warning.startswith("only digital silence")


def test_what_was_captured_survives_the_device() -> None:
    library = FakeSounddevice()
    mic = recorder(library)
    mic.start()
    library.streams[0].feed(1000, 8000)
    library.streams[0].die()
    assert state_of(mic) == "failed"
    assert "went away after 0.5 s" in mic.warning
    assert mic.stop().size == 8000
    assert state_of(mic) == "failed"


def test_a_stall_and_lost_sound_are_said() -> None:
    library, clock = FakeSounddevice(), Clock()
    mic = recorder(library, clock=clock)
    mic.start()
    clock.now_s += 2.5
    assert "no sound arrives" in mic.warning
    library.streams[0].feed(1000, 1600)
    assert mic.warning == ""
    clock.now_s += 1.0
    library.streams[0].feed(1000, 1600)
    assert "sound was lost" in mic.warning


def test_a_microphone_plugged_in_later_is_found() -> None:
    library = FakeSounddevice(names=())
    library.arrives_later = [library.device("Headset")]
    mic = recorder(library)
    mic.start()
    assert mic.device_name == "Headset"


@pytest.mark.parametrize(
    ("library", "device", "words"),
    [
        (FakeSounddevice(names=()), "", "No microphone was found"),
        (FakeSounddevice(), "Webcam", "no microphone called 'Webcam'"),
        (FakeSounddevice(("USB mic A", "USB mic B")), "USB", "Several microphones"),
        (FakeSounddevice(rates=()), "", "cannot be opened: Invalid sample rate"),
    ],
)
def test_no_microphone_is_a_sentence(library: FakeSounddevice, device: str, words: str) -> None:
    mic = recorder(library, device)
    with pytest.raises(AudioError, match=words) as caught:
        mic.start()
    assert caught.value.hint
    assert state_of(mic) == "failed"
    assert mic.stop().size == 0


def test_a_device_refused_at_start_is_closed() -> None:
    library = FakeSounddevice(rates=(16_000, 48_000))
    library.start_error = "Host error: access denied"
    with pytest.raises(AudioError, match="access denied"):
        recorder(library).start()
    assert all(stream.is_closed for stream in library.streams)


def test_names_choose_devices() -> None:
    library = FakeSounddevice(("Built-in", "USB mic"))
    library.devices += [library.device("USB mic", api=1), library.device("Speaker", channels=0)]
    assert choose_device(library, "")[0] == 0
    assert choose_device(library, "usb MIC")[0] == 1  # the default's host API decides
    assert choose_device(library, "USB mic, JACK")[0] == 2
    assert choose_device(library, "built")[0] == 0
    with pytest.raises(AudioError):
        choose_device(library, "Speaker")


def test_missing_libraries_name_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(error: Exception) -> Callable[[str], Any]:
        def imported(_: str) -> Any:
            raise error

        return imported

    monkeypatch.setattr(input_devices, "import_module", missing(OSError("PortAudio library not found")))
    with pytest.raises(AudioError) as caught:
        import_sounddevice()
    assert "PortAudio" in caught.value.message
    assert "install" in caught.value.hint.lower()
    monkeypatch.setattr(input_devices, "import_module", missing(ModuleNotFoundError("sounddevice")))
    with pytest.raises(AudioError, match="package sounddevice"):
        import_sounddevice()


def test_a_level_test_that_hears_nothing_says_so() -> None:
    library = FakeSounddevice()
    original = FakeStream.start

    class Feeding(FakeStream):
        def start(self) -> None:
            original(self)
            self.feed(0, 16_000)

    library.RawInputStream = lambda **options: Feeding(library, options)  # type: ignore[method-assign]
    report = level_test(library=lambda: library)
    assert report.peak_dbfs == -96
    assert report.warning.startswith("only digital silence")
    library.start_error = "denied"
    with pytest.raises(AudioError):
        level_test(library=lambda: library)
