"""Runs a helper process whose noise goes to a file and whose end can be asked for.

Fetching and converting happen in such processes: their memory, their prints and their threads stay
out of the program, and stopping them is one signal.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any

from mmchat.errors import WeightsError

POLL_S = 0.15
_STOP_WAIT_S = 5.0
_running: set[subprocess.Popen[bytes]] = set()
"""Children that a pull in a daemon thread would leave behind when the program ends."""


class PullCancelled(WeightsError):
    """The user stopped a pull. What was complete is kept."""

    exit_code = 130


@dataclass
class ChildResult:
    """How the process ended."""

    returncode: int
    log_text: str
    """Everything it printed, its end at least."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    """JSON objects it wrote to stdout, for children of ours."""

    @property
    def last_line(self) -> str:
        """The last thing it said, which for Python programs names the error."""
        lines = [line.strip() for line in self.log_text.splitlines() if line.strip()]
        return lines[-1] if lines else ""


def run_child(
    command: Sequence[str],
    *,
    log_path: Path,
    env: Mapping[str, str] | None = None,
    cancel: Event | None = None,
    on_poll: Callable[[], None] | None = None,
    on_message: Callable[[dict[str, Any]], None] | None = None,
    reads_stdout: bool = False,
) -> ChildResult:
    """Run `command` to its end.

    Args:
        command: the program and its arguments.
        log_path: receives what it prints; with `reads_stdout`, only stderr.
        env: variables over the present ones.
        cancel: ends the process when set.
        on_poll: called several times a second.
        on_message: called with each JSON object the child writes to stdout, as it comes.
        reads_stdout: stdout carries JSON lines.

    Raises:
        PullCancelled: `cancel` was set.
        WeightsError: the program cannot be started.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    messages: list[dict[str, Any]] = []
    with log_path.open("wb") as log:
        try:
            process = subprocess.Popen(  # its own session: Ctrl+C reaches us alone, and we end it in order
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if reads_stdout else log,
                stderr=log,
                env={**os.environ, **(env or {})},
                start_new_session=sys.platform != "win32",
            )
        except OSError as error:
            raise WeightsError(f"'{command[0]}' cannot be started: {error.strerror}.") from error
        _running.add(process)
        queue: SimpleQueue[bytes] = SimpleQueue()
        reader = Thread(target=_read_lines, args=(process, queue), daemon=True) if reads_stdout else None
        if reader:
            reader.start()
        try:
            while _is_running(process):
                _drain(queue, messages, on_message)
                if on_poll:
                    on_poll()
                if cancel is not None and cancel.is_set():
                    raise PullCancelled("Stopped.")
        finally:
            _stop(process)
            _running.discard(process)
            if reader:
                reader.join()
    _drain(queue, messages, on_message)
    return ChildResult(process.returncode, log_path.read_text(encoding="utf-8", errors="replace"), messages)


@atexit.register
def _end_children() -> None:
    """Quitting the app in the middle of a pull ends the pull."""
    for process in list(_running):
        process.terminate()


def _is_running(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(POLL_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End it if it still runs: first asked, then made to."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_STOP_WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _read_lines(process: subprocess.Popen[bytes], queue: SimpleQueue[bytes]) -> None:
    if process.stdout is not None:
        with process.stdout:
            for line in process.stdout:
                queue.put(line)


def _drain(
    queue: SimpleQueue[bytes], messages: list[dict[str, Any]], on_message: Callable[[dict[str, Any]], None] | None
) -> None:
    while True:
        try:
            line = queue.get_nowait()
        except Empty:
            return
        message = json.loads(line)
        messages.append(message)
        if on_message:
            on_message(message)


# --- the child's side -----------------------------------------------------------------------------


def claim_stdout() -> Callable[[dict[str, Any]], None]:
    """In a child: keep stdout for messages, send everything else that is printed to stderr.

    Returns:
        A function that sends one message to the parent.
    """
    sys.stdout.flush()
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # C libraries print on file descriptor 1, whatever sys.stdout is

    def send(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    return send
