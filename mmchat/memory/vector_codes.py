"""Vectors in short: one bit for each dimension, to find the few that are worth reading.

A vector is kept as the signs of what sets it apart from the centre of all vectors, and one length: 50 bytes for 384
dimensions. Its cosine with a query is first guessed from the bits in which the two differ (which is fast: a million
vectors in about 10 ms), and for the best thousands of these once more from the signs and the exact query. The guess
is without bias, and the spread of its error shrinks with the width: Gao and Long 2024, "RaBitQ", without their
random rotation, which gained nothing with sentence vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GUESSED_TWICE = 16_384
"""How many vectors the first guess leaves. Twice as many cost 4 ms more, and among a million made-up vectors, which
lie more crowded than real ones, they find one more of the exact first 100."""
_AT_ONCE = 32_768
"""Vectors per step of the first guess: what it works on stays in the processor's cache."""

_ROW = np.dtype([("number", "<i8"), ("owner", "<i8"), ("session", "<i4"), ("length", "<f4")])

_BYTE_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(np.float32)


@dataclass(frozen=True, slots=True)
class Guessed:
    """Vectors that may be near a query, in no order."""

    numbers: NDArray[np.int64]
    """(N,) of rows of `embeddings`."""
    owners: NDArray[np.int64]
    """(N,)"""
    cosines: NDArray[np.float32]
    """(N,)"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which vectors may be found."""

    session: int | None = None
    """Number of the only conversation to look in."""
    without_sessions: tuple[int, ...] = ()
    only: tuple[int, ...] = ()
    """Numbers of the only groups (as `vector_owners.group_number` gives them) to look in; none for all."""

    def mask(self, sessions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the vectors of these conversations, (N,), are wanted."""
        is_wanted = np.ones(len(sessions), np.bool_) if self.session is None else sessions == self.session
        if self.only:
            is_wanted &= np.isin(sessions, np.array(self.only, sessions.dtype))
        if len(self.without_sessions) == 1:
            is_wanted &= sessions != self.without_sessions[0]
        elif self.without_sessions:
            is_wanted &= ~np.isin(sessions, np.array(self.without_sessions, sessions.dtype))
        return is_wanted


class Codes:
    """Codes of vectors of one width, in the order they were stored. Not safe from several threads but for `guess`."""

    def __init__(self, centre: NDArray[np.float32]) -> None:
        """`centre`, (D,), about the mean of all vectors; a poor one costs time, never right answers."""
        self.centre = centre
        self.count = 0
        self._rows = np.zeros(0, _ROW)
        # Word by word, so that a step of the first guess reads memory in order.
        self._words = np.zeros(((len(centre) + 63) // 64, 0), np.uint64)

    def add(
        self,
        numbers: NDArray[np.int64],
        owners: NDArray[np.int64],
        sessions: NDArray[np.int64],
        vectors: NDArray[np.float32],
    ) -> tuple[bytes, bytes]:
        """Code (N, D) vectors; returns rows and codes as `load` takes them."""
        apart = vectors - self.centre
        rows = np.zeros(len(numbers), _ROW)
        rows["number"], rows["owner"], rows["session"] = numbers, owners, sessions
        sums = np.abs(apart).sum(axis=1)
        # What makes <signs, query> times this equal <apart, query> where the query is the vector itself.
        rows["length"] = np.divide((apart**2).sum(axis=1), sums, out=np.zeros_like(sums), where=sums > 0)
        words = self._pack(apart > 0)
        self._append(rows, words)
        return rows.tobytes(), words.tobytes()

    def load(self, rows: bytes, codes: bytes) -> bool:
        """Take over what `add` returned before; False where these bytes are no such thing."""
        if len(rows) % _ROW.itemsize or len(codes) % 8:
            return False
        known = np.frombuffer(rows, _ROW)
        words = np.frombuffer(codes, np.dtype("<u8")).astype(np.uint64, copy=False)
        if words.size != known.size * len(self._words):
            return False
        self._append(known, words.reshape(len(self._words), -1))
        return True

    @staticmethod
    def rows_in(size_bytes: int) -> int:
        """How many vectors rows of so many bytes stand for."""
        return size_bytes // _ROW.itemsize

    def reserve(self, count: int) -> None:
        """Make room for so many in all, so that loading them copies nothing twice."""
        if count <= len(self._rows):
            return
        size = max(count, self.count + self.count // 4)
        rows, words = np.zeros(size, _ROW), np.zeros((len(self._words), size), np.uint64)
        rows[: self.count] = self._rows[: self.count]
        words[:, : self.count] = self._words[:, : self.count]
        self._rows, self._words = rows, words

    def guess(self, query: NDArray[np.float32], wanted: Wanted) -> Guessed:
        """The likely nearest of `query`, (D,) float32 of unit length: about `GUESSED_TWICE`, with guessed cosines."""
        count = self.count
        rows, words = self._rows[:count], self._words[:, :count]
        is_filtered = wanted != Wanted()
        best = np.flatnonzero(wanted.mask(rows["session"])) if is_filtered else None
        if (count if best is None else len(best)) > GUESSED_TWICE:
            differing = self._count_differing(words, query)
            if best is not None:
                differing = differing[best]
            farthest = np.partition(differing, GUESSED_TWICE - 1)[GUESSED_TWICE - 1]
            likely = np.flatnonzero(differing <= farthest)
            best = likely if best is None else best[likely]
        elif best is None:
            best = np.arange(count)
        near = rows[best]
        products = self._products(np.take(words, best, axis=1), query)
        cosines = query @ self.centre + near["length"] * products
        return Guessed(near["number"].copy(), near["owner"].copy(), cosines.astype(np.float32))

    def _append(self, rows: NDArray[np.void], words: NDArray[np.uint64]) -> None:
        end = self.count + len(rows)
        self.reserve(end)
        self._rows[self.count : end] = rows
        self._words[:, self.count : end] = words
        self.count = end

    def _pack(self, is_above: NDArray[np.bool_]) -> NDArray[np.uint64]:
        """(N, D) signs to (W, N) words of 64 dimensions each; what is beyond D is 0."""
        octets = np.packbits(is_above, axis=1, bitorder="little")
        padded = np.zeros((len(octets), 8 * len(self._words)), np.uint8)
        padded[:, : octets.shape[1]] = octets
        return np.ascontiguousarray(padded.view("<u8").astype(np.uint64, copy=False).T)

    def _count_differing(self, words: NDArray[np.uint64], query: NDArray[np.float32]) -> NDArray[np.uint16]:
        (asked,) = self._pack((query - self.centre > 0)[None, :]).T
        count = words.shape[1]
        differing = np.zeros(count, np.uint16)
        changed, ones = np.zeros(_AT_ONCE, np.uint64), np.zeros(_AT_ONCE, np.uint8)
        for start in range(0, count, _AT_ONCE):
            into = differing[start : start + _AT_ONCE]
            size = len(into)
            for word, wanted in zip(words, asked, strict=True):
                np.bitwise_xor(word[start : start + size], wanted, out=changed[:size])
                np.bitwise_count(changed[:size], out=ones[:size])
                np.add(into, ones[:size], out=into)
        return differing

    def _products(self, words: NDArray[np.uint64], query: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N,) <signs, query>, by a table of what each byte of signs adds."""
        padded = np.zeros(64 * len(words), np.float32)
        padded[: len(query)] = query
        tables = padded.reshape(len(words), 8, 8) @ _BYTE_BITS.T  # (W, 8, 256)
        above = np.zeros(words.shape[1], np.float32)
        for table_of_word, word in zip(tables, words, strict=True):
            octets = word.astype("<u8", copy=False).view(np.uint8).reshape(-1, 8)
            for table, octet in zip(table_of_word, octets.T, strict=True):
                above += np.take(table, octet)
        return np.asarray(2 * above - query.sum(), np.float32)
