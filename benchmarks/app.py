"""What does the app cost while a reply streams into a long conversation?

    python -m benchmarks.app [--turns N] [--tokens-per-s N] [--seconds N] [--json FILE]

The real app on a pseudo-terminal of 120 by 40, with a scripted model that streams Markdown at a steady pace: into an
empty conversation, and into one of N turns. Counts the frames that reach the terminal, the processor time of the
program for each token, and how long a typed letter takes to be echoed, beside the same while nothing streams.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import random
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from dataclasses import asdict, dataclass
from fcntl import ioctl
from pathlib import Path

FRAME = b"\x1b[?2026h"
"""Begins a frame: the terminal shows nothing of it before it is whole."""
ASKS_FOR_FRAMES, HAS_FRAMES = b"\x1b[?2026$p", b"\x1b[?2026;2$y"
LETTER = "ж"
ECHO_TIMEOUT_S = 5.0
WORDS = (
    "keeper",
    "stairs",
    "sea",
    "lamp",
    "oil",
    "paraffin",
    "wick",
    "mirror",
    "storm",
    "rock",
    "ship",
    "harbour",
    "fog",
)


@dataclass(frozen=True, slots=True)
class Streamed:
    """What was seen of one run."""

    turns: int
    tokens: float
    frames_per_s: float
    processor_ms_per_token: float
    processor_share: float
    echo_ms: tuple[float, ...]
    idle_echo_ms: tuple[float, ...]


def paragraphs(count: int, seed: int) -> str:
    """Markdown that never repeats itself, or the guard would end it."""
    rng = random.Random(seed)

    def some(number: int) -> str:
        return " ".join(f"{rng.choice(WORDS)}-{rng.randrange(1000)}" for _ in range(number))

    return "\n\n".join(f"**{some(2)}** {some(20)}, `{some(1)}`.\n\n- {some(3)}\n- {some(4)}" for _ in range(count))


class Terminal:
    """The program on a pseudo-terminal."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.leader, follower = pty.openpty()
        ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            command, stdin=follower, stdout=follower, stderr=follower, env=environment, start_new_session=True
        )
        os.close(follower)
        self.frames = 0

    def _part(self, timeout_s: float) -> bytes:
        if not select.select([self.leader], [], [], timeout_s)[0]:
            return b""
        part = os.read(self.leader, 1 << 16)
        self.frames += part.count(FRAME)
        if ASKS_FOR_FRAMES in part:
            os.write(self.leader, HAS_FRAMES)
        return part

    def read(self, seconds: float) -> None:
        """Let it write for so long."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self._part(left)

    def until(self, mark: bytes, timeout_s: float) -> float:
        """Seconds until a text is written."""
        started, found = time.perf_counter(), b""
        while mark not in found:
            if time.perf_counter() - started > timeout_s:
                raise TimeoutError(f"{mark!r} was not shown within {timeout_s} s")
            found = found[-64:] + self._part(0.05)
        return time.perf_counter() - started

    def echo_s(self) -> float:
        """How long a typed letter takes; it is taken out again."""
        os.write(self.leader, LETTER.encode())
        seconds = self.until(LETTER.encode(), ECHO_TIMEOUT_S)
        os.write(self.leader, b"\x7f")
        return seconds

    def processor_s(self) -> float:
        """Of the program, all threads, since its start."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End it, whatever it does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.leader)


def streamed(turns: int, tokens_per_s: float, seconds: float) -> Streamed:
    """One run of the app."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "MMCHAT_HOME": home, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        program = [sys.executable, "-m", "benchmarks.app", "--serve", "--turns", str(turns)]
        terminal = Terminal([*program, "--tokens-per-s", str(tokens_per_s)], environment)
        try:
            terminal.until(FRAME, 30)
            terminal.read(3.0)
            idle = []
            for _ in range(20):
                terminal.read(0.15)
                idle.append(terminal.echo_s() * 1e3)
            terminal.read(0.5)
            os.write(terminal.leader, b"Go.\r")
            terminal.read(1.5)
            frames, processor_s, started = terminal.frames, terminal.processor_s(), time.perf_counter()
            echo: list[float] = []
            while time.perf_counter() - started < seconds:
                terminal.read(0.4)
                echo.append(terminal.echo_s() * 1e3)
            elapsed = time.perf_counter() - started
            spent = terminal.processor_s() - processor_s
        finally:
            terminal.close()
    tokens = tokens_per_s * elapsed
    return Streamed(
        turns,
        tokens,
        (terminal.frames - frames) / elapsed,
        spent / tokens * 1e3,
        spent / elapsed,
        tuple(echo),
        tuple(idle),
    )


def serve(turns: int, tokens_per_s: float) -> None:
    """The app itself, with a model that never ends."""
    from mmchat.chat.desk import Desk
    from mmchat.chat.mic import Microphone, MicSettings
    from mmchat.chat.session import SessionSettings
    from mmchat.engines.scripted import ScriptedLanguageModel
    from mmchat.memory.recall import Recall
    from mmchat.memory.store import MemoryStore
    from mmchat.paths import blobs_dir, database_path
    from mmchat.tui.app import MmchatApp
    from tests.fakes import FakeEngines

    store = MemoryStore(database_path(), blobs_dir())
    session = store.create_session()
    for number in range(turns):
        role = "assistant" if number % 2 else "user"
        store.add_turn(session.id, role=role, text=paragraphs(1, number) if number % 2 else f"Question {number}?")  # type: ignore[arg-type]
    model = ScriptedLanguageModel([paragraphs(400, 0)], context_tokens=1 << 20, delay_s=1 / tokens_per_s)
    engines = FakeEngines(model)
    engines.embedder = lambda: None  # type: ignore[method-assign,assignment,return-value]

    def no_recorder(device: str) -> object:
        raise RuntimeError("nothing records here")

    mic = Microphone(no_recorder, MicSettings())  # type: ignore[arg-type]
    settings = SessionSettings(options={"max_new_tokens": 1 << 18}, should_recall=False, should_know_facts=False)
    desk = Desk(store, Recall(store, lambda: None), engines, settings, mic)
    MmchatApp(desk, desk.open_session(session.id) if turns else desk.new_session()).run()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=500)
    parser.add_argument("--tokens-per-s", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.turns, arguments.tokens_per_s)
        return
    found = [streamed(turns, arguments.tokens_per_s, arguments.seconds) for turns in (0, arguments.turns)]
    print(f"{'turns':>6}{'frames/s':>10}{'ms CPU/token':>14}{'CPU share':>11}{'echo ms: median, most':>24}{'idle':>14}")
    for each in found:
        echo = f"{statistics.median(each.echo_ms):.0f}, {max(each.echo_ms):.0f}"
        idle = f"{statistics.median(each.idle_echo_ms):.0f}, {max(each.idle_echo_ms):.0f}"
        print(
            f"{each.turns:6}{each.frames_per_s:10.1f}{each.processor_ms_per_token:14.2f}{each.processor_share:11.0%}"
            f"{echo:>24}{idle:>14}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in found], indent=2) + "\n")


if __name__ == "__main__":
    main()
