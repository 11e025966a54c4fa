"""The app with a real microphone, recogniser and sound server: what it says when things go well and when not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from mmchat.chat.desk import Desk
from mmchat.chat.mic import Microphone, MicSettings
from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec
from mmchat.engines.input_devices import list_input_devices
from mmchat.engines.microphone import MicrophoneRecorder
from mmchat.engines.registry import load_engine
from mmchat.engines.speech_end import SpeechEnd
from mmchat.weights.store import WeightsStore
from tests.virtual_mic import VirtualMicrophone, virtual_mic

from .conftest import Stage, StageMaker
from .real import RealDesk

__all__ = ["virtual_mic"]

pytestmark = [pytest.mark.mic, pytest.mark.weights]


@pytest.fixture(scope="module")
def ears(weights_dir: Path) -> Iterator[Any]:
    path = WeightsStore(weights_dir).prepared(load_models_file()["whisper-tiny.en"], "faster-whisper")
    engine = load_engine("asr", EngineSpec(name="whisper-tiny.en", engine="faster-whisper", path=path, device="cpu"))
    yield engine
    engine.close()


class HearingDesk(RealDesk):
    """A real desk whose recordings come from the sound server and go to Whisper."""

    def __init__(self, folder: Path, ears: Any, auto_stop_s: float = 0.0) -> None:
        super().__init__(folder)
        self.bench.engines.asr = ears
        settings = MicSettings(auto_stop_s=auto_stop_s, recording_path=folder / "last-recording.wav")
        mic = Microphone(MicrophoneRecorder, settings, list_devices=list_input_devices, make_speech_watch=SpeechEnd)
        bench = self.bench
        self.real = Desk(bench.store, bench.recall, bench.engines, bench.settings, mic)


Listening = Callable[..., Any]


@pytest.fixture
def listening(stage: StageMaker, tmp_path: Path, ears: Any, virtual_mic: VirtualMicrophone) -> Listening:
    """`async with listening() as s` runs the app with its microphone open."""

    @asynccontextmanager
    async def make(auto_stop_s: float = 0.0) -> AsyncIterator[Stage]:
        desk = HearingDesk(tmp_path, ears, auto_stop_s)
        try:
            async with stage(desk) as s:
                await s.pilot.press("ctrl+t")
                await patiently(s, lambda: s.chat.voice.state == "recording", "it records")
                recorder = s.chat.voice._recorder
                await patiently(s, lambda: recorder is None or recorder.elapsed_s > 0, "the first sound")
                yield s
        finally:
            desk.close()

    return make


async def patiently(s: Stage, condition: Callable[[], object], what: str) -> None:
    """As `until`, for what a busy machine may take long over."""
    for _ in range(6000):
        await s.pilot.pause(0.01)
        if condition():
            return
    raise AssertionError(f"never came true: {what}; the bar says {s.chat.voice.words!r}")


async def test_a_thinking_pause_goes_on_and_the_end_of_the_sentence_ends_it(
    listening: Listening, virtual_mic: VirtualMicrophone, tmp_path: Path
) -> None:
    sentence = virtual_mic.say_with_pause("I would like to know", "what the dog is doing", pause_s=0.7)
    async with listening(auto_stop_s=1.5) as s:
        virtual_mic.play(sentence, wait=False)
        await patiently(s, lambda: s.chat.composer.text, "the words arrive by themselves")
        words = s.chat.composer.text.lower()
        assert "like to know" in words
        assert "dog" in words
        assert cast(Any, s.desk).real.mic.last().size > 3 * 16_000
        assert (tmp_path / "last-recording.wav").stat().st_mode & 0o777 == 0o600


async def test_a_sound_server_that_dies_is_told_and_its_words_are_kept(
    listening: Listening, virtual_mic: VirtualMicrophone
) -> None:
    speech = virtual_mic.say("one two three four five six seven eight nine ten eleven twelve")
    async with listening() as s:
        recorder = s.chat.voice._recorder
        assert recorder is not None
        virtual_mic.play(speech, wait=False)
        await patiently(s, lambda: recorder.elapsed_s > 2.0, "two seconds of sound")
        virtual_mic.kill()
        await patiently(s, lambda: s.chat.composer.text, "the words so far arrive by themselves")
        assert "The microphone went away after" in s.text_of("ErrorView")
        assert "What was heard until then is in the box." in s.text_of("ErrorView")


async def test_muting_and_unplugging_are_told_by_name_while_one_records(
    listening: Listening, virtual_mic: VirtualMicrophone
) -> None:
    async with listening() as s:
        await patiently(s, lambda: "Desk-mic" in s.chat.voice.words, "the bar names the microphone")
        virtual_mic.mute(True)
        await patiently(s, lambda: "'Desk-mic' is muted" in s.chat.voice.words, "the bar says so")
        virtual_mic.unload("module-remap-source")
        await patiently(s, lambda: "'Desk-mic' was unplugged" in s.chat.voice.words, "the bar says so")
        assert "goes on from 'Null-mic'" in " ".join(s.chat.voice.words.split())
        assert s.chat.voice.state == "recording"
        await s.pilot.press("escape")
        assert s.chat.voice.state == "off"


async def test_a_microphone_is_chosen_by_the_sound_servers_name(
    listening: Listening, virtual_mic: VirtualMicrophone
) -> None:
    async with listening() as s:
        await s.pilot.press("escape")
        await s.send("/mic null")
        await patiently(s, lambda: "Recordings come from Null-mic, PulseAudio" in s.chat.activity.words, "it is chosen")
        await s.pilot.press("ctrl+t")
        await patiently(s, lambda: "Null-mic" in s.chat.voice.words, "it is used")
        await s.pilot.press("escape")
