"""What does the app cost while a reply streams into a long conversation?

    python -m benchmarks.app [--turns N] [--tokens-per-s N] [--seconds N] [--json FILE]

The real app on a pseudo-terminal of 120 by 40, with a scripted model that streams Markdown at a steady pace: into an
empty conversation, into one of N turns, and there once more when the reply has grown long. Counts the frames that
reach the terminal, the processor time of the program for each token, and how long a typed letter takes to be echoed,
beside the same while nothing streams.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.figures import Ratio, Report, Table
from benchmarks.terminal import FRAME, Terminal

LETTER, BACKSPACE = "ж", "\x7f"
TIMEOUT_S = 10.0
SHOWN_PER_S = 25
"""How often `mmchat.tui.reply_worker` hands text to the screen at most."""
WORDS = ("keeper", "stairs", "sea", "lamp", "oil", "paraffin", "wick", "mirror", "storm", "rock", "ship", "harbour")


@dataclass(frozen=True, slots=True)
class Streamed:
    """What was seen for some seconds of a reply."""

    what: str
    tokens: float
    frames_per_s: float
    gaps_ms: tuple[float, ...]
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


def echo_ms(terminal: Terminal) -> float:
    """How long a typed letter takes; it is taken out again."""
    terminal.write(LETTER)
    seconds = terminal.until(LETTER, TIMEOUT_S)
    terminal.write(BACKSPACE)
    return seconds * 1e3


def watched(terminal: Terminal, what: str, tokens_per_s: float, seconds: float, idle: tuple[float, ...]) -> Streamed:
    """So many seconds of a reply; a letter is typed twice a second."""
    terminal.frames.clear()
    processor_s, started = terminal.processor_s(), time.perf_counter()
    echo: list[float] = []
    while time.perf_counter() - started < seconds:
        terminal.read(0.45)
        echo.append(echo_ms(terminal))
    elapsed = time.perf_counter() - started
    spent, tokens = terminal.processor_s() - processor_s, tokens_per_s * elapsed
    gaps = [(after - before) * 1e3 for before, after in zip(terminal.frames, terminal.frames[1:], strict=False)]
    return Streamed(
        what,
        tokens,
        len(terminal.frames) / elapsed,
        tuple(gaps),
        spent / tokens * 1e3,
        spent / elapsed,
        tuple(echo),
        idle,
    )


def streamed(turns: int, tokens_per_s: float, seconds: float, long_tokens: int) -> list[Streamed]:
    """One run of the app: its reply from the beginning, and after so many tokens where that is not 0."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        environment = {**os.environ, "MMCHAT_HOME": home, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        program = [sys.executable, "-m", "benchmarks.app", "--serve", "--turns", str(turns)]
        terminal = Terminal([*program, "--tokens-per-s", str(tokens_per_s)], environment, (40, 120))
        try:
            terminal.until(FRAME.decode(), 30)
            terminal.read(3.0)
            idle = []
            for _ in range(20):
                terminal.read(0.15)
                idle.append(echo_ms(terminal))
            terminal.read(0.5)
            terminal.write("Go.\r")
            sent = time.perf_counter()
            terminal.read(1.5)
            where = f"{turns} turns" if turns else "no turns"
            found = [watched(terminal, where, tokens_per_s, seconds, tuple(idle))]
            if long_tokens:
                terminal.read(max(long_tokens / tokens_per_s - (time.perf_counter() - sent), 0))
                what = f"{where}, after {long_tokens:,} tokens"
                found.append(watched(terminal, what, tokens_per_s, seconds, tuple(idle)))
        finally:
            terminal.close()
    return found


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


def report_of(found: list[Streamed]) -> Report:
    """The table, and each beside the empty conversation."""
    report = Report(
        "The app while a reply streams",
        "A scripted model; frames are counted at the terminal, processor time is that of the whole program, the "
        "scripted model and the store included.",
    )
    columns = (
        "a reply in",
        "frames/s",
        f"of {SHOWN_PER_S} possible",
        "gap ms, median",
        "p95",
        "longest",
        "CPU ms/token",
        "CPU share",
        "echo ms, median",
        "p95",
        "idle echo ms",
    )
    rows = []
    for each in found:
        gaps, echo = sorted(each.gaps_ms), sorted(each.echo_ms)
        rows.append(
            [
                each.what,
                each.frames_per_s,
                f"{min(each.frames_per_s / SHOWN_PER_S, 1):.0%}",
                statistics.median(gaps),
                gaps[int(len(gaps) * 0.95)],
                gaps[-1],
                each.processor_ms_per_token,
                f"{each.processor_share:.0%}",
                statistics.median(echo),
                echo[min(int(len(echo) * 0.95), len(echo) - 1)],
                statistics.median(each.idle_echo_ms),
            ]
        )
    report.tables.append(Table("Seen at the terminal", columns, rows))
    first = found[0]
    for each in found[1:]:
        report.ratios += [
            Ratio(
                f"processor time for a token, {each.what}",
                first.what,
                each.processor_ms_per_token,
                first.processor_ms_per_token,
                "ms",
            ),
            Ratio(
                f"key to echo while a reply streams, {each.what}",
                first.what,
                statistics.median(each.echo_ms),
                statistics.median(first.echo_ms),
                "ms",
            ),
        ]
    report.samples = {each.what: asdict(each) for each in found}
    return report


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.app", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=500)
    parser.add_argument("--tokens-per-s", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--long", type=int, default=4000, help="tokens of a long reply")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.turns, arguments.tokens_per_s)
        return
    pace, seconds = arguments.tokens_per_s, arguments.seconds
    found = [
        *streamed(0, pace, seconds, 0),
        *streamed(arguments.turns, pace, seconds, arguments.long),
    ]
    report_of(found).finish(arguments.json)


if __name__ == "__main__":
    main()
