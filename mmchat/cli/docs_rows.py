"""Documents and their passages as the command line shows them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from mmchat.chat.document_names import shown_name
from mmchat.chat.shelf_words import found_words
from mmchat.cli.output import dim, print_text
from mmchat.sanitize import plain_line

if TYPE_CHECKING:
    from mmchat.chat.bookshelf import Shelved
    from mmchat.domain import Recalled
    from mmchat.knowledge_values import Document


def document_object(document: Document) -> dict[str, Any]:
    """A document as `mmchat docs --json` prints it."""
    return {
        "id": document.id,
        "role": document.shelf,
        "name": document.name,
        "title": document.title,
        "file": str(document.path),
        "added": str(document.root),
        "type": document.media_type,
        "size_bytes": document.size_bytes,
        "sha256": document.sha256,
        "passages": document.passages,
        "read_at": document.updated_at,
        "problem": document.problem,
    }


def document_row(document: Document) -> list[str]:
    """A line of the table."""
    from mmchat.moments import local_day

    wrong = document.problem or ("" if document.path.exists() else "The file is not there.")
    where = str(document.root.parent)
    return [
        document.shelf or "-",
        str(document.passages),
        local_day(document.updated_at),
        shown_name(document),
        f"{wrong} {where}".strip(),
    ]


def shelved_object(shelved: Shelved) -> dict[str, Any]:
    """What became of files, as `mmchat docs add --json` prints it."""
    return {
        "read": [document_object(document) for document in shelved.read],
        "unchanged": shelved.unchanged,
        "problems": [{"file": str(each.path), "problem": each.problem} for each in shelved.problems],
        "passed_over": [str(path) for path in shelved.passed_over],
        "stopped": shelved.was_stopped,
    }


def found_object(found: Recalled) -> dict[str, Any]:
    """A passage as `mmchat docs search --json` prints it; the keys are those of `ask --json`'s `cited`."""
    passage = found.passage
    assert passage is not None, "a search in documents finds passages"
    return {
        "document": passage.document,
        "role": passage.shelf,
        "file": str(passage.path),
        "heading": passage.heading,
        "page": passage.page,
        "line": passage.line,
        "text": passage.text,
        "score": round(found.score, 4),
        "sure": found.is_sure,
    }


def print_found(found: Recalled) -> None:
    """A passage, for people."""
    label, text = found_words(found)
    sys.stdout.write(dim(plain_line(f"{label}  {found.score:.2f}"), sys.stdout) + "\n")
    print_text(f"    {plain_line(text)}")
