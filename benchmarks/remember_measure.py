"""What `benchmarks/remember.py` measures of one store, in a process of its own: the store of MMCHAT_HOME.

MMCHAT_HOME=FOLDER python -m benchmarks.remember_measure [--queries 60] [--opened 3]     # JSON on stdout
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.made_store import PICTURE_MODEL, SEED, TURN_MODEL
from benchmarks.made_texts import Space
from benchmarks.terminal import FRAME, Terminal
from mmchat import paths
from mmchat.domain import Session
from mmchat.memory.database import Row
from mmchat.memory.recall import Recall
from mmchat.memory.store import MemoryStore
from mmchat.memory.turn_search import search_turns
from mmchat.memory.vector_owners import OwnerKind
from mmchat.memory.vectors import VectorIndex
from mmchat.wiring import open_desk, open_hub

Figures = dict[str, list[float]]
"""Milliseconds of each call, or what else is named."""

NEAREST = 100
EXACT_QUERIES = 32
TYPED = 200
NEW = 20
FIRST = f"the first {NEW} questions of a program"
_SIZE = (40, 120)
_END_OF_FRAME = b"\x1b[?2026l"
_SETTLED_S = 4.0
_LISTED_S = 2.0
_OPEN_TIMEOUT_S = 30.0


class Beside:
    """An embedder that answers at once with vectors near chosen turns': what embedding takes is told apart."""

    def __init__(self, name: str, vectors: NDArray[np.float32]) -> None:
        self.name = name
        self.embedding_dim = vectors.shape[1]
        self._vectors = vectors
        self._next = 0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(B, D) float32, unit rows."""
        self._next += 1
        return self._vectors[[self._next % len(self._vectors)] * len(texts)]


class Measure:
    """One store, measured part by part."""

    def __init__(self, query_count: int) -> None:
        self.store = MemoryStore(paths.database_path(), paths.blobs_dir())
        self.figures: Figures = {}
        self._rng = np.random.default_rng(5)
        last = self.store.file.rows("SELECT max(number) AS last FROM turns")[0]["last"]
        chosen = tuple(self._rng.integers(1, last, query_count).tolist())
        marks = ", ".join("?" * len(chosen))
        self._asked = self.store.file.rows(f"SELECT number, text FROM turns WHERE number IN ({marks})", chosen)

    def run(self, opened: int) -> Figures:
        """All parts."""
        self.figures["file, MB"] = [paths.database_path().stat().st_size / 1e6]
        self._recall()
        for kind, model in (("turn", TURN_MODEL), ("attachment", PICTURE_MODEL)):
            self._nearest(kind, model)  # type: ignore[arg-type]
        self._time("list of 200 conversations", [self.store.list_sessions] * 20)
        self._search()
        session = longest(self.store)
        self.figures["turns of the longest conversation"] = [session.turn_count]
        told = [asyncio.run(_ms_to_open(session)) for _ in range(opened)]
        self.figures["its newest turns painted, in an app that has just started"] = [each[0] for each in told]
        self.figures["all its turns read, in that app"] = [each[1] for each in told]
        self.figures["first paint on a terminal"] = [_ms_to_paint(session, self.store) for _ in range(opened)]
        self.store.close()
        return self.figures

    def _time(self, name: str, calls: Sequence[Callable[[], object]]) -> None:
        values = []
        for call in calls:
            started = time.perf_counter()
            call()
            values.append(1000 * (time.perf_counter() - started))
        self.figures[name] = values

    # --- recall ---------------------------------------------------------------------------------

    def _recall(self) -> None:
        questions = [_question(row, self._rng) for row in self._asked]
        embedder = Beside(TURN_MODEL, self._queries("turn", TURN_MODEL))
        before_mb = resident_mb()
        recall = Recall(self.store, lambda: embedder)
        # These read much of the file for the first time, and so are told apart.
        new, known = questions[:NEW], questions[NEW:]
        kinds = {FIRST: (new, True), "recall": (known, True), "recall by words alone": (known, False)}
        for name, (asked, use_vectors) in kinds.items():
            self._time(
                name,
                [
                    lambda question=question, use=use_vectors: recall.find(question, use_vectors=use)  # type: ignore[misc]
                    for question in asked
                ],
            )
        self.figures["memory that recall takes, MB"] = [resident_mb() - before_mb]
        real = open_hub(kinds=("embed",)).embedder()
        if real is not None:
            real.embed([questions[0]])
            self._time("embedding a question", [lambda each=each: real.embed([each]) for each in questions])  # type: ignore[misc]

    def _queries(self, kind: OwnerKind, model: str) -> NDArray[np.float32]:
        numbers = [
            row["number"]
            for row in self.store.file.rows(
                "SELECT number FROM embeddings WHERE owner_kind = ? AND model = ?", (kind, model)
            )
        ]
        chosen = self._rng.choice(numbers, min(len(numbers), len(self._asked)), replace=False).tolist()
        marks = ", ".join("?" * len(chosen))
        found = self.store.file.rows(f"SELECT vector FROM embeddings WHERE number IN ({marks})", tuple(chosen))
        rows = np.stack([np.frombuffer(row["vector"], "<f2").astype(np.float32) for row in found])
        return Space(SEED, rows.shape[1]).queries(rows, 9)

    def _nearest(self, kind: OwnerKind, model: str) -> None:
        queries = self._queries(kind, model)
        index = VectorIndex(self.store.file, kind, model)
        index.nearest(queries[0], limit=NEAREST)
        name = "turns" if kind == "turn" else "pictures"
        self._time(
            f"nearest {NEAREST} {name}",
            [lambda query=query: index.nearest(query, limit=NEAREST) for query in queries],  # type: ignore[misc]
        )
        self.figures[f"of the exact nearest {NEAREST} {name}, %"] = self._shares(
            index, kind, model, queries[:EXACT_QUERIES]
        )

    def _shares(self, index: VectorIndex, kind: str, model: str, queries: NDArray[np.float32]) -> list[float]:
        """The share of the exact nearest that is found, against the naive full matrix."""
        owners: list[int] = []
        blocks = []
        with self.store.file.read() as db:
            cursor = db.execute(
                "SELECT owner, vector FROM embeddings WHERE owner_kind = ? AND model = ? ORDER BY number", [kind, model]
            )
            while rows := cursor.fetchmany(20_000):
                owners += [owner for owner, _ in rows]
                vectors = np.frombuffer(b"".join(vector for _, vector in rows), "<f2").reshape(len(rows), -1)
                blocks.append(vectors.astype(np.float32) @ queries.T)
        known, shares = np.array(owners), []
        for query, own in zip(queries, np.concatenate(blocks).T, strict=True):
            exact = known[np.argsort(-own)[:NEAREST]]
            shares.append(100 * float(np.isin(exact, index.nearest(query, limit=NEAREST).owners).mean()))
        return shares

    # --- search ---------------------------------------------------------------------------------

    def _search(self) -> None:
        english, chinese = [], []
        for row in self._asked:
            words = row["text"].rstrip(".").split()
            if len(words) > 1:
                typed = " ".join(words[:2]).lower()
                english += [typed[:length] for length in range(1, len(typed) + 1) if typed[length - 1] != " "]
            elif "\u4e00" <= row["text"][:1] <= "\u9fff":
                chinese += [row["text"][:1], row["text"][:2], row["text"][:4]]
        for name, typed_so_far in (("English", english), ("Chinese", chinese)):
            if not typed_so_far:
                continue
            chosen = self._rng.permutation(np.array(typed_so_far))[:TYPED].tolist()
            self._time(
                f"search as one types, {name}",
                [lambda each=each: search_turns(self.store, each, limit=50, each=3) for each in chosen],  # type: ignore[misc]
            )
            self._time(
                f"list of conversations as one types, {name}",
                [lambda each=each: self.store.list_sessions(query=each) for each in chosen],  # type: ignore[misc]
            )


def longest(store: MemoryStore) -> Session:
    """The conversation of most turns."""
    found = store.file.rows("SELECT session_id FROM turns GROUP BY session_id ORDER BY count(*) DESC LIMIT 1")
    return store.get_session(found[0]["session_id"])


async def _ms_to_open(session: Session) -> tuple[float, float]:
    """From the choice of a conversation, until its newest turns are painted and until all of them are read."""
    from mmchat.tui.app import MmchatApp
    from mmchat.tui.widgets.turns import ReplyView

    desk = open_desk()
    app = MmchatApp(desk, desk.new_session())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        started = time.perf_counter()
        app._chat.open(session.id)
        while not app._chat.query(ReplyView):
            await asyncio.sleep(0.001)
        await pilot.pause()
        painted = time.perf_counter() - started
        while len(app._chat.transcript._turns) < session.turn_count:
            await asyncio.sleep(0.001)
        await pilot.pause()
        seconds = painted, time.perf_counter() - started
    desk.close()
    return 1000 * seconds[0], 1000 * seconds[1]


def _ms_to_paint(session: Session, store: MemoryStore) -> float:
    """From Enter in the list of conversations until the last word of the conversation stands on a real terminal."""
    last = store.turns(session.id)[-1].text.split()[-1]
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    terminal = Terminal([sys.executable, "-m", "mmchat", "talk"], environment, _SIZE)
    try:
        terminal.until(FRAME.decode(), _OPEN_TIMEOUT_S)
        terminal.read(_SETTLED_S)  # the models are loaded meanwhile
        terminal.write(f"/sessions {session.title}\r")
        terminal.read(_LISTED_S)
        terminal.write("\r")
        started, written = time.perf_counter(), b""
        while not shows(written, last):
            if time.perf_counter() - started > _OPEN_TIMEOUT_S:
                raise TimeoutError(f"{last!r} was not shown within {_OPEN_TIMEOUT_S} s")
            written += terminal.part(0.05)
        return 1000 * (time.perf_counter() - started)
    finally:
        terminal.close()


def shows(written: bytes, word: str) -> bool:
    """Whether a whole frame has the word outside the list of conversations, where a look into one has it too.

    There a line is drawn before it.
    """
    whole = (frame for frame in written.split(FRAME) if _END_OF_FRAME in frame)
    return any(word.encode() in frame and "│".encode() not in frame for frame in whole)


def _question(row: Row, rng: np.random.Generator) -> str:
    """Some words of a turn, as one might ask for it."""
    text = row["text"]
    if "\u4e00" <= text[:1] <= "\u9fff":
        return "我之前说过" + str(text[:8])
    words = [word.strip(".").lower() for word in text.split()]
    chosen = rng.permutation(len(words))[: int(rng.integers(3, 9))]
    return "What did I say about " + " ".join(words[place] for place in sorted(chosen)) + "?"


def resident_mb() -> float:
    """Memory of this process that lies in RAM; 0 where /proc is not there."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next(float(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS"))


def main() -> None:
    """Measure the store of MMCHAT_HOME."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--opened", type=int, default=3)
    arguments = parser.parse_args()
    print(json.dumps(Measure(arguments.queries).run(arguments.opened)))


if __name__ == "__main__":
    main()
