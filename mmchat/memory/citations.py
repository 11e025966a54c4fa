"""Which passages of documents a reply was told: kept with the reply, so that it can still say what it cited."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmchat.domain import Passage, Recalled

if TYPE_CHECKING:
    from mmchat.memory.database import Row
    from mmchat.memory.store import MemoryStore


def passage_reference(passage: Passage) -> dict[str, object]:
    """Where it stands. Not its words: they are the document's, and go with it."""
    return {
        "passage": passage.id,
        "document": passage.document,
        "shelf": passage.shelf,
        "path": str(passage.path),
        "heading": passage.heading,
        "page": passage.page,
        "line": passage.line,
    }


def cited(known: Recalled | None, reference: Mapping[str, Any]) -> Recalled:
    """What a reference means: the passage as it is now, or where it stood before its document changed."""
    path = Path(reference["path"])
    passage = known.passage if known is not None else None
    if passage is None:
        places = {key: reference[key] for key in ("document", "shelf", "heading", "page", "line")}
        passage = Passage(id="", path=path, name=path.name, text="", **places)
    return as_citation(passage, reference["score"])


def as_citation(passage: Passage, score: float, *, is_sure: bool = True) -> Recalled:
    """A passage as a reply is told it."""
    return Recalled("", "", "user", passage.text, "", score, is_sure=is_sure, passage=passage)


def told_passages(store: MemoryStore, where: str, parameters: tuple[object, ...]) -> Mapping[str, Recalled]:
    """Passages that replies were told and that are still there, by id; `where` selects the replies, from `turns t`."""
    ids = (
        "SELECT json_extract(r.value, '$.passage') FROM turns t, json_each(t.recalled) r"
        f" WHERE {where} AND t.recalled IS NOT NULL"
    )
    rows = store.file.rows(f"{PASSAGES} WHERE p.id IN ({ids})", parameters)
    return {row["id"]: as_citation(passage_from_row(row), 0.0) for row in rows}


PASSAGES = "SELECT p.*, d.shelf, d.path FROM passages p JOIN documents d ON d.id = p.document_id"


def passage_from_row(row: Row) -> Passage:
    """Needs the columns of `PASSAGES`."""
    path = Path(row["path"])
    return Passage(
        id=row["id"],
        document=row["document_id"],
        shelf=row["shelf"],
        path=path,
        name=path.name,
        heading=row["heading"],
        text=row["text"],
        page=row["page"],
        line=row["line"],
    )
