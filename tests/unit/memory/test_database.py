"""The SQLite file itself: what its connections do when threads and closing meet."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from mmchat.errors import MemoryStoreError
from mmchat.memory.database import DatabaseFile


def test_closing_waits_for_what_is_being_read(tmp_path: Path) -> None:
    """A connection that is closed under a reading thread takes the whole program down."""
    file = DatabaseFile(tmp_path / "mmchat.db")
    is_reading, may_end, problems = threading.Event(), threading.Event(), list[str]()

    def read() -> None:
        try:
            with file.read() as db:
                numbers = db.execute(
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n"
                )
                next(numbers)
                is_reading.set()
                may_end.wait(10)
                assert sum(1 for _ in numbers) == 4999
        except (MemoryStoreError, sqlite3.Error) as error:
            problems.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    assert is_reading.wait(10)
    closer = threading.Thread(target=file.close)
    closer.start()
    closer.join(0.05)
    assert closer.is_alive()
    may_end.set()
    reader.join(10)
    closer.join(10)
    assert not problems
    with pytest.raises(MemoryStoreError, match="is closed"), file.read():
        pass
