"""A process that is killed while a reply streams loses no stored turn, and at most one checkpoint's text."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from mmchat.memory.store import MemoryStore

KILLS = 20

# Streams one reply after another through the store and tells, line by line, what it has stored so far.
# Each line is written after the call returned, so whatever the parent has read must survive.
STREAMER = """
import json, sys, time
from pathlib import Path
from mmchat.memory.store import MemoryStore

folder, session_id, interval_s = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
store = MemoryStore(folder / "data" / "mmchat.db", folder / "data" / "blobs")

def tell(kind, **fields):
    sys.stdout.write(json.dumps({"kind": kind, **fields}) + "\\n")
    sys.stdout.flush()

for round_number in range(10_000):
    user = store.add_user_turn(session_id, f"question {round_number}")
    tell("user", id=user.id, text=user.text)
    text = "word0"
    reply = store.start_reply(session_id, parent_id=user.id, model="m", engine="scripted", text=text)
    tell("checkpoint", id=reply.id, text=text)
    saved_at = time.monotonic()
    for index in range(1, 60):
        text += f" word{index}"
        if time.monotonic() - saved_at >= interval_s:
            store.checkpoint_reply(reply.id, text)
            saved_at = time.monotonic()
            tell("checkpoint", id=reply.id, text=text)
        time.sleep(0.0005)
    store.finish_reply(reply.id, text, status="complete")
    tell("finished", id=reply.id, text=text)
"""


@pytest.mark.slow
def test_no_stored_turn_is_lost_by_twenty_kills(tmp_path: Path) -> None:
    randomness = random.Random(20)
    store = MemoryStore(tmp_path / "data" / "mmchat.db", tmp_path / "data" / "blobs")
    session = store.create_session()
    users: dict[str, str] = {}
    finished: dict[str, str] = {}
    cut_midway = 0
    for _ in range(KILLS):
        checkpoints = _stream_until_killed(tmp_path, session.id, randomness.randint(2, 60), users, finished)
        turns = {turn.id: turn for turn in store.turns(session.id)}
        for turn_id, text in users.items():
            assert turns[turn_id].text == text
        for turn_id, text in finished.items():
            assert (turns[turn_id].text, turns[turn_id].status) == (text, "complete")
        for turn_id, text in checkpoints.items():
            assert turns[turn_id].text.startswith(text)
            # The child may have finished the reply and died before it could tell.
            assert turns[turn_id].status in ("stopped", "complete")
            cut_midway += turns[turn_id].status == "stopped"
        assert store.check_integrity() == []
    assert cut_midway > 0, "no kill hit a streaming reply: the test tested nothing"
    assert list(store.turns(session.id)) == sorted(store.turns(session.id), key=lambda turn: turn.id)
    store.close()


def _stream_until_killed(
    folder: Path, session_id: str, lines: int, users: dict[str, str], finished: dict[str, str]
) -> dict[str, str]:
    """Kill a streaming child after it told so many lines; returns the last checkpoint of its open reply."""
    child = subprocess.Popen(
        [sys.executable, "-c", STREAMER, str(folder), session_id, "0.004"], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    told = [child.stdout.readline() for _ in range(lines)]
    child.kill()
    told += child.stdout.readlines()
    child.stdout.close()
    child.wait()
    open_replies: dict[str, str] = {}
    for line in told:
        if not line.endswith("\n"):
            continue
        event = json.loads(line)
        if event["kind"] == "user":
            users[event["id"]] = event["text"]
        elif event["kind"] == "checkpoint":
            open_replies[event["id"]] = event["text"]
        else:
            finished[event["id"]] = event["text"]
            open_replies.pop(event["id"])
    return open_replies
