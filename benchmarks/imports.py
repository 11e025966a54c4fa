"""What does a start import, and what does that cost?

    python -m benchmarks.imports [--rounds N] [--top N] [--json FILE]

The most expensive packages before `mmchat --help` has printed, before the box of `mmchat talk` echoes a letter, and
before `mmchat ask` gives its first token: milliseconds of their own (what they import in turn is counted there) and
modules. mmchat's own folders stand apart. To see single modules: python -X importtime -m mmchat --help.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Report, Table
from benchmarks.start import QUESTION, TIMEOUT_S, environment_of
from benchmarks.terminal import Terminal

RECORDER = """
import os, runpy, sys, threading, time
from importlib.machinery import ExtensionFileLoader, SourceFileLoader
out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
local = threading.local()

def timed(loader, method, is_module, name_of):
    before = getattr(loader, method)
    def running(self, subject):
        stack = local.__dict__.setdefault("stack", [])
        stack.append(0.0)
        started = time.perf_counter()
        try:
            return before(self, subject)
        finally:
            ended = time.perf_counter()
            inner = stack.pop()
            if stack:
                stack[-1] += ended - started
            own = (ended - started - inner) * 1e3
            os.write(out, f"{name_of(subject)} {own:.6f} {ended:.6f} {is_module}\\n".encode())
    setattr(loader, method, running)

timed(SourceFileLoader, "exec_module", 1, lambda module: module.__spec__.name)
timed(ExtensionFileLoader, "create_module", 1, lambda spec: spec.name)
timed(ExtensionFileLoader, "exec_module", 0, lambda module: module.__spec__.name)
sys.argv = ["mmchat", *sys.argv[2:]]
runpy.run_module("mmchat", run_name="__main__", alter_sys=True)
"""


@dataclass(slots=True)
class Cost:
    """Of one package."""

    ms: float = 0.0
    modules: int = 0


def package_of(module: str) -> str:
    """What is to blame: a library, or a folder of mmchat."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "mmchat" else parts[0]


def until_help(command: list[str], environment: Mapping[str, str]) -> float:
    """When the help was printed."""
    subprocess.run([*command, "--help"], check=True, stdout=subprocess.DEVNULL, env=dict(environment))
    return time.perf_counter()


def until_box(command: list[str], environment: Mapping[str, str]) -> float:
    """When the box echoed a letter."""
    terminal = Terminal([*command, "talk"], environment, (24, 80))
    try:
        terminal.until("qqq", TIMEOUT_S, typing="q")
        return time.perf_counter()
    finally:
        terminal.close()


def until_token(command: list[str], environment: Mapping[str, str]) -> float:
    """When the first token came."""
    with subprocess.Popen(
        [*command, "ask", QUESTION, "--max-tokens", "8"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(environment),
    ) as process:
        assert process.stdout is not None
        if not process.stdout.read(1):
            raise RuntimeError("mmchat ask said nothing")
        at = time.perf_counter()
        process.stdout.read()
    return at


STAGES: dict[str, Callable[[list[str], Mapping[str, str]], float]] = {
    "`mmchat --help` has printed": until_help,
    "the box of `mmchat talk` echoes a letter": until_box,
    "`mmchat ask` gives its first token": until_token,
}


def profile(stage: str, environment: Mapping[str, str]) -> tuple[dict[str, Cost], float]:
    """The cost of each package before the stage is reached, and the seconds until then."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "imports"
        started = time.perf_counter()
        reached = STAGES[stage]([sys.executable, "-c", RECORDER, str(told)], environment)
        costs: dict[str, Cost] = defaultdict(Cost)
        for line in told.read_text().splitlines():
            name, own_ms, at, is_module = line.split()
            if float(at) <= reached:
                cost = costs[package_of(name)]
                cost.ms += float(own_ms)
                cost.modules += int(is_module)
    return costs, reached - started


def main() -> None:
    """Profile and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imports", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--top", type=int, default=15, help="packages to name for each stage")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    report = Report(
        "Imports", "What is imported before a start is over; modules compiled, medians, the first run left out."
    )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        environment = environment_of(home)
        for stage in STAGES:
            runs = [profile(stage, environment) for _ in range(arguments.rounds + 1)][1:]
            names = {name for costs, _ in runs for name in costs}
            ms = {name: statistics.median(costs.get(name, Cost()).ms for costs, _ in runs) for name in names}
            modules = {name: max(costs.get(name, Cost()).modules for costs, _ in runs) for name in names}
            seconds, whole = statistics.median(each for _, each in runs), sum(ms.values())
            first = sorted(names, key=lambda name: -ms[name])[: arguments.top]
            rows: list[list[str | int | float | None]] = [
                [name, ms[name], f"{ms[name] / whole:.0%}", modules[name]] for name in first
            ]
            rows.append(["all", whole, "100%", sum(modules.values())])
            note = f"{whole:.0f} ms of imports, in all threads, of {seconds * 1e3:.0f} ms until then"
            report.tables.append(Table(f"Before {stage}", ("package", "ms", "share", "modules"), rows, note))
            report.samples[stage] = {name: [ms[name], modules[name]] for name in sorted(names)}
    report.finish(arguments.json)


if __name__ == "__main__":
    main()
