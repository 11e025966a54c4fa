"""What the documents of some shelves hold, told without a search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmchat.memory.text_search import storable

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore


def has_passages(store: MemoryStore, shelves: Sequence[str]) -> bool:
    """Whether anything was read of the documents on these shelves; microseconds."""
    return bool(
        store.file.rows(
            "SELECT 1 AS is_there FROM documents d JOIN passages p ON p.document_id = d.id"
            " WHERE d.shelf IN (SELECT value FROM json_each(?)) LIMIT 1",
            (json.dumps(list(shelves)),),
        )
    )


def headings(store: MemoryStore, shelves: Sequence[str], *, most: int = 200) -> tuple[str, ...]:
    """The headings of these documents, outermost first, as `Passage.heading` has them; each once, in order."""
    found = store.file.rows(
        "SELECT p.heading FROM documents d JOIN passages p ON p.document_id = d.id"
        " WHERE d.shelf IN (SELECT value FROM json_each(?)) AND p.heading <> ''"
        " ORDER BY d.shelf, d.path, p.position LIMIT ?",
        (json.dumps(list(shelves)), most),
    )
    return tuple(dict.fromkeys(str(row["heading"]) for row in found))


Neighbour = tuple[str, str]
"""Heading and words of a passage; both empty for none."""


def beside(store: MemoryStore, passage_id: str) -> tuple[Neighbour, Neighbour]:
    """The passages before and after one in its document; empty where it begins or ends there, or is gone."""
    found = store.file.rows(
        "SELECT o.position - p.position AS step, o.heading, o.text FROM passages p JOIN passages o"
        " ON o.document_id = p.document_id AND o.position IN (p.position - 1, p.position + 1) WHERE p.id = ?",
        (passage_id,),
    )
    there = {row["step"]: (str(row["heading"]), str(row["text"])) for row in found}
    return there.get(-1, ("", "")), there.get(1, ("", ""))


def is_document(store: MemoryStore, path: Path) -> bool:
    """Whether a file is one of the documents on any shelf."""
    return bool(store.file.rows("SELECT 1 AS is_there FROM documents WHERE path = ? LIMIT 1", (storable(str(path)),)))
