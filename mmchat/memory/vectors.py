"""Vectors of turns and pictures: rows in the database, searched in a matrix that is kept in memory."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmchat.memory.database import DatabaseFile

OwnerKind = Literal["turn", "attachment"]

# Kept as half floats: cosines move by less than 0.001, the file is half as large.
_STORED = np.dtype("<f2")
_FIRST_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Near:
    """Owners near a query vector, nearest first."""

    owners: NDArray[np.int64]
    """(N,) numbers of turns or attachments."""
    cosines: NDArray[np.float32]
    """(N,)"""


class VectorIndex:
    """All vectors of one kind of owner and one model. Rows that others add are picked up at each search."""

    def __init__(self, file: DatabaseFile, owner_kind: OwnerKind, model: str) -> None:
        self._file = file
        self._owner_kind = owner_kind
        self._model = model
        self._lock = Lock()
        self._forget()

    def save(self, vectors: dict[int, NDArray[np.float32]]) -> None:
        """Store vectors by owner; an owner's earlier vector of this model is replaced."""
        with self._file.write() as db:
            for owner, vector in vectors.items():
                # The owner may be gone by now; a vector without one would never be removed.
                table = "turns" if self._owner_kind == "turn" else "attachments"
                db.execute(
                    "INSERT OR REPLACE INTO embeddings (owner_kind, owner, model, vector)"
                    f" SELECT ?, number, ?, ? FROM {table} WHERE number = ?",
                    [self._owner_kind, self._model, vector.astype(_STORED).tobytes(), owner],
                )

    def nearest(
        self,
        query: NDArray[np.float32],
        *,
        limit: int,
        session: int | None = None,
        exclude_session: int | None = None,
        exclude: NDArray[np.int64] | None = None,
    ) -> Near:
        """The owners with the highest cosine.

        Args:
            query: (D,) float32, unit length.
            limit: how many at most.
            session: number of the only session to look in.
            exclude_session: number of a session to leave out.
            exclude: numbers of owners to leave out.
        """
        with self._lock:
            self._refresh()
            count = self._count
            owners, sessions = self._owners[:count], self._sessions[:count]
            if not count or self._matrix.shape[1] != query.shape[0]:
                return Near(np.zeros(0, np.int64), np.zeros(0, np.float32))
            # Copies of the small arrays are not needed: rows below `count` never change but to -1.
            matrix = self._matrix[:count]
        cosines = matrix @ query
        is_wanted = owners >= 0
        if session is not None:
            is_wanted &= sessions == session
        if exclude_session is not None:
            is_wanted &= sessions != exclude_session
        if exclude is not None and exclude.size:
            is_wanted &= ~np.isin(owners, exclude)
        cosines = np.where(is_wanted, cosines, -np.inf)
        limit = min(limit, count)
        best = np.argpartition(-cosines, limit - 1)[:limit]
        best = best[np.argsort(-cosines[best], kind="stable")]
        best = best[np.isfinite(cosines[best])]
        return Near(owners[best], cosines[best])

    def forget(self) -> None:
        """Read everything anew at the next search, e.g. when owners turned out to be deleted."""
        with self._lock:
            self._forget()

    # --- within, under the lock -------------------------------------------------------------------

    def _forget(self) -> None:
        self._count = 0
        self._last = 0
        self._matrix: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._owners: NDArray[np.int64] = np.zeros(0, np.int64)
        self._sessions: NDArray[np.int64] = np.zeros(0, np.int64)

    def _refresh(self) -> None:
        source = (
            "JOIN turns t ON t.number = e.owner"
            if self._owner_kind == "turn"
            else "JOIN attachments a ON a.number = e.owner JOIN turns t ON t.id = a.turn_id"
        )
        with self._file.read() as db:
            cursor = db.execute(
                f"SELECT e.number, e.owner, s.number, e.vector FROM embeddings e {source}"
                " JOIN sessions s ON s.id = t.session_id"
                " WHERE e.owner_kind = ? AND e.model = ? AND e.number > ? AND NOT t.is_retired ORDER BY e.number",
                [self._owner_kind, self._model, self._last],
            )
            while rows := cursor.fetchmany(4096):
                self._extend(rows)

    def _extend(self, rows: list[tuple[int, int, int, bytes]]) -> None:
        vectors = np.frombuffer(b"".join(row[3] for row in rows), dtype=_STORED).reshape(len(rows), -1)
        self._reserve(len(rows), vectors.shape[1])
        owners = np.array([row[1] for row in rows], np.int64)
        known = self._owners[: self._count]
        known[np.isin(known, owners)] = -1  # replaced by what follows
        end = self._count + len(rows)
        self._matrix[self._count : end] = vectors
        self._owners[self._count : end] = owners
        self._sessions[self._count : end] = [row[2] for row in rows]
        self._count = end
        self._last = rows[-1][0]

    def _reserve(self, added: int, width: int) -> None:
        needed = self._count + added
        if needed <= len(self._owners):
            return
        size = max(_FIRST_ROWS, needed, 2 * self._count)
        matrix = np.zeros((size, width), np.float32)
        owners, sessions = np.full(size, -1, np.int64), np.zeros(size, np.int64)
        if self._count:
            matrix[: self._count] = self._matrix[: self._count]
            owners[: self._count] = self._owners[: self._count]
            sessions[: self._count] = self._sessions[: self._count]
        self._matrix, self._owners, self._sessions = matrix, owners, sessions
