"""Work in a thread of its own, so that Ctrl+C is answered at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.1


def run_in_thread(
    work: Callable[[threading.Event], T], on_stop: Callable[[], None], *, name: str, echo_s: float = 0.0
) -> T:
    """Do the work in a thread. The first Ctrl+C asks it to stop, the second leaves it.

    Args:
        work: is given the event that asks it to stop, and then returns what it has.
        on_stop: told that it was asked to stop.
        name: of the thread.
        echo_s: a second Ctrl+C so soon after the first is taken for the same one. A launcher of several
            processes passes on what the terminal has sent to each of them already.

    Raises:
        KeyboardInterrupt: the second Ctrl+C; the work was not waited for.
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

    threading.Thread(target=body, name=name, daemon=True).start()
    stopped_s = 0.0
    while True:
        try:
            # Not Thread.join: Ctrl+C in it makes Python 3.11 take the thread for ended (bpo-45274).
            while not ended.wait(POLL_S):
                pass
            break
        except KeyboardInterrupt:
            if cancel.is_set() and time.monotonic() - stopped_s >= echo_s:
                raise
            if not cancel.is_set():
                stopped_s = time.monotonic()
                cancel.set()
                on_stop()
    if failure:
        raise failure[0]
    return done[0]
