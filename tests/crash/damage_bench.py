"""A store with rows of every kind, and ways to damage its file."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from mmchat.memory.store import MemoryStore, NewAttachment

PAGE_BYTES = 4096
WORDS = ["lighthouse", "garden", "violin", "harbour", "kettle", "lantern", "orchard", "灯塔", "花园", "提琴", "港口"]


def text_of(chance: random.Random, words: int) -> str:
    """Words of two languages."""
    return " ".join(chance.choices(WORDS, k=words))


def fill(folder: Path, *, sessions: int, turns: int, seed: int = 0) -> dict[str, str]:
    """Conversations with long and short turns, pictures, vectors, pins, ratings. Returns the turns' texts by id."""
    chance = random.Random(seed)
    store = MemoryStore(folder / "mmchat.db", folder / "blobs")
    texts: dict[str, str] = {}
    picture = folder / "picture.png"
    for number in range(sessions):
        session = store.create_session(title=f"Conversation {number}")
        for position in range(turns):
            files = []
            if position % 8 == 3:
                picture.write_bytes(chance.randbytes(500))
                files = [NewAttachment(picture, "image", "image/png", "picture.png")]
            words = chance.choice((3, 12, 40, 900))
            turn = store.add_user_turn(session.id, text_of(chance, words), files)
            texts[turn.id] = turn.text
    with store.file.write() as db:
        for (turn_number,) in db.execute("SELECT number FROM turns").fetchall():
            db.execute(
                "INSERT INTO embeddings (owner_kind, owner, model, vector) VALUES ('turn', ?, 'm', ?)",
                [turn_number, chance.randbytes(768)],
            )
        db.execute("INSERT INTO pins (turn_id, created_at) SELECT id, created_at FROM turns WHERE number % 5 = 0")
        db.execute("INSERT INTO session_tags (session_id, tag) SELECT id, 'tag' || number FROM sessions")
    store.close()
    return texts


def pages_of(path: Path, table: str) -> set[int]:
    """The pages of a table or an index, also those that long rows go on in (SQLite's own account of them)."""
    with closing(sqlite3.connect(path)) as connection:
        try:
            return {row[0] for row in connection.execute("SELECT pageno FROM dbstat WHERE name = ?", [table])}
        except sqlite3.OperationalError:  # built without dbstat
            return set()


def overwrite(path: Path, pages: list[int], content: Callable[[], bytes]) -> None:
    """Damage whole pages."""
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * PAGE_BYTES)
            file.write(content())


def damage_at_random(path: Path, chance: random.Random) -> str:
    """One of several kinds of damage; says which."""
    size = path.stat().st_size
    page_count = size // PAGE_BYTES
    kind = chance.choice(["noise", "noise", "zeros", "bits", "header", "first page", "swap", "cut", "foreign"])
    pages = [chance.randrange(2, page_count + 1) for _ in range(chance.choice([1, 1, 2, 5, 12]))]
    if kind == "noise":
        overwrite(path, pages, lambda: chance.randbytes(PAGE_BYTES))
    elif kind == "zeros":
        overwrite(path, pages, lambda: bytes(PAGE_BYTES))
    elif kind == "foreign":  # a page of text, as of another file
        overwrite(path, pages, lambda: (b"Dear diary, " * 400)[:PAGE_BYTES])
    elif kind == "bits":
        content = bytearray(path.read_bytes())
        for _ in range(chance.choice([1, 8, 60])):
            content[chance.randrange(100, size)] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
    elif kind == "header":
        with path.open("r+b") as file:
            file.write(chance.randbytes(100))
        pages = [1]
    elif kind == "first page":
        overwrite(path, [1], lambda: chance.randbytes(PAGE_BYTES))
        pages = [1]
    elif kind == "swap":
        content = bytearray(path.read_bytes())
        one, two = (PAGE_BYTES * (page - 1) for page in chance.sample(range(2, page_count + 1), 2))
        content[one : one + PAGE_BYTES], content[two : two + PAGE_BYTES] = (
            content[two : two + PAGE_BYTES],
            content[one : one + PAGE_BYTES],
        )
        path.write_bytes(content)
    else:
        keep = chance.randrange(PAGE_BYTES, size)
        with path.open("r+b") as file:
            file.truncate(keep)
        pages = list(range(keep // PAGE_BYTES + 1, page_count + 1))
    return f"{kind} {sorted(set(pages))[:12]}"
