"""What `benchmarks/scale.py measure` times: recall, search, opening, starting, listing; size and memory."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.scale_texts import Space
from benchmarks.start import seconds_to_echo
from mmchat import paths
from mmchat.domain import Session
from mmchat.memory.recall import Recall
from mmchat.memory.store import MemoryStore
from mmchat.memory.turn_search import search_turns
from mmchat.memory.vector_owners import OwnerKind
from mmchat.memory.vectors import VectorIndex
from mmchat.wiring import open_desk, open_hub

Figures = dict[str, dict[str, float]]

_NEAREST = 100
_EXACT_QUERIES = 32


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
        started = time.perf_counter()
        self.store = MemoryStore(paths.database_path(), paths.blobs_dir())
        self.figures: Figures = {"open the store": {"ms": 1000 * (time.perf_counter() - started)}}
        self._rng = np.random.default_rng(5)
        self._asked = self._turns(query_count)

    def run(self, only: Sequence[str]) -> Figures:
        """All parts, or those named."""
        parts: dict[str, Callable[[], None]] = {
            "size": self._size,
            "list": self._list,
            "vectors": lambda: self._vectors("turn", "minilm"),
            "pictures": lambda: self._vectors("attachment", "lite2-minilm"),
            "recall": self._recall,
            "search": self._search,
            "session": self._session,
            "app": self._app,
            "start": self._start,
        }
        for name, part in parts.items():
            if not only or name in only:
                part()
        for name, figures in self.figures.items():
            print(f"{name:44}" + "  ".join(f"{unit} {value:,.2f}" for unit, value in figures.items()))
        self.store.close()
        return self.figures

    def _turns(self, count: int) -> list[dict[str, str]]:
        last = self.store.file.rows("SELECT max(number) AS last FROM turns")[0]["last"]
        rows = []
        for number in self._rng.integers(1, last, count).tolist():
            rows += self.store.file.rows("SELECT number, text FROM turns WHERE number = ?", (number,))
        return rows

    def _time(self, name: str, calls: Sequence[Callable[[], object]]) -> None:
        """The median and the 95th percentile of wall time, and of the time that a core was at work."""
        walls, works = [], []
        for call in calls:
            started, worked = time.perf_counter(), time.thread_time()
            call()
            works.append(time.thread_time() - worked)
            walls.append(time.perf_counter() - started)
        self.figures[name] = {
            f"{kind} {label} ms": float(1000 * np.quantile(values, share))
            for kind, values in (("wall", walls), ("cpu", works))
            for label, share in (("p50", 0.5), ("p95", 0.95))
        }

    def _size(self) -> None:
        self.figures["rows"] = {
            table: self.store.file.rows(f"SELECT count(*) AS count FROM {table}")[0]["count"]
            for table in ("sessions", "turns", "attachments", "embeddings")
        }
        self.figures["file"] = {"MB": paths.database_path().stat().st_size / 1e6}

    def _list(self) -> None:
        self._time("list 200 conversations", [self.store.list_sessions] * 20)
        self._time("the conversation last spoken in", [self.store.latest_session] * 20)

    # --- vectors --------------------------------------------------------------------------------

    def _queries(self, kind: OwnerKind, model: str) -> NDArray[np.float32]:
        found = self.store.file.rows(
            "SELECT vector FROM embeddings WHERE number IN (SELECT number FROM embeddings"
            " WHERE owner_kind = ? AND model = ? ORDER BY random() LIMIT ?)",
            (kind, model, len(self._asked)),
        )
        rows = np.stack([np.frombuffer(row["vector"], "<f2").astype(np.float32) for row in found])
        return Space(11, rows.shape[1]).queries(rows, 9)

    def _vectors(self, kind: OwnerKind, model: str) -> None:
        queries = self._queries(kind, model)
        index = VectorIndex(self.store.file, kind, model)
        started = time.perf_counter()
        index.pack()
        self.figures[f"{kind} codes, made where missing"] = {"s": time.perf_counter() - started}
        before_mb = resident_mb()
        index = VectorIndex(self.store.file, kind, model)
        self._time(f"{kind} vectors, first search", [lambda: index.nearest(queries[0], limit=_NEAREST)])
        self._time(
            f"{kind} vectors, nearest {_NEAREST}",
            [lambda query=query: index.nearest(query, limit=_NEAREST) for query in queries],  # type: ignore[misc]
        )
        self.figures[f"{kind} vectors, memory"] = {"MB": resident_mb() - before_mb}
        self._compare(index, kind, model, queries[:_EXACT_QUERIES])

    def _compare(self, index: VectorIndex, kind: str, model: str, queries: NDArray[np.float32]) -> None:
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
        cosines = np.concatenate(blocks)
        known = np.array(owners)
        shares = []
        for query, own in zip(queries, cosines.T, strict=True):
            exact = known[np.argpartition(-own, _NEAREST)[:_NEAREST]]
            shares.append(np.isin(exact, index.nearest(query, limit=_NEAREST).owners).mean())
        self.figures[f"{kind} vectors, share of the exact {_NEAREST}"] = {
            "mean": float(np.mean(shares)),
            "least": float(np.min(shares)),
        }

    # --- words ----------------------------------------------------------------------------------

    def _recall(self) -> None:
        questions = [_question(row["text"], self._rng) for row in self._asked]
        embedder = Beside("minilm", self._queries("turn", "minilm"))
        recall = Recall(self.store, lambda: embedder)
        self._time("recall, first question", [lambda: recall.find(questions[0])])
        for name, use_vectors in {"recall": True, "recall, words only": False}.items():
            self._time(
                name,
                [
                    lambda question=question, use=use_vectors: recall.find(question, use_vectors=use)  # type: ignore[misc]
                    for question in questions
                ],
            )
        self.figures["memory after recall"] = {"MB": resident_mb()}
        real = open_hub(kinds=("embed",)).embedder()
        if real is not None:
            real.embed([questions[0]])
            self._time("embedding a question", [lambda each=each: real.embed([each]) for each in questions])  # type: ignore[misc]

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
            chosen = self._rng.permutation(np.array(typed_so_far))[:400].tolist()
            self._time(
                f"search as one types, {name}",
                [lambda each=each: search_turns(self.store, each, limit=50) for each in chosen],  # type: ignore[misc]
            )
            self._time(
                f"list as one types, {name}",
                [lambda each=each: self.store.list_sessions(query=each) for each in chosen],  # type: ignore[misc]
            )

    # --- what the user sees -----------------------------------------------------------------------

    def _long(self) -> Session:
        found = self.store.file.rows("SELECT session_id FROM turns GROUP BY session_id ORDER BY count(*) DESC LIMIT 1")
        return self.store.get_session(found[0]["session_id"])

    def _session(self) -> None:
        session = self._long()
        self._time(f"read the {session.turn_count} turns", [lambda: self.store.turns(session.id)] * 7)

    def _app(self) -> None:
        session = self._long()
        opened = [asyncio.run(_seconds_to_open(session.id)) for _ in range(3)]
        self.figures[f"open the {session.turn_count} turns in the app"] = {
            "median s": float(np.median([wall for wall, _ in opened])),
            "median cpu s": float(np.median([work for _, work in opened])),
        }

    def _start(self) -> None:
        environment = {**os.environ, "TERM": "xterm-256color"}
        program = [sys.executable, "-m", "mmchat", "talk"]
        with tempfile.TemporaryDirectory() as empty:
            homes: dict[str, tuple[list[str], str]] = {
                "talk, empty store": ([], empty),
                "talk": ([], environment["MMCHAT_HOME"]),
                "talk -c": (["-c"], environment["MMCHAT_HOME"]),
            }
            for name, (extra, home) in homes.items():
                own = {**environment, "MMCHAT_HOME": home}
                seconds = [seconds_to_echo([*program, *extra], own) for _ in range(5)]
                self.figures[f"{name}, until a letter is echoed"] = {
                    "median s": float(np.median(seconds)),
                    "least s": min(seconds),
                }


async def _seconds_to_open(session_id: str) -> tuple[float, float]:
    """Until the end of a conversation is painted: wall time, and what all cores worked."""
    from mmchat.tui.app import MmchatApp
    from mmchat.tui.widgets.turns import ReplyView

    desk = open_desk()
    app = MmchatApp(desk, desk.new_session())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        started, worked = time.perf_counter(), time.process_time()
        app._chat.open(session_id)
        while not app._chat.query(ReplyView):
            await asyncio.sleep(0.001)
        await pilot.pause()
        seconds = time.perf_counter() - started, time.process_time() - worked
    desk.close()
    return seconds


def _question(text: str, rng: np.random.Generator) -> str:
    """Some words of a turn, as one might ask for it."""
    if "\u4e00" <= text[:1] <= "\u9fff":
        return "我之前说过" + text[:8]
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


def measure(query_count: int, only: Sequence[str]) -> Figures:
    """Measure the store of MMCHAT_HOME, and print it."""
    return Measure(query_count).run(only)
