"""Writing the vectors of turns: each turn's own, and those of its parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from mmchat.later import np
from mmchat.memory import rows as convert
from mmchat.memory.database import Row
from mmchat.memory.embedding_backlog import May, embeddable, unembedded
from mmchat.memory.question import EMBEDDED_CHARACTERS
from mmchat.memory.store import MemoryStore
from mmchat.memory.turn_parts import PartVectors, parts_of
from mmchat.memory.vectors import VectorIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXTS_AT_ONCE = 8
"""The encoder is held for so many: the question of a reply that begins meanwhile waits for them, 0.1 s at most."""
TURNS_AT_ONCE = 2
"""The same where each has several texts."""


class _Embeds(Protocol):
    name: str

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


class TurnVectors:
    """Vectors of turns by one embedder."""

    def __init__(self, store: MemoryStore, embedder: _Embeds, index: VectorIndex) -> None:
        self._store = store
        self._embedder = embedder
        self._index = index
        self._parts = PartVectors(store.file, embedder.name)

    def write(self, turn_ids: Sequence[str]) -> None:
        """Embed turns and their parts; and the parts of the turns before them, which are no longer the last."""
        found = self._store.file.rows(
            "SELECT t.* FROM turns t WHERE t.id IN (SELECT value FROM json_each(?))", (json.dumps(list(turn_ids)),)
        )
        self._write_own(found)
        before = [row for row in self._beside(found, is_before=True).values() if row]
        self._write_parts([*before, *found])

    def fill(self, may_go_on: May, on_progress: Callable[[int, int], None]) -> int:
        """Embed the turns that have no vector, then the parts of those whose parts have none, oldest first.

        Args:
            may_go_on: asked between a few texts; False stops it.
            on_progress: told how many of how many turns were looked at.

        Returns:
            how many turns.
        """
        done = 0
        waiting = unembedded(self._store.file, self._embedder.name, may_go_on)
        for start in range(0, len(waiting), TEXTS_AT_ONCE):
            on_progress(start, len(waiting))
            if not may_go_on():
                return done
            done += self._write_own(embeddable(self._store.file, waiting[start : start + TEXTS_AT_ONCE]))
        if may_go_on():
            self._index.pack()
        waiting = unembedded(self._store.file, self._parts.stored_model, may_go_on)
        for start in range(0, len(waiting), TURNS_AT_ONCE):
            if not may_go_on():
                return done
            self._write_parts(embeddable(self._store.file, waiting[start : start + TURNS_AT_ONCE]))
        return done

    def _write_own(self, found: Sequence[Row]) -> int:
        texts = {number: text for number, text in self._texts(found).items() if text}
        if texts:
            vectors = self._embedder.embed(list(texts.values()))
            self._index.save(dict(zip(texts, vectors, strict=True)))
        return len(texts)

    def _write_parts(self, found: Sequence[Row]) -> None:
        before, after = self._beside(found, is_before=True), self._beside(found, is_before=False)
        rows = {row["number"]: row for row in found}
        beside = [row for row in (*before.values(), *after.values()) if row]
        texts = self._texts([*found, *beside])
        speakers = {row["number"]: row["speaker"] for row in (*found, *beside)}
        said = {number: f"{speakers[number]}: {text}" if speakers[number] else text for number, text in texts.items()}

        def said_by(row: Row | None) -> str:
            return said[row["number"]] if row else ""

        parts = {
            number: parts_of(texts[number], said[number], said_by(before.get(number)), said_by(after.get(number)))
            for number in rows
            if texts[number]
        }
        distinct = list(dict.fromkeys(text for each in parts.values() for text in each.texts))
        if distinct:
            place = {text: index for index, text in enumerate(distinct)}
            vectors = self._embedder.embed(distinct)
            self._parts.save({number: vectors[[place[text] for text in each.texts]] for number, each in parts.items()})

    def _texts(self, found: Sequence[Row]) -> dict[int, str]:
        """What each turn says, and what was heard and seen, by its number."""
        files = self._store.attachments_by_turn(
            "SELECT value FROM json_each(?)", (json.dumps([row["id"] for row in found]),)
        )
        return {
            row["number"]: "\n".join(
                part for part in (row["text"].strip(), *map(convert.sensed_text, files.get(row["id"], ()))) if part
            )[:EMBEDDED_CHARACTERS]
            for row in found
        }

    def _beside(self, found: Sequence[Row], *, is_before: bool) -> dict[int, Row | None]:
        """The live turn before or after each in its conversation, by the number of that one."""
        compared, order = ("<", "DESC") if is_before else (">", "")
        beside = self._store.file.rows(
            "SELECT t.*, o.number AS beside FROM json_each(?) w JOIN turns o ON o.number = w.value"
            " JOIN turns t ON t.number = (SELECT b.number FROM turns b WHERE b.session_id = o.session_id"
            f" AND b.position {compared} o.position AND NOT b.is_retired AND b.status <> 'streaming'"
            f" ORDER BY b.position {order} LIMIT 1)",
            (json.dumps([row["number"] for row in found]),),
        )
        return {row["beside"]: row for row in beside}
