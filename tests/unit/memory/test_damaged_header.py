"""A database whose header lies about its pages: nothing is lost, for the pages themselves say how large they are."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest

from mmchat.memory.raw_pages import PageFile
from mmchat.memory.raw_sizes import PAGE_SIZES
from mmchat.memory.recovery import recover
from mmchat.memory.store import MemoryStore
from tests.crash.damage_bench import fill

Texts = dict[str, str]

PAGE_SIZE, WRITE_FORMAT, RESERVED, PAGE_COUNT, FREE_LIST, ENCODING = 16, 18, 20, 28, 32, 56
"""Where the header tells these."""
WRONG = [
    *((PAGE_SIZE, struct.pack(">H", size % 65535)) for size in PAGE_SIZES if size != 4096),
    *((RESERVED, bytes([count])) for count in (10, 53, 255)),
    (WRITE_FORMAT, b"\x03"),
    (PAGE_COUNT, struct.pack(">I", 3)),
    *((FREE_LIST, struct.pack(">II", page, 2)) for page in (2, 5, 9)),
    (ENCODING, struct.pack(">I", 2)),
    *((PAGE_SIZE, random.Random(seed).randbytes(84)) for seed in range(8)),
    (PAGE_SIZE, b"\x02\x00\x02\x02\x10" + random.Random(0).randbytes(79)),
]
"""Bytes of the header, and where they stand; the magic before them is whole."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Texts]:
    """A small store, and its texts."""
    folder = tmp_path_factory.mktemp("source")
    return folder, fill(folder, sessions=1, turns=6)


@pytest.mark.parametrize(("at", "wrong"), WRONG, ids=[f"{at}-{wrong[:8].hex()}" for at, wrong in WRONG])
def test_a_header_that_lies_costs_nothing(source: tuple[Path, Texts], tmp_path: Path, at: int, wrong: bytes) -> None:
    folder, texts = source
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "mmchat.db"
    with path.open("r+b") as file:
        file.seek(at)
        file.write(wrong)
    recover(path, tmp_path / "blobs")
    with closing(MemoryStore(path, tmp_path / "blobs")) as store:
        assert store.check_integrity() == []
        assert {row["id"]: row["text"] for row in store.file.rows("SELECT id, text FROM turns")} == texts
        assert [row["title"] for row in store.file.rows("SELECT title FROM sessions")] == ["Conversation 0"]
        store.add_user_turn(store.file.rows("SELECT id FROM sessions")[0]["id"], "one more")


@pytest.mark.parametrize("size", PAGE_SIZES)
@pytest.mark.parametrize("stated", [0, 512, 4096, 32768])
def test_the_pages_say_how_large_they_are(tmp_path: Path, size: int, stated: int) -> None:
    path = tmp_path / "any.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA page_size = {size}")
        connection.execute("CREATE TABLE texts (text)")
        connection.executemany("INSERT INTO texts VALUES (?)", [("word " * (n % 70 * 9),) for n in range(300)])
        connection.execute("DELETE FROM texts WHERE rowid % 7 = 0")
        connection.commit()
    with path.open("r+b") as file:
        file.seek(PAGE_SIZE)
        file.write(struct.pack(">H", stated))
        descriptor = os.dup(file.fileno())
    try:
        with closing(PageFile(descriptor, tmp_path / "no log")) as pages:
            assert pages.page_bytes == size
    finally:
        os.close(descriptor)


def test_noise_and_nothing_have_pages_of_the_usual_size(tmp_path: Path) -> None:
    for content in (b"", b"SQLite format 3\x00", random.Random(1).randbytes(300_000)):
        path = tmp_path / "noise.db"
        path.write_bytes(content)
        with path.open("rb") as file, closing(PageFile(file.fileno(), tmp_path / "no log")) as pages:
            assert pages.page_bytes == 4096
