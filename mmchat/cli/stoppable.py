"""Work in a thread of its own, so that Ctrl+C is answered at once, and the way out while native code is at work."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn, TypeVar

T = TypeVar("T")

POLL_S = 0.1


def run_stoppable(
    work: Callable[[threading.Event], T],
    *,
    on_stop: Callable[[], None],
    on_wait: Callable[[], None] = lambda: None,
    grace_s: float | None = None,
    echo_s: float = 0.0,
) -> T:
    """Do the work in a thread. The first Ctrl+C asks it to stop, the second leaves it.

    Args:
        work: is given the event that asks it to stop, and then returns what it has.
        on_stop: called when it is asked to stop.
        on_wait: called several times a second until then.
        grace_s: how long it may take to stop; None for as long as it needs.
        echo_s: a second Ctrl+C so soon after the first is taken for the same one. A launcher of several
            processes passes on what the terminal has sent to each of them already.

    Raises:
        KeyboardInterrupt: the second Ctrl+C, or the time is over. The thread is still at work: say what there is
            to say, then `leave`.
        MmchatError: the work's own.
    """
    cancel, ended = threading.Event(), threading.Event()
    done: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            done.append(work(cancel))
        except BaseException as error:  # handed to the main thread, which raises it
            failure.append(error)
        finally:
            ended.set()

    threading.Thread(target=body, name="work", daemon=True).start()
    deadline_s, stopped_s = float("inf"), 0.0
    while True:
        try:
            # Not Thread.join: Ctrl+C in it makes Python 3.11 take the thread for ended (bpo-45274).
            while not ended.wait(POLL_S):
                if not cancel.is_set():
                    on_wait()
                elif time.monotonic() > deadline_s:
                    raise KeyboardInterrupt
            break
        except KeyboardInterrupt:
            now_s = time.monotonic()
            if cancel.is_set():
                if now_s - stopped_s >= echo_s:
                    raise
                continue
            cancel.set()
            stopped_s = now_s
            deadline_s = float("inf") if grace_s is None else now_s + grace_s
            on_stop()
    if failure:
        raise failure[0]
    return done[0]


def leave(code: int) -> NoReturn:
    """End the program although a thread is in the middle of native code.

    An interpreter that took itself down around it would abort ("terminate called without an active exception").
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
