"""The real app, killed or left without a terminal while a message is typed: the draft is there again."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import closing
from pathlib import Path

import pytest

from mmchat.memory.store import MemoryStore

from .test_signals import ON_ITS_TERMINAL, WAIT_S, slow_home, until

__all__ = ["slow_home"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and SIGHUP are POSIX signals"),
]


def start() -> tuple[subprocess.Popen[bytes], int]:
    """The app on a terminal of its own."""
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
    return process, leader


def kept(home: Path) -> str:
    with closing(MemoryStore(home / "data" / "mmchat.db", home / "data" / "blobs")) as store:
        assert store.check_integrity() == []
        return "".join(row["content"] for row in store.file.rows("SELECT content FROM drafts"))


@pytest.mark.parametrize("how", ["SIGKILL", "the terminal is closed"])
def test_a_draft_outlives_the_app(slow_home: Path, how: str) -> None:
    process, leader = start()
    until(leader, lambda screen: b"Message" in screen, "the box is there")
    os.write(leader, "an unsent thought 未发送".encode())
    until(leader, lambda screen: "送".encode() in screen, "it is typed")
    if how == "SIGKILL":
        deadline = time.monotonic() + WAIT_S
        while "thought" not in kept(slow_home):
            assert time.monotonic() < deadline, "never saved"
        process.send_signal(signal.SIGKILL)
    os.close(leader)
    process.wait(WAIT_S)
    process, leader = start()
    until(leader, lambda screen: "an unsent thought 未发送".encode() in screen, "the draft is back in the box")
    os.write(leader, b"\r")
    until(leader, lambda screen: b"replying" in screen, "it is sent")
    assert kept(slow_home) == ""
    process.send_signal(signal.SIGKILL)
    process.wait(WAIT_S)
    os.close(leader)
