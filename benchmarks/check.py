"""Has anything become more work? Counts and ratios, never seconds, so that a busy machine says the same.

    python -m benchmarks.check [--update] [--json FILE]

Counts what a start imports, what a turn asks of the database and of the model, how much of the prompt the model still
holds, and how recall, opening a conversation and showing a streamed reply grow with what is stored. Compared with
`benchmarks/limits.json`; exits with 1 where a count is above its limit. `--update` writes limits a little above what
was counted just now: look at the difference before committing it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

from benchmarks.figures import Bar, Report, Table
from mmchat.chat.session import SessionSettings, UserInput
from mmchat.domain import ReplyEnded, Turn
from mmchat.engines.scripted import ScriptedLanguageModel
from mmchat.memory.store import MemoryStore
from tests.fakes import Bench, FakeEngines

LIMITS = Path(__file__).with_name("limits.json")
ROOM = 1.15
"""What a limit lets a count grow by: a new version of a library may import a little more."""
SMALL, LARGE = 400, 4000
"""Turns of the stores whose work is compared."""
FULL_TURNS, LONG_TURNS = 24, 500
"""Turns that fill the screen, and those of a long conversation."""
PIECES = 25
PARAGRAPH = "Some words of a **paragraph** that goes on for a while, as they do, with `code` in it and more.\n\n"
DRAWING = ("mmchat", "textual", "rich", "markdown_it")
TOPICS = ("lighthouse", "bicycle", "bread", "violin", "glacier", "harbour", "garden", "engine")

Counts = dict[str, float]

_IMPORTS = """
import contextlib, io, sys
from mmchat.cli.exits import main
with contextlib.redirect_stdout(io.StringIO()):
    main(sys.argv[1:])
print(len(sys.modules), 0)
"""
_IMPORTS_OF_TALK = """
import sys
import mmchat.cli.talk, mmchat.tui.app
from mmchat.wiring import open_desk
open_desk().close()
heavy = {"numpy", "pandas", "torch", "transformers", "PIL", "tomlkit", "jinja2"}
print(len(sys.modules), len(heavy & {name.partition(".")[0] for name in sys.modules}))
"""


def start() -> Counts:
    """Modules that are loaded before anything can be read or typed."""
    (of_help, _), (of_talk, heavy) = _modules(_IMPORTS, "--help"), _modules(_IMPORTS_OF_TALK)
    return {
        "modules, mmchat --help": of_help,
        "modules, mmchat talk before its box": of_talk,
        "heavy libraries, mmchat talk before its box": heavy,
    }


def _modules(script: str, *args: str) -> tuple[int, int]:
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-c", script, *args],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "MMCHAT_HOME": home},
        )
    all_modules, heavy = done.stdout.split()[-2:]
    return int(all_modules), int(heavy)


def turn() -> Counts:
    """What the tenth turn of a conversation asks for, with scripted models."""
    with tempfile.TemporaryDirectory() as folder:
        engines = FakeEngines(ScriptedLanguageModel(["A plain reply."]))
        bench = Bench(Path(folder), engines)
        session = bench.session()
        for number in range(9):
            _say(session, f"Tell me of the {TOPICS[number % len(TOPICS)]} and of number {number}.")
        with counted_statements(bench.store) as statements, counted(engines.lm, "count_tokens") as prompts:
            _say(session, "What did I say of the bicycle?")
        bench.close()
    return {"statements of SQL in a turn": len(statements), "prompts counted in a turn": len(prompts)}


def growth() -> Counts:
    """How much more Python does for ten times the turns: 1 would be nothing."""
    work: dict[str, list[int]] = {}
    for turns in (SMALL, LARGE):
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder), settings=SessionSettings(should_know_facts=False))
            last = _fill(bench.store, turns)
            bench.recall.backfill()
            bench.recall.find("the colour of the bicycle")  # what is read once is read here
            tasks: dict[str, Callable[[], object]] = {
                "recall": lambda b=bench: b.recall.find("what bread did I like"),  # type: ignore[misc]
                "search": lambda b=bench: b.store.list_sessions(query="violin"),  # type: ignore[misc]
                "opening the end of a conversation": lambda b=bench, s=last: b.store.turns(s, newest=100),  # type: ignore[misc]
            }
            for name, task in tasks.items():
                work.setdefault(name, []).append(calls_of(task))
            bench.close()
    return {f"{name}, {LARGE} turns / {SMALL}": large / small for name, (small, large) in work.items()}


def _fill(store: MemoryStore, turns: int) -> str:
    """Conversations of 40 turns and one that holds a quarter of them; returns that one."""
    long = store.create_session().id
    session = ""
    for number in range(turns):
        topic = TOPICS[(number * 7) % len(TOPICS)]
        if number % 4 == 0:
            where = long
        else:
            if not session or number % 40 == 1:
                session = store.create_session().id
            where = session
        store.add_turn(where, role="assistant" if number % 2 else "user", text=f"Number {number}: about the {topic}.")
    return long


def prefix(turns: int = 16) -> Counts:
    """With the default model: tokens of a prompt of turn 2 and later that it has not read before."""
    from mmchat.paths import weights_dir
    from mmchat.wiring import WiringOptions, open_desk

    os.environ["MMCHAT_WEIGHTS"] = str(weights_dir())
    with tempfile.TemporaryDirectory() as home:
        os.environ["MMCHAT_HOME"] = home
        desk = open_desk(WiringOptions(max_tokens=12, temperature=0.0, seed=1))
        session = desk.new_session()
        anew = []
        for number in range(turns):
            reply = _say(session, f"Tell me one thing about the {TOPICS[number % len(TOPICS)]}, please ({number}).")
            assert reply.usage is not None
            anew.append(reply.usage.prompt_tokens - reply.usage.cached_tokens)
        desk.close()
    return {"most tokens read anew for a message of 10 words": max(anew[1:])}


def screen() -> Counts:
    """What the app does for a reply that streams: whatever was said before, and however long it is."""
    full = asyncio.run(_drawn(FULL_TURNS))
    long_talk = asyncio.run(_drawn(LONG_TURNS))
    long_reply = asyncio.run(_drawn(FULL_TURNS, before=PARAGRAPH * 150))
    items = [f"\n- **item** {number} of them" for number in range(PIECES)]
    few = asyncio.run(_drawn(FULL_TURNS, before="Some:\n", pieces=items))
    many = asyncio.run(_drawn(FULL_TURNS, before="Some:\n\n" + "\n".join(["- an item"] * 150), pieces=items))
    return {
        "frames for 100 streamed tokens": full.frames,
        f"calls for 100 streamed tokens, {LONG_TURNS} turns / a screenful": long_talk.calls / full.calls,
        "calls for 100 streamed tokens, after 4,000 / the first": long_reply.calls / full.calls,
        "calls for 25 items of a list, after 150 / the first": many.calls / few.calls,
    }


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a streamed reply cost."""

    calls: int
    """Of functions of mmchat and of the libraries that draw."""
    frames: int


async def _drawn(turns: int, before: str = "", pieces: Sequence[str] = ()) -> Drawn:
    """For a reply that comes in 25 pieces, of four words unless others are given, `before` standing there already."""
    from textual.screen import Screen

    from mmchat.tui.app import MmchatApp
    from mmchat.tui.widgets.turns import ReplyView
    from tests.tui.fakes import FakeDesk, make_turns

    desk = FakeDesk()
    desk.add_session("s1", "Long", make_turns(turns))
    app = MmchatApp(desk.as_desk(), desk.open_session("s1"))  # type: ignore[arg-type]
    words = [f"word{number} " for number in range(4 * PIECES)]
    pieces = pieces or ["".join(words[start : start + 4]) for start in range(0, len(words), 4)]
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.pause(0.5)
        reply = ReplyView()
        await app._chat.transcript.add(reply)
        for start in range(0, len(before), 400):
            await reply._words.append(before[start : start + 400])
        await pilot.pause(0.5)
        with counted(Screen, "_compositor_refresh") as frames, CallCounter(DRAWING) as calls:
            for piece in pieces:
                await reply.append(piece)
                await _settled(frames)
    return Drawn(calls.count, len(frames))


async def _settled(frames: list[str]) -> None:
    """Until a frame was drawn and no further one follows it."""
    before, waited = len(frames), 0.0
    while len(frames) == before:
        await asyncio.sleep(0.01)
        waited += 0.01
        if waited > 20:
            raise TimeoutError("nothing was drawn")
    while len(frames) != before:
        before = len(frames)
        await asyncio.sleep(0.05)


# --- counting -----------------------------------------------------------------------------------


class CallCounter:
    """Counts the calls of Python functions in this thread: of all, or of those of some packages."""

    def __init__(self, packages: Sequence[str] = ()) -> None:
        self.count = 0
        self._parts = [f"{os.sep}{name}{os.sep}" for name in packages]
        self._is_counted: dict[str, bool] = {}

    def _count(self, frame: FrameType, event: str, argument: object) -> None:
        if event != "call":
            return
        if self._parts:
            name = frame.f_code.co_filename
            if name not in self._is_counted:
                self._is_counted[name] = any(part in name for part in self._parts)
            if not self._is_counted[name]:
                return
        self.count += 1

    def __enter__(self) -> CallCounter:
        sys.setprofile(self._count)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)


def calls_of(task: Callable[[], object]) -> int:
    """How many Python functions a task calls, in this thread."""
    counter = CallCounter()
    with counter:
        task()
    return counter.count


@contextmanager
def counted(owner: Any, name: str) -> Iterator[list[str]]:
    """The calls of one method meanwhile, as a list that grows."""
    calls: list[str] = []
    before = getattr(owner, name)

    def counting(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return before(*args, **kwargs)

    had_own = name in vars(owner)
    setattr(owner, name, counting)
    try:
        yield calls
    finally:
        if had_own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


@contextmanager
def counted_statements(store: MemoryStore) -> Iterator[list[str]]:
    """The statements of SQL of ours that this thread runs meanwhile, as a list that grows."""
    statements: list[str] = []

    def take(statement: str) -> None:
        if not statement.startswith(("--", "SAVEPOINT", "RELEASE")):  # what they set off, and sqlite-utils' frame
            statements.append(statement)

    with store.file.read() as db:
        db.conn.set_trace_callback(take)
    try:
        yield statements
    finally:
        with store.file.read() as db:
            db.conn.set_trace_callback(None)


def _say(session: Any, text: str) -> Turn:
    """One exchange; the reply."""
    return next(each.turn for each in session.reply(UserInput(text), Event()) if isinstance(each, ReplyEnded))


def too_much(counts: Mapping[str, float], limits: Mapping[str, float]) -> list[str]:
    """What is above its limit, was not counted although it has one, or has none."""
    above = [f"{name}: {count:.6g}, at most {limits[name]:.6g}" for name, count in counts.items()
             if name in limits and count > limits[name]]  # fmt: skip
    return [
        *above,
        *(f"{name}: has no limit" for name in counts if name not in limits),
        *(f"{name}: was not counted" for name in limits if name not in counts),
    ]


def report_of(counts: Mapping[str, float], limits: Mapping[str, float]) -> Report:
    """Counts beside their limits."""
    report = Report("Work", "Counts and ratios of calls, modules, statements and tokens, never seconds.")
    rows: list[list[str | int | float | None]] = [[name, count, limits.get(name)] for name, count in counts.items()]
    report.tables.append(Table("Counted", ("", "counted", "limit"), rows))
    report.bars += [Bar(name, limits[name], count, "") for name, count in counts.items() if name in limits]
    report.samples = dict(counts)
    return report


def main() -> None:
    """Count, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write the limits anew")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    counts: Counts = {}
    for part in (start, turn, growth, screen, prefix):
        counts |= part()
    if arguments.update:
        limits = {name: math.ceil(count * ROOM * 100) / 100 for name, count in counts.items()}
        LIMITS.write_text(json.dumps(limits, indent=2) + "\n")
    limits = json.loads(LIMITS.read_text())
    report_of(counts, limits).finish(arguments.json)
    if problems := too_much(counts, limits):
        raise SystemExit("Something became more work, or is not counted:\n" + "\n".join(problems))


if __name__ == "__main__":
    main()
