"""What the documents of some shelves hold, told without a search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

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
