"""Ctrl+C while a thread is at work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from mmchat.cli.stoppable import run_stoppable
from mmchat.errors import EvalError
from tests.virtual_mic import wait_until

MAIN_THREAD = threading.main_thread().ident


def press_ctrl_c() -> None:
    """Once the main thread waits for the work."""

    def is_waited_for() -> bool:
        frame, names = sys._current_frames().get(MAIN_THREAD or 0), set()
        while frame is not None:
            names.add(frame.f_code.co_name)
            frame = frame.f_back
        return "run_stoppable" in names and "start" not in names

    wait_until(is_waited_for, "the main thread to wait", timeout_s=60)
    os.kill(os.getpid(), signal.SIGINT)


def test_a_second_ctrl_c_leaves_work_that_does_not_stop() -> None:
    said: list[str] = []
    is_over, noticed = threading.Event(), threading.Event()

    def work(cancel: threading.Event) -> str:
        press_ctrl_c()
        assert cancel.wait(60)
        noticed.set()
        os.kill(os.getpid(), signal.SIGINT)
        is_over.wait(60)  # a batch that takes its time
        raise AssertionError("nobody waits for this")

    with pytest.raises(KeyboardInterrupt):
        run_stoppable(work, on_stop=lambda: said.append("stopping"))
    assert noticed.is_set()
    assert said == ["stopping"]
    is_over.set()


def test_after_one_ctrl_c_the_work_is_really_waited_for() -> None:
    """Where Python 3.11 takes a thread for ended that was joined when Ctrl+C came."""

    def work(cancel: threading.Event) -> str:
        press_ctrl_c()
        assert cancel.wait(60)
        end_s = time.monotonic() + 0.5
        while time.monotonic() < end_s:
            pass
        return "what there is"

    assert run_stoppable(work, on_stop=lambda: None, grace_s=60) == "what there is"


def test_work_that_does_not_stop_in_time_is_left() -> None:
    is_over = threading.Event()

    def work(cancel: threading.Event) -> None:
        press_ctrl_c()
        is_over.wait(60)

    with pytest.raises(KeyboardInterrupt):
        run_stoppable(work, on_stop=lambda: None, grace_s=0.0)
    is_over.set()


def test_what_the_thread_raises_is_raised() -> None:
    def work(cancel: threading.Event) -> None:
        raise EvalError("out of luck")

    with pytest.raises(EvalError, match="out of luck"):
        run_stoppable(work, on_stop=lambda: None)


def test_leaving_flushes_and_does_not_wait_for_the_thread() -> None:
    program = (
        "import sys, threading; from mmchat.cli.stoppable import leave\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "sys.stdout.write('what was done'); leave(130)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (130, "what was done", "")
