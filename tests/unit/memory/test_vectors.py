"""Vectors found by their codes: what the naive full matrix says, whatever happened to the rows meanwhile."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from numpy.typing import NDArray

from mmchat.memory.database import DatabaseFile
from mmchat.memory.vector_codes import Codes, Wanted
from mmchat.memory.vectors import MAX_READ, VectorIndex

WIDTH = 70
"""Not a multiple of 64, nor of 8."""
SESSIONS = 3


def unit_rows(seed: int, count: int, width: int = WIDTH) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def opened(folder: Path) -> DatabaseFile:
    file = DatabaseFile(folder / "m.db")
    with file.write() as db:
        for number in range(1, SESSIONS + 1):
            db.execute("INSERT INTO sessions (id, created_at, updated_at) VALUES (?, '', '')", [f"s{number}"])
    return file


def add_turns(file: DatabaseFile, sessions: list[int]) -> list[int]:
    """Turns of these conversations; returns their numbers."""
    with file.write() as db:
        for session in sessions:
            db.execute(
                "INSERT INTO turns (id, session_id, position, role, text, status, created_at, updated_at) SELECT"
                " 't' || n, ?, n, 'user', '', 'complete', '', '' FROM (SELECT coalesce(max(number), 0) + 1 AS n"
                " FROM turns)",
                [f"s{session}"],
            )
        found = db.execute("SELECT number FROM turns ORDER BY number DESC LIMIT ?", [len(sessions)])
        return sorted(number for (number,) in found)


def naive(file: DatabaseFile, query: NDArray[np.float32], limit: int, where: str = "1") -> list[int]:
    rows = file.rows(
        "SELECT e.owner, e.vector FROM embeddings e JOIN turns t ON t.number = e.owner JOIN sessions s"
        " ON s.id = t.session_id WHERE e.model = 'm' AND e.owner_kind = 'turn' AND s.deleted_at IS NULL"
        f" AND NOT t.is_retired AND t.status <> 'streaming' AND {where}"
    )
    cosines = {row["owner"]: float(np.frombuffer(row["vector"], "<f2").astype(np.float32) @ query) for row in rows}
    return sorted(cosines, key=lambda owner: -cosines[owner])[:limit]


class AgainstNaive(RuleBasedStateMachine):
    """Two programs write and search; each search finds what the naive one finds."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.file = opened(Path(self.folder.name))
        self.other_file = DatabaseFile(self.file.path)
        self.turns: list[int] = []
        self.seed = 0

    def new_index(self, file: DatabaseFile) -> VectorIndex:
        # Four at once: a few steps make many codes.
        return VectorIndex(file, "turn", "m", coded_at_once=4)

    @initialize()
    def open(self) -> None:
        self.index, self.other = self.new_index(self.file), self.new_index(self.other_file)

    def vectors(self, count: int) -> NDArray[np.float32]:
        self.seed += 1
        return unit_rows(self.seed, count)

    @rule(sessions=st.lists(st.integers(1, SESSIONS), min_size=1, max_size=9), by_other=st.booleans())
    def add(self, sessions: list[int], by_other: bool) -> None:
        numbers = add_turns(self.file, sessions)
        self.turns += numbers
        vectors = self.vectors(len(numbers))
        (self.other if by_other else self.index).save(dict(zip(numbers, vectors, strict=True)))

    @rule(choice=st.integers(0, 99), by_other=st.booleans())
    def replace(self, choice: int, by_other: bool) -> None:
        if self.turns:
            owner = self.turns[choice % len(self.turns)]
            (self.other if by_other else self.index).save({owner: self.vectors(1)[0]})

    @rule(choice=st.integers(0, 99))
    def delete(self, choice: int) -> None:
        if self.turns:
            with self.file.write() as db:
                db.execute("DELETE FROM turns WHERE number = ?", [self.turns.pop(choice % len(self.turns))])

    @rule(choice=st.integers(0, 99), is_retired=st.booleans())
    def retire_or_bring_back(self, choice: int, is_retired: bool) -> None:
        if self.turns:
            number = self.turns[choice % len(self.turns)]
            with self.file.write() as db:
                db.execute("UPDATE turns SET is_retired = ? WHERE number = ?", [is_retired, number])

    @rule(session=st.integers(1, SESSIONS), deleted_at=st.sampled_from(["2026-01-01", None]))
    def throw_away_or_bring_back(self, session: int, deleted_at: str | None) -> None:
        with self.file.write() as db:
            db.execute("UPDATE sessions SET deleted_at = ? WHERE number = ?", [deleted_at, session])

    @rule(by_other=st.booleans())
    def pack(self, by_other: bool) -> None:
        (self.other if by_other else self.index).pack()

    @rule()
    def start_again(self) -> None:
        self.index = self.new_index(self.file)

    @rule(choice=st.integers(0, 99))
    def lose_a_code(self, choice: int) -> None:
        stored = self.file.rows("SELECT rowid FROM vector_codes")
        if stored:
            with self.file.write() as db:
                db.execute("DELETE FROM vector_codes WHERE rowid = ?", [stored[choice % len(stored)]["rowid"]])
        self.index = self.new_index(self.file)

    @invariant()
    def finds_the_same(self) -> None:
        if not self.turns:
            return
        (query,) = self.vectors(1)
        for index, file in ((self.index, self.file), (self.other, self.other_file)):
            assert index.nearest(query, limit=7).owners.tolist() == naive(file, query, 7)
        only = self.index.nearest(query, limit=7, session=1)
        assert only.owners.tolist() == naive(self.file, query, 7, "s.number = 1")
        hidden = self.turns[::3]
        without = self.other.nearest(query, limit=7, exclude_session=2, exclude=np.array(hidden, np.int64))
        numbers = ",".join(map(str, hidden))
        assert without.owners.tolist() == naive(self.file, query, 7, f"s.number <> 2 AND t.number NOT IN ({numbers})")
        cosines = self.index.cosines_of(query, only.owners.tolist())
        assert [cosines[owner] for owner in only.owners.tolist()] == pytest.approx(only.cosines.tolist(), abs=1e-5)

    def teardown(self) -> None:
        self.file.close()
        self.other_file.close()
        self.folder.cleanup()


TestAgainstNaive = AgainstNaive.TestCase
TestAgainstNaive.settings = settings(
    max_examples=8, stateful_step_count=16, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[DatabaseFile]:
    one = opened(tmp_path)
    yield one
    one.close()


def filled(file: DatabaseFile, count: int = 60) -> VectorIndex:
    index = VectorIndex(file, "turn", "m", coded_at_once=8)
    index.save(dict(zip(add_turns(file, [1] * count), unit_rows(1, count), strict=True)))
    return index


def test_stored_codes_spare_reading_the_vectors(file: DatabaseFile) -> None:
    filled(file).pack()
    read: list[str] = []
    with file.read() as db:
        db.conn.set_trace_callback(read.append)
    again = VectorIndex(file, "turn", "m", coded_at_once=8)
    again.nearest(unit_rows(2, 1)[0], limit=3)
    with file.read() as db:
        db.conn.set_trace_callback(None)
        last = db.execute("SELECT max(last) FROM vector_codes").fetchone()[0]
    assert last >= 60 - 2 * 8
    (followed,) = [sql for sql in read if "e.number > " in sql]
    assert f"e.number > {last}" in followed  # only what came after the codes is read


def test_codes_are_one_chain_whoever_stores_them(file: DatabaseFile) -> None:
    first = filled(file, 20)
    second = VectorIndex(file, "turn", "m", coded_at_once=6)
    for index in (first, second, first):
        index.nearest(unit_rows(2, 1)[0], limit=1)
    for step, index in enumerate((first, second, second, first)):
        index.save(dict(zip(add_turns(file, [2] * 15), unit_rows(10 + step, 15), strict=True)))
        index.pack()
    chain = file.rows("SELECT after, last FROM vector_codes ORDER BY after")
    assert [row["after"] for row in chain] == [0, *(row["last"] for row in chain[:-1])]


def test_codes_mostly_of_vectors_that_are_gone_are_made_anew(file: DatabaseFile) -> None:
    index = filled(file, 80)
    index.pack()
    with file.write() as db:
        db.execute("DELETE FROM turns WHERE number <= 60")
    index.pack()
    rows = file.rows("SELECT coalesce(sum(length(rows)), 0) AS size FROM vector_codes")[0]["size"]
    assert Codes.rows_in(rows) <= 20
    assert index.nearest(unit_rows(3, 1)[0], limit=99).owners.size == 20


def test_codes_of_one_bit_that_an_earlier_version_stored_are_made_anew(file: DatabaseFile) -> None:
    filled(file).pack()
    with file.write() as db:
        db.execute("UPDATE vector_codes SET codes = substr(codes, 1, length(codes) / 2)")
    query = unit_rows(2, 1)[0]
    again = VectorIndex(file, "turn", "m", coded_at_once=8)
    assert again.nearest(query, limit=5).owners.tolist() == naive(file, query, 5)
    again.pack()
    for row in file.rows("SELECT rows, codes FROM vector_codes"):
        assert Codes(np.zeros(WIDTH, np.float32)).load(row["rows"], row["codes"])


def test_packing_can_be_broken_off(file: DatabaseFile) -> None:
    index = filled(file, 40)
    cancel = Event()
    cancel.set()
    index.pack(cancel)
    assert not file.rows("SELECT * FROM vector_codes")
    assert index.nearest(unit_rows(3, 1)[0], limit=40).owners.size == 40


def test_a_query_of_another_width_finds_nothing(file: DatabaseFile) -> None:
    assert filled(file).nearest(unit_rows(3, 1, width=32)[0], limit=3).owners.size == 0


def test_codes_point_at_the_nearest_of_many() -> None:
    """Clustered vectors away from the origin, as encoders make them: the exact first 100 are among those read."""
    rng = np.random.default_rng(7)
    count, width = 44_000, 256
    centres = unit_rows(3, 600, width)
    rows = 0.6 * centres[rng.integers(0, 600, count)] + 0.7 * unit_rows(4, count, width) + 0.5 * unit_rows(5, 1, width)
    rows = np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
    codes = Codes(rows[:2048].mean(axis=0))
    numbers = np.arange(1, count + 1)
    for start in range(0, count, 8192):
        part = slice(start, start + 8192)
        codes.add(numbers[part], numbers[part], numbers[part] % 11, rows[part])
    shares, errors, spreads = [], [], []
    for query in unit_rows(6, 20, width) * 0.4 + rows[::2001][:20]:
        query = np.asarray(query / np.linalg.norm(query), np.float32)
        guessed = codes.guess(query, Wanted(without_sessions=(2,)))
        exact = np.where(numbers % 11 == 2, -1, rows @ query)
        nearest = numbers[np.argsort(-exact)[:100]]
        likely = guessed.numbers[np.argsort(-guessed.cosines)[:MAX_READ]]
        shares.append(np.isin(nearest, likely).mean())
        unchosen = codes.guess(query, Wanted(session=1))  # few enough to be guessed all: the chosen are the overrated
        assert len(unchosen.numbers) == count // 11
        wrong = unchosen.cosines - rows[unchosen.numbers - 1] @ query
        errors.append(wrong.mean())
        spreads.append(wrong.std())
    assert np.mean(shares) >= 0.98
    assert abs(np.mean(errors)) < 0.01  # without bias
    assert np.mean(spreads) < 0.025  # signs alone are wrong by 0.04
