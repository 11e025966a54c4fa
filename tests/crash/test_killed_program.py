"""The real program with the real model, killed while it answers: nothing stored is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
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
    session: str | None = None
    for number in range(KILLS):
        shown = _kill_one_answer(PROMPT.format(number), session, home, chance.uniform(0.05, 2.5))
        store = MemoryStore(data / "mmchat.db", data / "blobs")
        try:
            assert store.check_integrity() == []
            latest = store.latest_session()
            assert latest is not None
            session = latest.id
            turns = store.turns(session)
        finally:
            store.close()
        assert [turn.text for turn in turns if turn.role == "user"] == [PROMPT.format(n) for n in range(number + 1)]
        reply = turns[-1]
        assert (reply.role, reply.status) == ("assistant", "stopped")
        settled = "".join(piece for at, piece in shown if at < shown[-1][0] - LOST_S - GRACE_S)
        assert reply.text.startswith(settled.rstrip()), "text older than a second must have been saved"


def _kill_one_answer(prompt: str, session: str | None, home: Path, after_s: float) -> list[tuple[float, str]]:
    """Kill `mmchat ask` some time after its first word.

    Returns:
        What it had printed, as (seconds since the first word, text); the last pair is the kill itself.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "mmchat", "ask", prompt, *(["-s", session] if session else []), "--max-tokens", "2000"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MMCHAT_HOME": str(home), "MMCHAT_TEMPERATURE": "1.2"},
    )
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    first = os.read(descriptor, 4096)
    assert first, "the program ended before its first word"
    started = time.monotonic()
    os.set_blocking(descriptor, False)
    shown = [(0.0, first)]
    while (now := time.monotonic() - started) < after_s:
        try:
            if piece := os.read(descriptor, 4096):
                shown.append((now, piece))
        except BlockingIOError:
            pass
        assert process.poll() is None, "the reply ended before the kill"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return [(at, piece.decode("utf-8", "ignore")) for at, piece in shown] + [(after_s, "")]
