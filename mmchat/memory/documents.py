"""Documents and their passages in the store: what was read of a file takes the place of what was read of it before.

All of it can be made again from the files, which stay where they are. A passage whose words and heading did not
change keeps its row, and with it its id (which replies cite) and its vectors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlite_utils import Database

from mmchat.knowledge_values import Document, ReadDocument, ReadPiece
from mmchat.memory.database import Row
from mmchat.memory.ids import new_id, now_text
from mmchat.memory.text_search import indexed, storable

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore

_DOCUMENTS = "SELECT d.*, (SELECT count(*) FROM passages p WHERE p.document_id = d.id) AS passages FROM documents d"


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file as it was when it was read: cheap to compare with what lies on the disk."""

    document: str
    """Id of the document."""
    root: Path
    path: Path
    size_bytes: int
    modified_ns: int
    sha256: str
    reader: str
    """What cut it. Where passages were lost with a damaged database, size and time are those of no file."""


def save_document(
    store: MemoryStore,
    *,
    shelf: str,
    root: Path,
    path: Path,
    sha256: str,
    size_bytes: int,
    modified_ns: int,
    read: ReadDocument,
    reader: str,
) -> Document:
    """Keep what was read of a file, in one transaction; an earlier reading on the same shelf is replaced.

    Args:
        store: where to.
        shelf: '' for the user's own documents, or a role's name.
        root: what was added: the file, or a folder that it lies in; absolute.
        path: the file, absolute.
        sha256: of the file's bytes.
        size_bytes: of the file.
        modified_ns: when the file was last written, as `stat` says.
        read: what was read of it.
        reader: what cut it, by which another way of cutting is known.

    Raises:
        MemoryStoreError: it could not be written; the earlier reading stands.
    """
    now = now_text()
    values: dict[str, object] = {
        "root": storable(str(root)),
        "title": storable(read.title),
        "media_type": read.media_type,
        "sha256": sha256,
        "size_bytes": size_bytes,
        "modified_ns": modified_ns,
        "reader": reader,
        "problem": storable(read.problem),
        "updated_at": now,
    }
    with store.file.write() as db:
        key = [shelf, storable(str(path))]
        found = db.execute("SELECT id FROM documents WHERE shelf = ? AND path = ?", key).fetchone()
        if found is None:
            document = new_id()
            row = {"id": document, "shelf": key[0], "path": key[1], "created_at": now, **values}
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            db.execute(f"INSERT INTO documents ({names}) VALUES ({marks})", list(row.values()))
        else:
            document = found[0]
            names = ", ".join(f"{name} = ?" for name in values)
            db.execute(f"UPDATE documents SET {names} WHERE id = ?", [*values.values(), document])
        _save_passages(db, document, read)
    return _document_from_row(store.file.rows(f"{_DOCUMENTS} WHERE d.id = ?", (document,))[0])


def documents(store: MemoryStore, shelf: str | None = None) -> tuple[Document, ...]:
    """By shelf and path; of one shelf, or of all."""
    where, parameters = ("", ()) if shelf is None else (" WHERE d.shelf = ?", (shelf,))
    found = store.file.rows(f"{_DOCUMENTS}{where} ORDER BY d.shelf, d.path", parameters)
    return tuple(_document_from_row(row) for row in found)


def remove_documents(store: MemoryStore, ids: Sequence[str]) -> int:
    """Forget documents with their passages; the files stay. Returns how many there were."""
    with store.file.write() as db:
        removed = db.execute(
            "DELETE FROM documents WHERE id IN (SELECT value FROM json_each(?))", [json.dumps(list(ids))]
        )
        return int(removed.rowcount)


def known_files(store: MemoryStore, shelf: str) -> Mapping[Path, KnownFile]:
    """The files of a shelf as they were when they were read, by path; no passage is looked at."""
    found = store.file.rows(
        "SELECT id, root, path, size_bytes, modified_ns, sha256, reader FROM documents WHERE shelf = ?", (shelf,)
    )
    files = (
        KnownFile(
            document=row["id"],
            root=Path(row["root"]),
            path=Path(row["path"]),
            size_bytes=row["size_bytes"],
            modified_ns=row["modified_ns"],
            sha256=row["sha256"],
            reader=row["reader"],
        )
        for row in found
    )
    return {file.path: file for file in files}


def keep_unchanged(store: MemoryStore, document_id: str, *, root: Path, modified_ns: int) -> None:
    """Note that a file was written or added anew without its bytes changing, so that they need no second look."""
    with store.file.write() as db:
        db.execute(
            "UPDATE documents SET root = ?, modified_ns = ? WHERE id = ?",
            [storable(str(root)), modified_ns, document_id],
        )


# --- within -------------------------------------------------------------------------------------


def _save_passages(db: Database, document: str, read: ReadDocument) -> None:
    """Put pieces in the place of the passages that are there; those that did not change stay."""
    there: dict[tuple[str, str], list[int]] = {}
    for number, heading, text in db.execute(
        "SELECT number, heading, text FROM passages WHERE document_id = ? ORDER BY position DESC", [document]
    ):
        there.setdefault((heading, text), []).append(number)
    # Out of the way, since no two may have the same place even for a moment.
    db.execute("UPDATE passages SET position = -position - 1 WHERE document_id = ?", [document])
    added: list[tuple[int, ReadPiece]] = []
    for position, piece in enumerate(read.pieces):
        same = there.get((storable(piece.heading), storable(piece.text)))
        if same:
            db.execute(
                "UPDATE passages SET position = ?, page = ?, line = ? WHERE number = ?",
                [position, piece.page, piece.line, same.pop()],
            )
        else:
            added.append((position, piece))
    db.execute("DELETE FROM passages WHERE document_id = ? AND position < 0", [document])
    for position, piece in added:
        db.execute(
            "INSERT INTO passages (id, document_id, position, heading, page, line, text) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [new_id(), document, position, storable(piece.heading), piece.page, piece.line, storable(piece.text)],
        )
    index_passages(db, document)


def index_passages(db: Database, document: str) -> None:
    """Write the full-text rows of a document's passages anew; what it calls itself goes with its headings."""
    db.execute(
        "DELETE FROM passages_fts WHERE rowid IN (SELECT number FROM passages WHERE document_id = ?)", [document]
    )
    title, path = db.execute("SELECT title, path FROM documents WHERE id = ?", [document]).fetchone()
    about = "\n".join(dict.fromkeys((title, Path(path).stem.replace("_", " "))))
    found = db.execute("SELECT number, heading, text FROM passages WHERE document_id = ?", [document]).fetchall()
    for number, heading, text in found:
        db.execute(
            "INSERT INTO passages_fts (rowid, words, headings) VALUES (?, ?, ?)",
            [number, indexed(text), indexed(f"{about}\n{heading}")],
        )


def _document_from_row(row: Row) -> Document:
    """Needs the columns of `_DOCUMENTS`."""
    path = Path(row["path"])
    return Document(
        id=row["id"],
        shelf=row["shelf"],
        path=path,
        name=path.name,
        title=row["title"] or path.name,
        root=Path(row["root"]),
        media_type=row["media_type"],
        sha256=row["sha256"],
        size_bytes=row["size_bytes"],
        passages=row["passages"],
        updated_at=row["updated_at"],
        problem=row["problem"],
    )
