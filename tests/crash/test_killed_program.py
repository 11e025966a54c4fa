"""The real program with the real model, killed while it answers: nothing stored is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmchat.memory.store import MemoryStore

KILLS = 20
LOST_S = 1.0
"""What a crash may cost of a reply; a checkpoint is due each second."""
GRACE_S = 0.5
"""For the checkpoint's own write and for our reading of the pipe, on a busy machine."""
PROMPT = "Tell me a long story about a lighthouse, message number {}."


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX signal")
def test_killed_twenty_times(home: Path, weights_dir: Path) -> None:
    chance = random.Random(20261121)
    data = home / "data"
    asked: list[str] = []
    kills = 0
    while kills < KILLS:
        assert len(asked) < 3 * KILLS, "replies end too soon to be killed"
        asked.append(PROMPT.format(len(asked)))
        answer = _kill_one_answer(asked[-1], home, chance.uniform(0.05, 2.5))
        store = MemoryStore(data / "mmchat.db", data / "blobs")
        try:
            assert store.check_integrity() == []
            stored = [store.turns(session.id) for session in reversed(store.list_sessions())]
        finally:
            store.close()
        assert [turns[0].text for turns in stored] == asked
        reply = stored[-1][-1]
        # An answer may have been stored whole in the instant before the kill; that is no kill to count.
        kills += reply.status == "stopped"
        assert (reply.role, reply.status) in [("assistant", "stopped"), ("assistant", "complete")]
        assert answer.was_killed or reply.status == "complete"
        assert reply.text.startswith(answer.settled.rstrip()), "text older than a second must have been saved"


@dataclass(frozen=True)
class Answer:
    """What an interrupted `mmchat ask` had printed."""

    settled: str
    """Long enough before its end for a checkpoint."""
    was_killed: bool
    """False: it had ended by itself before the kill."""


def _kill_one_answer(prompt: str, home: Path, after_s: float) -> Answer:
    """Kill `mmchat ask` some time after its first word.

    Each in a conversation of its own: beside broken off replies the model learns to answer with a word.
    """
    command = [sys.executable, "-m", "mmchat", "ask", prompt, "--max-tokens", "2000", "--no-recall"]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MMCHAT_HOME": str(home), "MMCHAT_TEMPERATURE": "0.7"},
    ) as process:
        assert process.stdout is not None
        descriptor = process.stdout.fileno()
        shown = [(0.0, os.read(descriptor, 4096))]
        assert shown[0][1], "the program ended before its first word"
        started = time.monotonic()
        os.set_blocking(descriptor, False)
        while (now := time.monotonic() - started) < after_s and process.poll() is None:
            with suppress(BlockingIOError):
                shown.append((now, os.read(descriptor, 4096)))
            time.sleep(0.01)
        was_killed = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    settled = b"".join(piece for at, piece in shown if at < after_s - LOST_S - GRACE_S)
    return Answer(settled.decode("utf-8", "ignore"), was_killed)
