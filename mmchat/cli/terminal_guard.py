"""Gives the terminal back as it was, however the app ends: also when a native library takes the process down.

A process that dies in C code cannot tidy up after itself, and would leave the shell with mouse reports
typed into it and no cursor. So a small child waits on a pipe; when the pipe closes without word of a
good end, the child tidies up.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

RESET = (
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l"  # mouse reports
    "\x1b[?1004l\x1b[?2004l\x1b[?2026l\x1b[?2048l"  # focus reports, bracketed paste, held output, resize reports
    "\x1b[<u\x1b[?7h"  # kitty's keyboard, wrapping of long lines
    "\x1b[?1049l\x1b[?25h\x1b[0m\r\n"  # back to the shell's screen, with a cursor
)
_GOOD_END = b"."


@contextmanager
def guarded_terminal() -> Iterator[None]:
    """Within the block, a child process watches over the terminal. Enter it before any thread is started."""
    if os.name == "nt" or not sys.stdin.isatty() or not sys.stdout.isatty():
        yield
        return
    import termios

    terminal = sys.stdin.fileno()
    attributes = termios.tcgetattr(terminal)
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(theirs)
        _watch(ours, terminal, attributes)
    os.close(ours)
    try:
        yield
    finally:
        # An exception leaves through here too; Textual has tidied up by then, so only the settings remain.
        termios.tcsetattr(terminal, termios.TCSADRAIN, attributes)
        os.write(theirs, _GOOD_END)
        os.close(theirs)
        os.waitpid(child, 0)


def _watch(pipe: int, terminal: int, attributes: list[Any]) -> None:
    """The child's whole life."""
    import termios

    for name in ("SIGINT", "SIGQUIT", "SIGTSTP", "SIGTTOU", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    try:
        if os.read(pipe, 1) != _GOOD_END:
            os.write(terminal, RESET.encode())
            termios.tcsetattr(terminal, termios.TCSANOW, attributes)
            os.write(terminal, b"mmchat ended unexpectedly. Your conversation is stored: mmchat talk -c\r\n")
    finally:
        os._exit(0)
