"""Programs that speak: which is found, how it is called, and what becomes of its failures."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from mmchat.engines.speak_command import CommandVoice, Program, find_voice
from mmchat.errors import EngineUnavailable
from tests.virtual_mic import wait_until

posix_only = pytest.mark.skipif(os.name != "posix", reason="the program of this test is a script; run it on Linux")


def has(*names: str) -> Callable[[str], str | None]:
    return lambda name: f"/usr/bin/{name}" if name in names else None


NEW_VOICES = " 5  cmn  --/M  Mandarin  sit/cmn\n 5  cmn-latn-pinyin  --/M  Mandarin  sit/cmn-Latn-pinyin\n"


def espeak(command: str = "espeak-ng", voices: dict[str, str] | None = None, listed: str = NEW_VOICES) -> CommandVoice:
    return find_voice(command, voices, which=has("espeak-ng"), list_voices=lambda program: listed)


def script(folder: Path, body: str) -> CommandVoice:
    """A program written in Python; `said` in its folder is for what it writes down."""
    path = folder / "program.py"
    path.write_text(f"import sys, time, pathlib\nsaid = pathlib.Path({str(folder / 'said')!r})\n{body}\n")
    return CommandVoice(Program((sys.executable, str(path), "{voice}"), {"en": "Anna", "zh": "Ting"}), {}, "program")


@pytest.mark.parametrize(
    ("installed", "platform", "expected"),
    [
        (["espeak-ng"], "linux", "espeak-ng"),
        (["espeak", "piper"], "linux", "espeak"),
        (["say", "espeak-ng"], "darwin", "say"),
        (["say", "espeak-ng"], "linux", "espeak-ng"),  # another program of that name
        (["powershell", "espeak-ng"], "win32", "powershell"),
    ],
)
def test_the_first_program_on_this_machine_speaks(installed: list[str], platform: str, expected: str) -> None:
    assert find_voice(which=has(*installed), platform=platform).name == expected


def test_without_a_program_it_is_said_what_to_install() -> None:
    with pytest.raises(EngineUnavailable, match="No program that speaks") as caught:
        find_voice(which=has(), platform="linux")
    assert "espeak-ng" in caught.value.hint
    with pytest.raises(EngineUnavailable, match="'hal9000' is not a program"):
        find_voice("hal9000", which=has("espeak-ng"))
    with pytest.raises(EngineUnavailable, match="No program that speaks"):
        find_voice(which=has("piper"), platform="linux")  # it has no voice of its own


def test_each_language_has_its_voice() -> None:
    voice = espeak()
    assert voice.command_for("en") == ["espeak-ng", "-v", "en-us", "--stdin"]
    assert voice.command_for("zh") == ["espeak-ng", "-v", "cmn-latn-pinyin", "--stdin"]
    assert voice.command_for("de") == ["espeak-ng", "-v", "de", "--stdin"]
    chosen = espeak(voices={"zh": "yue", "en": "en-scottish"})
    assert chosen.command_for("zh")[2] == "yue"
    assert chosen.command_for("en")[2] == "en-scottish"


@pytest.mark.parametrize("listed", ["", " 5  cmn  --/M  Chinese_(Mandarin)  sit/cmn\n"])
def test_an_older_espeak_speaks_chinese_with_the_voice_it_has(listed: str) -> None:
    assert espeak(listed=listed).command_for("zh")[2] == "cmn"


@pytest.mark.mic
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng: apt-get install -y espeak-ng")
def test_chinese_is_spoken_as_mandarin_not_as_english() -> None:
    command = [*find_voice("espeak-ng").command_for("zh"), "-x", "-q"]
    done = subprocess.run(command, input="今天天气很好", capture_output=True, text=True, timeout=30, check=True)
    assert "(en)" not in done.stdout  # its mark for a switch to another language


def test_a_command_of_ones_own_is_taken_as_it_stands() -> None:
    voice = espeak("espeak-ng -s 120 -v {voice} --stdin")
    assert voice.command_for("zh") == ["espeak-ng", "-s", "120", "-v", "cmn-latn-pinyin", "--stdin"]
    own = find_voice("'/opt/my tts/speak' --lang {voice}", which=has("/opt/my tts/speak"), platform="linux")
    assert own.command_for("en") == ["/opt/my tts/speak", "--lang", "en"]
    assert own.name == "speak"


def test_piper_needs_a_voice_file_and_says_so() -> None:
    with pytest.raises(EngineUnavailable, match="voice file for 'en'") as caught:
        find_voice("piper", which=has("piper")).command_for("en")
    assert "voices" in caught.value.hint
    voice = find_voice("piper", {"en": "/v/amy.onnx"}, which=has("piper"))
    assert voice.command_for("en") == ["piper", "--model", "/v/amy.onnx", "--output-file", "-"]
    assert voice.command_for("zh")[2] == "/v/amy.onnx"
    assert find_voice("", {"en": "/v/amy.onnx"}, which=has("piper"), platform="linux").name == "piper"


def test_the_words_go_in_as_standard_input(tmp_path: Path) -> None:
    voice = script(tmp_path, "said.write_bytes(sys.argv[1].encode() + b'|' + sys.stdin.buffer.read())")
    voice.speak("--help; $(rm -rf /) 你好", "zh", Event())
    assert (tmp_path / "said").read_text("utf-8") == "Ting|--help; $(rm -rf /) 你好\n"


def test_a_program_that_fails_is_quoted(tmp_path: Path) -> None:
    voice = script(tmp_path, "print('noise', file=sys.stderr); print('no sound card', file=sys.stderr); sys.exit(3)")
    with pytest.raises(EngineUnavailable, match="program could not speak: no sound card"):
        voice.speak("hello", "en", Event())
    with pytest.raises(EngineUnavailable, match=r"\(exit code 4\)"):
        script(tmp_path, "sys.exit(4)").speak("hello", "en", Event())


def test_a_program_that_does_not_read_is_no_fault(tmp_path: Path) -> None:
    script(tmp_path, "sys.stdin.close()").speak("hello " * 5000, "en", Event())


def test_a_program_that_is_gone_says_so() -> None:
    voice = CommandVoice(Program(("/nowhere/at/all",), {}), {}, "all")
    with pytest.raises(EngineUnavailable, match="could not be started"):
        voice.speak("hello", "en", Event())


@posix_only
def test_being_told_to_stop_ends_the_program_and_what_it_started(tmp_path: Path) -> None:
    child = "import subprocess; p = subprocess.Popen(['sleep', '600']); said.write_text(str(p.pid)); p.wait()"
    voice, cancel = script(tmp_path, child), Event()
    speaking = Thread(target=voice.speak, args=("hello", "en", cancel))
    speaking.start()
    said = tmp_path / "said"
    wait_until(lambda: said.exists() and bool(said.read_text()), "the program to begin")
    cancel.set()
    speaking.join(10)
    assert not speaking.is_alive()
    pid = int(said.read_text())
    wait_until(lambda: not _is_running(pid), "its child to end")


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
