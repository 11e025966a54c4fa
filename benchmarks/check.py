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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

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
TOPICS = ("lighthouse", "bicycle", "bread", "violin", "glacier", "harbour", "garden", "engine")

Counts = dict[str, float]

_IMPORTS = """
import contextlib, io, sys
from mmchat.cli.exits import main
with contextlib.redirect_stdout(io.StringIO()):
    main(sys.argv[1:])
print(len(sys.modules))
"""
_IMPORTS_OF_TALK = """
import sys
import mmchat.cli.talk, mmchat.tui.app
from mmchat.wiring import open_desk
open_desk().close()
print(len(sys.modules))
"""


def start() -> Counts:
    """Modules that are loaded before anything can be read or typed."""
    return {
        "modules, mmchat --help": _modules(_IMPORTS, "--help"),
        "modules, mmchat talk before its box": _modules(_IMPORTS_OF_TALK),
    }


def _modules(script: str, *args: str) -> int:
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-c", script, *args],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "MMCHAT_HOME": home},
        )
    return int(done.stdout.split()[-1])


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
    """Lines that the app draws for a streamed reply, in a long conversation and in an empty one."""
    drawn = {turns: asyncio.run(_drawn(turns)) for turns in (0, 300)}
    return {
        "frames for 100 streamed tokens": drawn[0][1],
        "calls for 100 streamed tokens, 300 turns / none": drawn[300][0] / drawn[0][0],
    }


async def _drawn(turns: int) -> tuple[int, int]:
    """Calls of functions, and frames, for a reply of 100 words that comes in 25 pieces."""
    from textual.screen import Screen

    from mmchat.tui.app import MmchatApp
    from mmchat.tui.widgets.turns import ReplyView
    from tests.tui.fakes import FakeDesk, make_turns

    desk = FakeDesk()
    if turns:
        desk.add_session("s1", "Long", make_turns(turns))
    app = MmchatApp(desk.as_desk(), desk.open_session("s1") if turns else desk.new_session())  # type: ignore[arg-type]
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.pause(1.0)
        reply = ReplyView()
        await app._chat.transcript.mount(reply)
        await pilot.pause(0.5)
        with counted(Screen, "_compositor_refresh") as frames, CallCounter() as calls:
            for start in range(0, 100, 4):
                await reply.append("".join(f"word{number} " for number in range(start, start + 4)))
                await pilot.pause()
    return calls.count, len(frames)


# --- counting -----------------------------------------------------------------------------------


class CallCounter:
    """Counts the calls of Python functions in this thread."""

    def __init__(self) -> None:
        self.count = 0

    def _count(self, frame: object, event: str, argument: object) -> None:
        if event == "call":
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


def main() -> None:
    """Count, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
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
    print(f"{'':60}{'counted':>10}{'limit':>10}")
    for name, count in counts.items():
        mark = "" if count <= limits[name] else "  TOO MUCH"
        print(f"{name:60}{count:10.6g}{limits[name]:10.6g}{mark}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"counts": counts, "limits": limits}, indent=2) + "\n")
    if any(count > limits[name] for name, count in counts.items()) or set(counts) != set(limits):
        raise SystemExit("Something became more work, or is counted that has no limit: see above.")


if __name__ == "__main__":
    main()
