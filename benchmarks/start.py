"""How long until one can type, and until the first word comes?

    python -m benchmarks.start [--runs N] [--cold N] [--json FILE]

In one run and interleaved: `python -c pass`, Typer's own import, `mmchat --help`, `mmchat talk` until a typed letter is
echoed in its box and until the first words of the reply to a message that was typed at once, and `mmchat ask` until
the first token, with everything in the memory of the machine and, where one may empty that, from the disk.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.figures import Bar, Report, Spread, Table, interleaved, ratio_of
from benchmarks.terminal import Terminal

CACHES = Path("/proc/sys/vm/drop_caches")
PROGRAM = (sys.executable, "-m", "mmchat")
PASS, TYPER, HELP = "`python -c pass`", '`python -c "import typer"`', "`mmchat --help`"
BOX, WORDS = "`mmchat talk`: a letter is echoed", "`mmchat talk`: first words of a reply to a message typed at once"
ASK, COLD_ASK = "`mmchat ask`: first token", "`mmchat ask`, cold disk: first token"
COLD_BOX = "`mmchat talk`, cold disk: a letter is echoed"
QUESTION = "Name three primary colours."
TIMEOUT_S = 60.0


def seconds(command: tuple[str, ...], environment: Mapping[str, str]) -> float:
    """Wall time of a command that must succeed."""
    started = time.perf_counter()
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env=dict(environment),
    )
    return time.perf_counter() - started


def until_echo_s(environment: Mapping[str, str]) -> float:
    """From starting `mmchat talk` until letters that are typed from the first moment on are shown."""
    terminal = Terminal([*PROGRAM, "talk"], environment, (24, 80))
    try:
        terminal.until("qqq", TIMEOUT_S, typing="q")  # what comes before raw mode may be thrown away
        return time.perf_counter() - terminal.started
    finally:
        terminal.close()


def until_words_s(environment: Mapping[str, str]) -> float:
    """From starting `mmchat talk` until it says that it is replying to a message that is sent as soon as it can be."""
    terminal = Terminal([*PROGRAM, "talk"], environment, (24, 80))
    try:
        terminal.until("qqq", TIMEOUT_S, typing="q")
        terminal.write(f" {QUESTION}\r")
        terminal.until("replying", TIMEOUT_S)
        return time.perf_counter() - terminal.started
    finally:
        terminal.close()


def first_token_s(environment: Mapping[str, str]) -> float:
    """From starting `mmchat ask` to the first byte of the reply."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [*PROGRAM, "ask", QUESTION, "--max-tokens", "8"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(environment),
    )
    assert process.stdout is not None
    if not process.stdout.read(1):
        raise RuntimeError("mmchat ask said nothing")
    elapsed = time.perf_counter() - started
    process.stdout.read()
    process.wait()
    return elapsed


def can_empty_caches() -> bool:
    """Whether this user may have the system forget what it read of its disks."""
    return os.access(CACHES, os.W_OK)


def empty_caches() -> None:
    """Have everything read from the disk anew."""
    os.sync()
    CACHES.write_text("3")


def environment_of(home: str) -> dict[str, str]:
    """As a user has it: with compiled modules, as `pip install` leaves them, and its own home."""
    from mmchat.paths import weights_dir

    environment = {
        **os.environ,
        "MMCHAT_WEIGHTS": str(weights_dir()),
        "MMCHAT_HOME": home,
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "PYTHONPATH": str(Path(__file__).parents[1]),
        # Not among the modules of a checkout: those may be compiled by another Python, or not at all.
        "PYTHONPYCACHEPREFIX": str(Path(home) / "compiled"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def measured(runs: int, cold: int, home: str) -> dict[str, list[float]]:
    """Seconds of each."""
    environment = environment_of(home)
    tasks = {
        PASS: lambda: seconds((sys.executable, "-c", "pass"), environment),
        TYPER: lambda: seconds((sys.executable, "-c", "import typer"), environment),
        HELP: lambda: seconds((*PROGRAM, "--help"), environment),
        BOX: lambda: until_echo_s(environment),
        WORDS: lambda: until_words_s(environment),
        ASK: lambda: first_token_s(environment),
    }
    found = interleaved(tasks, runs, warm_up=1)
    for _ in range(cold):
        for name, task in ((COLD_BOX, until_echo_s), (COLD_ASK, first_token_s)):
            empty_caches()
            found.setdefault(name, []).append(task(environment))
    return found


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--cold", type=int, default=2, help="runs from the disk, where one may empty its cache")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    is_cold = bool(arguments.cold) and can_empty_caches()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        found = measured(arguments.runs, arguments.cold if is_cold else 0, home)
    spreads = {name: Spread.of(values) for name, values in found.items()}
    report = Report(
        "Start",
        "Each program from its start, modules compiled, after one run that does not count; talk on a pseudo-terminal "
        "of 80 by 24, weights fetched.",
    )
    report.tables.append(
        Table(
            "Seconds",
            ("", "median", "least", "most", "runs"),
            [[name, each.median, each.least, each.most, each.count] for name, each in spreads.items()],
        )
    )
    report.ratios += [
        ratio_of("time to the help", TYPER, found[HELP], found[TYPER], "s"),
    ]
    report.bars += [
        Bar("`mmchat --help`", 0.35, spreads[HELP].median, "s"),
        Bar("`mmchat talk` to a usable box", 1.0, spreads[BOX].median, "s"),
    ]
    if arguments.cold and not is_cold:
        report.notes.append("Nothing was measured with a cold disk: this user may not empty the system's cache.")
    report.samples = dict(found)
    report.finish(arguments.json)


if __name__ == "__main__":
    main()
