"""Writing the vectors of passages: each passage's own, its headings' and its sentences'."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from mmchat.memory.database import DatabaseFile, Row
from mmchat.memory.embedding_backlog import May
from mmchat.memory.question import EMBEDDED_CHARACTERS
from mmchat.memory.turn_parts import PartVectors
from mmchat.memory.vectors import VectorIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PASSAGES_AT_ONCE = 8
"""The encoder is held for so many: the question of a reply that begins meanwhile waits for them."""
WITH_PARTS_AT_ONCE = 2
"""The same where each has several texts."""
MAX_SENTENCES = 16
_LEAST_CHARACTERS = 4
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")
_ROWS = """
SELECT p.number, p.heading, p.text, d.title FROM json_each(?) w JOIN passages p ON p.number = w.value
JOIN documents d ON d.id = p.document_id ORDER BY p.number
"""


class _Embeds(Protocol):
    name: str

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


class PassageVectors:
    """Vectors of passages by one embedder."""

    def __init__(self, file: DatabaseFile, embedder: _Embeds, index: VectorIndex) -> None:
        self._file = file
        self._embedder = embedder
        self._index = index
        self._parts = PartVectors(file, embedder.name, "passage")

    def fill(self, may_go_on: May, on_progress: Callable[[int, int], None]) -> int:
        """Embed the passages that have no vector, then the parts of those whose parts have none.

        Args:
            may_go_on: asked between a few passages; False stops it.
            on_progress: told how many of how many steps are done.

        Returns:
            how many passages got a vector of their own.
        """
        own, parts = self._waiting(self._embedder.name), self._waiting(self._parts.stored_model)
        total, done, embedded = len(own) + len(parts), 0, 0
        for waiting, at_once, write in (
            (own, PASSAGES_AT_ONCE, self._write_own),
            (parts, WITH_PARTS_AT_ONCE, self._write_parts),
        ):
            for start in range(0, len(waiting), at_once):
                on_progress(done, total)
                if not may_go_on():
                    return embedded
                batch = waiting[start : start + at_once]
                written = write(self._file.rows(_ROWS, (json.dumps(batch),)))
                embedded += written if waiting is own else 0
                done += len(batch)
        if own:
            self._index.pack()
        return embedded

    def _waiting(self, model: str) -> list[int]:
        found = self._file.rows(
            "SELECT number FROM passages EXCEPT SELECT owner FROM passage_embeddings WHERE model = ? ORDER BY 1",
            (model,),
        )
        return [row["number"] for row in found]

    def _write_own(self, found: Sequence[Row]) -> int:
        if found:
            vectors = self._embedder.embed([own_text(row)[:EMBEDDED_CHARACTERS] for row in found])
            self._index.save({row["number"]: vector for row, vector in zip(found, vectors, strict=True)})
        return len(found)

    def _write_parts(self, found: Sequence[Row]) -> int:
        texts = {row["number"]: (heading_text(row), *sentences(row["text"])) for row in found}
        distinct = list(dict.fromkeys(text for each in texts.values() for text in each))
        if distinct:
            place = {text: index for index, text in enumerate(distinct)}
            vectors = self._embedder.embed(distinct)
            self._parts.save({number: vectors[[place[text] for text in each]] for number, each in texts.items()})
        return len(found)


def own_text(row: Row) -> str:
    """A passage as it is embedded: the document's title, the headings and the words."""
    title, heading = row["title"].strip(), row["heading"]
    if heading == title or heading.startswith(f"{title} ›"):
        heading = heading[len(title) :].removeprefix(" › ")
    return "\n".join(part for part in (title, heading, row["text"]) if part)


def heading_text(row: Row) -> str:
    """What a passage is called."""
    heading: str = row["heading"].replace(" › ", ": ")
    return heading or row["title"].strip() or row["text"][:EMBEDDED_CHARACTERS]


def sentences(text: str) -> tuple[str, ...]:
    """The first sentences, or the text itself where it has none."""
    found = [part.strip() for part in _BETWEEN_SENTENCES.split(text)]
    return tuple(part for part in found if len(part) >= _LEAST_CHARACTERS)[:MAX_SENTENCES] or (text,)
