"""Keeps what C libraries print on file descriptors 1 and 2 off the user's screen, in a log file instead.

PortAudio, ALSA and llama.cpp write to the descriptors behind Python's back. Textual draws on `sys.__stderr__`,
so one such line spoils the screen. The way out: Python's own streams move to a copy of the descriptor, and the
descriptor itself is pointed at the log.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal, TextIO

MAX_LOG_BYTES = 1 << 20

StreamName = Literal["stdout", "stderr"]
_DESCRIPTORS: dict[StreamName, int] = {"stdout": 1, "stderr": 2}
_REDIRECTIONS: list[ExitStack] = []
"""Held here: a generator-based context that nobody refers to is closed, and would undo itself at once."""


def redirect_native_stderr(log_path: Path) -> Callable[[], None]:
    """Send native prints on descriptor 2 to `log_path` for the rest of the process.

    Call it before `App.run()`, and before anything that keeps a reference to `sys.stderr`.

    Returns:
        A function that puts everything back.
    """
    stack = ExitStack()
    stack.enter_context(native_noise_to(log_path))
    _REDIRECTIONS.append(stack)
    return stack.close


@contextmanager
def native_noise_to(log_path: Path, *, is_stdout_too: bool = False) -> Iterator[None]:
    """Within the block, native prints go to `log_path`; Python's own streams still reach the user.

    Args:
        log_path: created readable by its owner alone; begun anew above 1 MiB. Where it cannot be
            written, the prints are dropped.
        is_stdout_too: also descriptor 1. Programs started within the block (an editor, a pager) then
            lose their standard output, so not for the app.
    """
    names: tuple[StreamName, ...] = ("stdout", "stderr") if is_stdout_too else ("stderr",)
    log = _open_log(log_path)
    try:
        with ExitStack() as stack:
            for name in names:
                stack.enter_context(_moved(name, log))
            yield
    finally:
        os.close(log)


@contextmanager
def _moved(name: StreamName, log: int) -> Iterator[None]:
    descriptor = _DESCRIPTORS[name]
    try:
        kept = os.dup(descriptor)
    except OSError:  # the descriptor is closed (a daemon, pythonw): nothing can reach the screen by it
        yield
        return
    shown: TextIO = getattr(sys, name)
    original: TextIO = getattr(sys, f"__{name}__")
    shown_too = shown is original
    _flush(shown)
    copy: TextIO | None = None
    if _is_on(original, descriptor):
        copy = io.TextIOWrapper(
            os.fdopen(os.dup(kept), "wb", buffering=0 if name == "stderr" else -1),
            encoding=original.encoding,
            errors=original.errors,
            line_buffering=True,
            write_through=name == "stderr",
        )
        setattr(sys, f"__{name}__", copy)
        if shown_too:
            setattr(sys, name, copy)
    os.dup2(log, descriptor)
    try:
        yield
    finally:
        if copy is not None:
            if getattr(sys, name) is copy:
                setattr(sys, name, shown)
            setattr(sys, f"__{name}__", original)
        os.dup2(kept, descriptor)
        os.close(kept)
        if copy is not None:
            copy.close()


def _is_on(stream: TextIO | None, descriptor: int) -> bool:
    try:
        return stream is not None and stream.fileno() == descriptor
    except (OSError, ValueError, AttributeError):  # replaced by a test or a notebook, or closed
        return False


def _flush(stream: TextIO | None) -> None:
    if stream is not None and not stream.closed:
        stream.flush()


def _open_log(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        is_full = path.exists() and path.stat().st_size > MAX_LOG_BYTES
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if is_full else 0)
        return os.open(path, flags, 0o600)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)
