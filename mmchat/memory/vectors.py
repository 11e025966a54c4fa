"""Vectors of turns, pictures and passages: rows in the database, searched by codes of them kept in memory.

The newest few thousand vectors are held as they are and searched exactly; so is a small store. Older ones are held
as codes (`memory.vector_codes`): 120 bytes instead of 1,536 for a sentence. The codes say which vectors to read, and
these are read from the database, whose word alone counts: what was deleted, replaced, retired or thrown away there
is not found, whoever did it.

Codes are stored too (`vector_codes`), because making them means reading every vector. Nothing else depends on them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event, Lock
from typing import TYPE_CHECKING

from mmchat.later import np
from mmchat.memory.database import DatabaseFile
from mmchat.memory.vector_codes import Codes, Guessed, Wanted
from mmchat.memory.vector_owners import OWNERS, OwnerKind, group_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

CODED_AT_ONCE = 2048
"""Vectors are coded by so many. At least as many, and less than twice as many, stay as they are."""
READ_AT_ONCE = 192
"""Vectors read from the database before it is asked whether the rest can still be nearer."""
MAX_READ = 4096
ERROR_SPREADS = 1.0
"""How many standard deviations a guessed cosine may be wrong before a near vector is missed. One and a half read a
quarter more vectors and find half a one more of the exact first 100 among made-up vectors; real ones lie less
crowded."""

# Kept as half floats: cosines move by less than 0.001, the file is half as large.
_STORED, _STORED_BYTES = "<f2", 2
_SPARE = 32
_MAX_DEAD_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Near:
    """Owners near a query vector, nearest first."""

    owners: NDArray[np.int64]
    """(N,) numbers of turns, attachments or passages."""
    cosines: NDArray[np.float32]
    """(N,)"""


@dataclass(frozen=True, slots=True)
class _Made:
    """Codes that are not stored yet."""

    after: int
    last: int
    rows: bytes
    codes: bytes


class VectorIndex:
    """All vectors of one kind of owner and one model. Rows that others add are picked up at each search."""

    def __init__(
        self, file: DatabaseFile, owner_kind: OwnerKind, model: str, *, coded_at_once: int = CODED_AT_ONCE
    ) -> None:
        self._file = file
        self._owner_kind = owner_kind
        self._of = OWNERS[owner_kind]
        self._model = model
        self._coded_at_once = coded_at_once
        self._lock = Lock()
        self._unstored: list[_Made] = []
        self._has_gap = False
        self._forget()

    def save(self, vectors: dict[int, NDArray[np.float32]]) -> None:
        """Store vectors by owner; an owner's earlier vector of this model is replaced."""
        with self._file.write() as db:
            for owner, vector in vectors.items():
                db.execute(self._of.save(), [self._model, vector.astype(_STORED).tobytes(), owner])

    def nearest(
        self,
        query: NDArray[np.float32],
        *,
        limit: int,
        session: int | None = None,
        exclude_session: int | None = None,
        exclude: NDArray[np.int64] | None = None,
        scope: str | None = None,
        shelves: Sequence[str] = (),
    ) -> Near:
        """The live owners with the highest cosine.

        Exact but for codes: of the first 100 among a million made-up ones, 96 are among those returned (of the first
        10, all), and their cosines are exact.

        Args:
            query: (D,) float32, unit length.
            limit: how many at most.
            session: number of the only session to look in.
            exclude_session: number of a session to leave out.
            exclude: numbers of owners to leave out.
            scope: look only in sessions that share this memory; None: in all.
            shelves: of passages: names of the only shelves to look on; none for all.
        """
        with self._lock:
            self._refresh()
            if self._width != query.shape[0]:
                return Near(np.zeros(0, np.int64), np.zeros(0, np.float32))
            codes, tail = self._codes, self._tail
        hidden = self._hidden_sessions(scope) if self._owner_kind != "passage" else []
        if exclude_session is not None:
            hidden.append(exclude_session)
        wanted = Wanted(session, tuple(hidden), tuple(map(group_number, shelves)))
        parts = [part.guess(query, wanted) for part in (codes, tail) if part is not None]
        numbers = np.concatenate([part.numbers for part in parts])
        guesses = np.concatenate([part.cosines for part in parts])
        if exclude is not None and exclude.size:
            is_kept = ~np.isin(np.concatenate([part.owners for part in parts]), exclude)
            numbers, guesses = numbers[is_kept], guesses[is_kept]
        if len(guesses) > (most := MAX_READ + limit + _SPARE):
            likely = np.argpartition(-guesses, most)[:most]
            numbers, guesses = numbers[likely], guesses[likely]
        order = np.argsort(-guesses, kind="stable")
        exact_from = int(tail.numbers[0]) if tail is not None and tail.count else self._last + 1
        return self._read_nearest(query, numbers[order], guesses[order], exact_from=exact_from, limit=limit)

    def cosines_of(self, query: NDArray[np.float32], owners: Sequence[int]) -> dict[int, float]:
        """Exact cosines of those of `owners` that have a vector, e.g. of turns that were found by words."""
        with self._file.read() as db:
            found = db.execute(
                f"SELECT e.owner, e.vector FROM {self._of.vectors} e WHERE {self._of.of_kind} AND e.model = ?"
                " AND e.owner IN (SELECT value FROM json_each(?)) AND length(e.vector) = ?",
                [self._model, json.dumps(list(owners)), query.shape[0] * _STORED_BYTES],
            ).fetchall()
        if not found:
            return {}
        cosines = cosines_with(_matrix([vector for _, vector in found], query.shape[0]), query)
        return dict(zip([owner for owner, _ in found], cosines.tolist(), strict=True))

    def pack(self, cancel: Event | None = None) -> None:
        """Store the codes of what came since, so that the next program need not read these vectors. May be slow."""
        with self._lock:
            self._refresh(cancel)
            if self._is_mostly_dead():
                self._drop_stored(after=0)
                self._forget()
                self._refresh(cancel)
            if self._has_gap:
                self._drop_stored(after=self._stored_to)
                self._has_gap = False
            made, self._unstored = self._unstored, list[_Made]()
            centre = self._codes.centre.astype("<f4").tobytes() if self._codes is not None else b""
        for each in made:
            with self._file.write() as db:
                # Another process may have stored codes of the same vectors, cut elsewhere: one chain is enough.
                db.execute(
                    "INSERT INTO vector_codes (owner_kind, model, after, last, rows, centre, codes)"
                    " SELECT ?, ?, ?, ?, ?, ?, ? WHERE ? = (SELECT coalesce(max(last), 0) FROM vector_codes"
                    " WHERE owner_kind = ? AND model = ?)",
                    [self._owner_kind, self._model, each.after, each.last, each.rows, centre, each.codes]
                    + [each.after, self._owner_kind, self._model],
                )

    def forget(self) -> None:
        """Read everything anew at the next search."""
        with self._lock:
            self._forget()

    # --- reading what the codes point at ----------------------------------------------------------

    def _read_nearest(
        self,
        query: NDArray[np.float32],
        numbers: NDArray[np.int64],
        guesses: NDArray[np.float32],
        *,
        exact_from: int,
        limit: int,
    ) -> Near:
        """Read vectors, likeliest first, until no other can be among the nearest."""
        # A few more than asked for: some are retired, or in the trash.
        wanted = limit + _SPARE
        owners: NDArray[np.int64] = np.zeros(0, np.int64)
        cosines, errors = np.zeros(0, np.float32), np.zeros(0, np.float32)
        start = 0
        while start < len(numbers):
            batch = numbers[start : start + READ_AT_ONCE]
            there, found, vectors = self._vectors_of(batch)
            exact = cosines_with(vectors, query)
            # By number, ascending, as what was read is.
            by_number = np.argsort(batch)
            places = by_number[np.searchsorted(batch[by_number], there)]
            wrong = (exact - guesses[start + places])[there < exact_from]
            owners, cosines = np.concatenate([owners, found]), np.concatenate([cosines, exact])
            errors = np.concatenate([errors, wrong])
            start += len(batch)
            if len(owners) >= wanted and start < len(numbers):
                nearest = np.partition(cosines, -wanted)[-wanted]
                if guesses[start] + (ERROR_SPREADS * errors.std() if errors.size else 0.0) < nearest:
                    break
        best = np.argsort(-cosines, kind="stable")
        return self._first_live(owners[best], cosines[best], limit)

    def _hidden_sessions(self, scope: str | None) -> list[int]:
        where, parameters = "deleted_at IS NOT NULL", list[object]()
        if scope is not None:
            where, parameters = f"{where} OR memory_scope <> ?", [scope]
        return [row["number"] for row in self._file.rows(f"SELECT number FROM sessions WHERE {where}", (*parameters,))]

    def _first_live(self, owners: NDArray[np.int64], cosines: NDArray[np.float32], limit: int) -> Near:
        """The first `limit` that search may find; each once."""
        kept: list[int] = []
        for start in range(0, len(owners), limit + _SPARE):
            batch = owners[start : start + limit + _SPARE].tolist()
            live = self._live(batch)
            kept += [start + at for at, owner in enumerate(batch) if owner in live]
            if len(kept) >= limit:
                break
        return Near(owners[kept[:limit]], cosines[kept[:limit]])

    def _vectors_of(
        self, numbers: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Numbers, owners and vectors of those rows that are there, ascending: pages are then read once."""
        with self._file.read() as db:
            found = db.execute(
                f"SELECT number, owner, vector FROM {self._of.vectors} WHERE number IN (SELECT value FROM json_each(?))"
                " AND length(vector) = ? ORDER BY number",
                [json.dumps(numbers.tolist()), self._width * _STORED_BYTES],
            ).fetchall()
        return (
            np.array([row[0] for row in found], np.int64),
            np.array([row[1] for row in found], np.int64),
            _matrix([row[2] for row in found], self._width),
        )

    def _live(self, owners: list[int]) -> set[int]:
        """Those of `owners` that search may find."""
        source = self._of.join.replace("e.owner", "w.value")
        with self._file.read() as db:
            found = db.execute(
                f"SELECT w.value FROM json_each(?) w {source} WHERE {self._of.is_live}", [json.dumps(sorted(owners))]
            )
            return {owner for (owner,) in found}

    # --- within, under the lock -------------------------------------------------------------------

    def _forget(self) -> None:
        self._width = 0
        self._last = 0
        """Number of the newest row of vectors that is known."""
        self._codes: Codes | None = None
        self._tail: _Tail | None = None
        self._stored_to = 0
        """Number of the newest row whose code is stored."""
        self._has_gap = False
        """Whether stored codes lie beyond one that is lost or damaged."""
        self._unstored = []

    def _refresh(self, cancel: Event | None = None) -> None:
        if self._last == 0:
            self._load()
        with self._file.read() as db:
            cursor = db.execute(
                f"SELECT e.number, e.owner, {self._of.group}, e.vector FROM {self._of.vectors} e {self._of.join}"
                f" WHERE {self._of.of_kind} AND e.model = ? AND e.number > ? ORDER BY e.number",
                [self._model, self._last],
            )
            while (rows := cursor.fetchmany(self._coded_at_once)) and not (cancel is not None and cancel.is_set()):
                self._extend(rows)

    def _load(self) -> None:
        """Take over the stored codes, as far as they follow on each other."""
        with self._file.read() as db:
            key = [self._owner_kind, self._model]
            where = "FROM vector_codes WHERE owner_kind = ? AND model = ?"
            bytes_of_rows = db.execute(f"SELECT coalesce(sum(length(rows)), 0) {where}", key).fetchone()[0]
            for after, last, rows, centre, codes in db.execute(
                f"SELECT after, last, rows, centre, codes {where} ORDER BY after", key
            ):
                if self._codes is None and centre and len(centre) % 4 == 0:
                    self._codes = Codes(np.frombuffer(centre, "<f4").astype(np.float32))
                    self._codes.reserve(Codes.rows_in(bytes_of_rows))
                    self._width = len(self._codes.centre)
                if after != self._last or self._codes is None or not self._codes.load(rows, codes):
                    self._has_gap = True
                    break
                self._last = self._stored_to = last

    def _extend(self, rows: list[tuple[int, int, int | str, bytes]]) -> None:
        self._last = rows[-1][0]
        self._width = self._width or len(rows[0][3]) // _STORED_BYTES
        rows = [row for row in rows if len(row[3]) == self._width * _STORED_BYTES]
        if not rows:
            return
        added = _Tail(
            np.array([row[0] for row in rows], np.int64),
            np.array([row[1] for row in rows], np.int64),
            np.array([group_number(row[2]) for row in rows], np.int64),
            _matrix([row[3] for row in rows], self._width),
        )
        # A new value each time: a search that is under way goes on with the one it has.
        self._tail = added if self._tail is None else self._tail.joined(added)
        while self._tail.count >= 2 * self._coded_at_once:
            self._code_oldest()

    def _code_oldest(self) -> None:
        assert self._tail is not None
        oldest, self._tail = self._tail.split(self._coded_at_once)
        if self._codes is None:
            self._codes = Codes(oldest.vectors.mean(axis=0))
        after = self._unstored[-1].last if self._unstored else self._stored_to
        rows, codes = self._codes.add(oldest.numbers, oldest.owners, oldest.sessions, oldest.vectors)
        self._unstored.append(_Made(after, int(oldest.numbers[-1]), rows, codes))

    def _is_mostly_dead(self) -> bool:
        """Whether so many coded vectors were deleted or replaced that the codes are worth making anew."""
        if self._codes is None:
            return False
        with self._file.read() as db:
            live = db.execute(
                f"SELECT count(*) FROM {self._of.vectors} e WHERE {self._of.of_kind} AND e.model = ?", [self._model]
            ).fetchone()[0]
        known = self._codes.count + (self._tail.count if self._tail else 0)
        return bool(live < (1 - _MAX_DEAD_SHARE) * known)

    def _drop_stored(self, *, after: int) -> None:
        with self._file.write() as db:
            db.execute(
                "DELETE FROM vector_codes WHERE owner_kind = ? AND model = ? AND after >= ?",
                [self._owner_kind, self._model, after],
            )


@dataclass(frozen=True, slots=True)
class _Tail:
    """Vectors as they are, oldest first."""

    numbers: NDArray[np.int64]
    owners: NDArray[np.int64]
    sessions: NDArray[np.int64]
    vectors: NDArray[np.float32]

    @property
    def count(self) -> int:
        return len(self.numbers)

    def joined(self, other: _Tail) -> _Tail:
        return _Tail(
            np.concatenate([self.numbers, other.numbers]),
            np.concatenate([self.owners, other.owners]),
            np.concatenate([self.sessions, other.sessions]),
            np.concatenate([self.vectors, other.vectors]),
        )

    def split(self, count: int) -> tuple[_Tail, _Tail]:
        """The oldest `count`, and the rest."""
        oldest, rest = slice(None, count), slice(count, None)
        return (
            _Tail(self.numbers[oldest], self.owners[oldest], self.sessions[oldest], self.vectors[oldest]),
            _Tail(self.numbers[rest], self.owners[rest], self.sessions[rest], self.vectors[rest].copy()),
        )

    def guess(self, query: NDArray[np.float32], wanted: Wanted) -> Guessed:
        """All that are wanted; the cosines are exact."""
        is_wanted = wanted.mask(self.sessions)
        return Guessed(self.numbers[is_wanted], self.owners[is_wanted], cosines_with(self.vectors, query)[is_wanted])


def _matrix(vectors: list[bytes], width: int) -> NDArray[np.float32]:
    """(N, D) float32 of vectors as they are stored."""
    return np.frombuffer(b"".join(vectors), _STORED).reshape(len(vectors), width).astype(np.float32)


def cosines_with(rows: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) products of (N, D) unit rows and a unit vector.

    By this thread alone: `@` wakes a thread for each core, and while another works there (words are looked for beside
    vectors) it waits for it: 4 ms for 4,000 rows instead of 0.3.
    """
    return np.asarray(np.vecdot(rows, query), np.float32)


def stored_vector(blob: bytes) -> NDArray[np.float32]:
    """(D,) float32 of a vector as it is stored."""
    return np.frombuffer(blob, _STORED).astype(np.float32)
