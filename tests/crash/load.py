"""A program that uses a store in every way at once, and tells line by line what is stored by now.

    python -m tests.crash.load FOLDER NAME [--turns-only]

Each line is written after the call returned, so whatever a reader has read must survive anything.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mmchat.errors import MemoryStoreError, UsageError
from mmchat.memory.store import MemoryStore, NewAttachment

_lock = threading.Lock()


def tell(kind: str, **fields: object) -> None:
    """One line for the reader of our output."""
    with _lock:
        sys.stdout.write(json.dumps({"kind": kind, **fields}) + "\n")
        sys.stdout.flush()


class Load:
    """What the threads do, each for ever."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.folder = folder
        self.store = MemoryStore(folder / "data" / "mmchat.db", folder / "data" / "blobs")
        self.chance = random.Random(name)

    def talk(self) -> None:
        """Messages, and replies that are checkpointed while they grow."""
        session = self.store.create_session(title=f"talk {self.name}")
        for number in range(100_000):
            user = self.store.add_user_turn(session.id, f"question {self.name} {number} 灯塔")
            tell("user", id=user.id, text=user.text)
            text = "word0"
            reply = self.store.start_reply(session.id, parent_id=user.id, model="m", engine="scripted", text=text)
            tell("checkpoint", id=reply.id, text=text)
            for index in range(1, 6):
                text += f" word{index}" * 40
                self.store.checkpoint_reply(reply.id, text)
                tell("checkpoint", id=reply.id, text=text)
            self.store.finish_reply(reply.id, text, status="complete")
            tell("finished", id=reply.id, text=text)

    def attach_and_delete(self) -> None:
        """Conversations with pictures, some of which share their bytes; every other one is deleted."""
        for number in range(100_000):
            session = self.store.create_session(title=f"pictures {number}")
            path = self.folder / f"{self.name}.png"
            path.write_bytes(b"\x89PNG" + f"{self.name} {number // 3}".encode() * 300)
            turn = self.store.add_user_turn(session.id, "look", [NewAttachment(path, "image", "image/png", "p.png")])
            tell("user", id=turn.id, text=turn.text)
            tell("picture", turn=turn.id, sha256=turn.attachments[0].sha256)
            if number % 2:
                tell("deleting", turn=turn.id)
                self.store.delete_session(session.id)
                tell("deleted", session=session.id, turn=turn.id)

    def bring_in(self) -> None:
        """Conversations of twenty turns, each stored in one transaction."""
        from mmchat.memory.statements import index_turn, insert_session, insert_turn

        for number in range(100_000):
            with self.store.file.write() as db:
                session_id = insert_session(db, title=f"import {number}")
                for position in range(20):
                    fields = {"role": "user", "text": f"imported {self.name} {number} {position}", "status": "complete"}
                    index_turn(db, insert_turn(db, session_id, fields))
            tell("imported", session=session_id, turns=20)
            time.sleep(0.01)

    def count(self) -> None:
        """Numbered messages, one transaction each."""
        session = self.store.create_session(title="count")
        tell("counting", session=session.id)
        for number in range(1, 100_000):
            self.store.add_user_turn(session.id, f"{number} " + "harbour lantern 灯塔 " * self.chance.randrange(60))
            tell("counted", number=number)


def _guarded(act: Callable[[], None]) -> None:
    try:
        act()
    except (MemoryStoreError, UsageError) as error:
        tell("error", message=str(error))
        raise


def main() -> None:
    """Run until killed."""
    load = Load(Path(sys.argv[1]), sys.argv[2])
    acts = [load.count] if "--turns-only" in sys.argv else [load.talk, load.attach_and_delete, load.bring_in]
    threads = [threading.Thread(target=_guarded, args=(act,), daemon=True) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
