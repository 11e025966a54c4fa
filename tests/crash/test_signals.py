"""Told to end, or left without a terminal, in the middle of a reply: what was drawn is stored."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mmchat.memory.store import MemoryStore

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM and SIGHUP are POSIX signals"),
]
MODELS = """
schema_version = 1
[defaults]
lm = "slow"
[models.slow]
kind = "lm"
engine = "scripted"
options = { delay_s = 0.05 }
"""
WORDS = " ".join(f"word{number}" for number in range(400))
ON_ITS_TERMINAL = """
import fcntl, runpy, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.argv = ["mmchat", "talk"]
runpy.run_module("mmchat", run_name="__main__")
"""
WAIT_S = 60.0


@pytest.fixture
def slow_home(home: Path) -> Path:
    """A home whose default model takes its time."""
    (home / "config").mkdir(parents=True)
    (home / "config" / "models.toml").write_text(MODELS)
    return home


def last_reply(home: Path) -> tuple[str, str]:
    with closing(MemoryStore(home / "data" / "mmchat.db", home / "data" / "blobs")) as store:
        assert store.check_integrity() == []
        latest = store.latest_session()
        assert latest is not None
        turn = store.turns(latest.id)[-1]
        assert turn.role == "assistant"
        return turn.text, turn.status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ask_stores_every_word_that_it_printed(slow_home: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "mmchat", "ask", WORDS, "--no-recall"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    printed = b""
    while printed.count(b" ") < 8:
        printed += os.read(process.stdout.fileno(), 4096)
    process.send_signal(number)
    rest, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 128 + number, errors
    assert b"Traceback" not in errors
    text, status = last_reply(slow_home)
    assert status == "stopped"
    assert text.split() == (printed + rest).decode().split()


@pytest.mark.parametrize("how", ["SIGTERM", "the terminal is closed"])
def test_the_app_stores_its_reply_and_ends(slow_home: Path, how: str) -> None:
    leader, follower = pty.openpty()
    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", ON_ITS_TERMINAL],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    until(leader, lambda screen: b"Message" in screen, "the box is there")
    os.write(leader, WORDS[:300].encode())
    until(leader, lambda screen: b"word30" in screen, "the message is typed")
    os.write(leader, b"\r")
    until(leader, lambda screen: b"replying" in screen, "the reply has begun")
    if how == "SIGTERM":
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + WAIT_S
        while process.poll() is None and time.monotonic() < deadline:
            if select.select([leader], [], [], 0.05)[0]:
                try:
                    os.read(leader, 65536)
                except OSError:  # the last one to have the terminal open has gone
                    break
        os.close(leader)
    else:
        os.close(leader)
    assert process.wait(WAIT_S) == 128 + (signal.SIGTERM if how == "SIGTERM" else signal.SIGHUP)
    text, status = last_reply(slow_home)
    assert status == "stopped"
    assert text
    assert "You said".startswith(text[:8])  # the terminal may go with the first word


def until(leader: int, is_so: Callable[[bytes], bool], what: str) -> None:
    """Read the screen until something is on it."""
    screen, deadline = b"", time.monotonic() + WAIT_S
    while not is_so(screen):
        assert time.monotonic() < deadline, f"never came true: {what}: {screen[-300:]!r}"
        if select.select([leader], [], [], 0.1)[0]:
            screen += os.read(leader, 65536)
