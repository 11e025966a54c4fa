"""Speaking for real: espeak-ng, a virtual loudspeaker, and the recogniser that hears what came out of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from numpy.typing import NDArray

from mmchat.chat.speaking import Speaker
from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec
from mmchat.engines.hear import hear
from mmchat.engines.registry import load_engine
from mmchat.engines.speak_command import find_voice
from mmchat.weights.store import WeightsStore
from tests.virtual_mic import VirtualMicrophone, virtual_mic, wait_until

__all__ = ["virtual_mic"]

pytestmark = pytest.mark.mic

RATE_HZ = 16_000
PLAYS_ITSELF = "espeak-ng"
MAKES_A_FILE = "espeak-ng -v {voice} --stdin --stdout"
LOUD = 0.01


class Loudspeaker:
    """What comes out of the virtual loudspeaker."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def pcm(self) -> NDArray[np.float32]:
        """(S,) float32 in [-1, 1], 16 000 Hz; so far."""
        data = self._path.read_bytes()
        return np.frombuffer(data[: len(data) // 2 * 2], dtype=np.int16).astype(np.float32) / np.float32(32_768)

    def is_loud_after(self, start: int) -> bool:
        return bool(np.any(np.abs(self.pcm()[start:]) > LOUD))


@contextmanager
def loudspeaker(microphone: VirtualMicrophone) -> Iterator[Loudspeaker]:
    path = microphone.folder / "spoken.raw"
    command = ["parec", "--device=speaker.monitor", "--format=s16le", f"--rate={RATE_HZ}", "--channels=1"]
    with path.open("wb") as file:
        recording = subprocess.Popen([*command, "--latency-msec=10"], stdout=file)
        try:
            speaker = Loudspeaker(path)
            wait_until(lambda: speaker.pcm().size > 0, "the loudspeaker to be recorded")
            yield speaker
        finally:
            recording.terminate()
            recording.wait(timeout=10)


@pytest.mark.weights
@pytest.mark.parametrize("command", [PLAYS_ITSELF, MAKES_A_FILE])
def test_what_is_spoken_is_heard(virtual_mic: VirtualMicrophone, weights_dir: Path, command: str) -> None:
    speaker = Speaker(lambda: find_voice(command))
    speaker.turn_on()
    with loudspeaker(virtual_mic) as loud:
        speaker.say("Look at the picture. It shows **a white horse**.")
        assert speaker.wait(60)
        assert speaker.take_problem() is None
        pcm = loud.pcm()
    speaker.close()
    path = WeightsStore(weights_dir).prepared(load_models_file()["whisper-tiny.en"], "faster-whisper")
    engine = load_engine("asr", EngineSpec(name="whisper-tiny.en", engine="faster-whisper", path=path, device="cpu"))
    words = hear(engine, pcm, language="en", cancel=Event()).text.lower()
    engine.close()
    assert "picture" in words
    assert "horse" in words


@pytest.mark.parametrize("command", [PLAYS_ITSELF, MAKES_A_FILE])
def test_hush_ends_the_sound_at_once(virtual_mic: VirtualMicrophone, command: str) -> None:
    speaker = Speaker(lambda: find_voice(command))
    speaker.turn_on()
    with loudspeaker(virtual_mic) as loud:
        start = loud.pcm().size
        speaker.say("one two three four five six seven eight nine ten " * 8)
        wait_until(lambda: loud.is_loud_after(start), "the voice")
        speaker.stop()
        assert not speaker.is_speaking
        stopped = loud.pcm().size + RATE_HZ // 2  # what the server and the recording still hold
        wait_until(lambda: loud.pcm().size > stopped + RATE_HZ, "a second of silence")
        assert not loud.is_loud_after(stopped)
    speaker.close()


def test_without_a_sound_server_it_is_said_why(virtual_mic: VirtualMicrophone) -> None:
    virtual_mic.kill()
    speaker = Speaker(lambda: find_voice(MAKES_A_FILE))
    speaker.turn_on()
    speaker.say("Nobody hears this. Nor this.")
    assert speaker.wait(60)
    problem = speaker.take_problem()
    assert problem is not None
    assert "no way for sound out" in problem.message
    assert not speaker.is_on
    speaker.close()
