"""Speaking through a program of its own: espeak-ng, piper, say, Windows' voices, or any command the user names.

Such programs are often GPL: they are run, never imported. The words go in as standard input, so nothing in them can
pass for an option. A program that puts a WAV file on its standard output has it played (`playback`); others play it
themselves.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import IO

from mmchat.errors import EngineUnavailable, MmchatError

VOICE = "{voice}"
"""Stands for the voice in a command."""
POLL_S = 0.02
"""How often it is looked whether the program has ended; being told to stop wakes it at once."""
_SHOWN_ERROR = 200
_WAVE = b"RIFF"
"""What a program that puts its sound on its standard output begins with."""
_WINDOWS_SCRIPT = (
    "[Console]::InputEncoding = [Text.Encoding]::UTF8; Add-Type -AssemblyName System.Speech; "
    "$s = New-Object System.Speech.Synthesis.SpeechSynthesizer; "
    "$v = $s.GetInstalledVoices() | % {$_.VoiceInfo} | ? {$_.Name -eq '{voice}' -or $_.Culture.Name -like '{voice}*'}; "
    "if ($v) {$s.SelectVoice(@($v)[0].Name)}; $s.Speak([Console]::In.ReadToEnd())"
)


@dataclass(frozen=True, slots=True)
class Program:
    """How a program is called that speaks."""

    command: tuple[str, ...]
    """`{voice}` stands for the voice."""
    voices: Mapping[str, str]
    """Language → voice; another language is a voice's own name."""
    needs_voice_file: bool = False
    """It has no voice of its own: the user's settings must name one."""


_ESPEAK_VOICES = {"en": "en-us", "zh": "cmn"}
_BETTER_CHINESE = "cmn-latn-pinyin"
"""From espeak-ng 1.51 on, its voice `cmn` may speak Chinese characters by their Latin spelling, read as English; this
one does not. Older ones lack it, and their `cmn` is right."""
_LIST_TIMEOUT_S = 5.0
PROGRAMS: Mapping[str, Program] = {
    "say": Program(("say", "-v", VOICE, "-f", "-"), {"en": "Samantha", "zh": "Tingting", "ja": "Kyoko", "ko": "Yuna"}),
    "powershell": Program(("powershell", "-NoProfile", "-Command", _WINDOWS_SCRIPT), {"en": "en", "zh": "zh"}),
    "espeak-ng": Program(("espeak-ng", "-v", VOICE, "--stdin"), _ESPEAK_VOICES),
    "espeak": Program(("espeak", "-v", VOICE, "--stdin"), {"en": "en-us", "zh": "zh"}),
    "piper": Program(("piper", "--model", VOICE, "--output-file", "-"), {}, needs_voice_file=True),
}
"""Tried in this order where none is named, but for those that need a voice to be named."""

Which = Callable[[str], str | None]


def espeak_chinese_voices(program: str) -> str:
    """What espeak-ng says of its voices for Chinese; empty where it says nothing."""
    try:
        done = subprocess.run(
            [program, "--voices=zh"], capture_output=True, text=True, timeout=_LIST_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


class CommandVoice:
    """A program that is started for each sentence.

    Args:
        program: how it is called.
        voices: language → voice, laid over the program's own.
        name: what it is called in messages.
    """

    def __init__(self, program: Program, voices: Mapping[str, str], name: str) -> None:
        self._program = program
        self._voices = {**program.voices, **voices}
        self.name = name

    def command_for(self, language: str) -> list[str]:
        """The command that speaks a language.

        Raises:
            EngineUnavailable: the program needs a voice to be named for it.
        """
        voice = self._voices.get(language, "")
        if not voice and self._program.needs_voice_file:
            chosen = next(iter(self._voices.values()), "")
            if not chosen:
                raise EngineUnavailable(
                    f"{self.name} needs a voice file for '{language}'.",
                    hint=f'In settings.toml: voices = {{ {language} = "/path/to/voice.onnx" }}',
                )
            voice = chosen
        return [part.replace(VOICE, voice or language) for part in self._program.command]

    def speak(self, sentence: str, language: str, cancel: Event) -> None:
        """Speak a sentence; see `chat.ports.Voice`."""
        command = self.command_for(language)
        with tempfile.TemporaryFile() as sound, tempfile.TemporaryFile() as complaints:
            process = self._start(command, sound, complaints)
            assert process.stdin is not None
            with suppress(OSError):  # it ended before it read all: its exit code tells why
                process.stdin.write(sentence.encode() + b"\n")
                process.stdin.close()
            while process.poll() is None:
                if cancel.wait(POLL_S):
                    _end(process)
                    return
            if process.returncode:
                raise self._failed(process.returncode, complaints)
            sound.seek(0)
            if sound.read(len(_WAVE)) != _WAVE or cancel.is_set():
                return
            from mmchat.engines.playback import play  # PyAV: the doctor, who only looks, does without

            sound.seek(0)
            play(sound, cancel)

    def _start(self, command: Sequence[str], sound: IO[bytes], complaints: IO[bytes]) -> subprocess.Popen[bytes]:
        try:
            # In a session of its own, so that Ctrl+C in the terminal is ours to answer, and its children end with it.
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=sound, stderr=complaints, start_new_session=True
            )
        except OSError as error:
            raise EngineUnavailable(
                f"{self.name} could not be started: {error.strerror or error}.", hint=_INSTALL
            ) from error

    def _failed(self, code: int, complaints: IO[bytes]) -> MmchatError:
        complaints.seek(0)
        lines = complaints.read(1 << 16).decode("utf-8", "replace").strip().splitlines()
        said = f": {lines[-1].strip()[:_SHOWN_ERROR]}" if lines else f" (exit code {code})"
        return EngineUnavailable(
            f"{self.name} could not speak{said}", hint="Try it by hand, or name another as speak_command."
        )


def find_voice(
    command: str = "",
    voices: Mapping[str, str] | None = None,
    *,
    which: Which = shutil.which,
    platform: str = sys.platform,
    list_voices: Callable[[str], str] = espeak_chinese_voices,
) -> CommandVoice:
    """The program that speaks.

    Args:
        command: the name of a program above, or a whole command; empty for the first program on this machine.
        voices: language → voice.
        which: finds a program on the PATH.
        platform: as `sys.platform`.
        list_voices: asks espeak-ng for its Chinese voices.

    Raises:
        EngineUnavailable: it is not on this machine, or none is.
    """
    chosen = dict(voices or {})
    name, program = _named_program(command, which, platform) if command else _first_program(chosen, which, platform)
    if name == "espeak-ng" and "zh" not in chosen and _BETTER_CHINESE in list_voices(program.command[0]):
        chosen["zh"] = _BETTER_CHINESE
    return CommandVoice(program, chosen, name)


def _first_program(voices: Mapping[str, str], which: Which, platform: str) -> tuple[str, Program]:
    for name, program in PROGRAMS.items():
        is_possible = (voices or not program.needs_voice_file) and (name != "say" or platform == "darwin")
        if is_possible and which(program.command[0]):
            return name, program
    raise EngineUnavailable("No program that speaks is on this machine.", hint=_INSTALL)


def _named_program(command: str, which: Which, platform: str) -> tuple[str, Program]:
    # On Windows a backslash is part of a path, no quote.
    words = shlex.split(command, posix=platform != "win32")
    if not words or not which(words[0]):
        raise EngineUnavailable(f"'{command}' is not a program on this machine.", hint=_INSTALL)
    name = Path(words[0]).stem
    known = PROGRAMS.get(name)
    if known is None:
        return name, Program(tuple(words), {})
    if len(words) == 1:
        return name, Program((words[0], *known.command[1:]), known.voices, known.needs_voice_file)
    return name, Program(tuple(words), known.voices)


_INSTALL = (
    "Install espeak-ng (Debian: apt install espeak-ng; macOS and Windows have voices of their own), "
    "or name a program in settings.toml: speak_command"
)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program with what it has started."""
    with suppress(ProcessLookupError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
