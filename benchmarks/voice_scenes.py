"""What the app's screen says while one speaks: the real program in tmux, spoken to through a virtual microphone.

    python benchmarks/voice_scenes.py [SCENE]... --out scenes.md

Each scene starts PulseAudio, `mmchat talk` in a terminal of 80 by 24, plays synthesised speech into the microphone,
does to it what the scene is about, and writes down every new line of the screen with its second. Needs tmux and the
Debian packages of `tests/virtual_mic.py`, and the default weights.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from mmchat.engines.audio_io import SAMPLE_RATE_HZ, write_wav  # noqa: E402
from tests.virtual_mic import VirtualMicrophone, missing_parts  # noqa: E402

LOOK_S = 0.05
ENGLISH = "please summarise the attached picture in one sentence"
CHINESE = "你好，请告诉我中国的首都是哪里"
CHINESE_VOICE = "cmn-latn-pinyin+f3"
"""The voice plain cmn reads the tones aloud as digits, in English."""
COUNTING = "one two three four five six seven eight nine ten eleven twelve"
_METER = re.compile(r"[ ▁▂▃▄▅▆▇█]*[▁▂▃▄▅▆▇█]+ *")
_CLOCK = re.compile(r"\d+:\d\d")
_FRAME = re.compile(r"^[│╭╰╮╯─ ]+|[│╮╯─ ]+$")


class Scene:
    """One run of the app and what its screen said."""

    def __init__(self, folder: Path, mic: VirtualMicrophone, arguments: str = "", **settings: str) -> None:
        self.folder, self.mic = folder, mic
        self.said: list[tuple[float, str]] = []
        self._before: set[str] = set()
        self._socket = str(folder / "tmux")
        self._started_s = time.monotonic()
        variables = {
            **{name: os.environ[name] for name in ("PATH", "MMCHAT_WEIGHTS", "OMP_NUM_THREADS") if name in os.environ},
            **{"HOME": str(folder), "MMCHAT_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)},
            **{"LANG": "C.UTF-8", "TERM": "screen-256color", "MMCHAT_TEMPERATURE": "0", "MMCHAT_MAX_TOKENS": "24"},
            **mic.variables(),
            **{f"MMCHAT_{key.upper()}": value for key, value in settings.items()},
        }
        command = ["env", "-i", *(f"{key}={value}" for key, value in variables.items()), sys.executable, "-m", "mmchat"]
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", *command, "talk", *arguments.split())
        self.until(lambda screen: "F1 help" in screen, "the app")
        self.until(lambda screen: " · cpu" in screen and "loading" not in screen, "the models at rest", 120)
        self.wait(0.2)
        self.said.clear()

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(["tmux", "-S", self._socket, *arguments], check=True, capture_output=True, text=True)
        return done.stdout

    def look(self) -> str:
        """The screen; its new lines are written down, without the meter."""
        screen = self._tmux("capture-pane", "-p")
        now_s = time.monotonic() - self._started_s
        lines = [_FRAME.sub("", _METER.sub(" ", line)).strip() for line in screen.splitlines()[1:-1]]
        for line in filter(None, lines):
            about = _CLOCK.sub("", line)
            if about not in self._before:
                self.said.append((now_s, line))
        self._before = {_CLOCK.sub("", line) for line in lines}
        return screen

    def until(self, condition: Callable[[str], bool], what: str, timeout_s: float = 60.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition(screen := self.look()):
            if time.monotonic() > deadline_s:
                raise SystemExit(f"waited {timeout_s:.0f} s in vain for {what}:\n{screen}")
            time.sleep(LOOK_S)

    def wait(self, seconds: float) -> None:
        deadline_s = time.monotonic() + seconds
        while time.monotonic() < deadline_s:
            self.look()
            time.sleep(LOOK_S)

    def mark(self, what: str) -> float:
        """Write down what was done, and when."""
        now_s = time.monotonic() - self._started_s
        self.said.append((now_s, f"[{what}]"))
        return now_s

    def press(self, *keys: str) -> None:
        self.mark(f"key {' '.join(keys)}")
        self._tmux("send-keys", *keys)

    def type(self, line: str) -> None:
        self._tmux("send-keys", "-l", line)
        self.wait(0.3)
        self.press("Enter")

    def record(self) -> None:
        self.press("C-t")
        self.until(lambda screen: "●" in screen, "the recording")
        self.wait(0.3)

    def play(self, path: Path, *, to_its_end: bool = True) -> float:
        """Play a file into the microphone; the second at which it ends."""
        self.mark("speech begins")
        self.mic.play(path, wait=False)
        with wave.open(str(path)) as sound:
            duration_s = sound.getnframes() / sound.getframerate()
        if to_its_end:
            self.wait(duration_s)
            return self.mark("speech ends")
        return time.monotonic() - self._started_s + duration_s

    def draft(self) -> str:
        """What stands in the box."""
        lines = self.look().splitlines()
        top = max((number for number, line in enumerate(lines) if "╭─" in line), default=0)
        box = [line.strip(" │") for line in lines[top + 1 :] if line.strip().startswith("│")]
        return " ".join(line for line in box if line and not line.startswith("Message, or /"))

    def cpu_s(self) -> float:
        """Processor time that the app has used."""
        fields = Path(f"/proc/{self._tmux('display-message', '-p', '#{pane_pid}').strip()}/stat").read_text().split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def until_text(self, since_s: float, since_cpu_s: float | None = None) -> None:
        """Wait for words in the box, and note how long they took."""
        used_s = self.cpu_s() if since_cpu_s is None else since_cpu_s
        self.until(lambda _: bool(self.draft()), "words in the box", 90)
        took_s, cpu_s = time.monotonic() - self._started_s - since_s, self.cpu_s() - used_s
        self.mark(f"text in the draft {took_s:.1f} s after the end of speech, {cpu_s:.1f} s of processor time")
        self.wait(0.5)

    def close(self) -> None:
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], check=False, capture_output=True)


# --- the scenes ---------------------------------------------------------------------------------


def english(scene: Scene) -> None:
    """An English sentence, ended with Enter."""
    scene.record()
    ended_s = scene.play(scene.mic.say(ENGLISH))
    scene.press("Enter")
    scene.until_text(ended_s)


def english_twice(scene: Scene) -> None:
    """The second time the models are warm."""
    english(scene)
    scene.press("C-u")
    scene.wait(1.0)
    english(scene)


def chinese(scene: Scene) -> None:
    """A Chinese sentence."""
    scene.record()
    ended_s = scene.play(scene.mic.say(CHINESE, CHINESE_VOICE))
    scene.press("Enter")
    scene.until_text(ended_s)


def english_then_chinese(scene: Scene) -> None:
    """The language changes in one conversation."""
    english(scene)
    scene.press("C-u")
    chinese(scene)


def silence(scene: Scene) -> None:
    """Nobody speaks, and nothing hums."""
    scene.record()
    scene.wait(4)
    scene.press("Enter")
    scene.until(lambda screen: "Only digital silence" in screen, "the answer")


def noise(scene: Scene) -> None:
    """White noise at -26 dBFS."""
    scene.record()
    path = scene.folder / "noise.wav"
    write_wav(path, np.random.default_rng(7).normal(0, 0.05, 4 * SAMPLE_RATE_HZ).astype(np.float32))
    scene.play(path)
    scene.press("Enter")
    scene.until(lambda screen: "No speech heard" in screen, "the answer")


def pause(scene: Scene) -> None:
    """With /autostop on: a pause of 0.7 s does not end it, the end of the sentence does."""
    scene.type("/autostop on")
    scene.record()
    sentence = scene.mic.say_with_pause("I would like to know", "what the dog is doing", pause_s=0.7)
    scene.until_text(scene.play(sentence))


def nothing_said(scene: Scene) -> None:
    """Automatic end on, and nobody speaks."""
    scene.type("/autostop on")
    scene.record()
    scene.until(lambda screen: "Nothing was said" in screen, "the answer", 20)


def server_killed(scene: Scene) -> None:
    """The sound server dies in mid-sentence."""
    scene.record()
    scene.play(scene.mic.say(COUNTING), to_its_end=False)
    scene.wait(2.5)
    at_s = scene.mark("the sound server is killed")
    scene.mic.kill()
    scene.until_text(at_s)


def muted(scene: Scene) -> None:
    """The microphone is muted in mid-sentence."""
    scene.record()
    scene.play(scene.mic.say(COUNTING), to_its_end=False)
    scene.wait(2.0)
    scene.mark("the source is muted")
    scene.mic.mute(True)
    scene.wait(2.0)
    at_s = scene.mark("enough")
    scene.press("Enter")
    scene.until_text(at_s)


def unplugged(scene: Scene) -> None:
    """The microphone goes while another one is there."""
    scene.record()
    scene.play(scene.mic.say(COUNTING), to_its_end=False)
    scene.wait(2.0)
    scene.mark("the source is unloaded; another is there")
    scene.mic.unload("module-remap-source")
    scene.wait(2.0)
    at_s = scene.mark("enough")
    scene.press("Enter")
    scene.until_text(at_s)


def limit(scene: Scene) -> None:
    """The longest recording set to 10 s."""
    scene.record()
    scene.play(scene.mic.say(f"{COUNTING}. {COUNTING}"), to_its_end=False)
    scene.until(lambda screen: "transcribing" in screen, "the limit", 30)
    scene.until_text(scene.mark("recording ended"))


def cancelled(scene: Scene) -> None:
    """Esc in mid-sentence."""
    scene.record()
    scene.play(scene.mic.say(ENGLISH), to_its_end=False)
    scene.wait(1.0)
    scene.press("Escape")
    scene.until(lambda screen: "Recording discarded" in screen, "the answer")
    scene.wait(1.0)


def given_up(scene: Scene) -> None:
    """Esc while the words are looked for; they come later."""
    scene.record()
    scene.play(scene.mic.say(ENGLISH))
    scene.press("Enter")
    scene.until(lambda screen: "transcribing" in screen, "the work")
    scene.press("Escape")
    scene.until(lambda screen: "Given up" in screen, "the answer")
    scene.type("/retranscribe")
    scene.until(lambda _: "summari" in scene.draft(), "the words", 90)


def hands_free_spoken(scene: Scene) -> None:
    """Hands-free with replies spoken: the microphone opens only when the voice is silent."""
    scene.type("/speak on")
    scene.type("/handsfree")
    scene.until(lambda screen: "hands-free: speak " in screen, "the microphone", 90)
    scene.wait(0.3)
    scene.play(scene.mic.say("what is the capital of France"))
    scene.until(lambda screen: "hands-free: speaking" in screen, "the voice", 90)
    scene.until(lambda screen: "hands-free: speak " in screen, "the microphone", 90)
    scene.press("Escape")
    scene.wait(0.5)


def no_device(scene: Scene) -> None:
    """No sound server and no sound card."""
    scene.press("C-t")
    scene.until(lambda screen: "No microphone" in screen or "cannot be opened" in screen, "the answer")
    scene.wait(0.5)


def again(scene: Scene) -> None:
    """The same recording with another model, while its words stand in the box."""
    english(scene)
    scene.press("C-c")
    scene.type("/retranscribe whisper-base")
    at_s = scene.mark("asked")
    scene.until(lambda screen: "transcribing" in screen, "the work")
    scene.until_text(at_s)


def choosing(scene: Scene) -> None:
    """List the microphones, choose one by name, record from it."""
    scene.type("/mic")
    scene.until(lambda screen: "plugged in now" in screen, "the list")
    scene.type("/mic Null")
    scene.until(lambda screen: "Recordings come from Null" in screen, "the answer")
    scene.record()
    scene.wait(1.5)
    scene.press("Escape")
    scene.wait(0.5)


def hands_free(scene: Scene) -> None:
    """Two questions in a row without a key."""
    scene.type("/handsfree")
    for question in ("what is the capital of France", "and of Italy"):
        scene.until(lambda screen: "hands-free: speak" in screen, "the microphone", 90)
        scene.wait(0.3)
        scene.play(scene.mic.say(question))
        scene.until(lambda screen: "answering" in screen, "the reply", 90)
    scene.until(lambda screen: "hands-free: speak" in screen, "the microphone", 90)
    scene.wait(1.0)
    scene.press("Escape")
    scene.wait(0.5)


SCENES: dict[str, tuple[Callable[[Scene], None], dict[str, str]]] = {
    "english": (english, {}),
    "english-twice": (english_twice, {}),
    "english-twice-not-live": (english_twice, {"live_text": "false"}),
    "chinese": (chinese, {}),
    "english-then-chinese": (english_then_chinese, {}),
    "silence": (silence, {}),
    "noise": (noise, {}),
    "pause": (pause, {}),
    "nothing-said": (nothing_said, {}),
    "server-killed": (server_killed, {}),
    "muted": (muted, {}),
    "unplugged": (unplugged, {}),
    "limit": (limit, {"recording_limit_s": "10"}),
    "cancelled": (cancelled, {}),
    "given-up": (given_up, {}),
    "hands-free-spoken": (hands_free_spoken, {}),
    "no-device": (no_device, {}),
    "again": (again, {}),
    "choosing": (choosing, {}),
    "hands-free": (hands_free, {}),
}


@contextmanager
def stage(name: str, settings: dict[str, str]) -> Iterator[Scene]:
    """A sound server and the app for one scene."""
    folder = Path(tempfile.mkdtemp(prefix="scene-"))
    pulse = folder / "pulse"
    pulse.mkdir(mode=0o700)
    mic = VirtualMicrophone(pulse)
    scene: Scene | None = None
    try:
        if name != "no-device":
            mic.start()
        scene = Scene(folder, mic, **settings)
        yield scene
    finally:
        if scene is not None:
            scene.close()
        mic.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Play the scenes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", choices=[*SCENES, []], metavar="SCENE", help=f"of {', '.join(SCENES)}")
    parser.add_argument("--out", type=Path, help="write it there as Markdown too")
    arguments = parser.parse_args()
    missing = missing_parts() + ([] if shutil.which("tmux") else ["tmux"])
    if missing:
        raise SystemExit(f"missing: {', '.join(missing)}")
    parts: list[str] = []
    for name in arguments.scenes or SCENES:
        act, settings = SCENES[name]
        with stage(name, settings) as scene:
            act(scene)
        first_s = scene.said[0][0] if scene.said else math.nan
        lines = [f"{at_s - first_s:6.1f}  {line}" for at_s, line in scene.said]
        part = "\n".join([f"### {name}", "", "```", *lines, "```", ""])
        print(part, flush=True)
        parts.append(part)
    if arguments.out:
        arguments.out.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
