"""The real path: PulseAudio, ALSA, PortAudio, sounddevice, recorder, recogniser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec, Heard
from mmchat.engines.input_devices import list_input_devices
from mmchat.engines.microphone import MicrophoneRecorder, level_test
from mmchat.engines.registry import load_engine
from mmchat.errors import AudioError
from mmchat.weights.store import WeightsStore
from tests.virtual_mic import VirtualMicrophone, missing_parts, virtual_mic, wait_until

__all__ = ["virtual_mic"]

pytestmark = pytest.mark.mic


def started(**options: float) -> MicrophoneRecorder:
    recorder = MicrophoneRecorder(**options)  # type: ignore[arg-type]
    recorder.start()
    wait_until(lambda: recorder.state == "recording", "the first sound from the microphone")
    return recorder


@pytest.mark.weights
def test_what_is_spoken_is_written(virtual_mic: VirtualMicrophone, weights_dir: Path) -> None:
    path = WeightsStore(weights_dir).prepared(load_models_file()["whisper-tiny.en"], "faster-whisper")
    engine = load_engine("asr", EngineSpec(name="whisper-tiny.en", engine="faster-whisper", path=path, device="cpu"))
    speech = virtual_mic.say("please summarise the attached picture in one sentence")
    recorder = started()
    virtual_mic.play(speech)
    pcm = recorder.stop()
    heard = list(engine.transcribe(pcm))[-1]
    assert isinstance(heard, Heard)
    assert heard.text.lower().rstrip(".").replace("summarise", "summarize") == (
        "please summarize the attached picture in one sentence"
    )
    assert recorder.state == "stopped"
    assert recorder.warning == ""

    virtual_mic.use_source("nullmic")
    silent = started()
    wait_until(lambda: silent.elapsed_s > 0.6, "some silence")
    assert "only digital silence" in silent.warning
    nothing = list(engine.transcribe(silent.stop()))[-1]
    assert isinstance(nothing, Heard)
    assert nothing.text == ""
    engine.close()


def test_a_muted_microphone_is_noticed_while_recording(virtual_mic: VirtualMicrophone) -> None:
    virtual_mic.mute(True)
    recorder = started()
    wait_until(lambda: "muted" in recorder.warning, "the warning")
    assert recorder.state == "recording"
    assert recorder.peak_dbfs == -96
    recorder.cancel()
    after: str = recorder.state
    assert after == "idle"
    report = level_test(duration_s=0.6)
    assert "muted" in report.warning


def test_a_sound_server_that_dies_leaves_what_was_said(virtual_mic: VirtualMicrophone) -> None:
    speech = virtual_mic.say("one two three four five six seven eight nine ten eleven twelve")
    recorder = started()
    virtual_mic.play(speech, wait=False)
    wait_until(lambda: recorder.elapsed_s > 1.5, "a second and a half of sound")
    virtual_mic.kill()
    wait_until(lambda: recorder.state == "failed", "the recorder to notice")
    assert "what was recorded is kept" in recorder.warning
    pcm = recorder.stop()
    assert pcm.size > 1.4 * 16_000
    assert float(np.max(np.abs(pcm))) > 0.05


def test_the_limit_holds_on_the_real_path(virtual_mic: VirtualMicrophone) -> None:
    recorder = started(max_duration_s=1.0)
    wait_until(lambda: recorder.state == "stopped", "the limit")
    assert recorder.stop().size == 16_000


def test_devices_are_listed_as_they_are_now(virtual_mic: VirtualMicrophone) -> None:
    devices = list_input_devices()
    assert any(device.is_default for device in devices)
    named = MicrophoneRecorder("pulse")
    named.start()
    assert named.device_name in ("pulse", "Desk-mic")  # the second as soon as the server has told it
    named.cancel()
    virtual_mic.kill()
    assert list_input_devices() == ()


def test_without_any_device_there_is_a_sentence_and_no_noise(tmp_path: Path) -> None:
    missing = [part for part in missing_parts() if part in ("libportaudio2", "sounddevice")]
    if missing:
        pytest.skip(f"{', '.join(missing)} missing: apt-get install -y libportaudio2")
    script = (
        "import sys; from pathlib import Path; from mmchat.native_noise import redirect_native_stderr\n"
        "redirect_native_stderr(Path(sys.argv[1]))\n"
        "from mmchat.engines.microphone import MicrophoneRecorder\n"
        "from mmchat.errors import AudioError\n"
        "try: MicrophoneRecorder().start()\n"
        "except AudioError as error: print(error.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "native.log")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), "PULSE_RUNTIME_PATH": str(tmp_path / "none")},
    )
    assert done.stderr == ""
    if done.stdout:  # a machine with a sound card opens it instead
        assert done.stdout == "No microphone was found on this machine.\n"


def test_an_unknown_device_is_a_sentence(virtual_mic: VirtualMicrophone) -> None:
    with pytest.raises(AudioError, match="no microphone called 'Studio'") as caught:
        MicrophoneRecorder("Studio").start()
    assert "pulse, ALSA" in caught.value.hint
