"""How long until one can type, and until the first word comes?

    python benchmarks/start.py [--runs N] [--json FILE]

Measures, in one run and interleaved: `python -c pass`, Typer's own import, `mmchat --help`,
`mmchat talk` until a typed letter is echoed in the box (on a pseudo-terminal, empty home, weights
present), and `mmchat ask` until the first token. Medians, with the spread.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import select
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

MARK = b"qqq"


def seconds(command: list[str]) -> float:
    """Wall time of a command that must succeed."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return time.perf_counter() - started


def seconds_to_echo(command: list[str], environment: dict[str, str]) -> float:
    """Until letters typed from the first moment on appear on the screen of a terminal program."""
    leader, follower = pty.openpty()
    ioctl(follower, TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    modes = termios.tcgetattr(follower)
    modes[3] &= ~termios.ECHO  # else the terminal itself would answer at once
    termios.tcsetattr(follower, termios.TCSANOW, modes)
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, env=environment, start_new_session=True
    )
    os.close(follower)
    screen = b""
    try:
        while MARK not in screen:
            if time.perf_counter() - started > 30:
                raise TimeoutError("no echo within 30 s")
            os.write(leader, MARK[:1])  # one letter again and again: what comes before raw mode may be thrown away
            if select.select([leader], [], [], 0.02)[0]:
                screen += os.read(leader, 65536)
        return time.perf_counter() - started
    finally:
        process.kill()
        process.wait()
        os.close(leader)


def first_token_s(program: str, environment: dict[str, str]) -> float:
    """From starting `mmchat ask` to the first byte of the reply."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [program, "ask", "Name three primary colours.", "--max-tokens", "8"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    assert process.stdout is not None
    if not process.stdout.read(1):
        raise RuntimeError("mmchat ask said nothing")
    elapsed = time.perf_counter() - started
    process.stdout.read()
    process.wait()
    return elapsed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    program = str(Path(sys.executable).with_name("mmchat"))
    home = tempfile.mkdtemp()
    environment = {**os.environ, "MMCHAT_HOME": home, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    from mmchat.paths import weights_dir

    environment["MMCHAT_WEIGHTS"] = str(weights_dir())
    measures = {
        "python -c pass": lambda: seconds([sys.executable, "-c", "pass"]),
        "python -c 'import typer'": lambda: seconds([sys.executable, "-c", "import typer"]),
        "mmchat --help": lambda: seconds([program, "--help"]),
        "mmchat talk, letter echoed": lambda: seconds_to_echo([program, "talk"], environment),
        "mmchat ask, first token": lambda: first_token_s(program, environment),
    }
    samples: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(arguments.runs):
        for name, measure in measures.items():
            samples[name].append(measure())
    shutil.rmtree(home)
    print(f"{'':30}{'first':>9}{'median':>9}{'least':>9}{'most':>9}   seconds, {arguments.runs} runs")
    for name, values in samples.items():
        figures = (values[0], statistics.median(values), min(values), max(values))
        print(f"{name:30}" + "".join(f"{figure:9.2f}" for figure in figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(samples, indent=2) + "\n")


if __name__ == "__main__":
    main()
