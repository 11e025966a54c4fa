"""Search in the passages of documents: what words and vectors find, in one order, and whether it answers.

The score of a passage is how near it is to the question plus what its words hold of it, as with turns
(`memory.ranking`). How near is the mean of three cosines: the passage's own, that of its headings, and that of its
nearest sentence. Where there are no vectors to compare, words alone decide.

Whether a passage surely bears on a question is decided by the same score, less something for a name that stands
nowhere in the documents, and against a floor. The numbers were chosen with `benchmarks/knowledge.py`, whose fresh
questions were written afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Event, Lock
from typing import TYPE_CHECKING

import numpy as np

from mmchat.domain import Passage, Recalled
from mmchat.memory.asked_words import asks_whether
from mmchat.memory.citations import PASSAGES, as_citation, passage_from_row
from mmchat.memory.embedding_backlog import May
from mmchat.memory.passage_vectors import PassageVectors
from mmchat.memory.passage_words import PassageHits, PassageWords
from mmchat.memory.question import EMBEDDED_CHARACTERS, can_compare, is_chinese
from mmchat.memory.turn_parts import PartVectors
from mmchat.memory.vectors import VectorIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmchat.memory.recall import Embeds
    from mmchat.memory.store import MemoryStore

DEPTH = 100
"""How far down each ranking is read."""
WORDS_WEIGHT = 0.2
"""What the share of the question's information that a passage holds counts beside a cosine."""
WORDS_AS_NEARNESS = 0.5
"""How near a passage is taken to be that has no vector yet, for each share of the question's information."""
UNKNOWN_NAME = 0.2
"""Taken from what is sure where the question names something that stands nowhere: "What does the Owl cost?"; where
it is answered with yes or no, for any such word: "Do you sell candles?"."""
OTHER_LANGUAGE = 0.15
"""Added where question and passage are in different languages: their cosines are lower."""
NEAR_FLOOR = 0.42
WORDS_FLOOR = 0.34
"""From here on a passage surely bears on the question: with vectors, and by words alone."""


@dataclass(frozen=True, slots=True)
class Found:
    """A passage, and what is known of it."""

    passage: Passage
    score: float
    """Higher is better; comparable among the passages of one question."""
    evidence: float
    """How sure it is that it bears on the question; comparable with that of other questions."""
    is_by_words: bool
    """There was no vector to compare."""

    @property
    def is_sure(self) -> bool:
        return self.evidence >= (WORDS_FLOOR if self.is_by_words else NEAR_FLOOR)


class Knowledge:
    """Finds the passages that bear on a query. Safe from any thread."""

    def __init__(self, store: MemoryStore, embedder: Callable[[], Embeds | None]) -> None:
        """Nothing is loaded before it is needed.

        Args:
            store: where the passages are.
            embedder: called (it may block while loading) only when vectors are needed.
        """
        self._store = store
        self._embedder = embedder
        self._words = PassageWords(store.file)
        self._indexes: dict[str, VectorIndex] = {}
        self._lock = Lock()

    def find(self, query: str, *, shelves: Sequence[str], k: int = 5, use_vectors: bool = True) -> tuple[Recalled, ...]:
        """Best first; each has its `passage`. Passages without a vector yet are found by words.

        Args:
            query: in the user's words.
            shelves: which documents to look in: '' for the user's own, a role's name for those of the role.
            k: how many at most.
            use_vectors: False searches by words alone and never waits for the embedder.

        Returns:
            those that surely bear on the query are marked `is_sure`; where none is, the documents hardly tell of it,
            and these merely come nearest.
        """
        found = self.look_up(query, shelves=shelves, use_vectors=use_vectors)
        return tuple(as_citation(each.passage, each.score, is_sure=each.is_sure) for each in found[:k])

    def look_up(self, query: str, *, shelves: Sequence[str], use_vectors: bool = True) -> tuple[Found, ...]:
        """All that any ranking finds, best first, with the evidence for each.

        Arguments are as for `find`.
        """
        if not shelves or not query.strip():
            return ()
        hits = self._words.find(query, shelves, limit=DEPTH)
        is_foreign = hits.unknown_names or (hits.unknown_words and asks_whether(query))
        penalty = UNKNOWN_NAME if is_foreign else 0.0
        embedder = self._embedder() if use_vectors else None
        nearness = self._nearness(embedder, query, shelves, hits) if embedder is not None else {}
        if not nearness:
            return self._by_words(hits, shelves, penalty)
        found: list[Found] = []
        for number, passage in self._passages(nearness.keys() | hits.shares.keys(), shelves).items():
            share = hits.shares.get(number, 0.0)
            near = nearness.get(number, WORDS_AS_NEARNESS * share)
            if not can_compare(embedder, passage.text):
                near = 0.0
            score = near + WORDS_WEIGHT * share
            found.append(Found(passage, score, score - penalty, is_by_words=False))
        return _with_foreign(query, sorted(found, key=lambda each: -each.score))

    def backfill(
        self,
        *,
        cancel: Event | None = None,
        may_go_on: May = lambda: True,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> int:
        """Embed the passages that lack a vector of the present model; returns how many.

        May be stopped at any time and called again; each batch is stored by itself. The vectors of headings and
        sentences come after those of all passages: they refine what those find.

        Args:
            cancel: set it to stop within a few passages.
            may_go_on: asked between a few passages, so that it may wait while somebody else needs the processor.
            on_progress: told how many of how many steps are done.
        """
        embedder = self._embedder()
        if embedder is None:
            return 0

        def may() -> bool:
            return may_go_on() and not (cancel is not None and cancel.is_set())

        return PassageVectors(self._store.file, embedder, self._index(embedder.name)).fill(may, on_progress)

    # --- within ---------------------------------------------------------------------------------

    def _by_words(self, hits: PassageHits, shelves: Sequence[str], penalty: float) -> tuple[Found, ...]:
        """What words alone find; how often and where a passage has them decides among those that have the same."""
        scores = self._words.bm25(hits)
        best = max(scores.values(), default=0.0)
        found = [
            Found(
                passage,
                (hits.shares[number] + scores.get(number, 0.0) / max(best, 1e-9)) / 2,
                hits.shares[number] - penalty,
                is_by_words=True,
            )
            for number, passage in self._passages(hits.shares.keys(), shelves).items()
        ]
        return tuple(sorted(found, key=lambda each: -each.score))

    def _nearness(self, embedder: Embeds, query: str, shelves: Sequence[str], hits: PassageHits) -> dict[int, float]:
        """How near passages are to a question, by number: the nearest, and those that words found."""
        if not can_compare(embedder, query):
            return {}
        vector = np.asarray(embedder.embed([query[:EMBEDDED_CHARACTERS]])[0], np.float32)
        index = self._index(embedder.name)
        near = index.nearest(vector, limit=DEPTH, shelves=shelves)
        cosines = dict(zip(near.owners.tolist(), near.cosines.tolist(), strict=True))
        cosines |= index.cosines_of(vector, [number for number in hits.shares if number not in cosines])
        return _with_parts(cosines, vector, PartVectors(self._store.file, embedder.name, "passage"))

    def _passages(self, numbers: Iterable[int], shelves: Sequence[str]) -> dict[int, Passage]:
        """Those of these passages that are on the shelves, by number."""
        rows = self._store.file.rows(
            f"{PASSAGES} WHERE p.number IN (SELECT value FROM json_each(?))"
            " AND d.shelf IN (SELECT value FROM json_each(?))",
            (json.dumps(sorted(numbers)), json.dumps(list(shelves))),
        )
        return {row["number"]: passage_from_row(row) for row in rows}

    def _index(self, model: str) -> VectorIndex:
        with self._lock:
            if model not in self._indexes:
                self._indexes[model] = VectorIndex(self._store.file, "passage", model)
            return self._indexes[model]


def _with_foreign(query: str, found: Sequence[Found]) -> tuple[Found, ...]:
    """With more evidence for passages in another language, where no passage in the question's own comes first."""
    if not found or is_chinese(found[0].passage.text) == is_chinese(query):
        return tuple(found)
    return tuple(
        replace(each, evidence=each.evidence + OTHER_LANGUAGE)
        if is_chinese(each.passage.text) != is_chinese(query)
        else each
        for each in found
    )


def _with_parts(cosines: dict[int, float], vector: NDArray[np.float32], parts: PartVectors) -> dict[int, float]:
    """The mean of a passage's own cosine, its headings' and its nearest sentence's; its own where that is all."""
    nearness = dict(cosines)
    for number, each in parts.nearness(vector, list(cosines)).items():
        nearness[number] = (cosines[number] + each.around + max(each.sentence, -1.0)) / 3
    return nearness
