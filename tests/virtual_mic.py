"""A microphone that plays what a test gives it: PulseAudio's null sink seen as a source, through the real PortAudio.

The daemon is a private one with its own runtime folder; nothing of the machine's sound is touched. Needs the
Debian packages in `APT_PACKAGES`. Use the fixture `virtual_mic`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from ctypes.util import find_library
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mmchat.engines.audio_io import SAMPLE_RATE_HZ, decode_audio, write_wav

APT_PACKAGES = "pulseaudio pulseaudio-utils libasound2-plugins libportaudio2 espeak-ng"
_VARIABLES = ("XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH", "PULSE_STATE_PATH", "PULSE_COOKIE")


def missing_parts() -> list[str]:
    """What the virtual microphone lacks on this machine."""
    parts = [name for name in ("pulseaudio", "pactl", "paplay", "espeak-ng") if shutil.which(name) is None]
    if find_library("portaudio") is None:
        parts.append("libportaudio2")
    if not list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
        parts.append("libasound2-plugins")
    if importlib.util.find_spec("sounddevice") is None:
        parts.append("sounddevice")
    return parts


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 15.0) -> None:
    """Poll until `condition` holds; raise when it does not come true."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise AssertionError(f"waited {timeout_s:.0f} s in vain for: {what}")
        time.sleep(0.02)


class VirtualMicrophone:
    """A running PulseAudio daemon with the source `vmic` (what is played into `mic_in`) and `nullmic` (silence)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._daemon: subprocess.Popen[bytes] | None = None
        self._players: list[subprocess.Popen[bytes]] = []

    def variables(self) -> dict[str, str]:
        """Environment variables that point PulseAudio's clients at this daemon."""
        names = ("", "pulse", "state", "cookie")
        return {
            variable: str(self.folder / name if name else self.folder)
            for variable, name in zip(_VARIABLES, names, strict=True)
        }

    def start(self) -> None:
        arguments = ["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=true"]
        modules = (
            "module-native-protocol-unix",
            "module-null-sink sink_name=mic_in rate=48000 channels=1 norewinds=1",
            "module-remap-source master=mic_in.monitor source_name=vmic source_properties=device.description=Desk-mic",
            "module-null-source source_name=nullmic description=Null-mic",
            "module-null-sink sink_name=speaker norewinds=1",
        )
        for module in modules:
            arguments += ["-L", module]
        with (self.folder / "daemon.log").open("wb") as log:
            self._daemon = subprocess.Popen(["pulseaudio", *arguments], stdout=log, stderr=log, env=self._environment())
        wait_until(self._answers, f"PulseAudio to answer (log: {self.folder / 'daemon.log'})")
        self.use_source("vmic")
        self._pactl("set-default-sink", "speaker")

    def use_source(self, name: str) -> None:
        """Make `vmic` or `nullmic` the default microphone."""
        self._pactl("set-default-source", name)

    def mute(self, is_muted: bool) -> None:
        self._pactl("set-source-mute", "vmic", "1" if is_muted else "0")

    def unload(self, module: str) -> None:
        """Take a module away, e.g. `module-remap-source`, which is the microphone itself."""
        self._pactl("unload-module", module)

    def say(self, text: str, voice: str = "en-us") -> Path:
        """Synthesised speech as a WAV file (22 050 Hz)."""
        path = self.folder / f"say-{abs(hash((text, voice)))}.wav"
        synthesise(text, path, voice)
        return path

    def say_with_pause(self, before: str, after: str, pause_s: float) -> Path:
        """Two pieces of synthesised speech, so long apart, as a WAV file (16 kHz)."""
        first, second = (_without_margins(decode_audio(self.say(text))) for text in (before, after))
        path = self.folder / "pause.wav"
        write_wav(path, np.concatenate([first, np.zeros(int(pause_s * SAMPLE_RATE_HZ), np.float32), second]))
        return path

    def play(self, path: Path, *, wait: bool = True) -> None:
        """Play a file into the microphone."""
        player = subprocess.Popen(
            ["paplay", "--device=mic_in", str(path)], env=self._environment(), stderr=subprocess.DEVNULL
        )
        self._players.append(player)
        if wait:
            player.wait(timeout=60)

    def kill(self) -> None:
        """The sound server dies."""
        if self._daemon is not None:
            self._daemon.send_signal(signal.SIGKILL)
            self._daemon.wait(timeout=10)

    def stop(self) -> None:
        for player in self._players:
            if player.poll() is None:
                player.kill()
            player.wait(timeout=10)
        if self._daemon is not None:
            if self._daemon.poll() is None:
                self._daemon.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._daemon.wait(timeout=10)

    def _answers(self) -> bool:
        assert self._daemon is not None
        if self._daemon.poll() is not None:
            raise AssertionError(f"PulseAudio ended: {(self.folder / 'daemon.log').read_text()}")
        done = subprocess.run(["pactl", "info"], env=self._environment(), capture_output=True, check=False, timeout=10)
        return done.returncode == 0

    def _pactl(self, *arguments: str) -> None:
        subprocess.run(["pactl", *arguments], env=self._environment(), check=True, capture_output=True, timeout=10)

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PULSE_")}
        return kept | self.variables()


def synthesise(text: str, path: Path, voice: str = "en-us") -> None:
    """Let espeak-ng speak `text` into a WAV file."""
    subprocess.run(["espeak-ng", "-v", voice, "-w", str(path), text], check=True, capture_output=True, timeout=30)


def _without_margins(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    loud = np.flatnonzero(np.abs(pcm) > 0.01)
    return pcm[loud[0] : loud[-1]]


@pytest.fixture
def virtual_mic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualMicrophone]:
    """A virtual microphone that PortAudio in this process sees as its default input."""
    missing = missing_parts()
    if missing:
        pytest.skip(f"no virtual microphone: {', '.join(missing)} missing; apt-get install -y {APT_PACKAGES}")
    folder = tmp_path / "pulse"
    folder.mkdir(mode=0o700)
    microphone = VirtualMicrophone(folder)
    monkeypatch.delenv("PULSE_SERVER", raising=False)
    for name, value in microphone.variables().items():
        monkeypatch.setenv(name, value)
    microphone.start()
    try:
        import sounddevice

        sounddevice._terminate()
        sounddevice._initialize()  # its list of devices is as old as the process
        yield microphone
        sounddevice._terminate()
        sounddevice._initialize()
    finally:
        microphone.stop()
