"""More vectors of a turn than its own: of its sentences, and of the turn among those beside it.

A turn of several sentences is near to what each of them says, which its own vector blurs; and "Yes, last Friday!" is
about what was asked. These vectors are not searched: they are read for the turns that words and vectors have found,
to put them in order. So they need no place in memory, and cost a read of a few rows for each question.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmchat.later import np
from mmchat.memory.database import DatabaseFile
from mmchat.memory.text_search import words_in
from mmchat.memory.vector_owners import OWNERS, OwnerKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SENTENCES = 8
"""The first so many sentences of a turn have vectors of their own."""
LEAST_WORDS = 3
"""Shorter sentences ("Wow, great!") say nothing by themselves."""
BESIDE_CHARACTERS = 600
"""As much of the turns beside it is embedded with a turn."""

_SENTENCES = re.compile(r"[^.!?。！？…\n]+[.!?。！？…]*")
_STORED_MODEL = "{}#parts"
_LARGEST = 127


@dataclass(frozen=True, slots=True)
class Nearness:
    """How near a turn or passage is to a question, apart from its own vector; cosines."""

    around: float
    """The turn among those beside it; of a passage, the headings it stands under."""
    sentence: float
    """The nearest of its sentences."""


@dataclass(frozen=True, slots=True)
class TurnParts:
    """Texts of a turn to embed beside its own."""

    around: str
    sentences: tuple[str, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.around, *self.sentences)


def parts_of(text: str, said: str, before: str, after: str) -> TurnParts:
    """The parts of a turn.

    Args:
        text: what the turn says.
        said: the same with its speaker, where there are several.
        before: the turn before it in its conversation, said by its speaker; empty at the beginning.
        after: the turn after it.
    """
    beside = before[-BESIDE_CHARACTERS:], after[:BESIDE_CHARACTERS]
    around = "\n".join(part for part in (beside[0], said, beside[1]) if part)
    sentences = [each.strip() for each in _SENTENCES.findall(text)]
    sentences = [each for each in sentences if len(words_in(each)) >= LEAST_WORDS or len(each) > 2 * LEAST_WORDS]
    return TurnParts(around, tuple(sentences[:MAX_SENTENCES]) if len(sentences) > 1 else ())


class PartVectors:
    """The vectors of parts of one model: a row for a turn or a passage, a byte for a number."""

    def __init__(self, file: DatabaseFile, model: str, owner_kind: OwnerKind = "turn") -> None:
        self._file = file
        self._of = OWNERS[owner_kind]
        self.stored_model = _STORED_MODEL.format(model)

    def save(self, vectors: Mapping[int, NDArray[np.float32]]) -> None:
        """Store vectors by the number of their owner: (1 + sentences, D) float32, unit rows, `around` first."""
        with self._file.write() as db:
            for number, rows in vectors.items():
                db.execute(self._of.save(), [self.stored_model, _packed(rows), number])

    def nearness(self, query: NDArray[np.float32], numbers: Sequence[int]) -> dict[int, Nearness]:
        """By the number of the owner; those without vectors of parts are left out.

        Args:
            query: (D,) float32, unit length.
            numbers: of turns or passages.
        """
        found = self._file.rows(
            f"SELECT e.owner, e.vector FROM {self._of.vectors} e WHERE {self._of.of_kind} AND e.model = ?"
            " AND e.owner IN (SELECT value FROM json_each(?))",
            (self.stored_model, json.dumps(list(numbers))),
        )
        width = query.shape[0]
        found = [row for row in found if row["vector"] and len(row["vector"]) % width == 0]
        if not found:
            return {}
        packed = np.frombuffer(b"".join(row["vector"] for row in found), np.int8).reshape(-1, width)
        rows = packed.astype(np.float32)
        cosines = np.vecdot(rows, query) / np.maximum(np.sqrt(np.vecdot(rows, rows)), 1.0)
        counts = np.array([len(row["vector"]) // width for row in found])
        starts = np.cumsum(counts) - counts
        around = cosines[starts].tolist()
        cosines[starts] = -1.0  # what is left are sentences
        sentences = np.maximum.reduceat(cosines, starts).tolist()
        return {row["owner"]: Nearness(*each) for row, *each in zip(found, around, sentences, strict=True)}


def _packed(rows: NDArray[np.float32]) -> bytes:
    """A byte for a number; the length is lost, and is known to be 1."""
    largest = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-9)
    return bytes(np.round(rows / largest * _LARGEST).astype(np.int8).tobytes())
