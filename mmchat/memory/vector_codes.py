"""Vectors in short: two bits for each dimension, to find the few that are worth reading.

A vector is kept as what sets it apart from the centre of all vectors, each dimension rounded to one of four steps,
and one length: 120 bytes for 384 dimensions. Its cosine with a query is first guessed from the signs in which the
two differ (which is fast: a million vectors in about 10 ms), and for the best thousands of these once more from both
bits and the query. The guess is without bias, and the spread of its error shrinks with the width: Gao and Long 2024,
"RaBitQ", without their random rotation, which gained nothing with sentence vectors. The second bit halves that
error, so that a third as many vectors are read to be sure of the nearest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmchat.later import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

GUESSED_TWICE = 16_384
"""How many vectors the first guess, by signs alone, leaves."""
GUESSED_THRICE = 4096
"""How many of these have their second bits looked at. All of them would cost 0.7 ms more, and find one more of a
thousand nearest; half as many miss eight."""
_AT_ONCE = 32_768
"""Vectors per step of the first guess: what it works on stays in the processor's cache."""

_QUERY_BITS = 4
_BITS = 2
_STEP = 0.996
"""In standard deviations; the best for four even steps and a normal distribution (Max 1960, table I)."""

_ROW = [("number", "<i8"), ("owner", "<i8"), ("session", "<i4"), ("length", "<f4")]
_ROW_BYTES = 24


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
        # Word by word, so that a step of the first guess reads memory in order; those of the signs come first.
        self._signs = (len(centre) + 63) // 64
        self._words = np.zeros((_BITS * self._signs, 0), np.uint64)

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
        squares = np.vecdot(apart, apart)
        spread = np.maximum(_STEP * np.sqrt(squares / apart.shape[1]), 1e-9)
        levels = np.clip(np.floor(apart / spread[:, None]) + 2, 0, 3).astype(np.uint8)
        coded = np.vecdot(2 * levels.astype(np.float32) - 3, apart)
        # What makes <coded, query> times this equal <apart, query> where the query is the vector itself.
        rows["length"] = np.divide(squares, coded, out=np.zeros_like(squares), where=coded > 0)
        words = np.concatenate([self._pack(levels > 1), self._pack((levels & 1).astype(np.bool_))])
        self._append(rows, words)
        return rows.tobytes(), words.tobytes()

    def load(self, rows: bytes, codes: bytes) -> bool:
        """Take over what `add` returned before; False where these bytes are no such thing."""
        if len(rows) % _ROW_BYTES or len(codes) % 8:
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
        return size_bytes // _ROW_BYTES

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
            differing = self._count_differing(words[: self._signs], query)
            if best is not None:
                differing = differing[best]
            farthest = np.partition(differing, GUESSED_TWICE - 1)[GUESSED_TWICE - 1]
            likely = np.flatnonzero(differing <= farthest)
            best = likely if best is None else best[likely]
        elif best is None:
            best = np.arange(count)
        asked = self._rounded(query)
        signs = _sums(words[: self._signs].take(best, axis=1), asked)
        near = rows.take(best)  # ten times as quick as rows[best]
        if len(best) > GUESSED_THRICE:
            likely = np.argpartition(-near["length"] * (2 * signs - asked.sum), GUESSED_THRICE)[:GUESSED_THRICE]
            best, signs, near = best.take(likely), signs.take(likely), near.take(likely)
        coded = 4 * signs + 2 * _sums(words[self._signs :].take(best, axis=1), asked) - 3 * asked.sum
        cosines = query @ self.centre + near["length"] * coded
        return Guessed(near["number"].copy(), near["owner"].copy(), cosines.astype(np.float32))

    def _append(self, rows: NDArray[np.void], words: NDArray[np.uint64]) -> None:
        end = self.count + len(rows)
        self.reserve(end)
        self._rows[self.count : end] = rows
        self._words[:, self.count : end] = words
        self.count = end

    def _pack(self, is_above: NDArray[np.bool_]) -> NDArray[np.uint64]:
        """(N, D) bits to (W, N) words of 64 dimensions each; what is beyond D is 0."""
        octets = np.packbits(is_above, axis=1, bitorder="little")
        padded = np.zeros((len(octets), 8 * self._signs), np.uint8)
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

    def _rounded(self, query: NDArray[np.float32]) -> _Rounded:
        low = float(query.min())
        step = max((float(query.max()) - low) / (2**_QUERY_BITS - 1), 1e-9)
        levels = np.round((query - low) / step).astype(np.uint8)
        planes = self._pack((levels >> np.arange(_QUERY_BITS, dtype=np.uint8)[:, None] & 1).astype(np.bool_))
        return _Rounded(low, step, planes.T, float(query.sum()))


@dataclass(frozen=True, slots=True)
class _Rounded:
    """A query with each number rounded to one of 16, which is little beside the error of the codes."""

    low: float
    step: float
    planes: NDArray[np.uint64]
    """(4, W): the bits of each number's level, the lowest first."""
    sum: float
    """Of the query's numbers, unrounded."""


def _sums(words: NDArray[np.uint64], asked: _Rounded) -> NDArray[np.float32]:
    """(N,) sums of the query's numbers over the dimensions whose bit is set in (W, N) words.

    By counting bits: 0.8 ms for 16,384 vectors of 384 dimensions, where a table of what each byte adds took 1.7.
    """
    count = words.shape[1]
    common, ones = np.zeros(count, np.uint64), np.zeros(count, np.uint8)
    set_bits, weighed = np.zeros((2, count), np.uint32)
    for word in words:
        set_bits += np.bitwise_count(word, out=ones)
    for plane in asked.planes[::-1]:
        weighed <<= 1
        for word, bits in zip(words, plane, strict=True):
            np.bitwise_and(word, bits, out=common)
            weighed += np.bitwise_count(common, out=ones)
    return np.asarray(asked.step * weighed + asked.low * set_bits, np.float32)
