"""A program on a pseudo-terminal, as a person would run it: what it draws, and when."""

from __future__ import annotations

import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from fcntl import ioctl
from pathlib import Path

FRAME = b"\x1b[?2026h"
"""Begins a frame: the terminal shows nothing of it before it is whole."""
_ASKS_FOR_FRAMES, _HAS_FRAMES = b"\x1b[?2026$p", b"\x1b[?2026;2$y"


class Terminal:
    """Runs a command in a terminal of so many lines and columns."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], size: tuple[int, int]) -> None:
        self.leader, follower = pty.openpty()
        ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        modes = termios.tcgetattr(follower)
        modes[3] &= ~termios.ECHO  # else the terminal itself would answer at once
        termios.tcsetattr(follower, termios.TCSANOW, modes)
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=follower, stdout=follower, stderr=follower, env=dict(environment), start_new_session=True
        )
        os.close(follower)
        self.frames: list[float] = []
        """When each frame reached the terminal, as `time.perf_counter` tells it."""

    def part(self, timeout_s: float) -> bytes:
        """What it writes next; empty after so long a silence."""
        if not select.select([self.leader], [], [], timeout_s)[0]:
            return b""
        try:
            part = os.read(self.leader, 1 << 16)
        except OSError as error:  # so Linux says that nobody is at the other end any more
            raise RuntimeError(f"the program ended, with code {self.process.wait()}") from error
        self.frames += [time.perf_counter()] * part.count(FRAME)
        if _ASKS_FOR_FRAMES in part:
            os.write(self.leader, _HAS_FRAMES)
        return part

    def write(self, text: str) -> None:
        """Type."""
        os.write(self.leader, text.encode())

    def read(self, seconds: float) -> None:
        """Let it write for so long."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self.part(left)

    def until(self, mark: str, timeout_s: float, *, typing: str = "") -> float:
        """Seconds until a text is written; meanwhile `typing` is typed again and again."""
        wanted, started, found = mark.encode(), time.perf_counter(), b""
        while wanted not in found:
            if time.perf_counter() - started > timeout_s:
                raise TimeoutError(f"{mark!r} was not shown within {timeout_s} s")
            if typing:
                self.write(typing)
            found = found[-len(wanted) :] + self.part(0.02 if typing else 0.05)
        return time.perf_counter() - started

    def processor_s(self) -> float:
        """Of the program, all threads, since its start."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End it, whatever it does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.leader)
