"""Programs that work a step each in turns: what slows one slows all, and each has its memory for itself.

A worker prints one JSON object a line: the first when it is ready, then one after each step; before each step it waits
for a line on its stdin.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.figures import interleaved


def in_turns(commands: Mapping[str, Sequence[str]], steps: int) -> dict[str, list[dict[str, Any]]]:
    """What each worker told after each step.

    Args:
        commands: name → module and arguments, as after `python -m`.
        steps: that each of them takes.
    """
    workers: dict[str, subprocess.Popen[str]] = {}
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}

    def step(name: str) -> float:
        stdin = workers[name].stdin
        assert stdin is not None
        stdin.write("go\n")
        stdin.flush()
        told[name].append(_line(name, workers[name]))
        return 0.0

    try:
        for name, command in commands.items():  # one after the other: none loads while another does
            workers[name] = subprocess.Popen(
                [sys.executable, "-m", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            _line(name, workers[name])
        interleaved({name: lambda name=name: step(name) for name in commands}, steps)
    finally:
        for worker in workers.values():
            worker.terminate()
            worker.wait()
            for stream in (worker.stdin, worker.stdout):
                if stream is not None:
                    stream.close()
    return told


def _line(name: str, worker: subprocess.Popen[str]) -> dict[str, Any]:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise SystemExit(f"The worker '{name}' ended with {worker.wait()} before its last step.")
    told: dict[str, Any] = json.loads(line)
    return told


def tell(**what: Any) -> None:
    """In a worker: one line, and wait for the next turn."""
    print(json.dumps(what), flush=True)
    if not sys.stdin.readline():
        raise SystemExit(0)
