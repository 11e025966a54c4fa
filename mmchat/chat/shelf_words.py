"""What is told of documents, in the app, the plain mode and on the command line alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmchat.chat.document_names import shown_name
from mmchat.knowledge_values import OWN_SHELF
from mmchat.memory.import_values import counted

if TYPE_CHECKING:
    from mmchat.chat.bookshelf import Reading, Shelved
    from mmchat.domain import Recalled
    from mmchat.knowledge_values import Document

NONE_YET = "There are no documents yet. mmchat docs add PATH, or /docs add PATH in a talk, takes some in."
SHOWN_PROBLEMS = 10
SHOWN_PASSED_OVER = 3
EXCERPT = 300
"""Characters of a passage that a list quotes."""


def reading_words(reading: Reading) -> str:
    """How far it is, on one line."""
    if not reading.name:
        return f"Taking in what was read: {reading.done / max(reading.total, 1):.0%} …"
    return f"Reading documents: {reading.done + 1:,} of {reading.total:,}, {reading.name} …"


def shelved_words(shelved: Shelved) -> str:
    """What became of files, in a sentence or two."""
    passages = sum(document.passages for document in shelved.read)
    told = []
    if not shelved.read and not shelved.unchanged:
        told.append("Nothing was read.")
    elif shelved.read:
        told.append(f"Read {counted(len(shelved.read), 'document')}: {counted(passages, 'passage')}.")
    if shelved.unchanged:
        told.append(f"{counted(shelved.unchanged, 'document')} had been read before and did not change.")
    if shelved.passed_over:
        names = ", ".join(path.name for path in shelved.passed_over[:SHOWN_PASSED_OVER])
        more = " …" if len(shelved.passed_over) > SHOWN_PASSED_OVER else "."
        told.append(f"{counted(len(shelved.passed_over), 'file')} of a kind that is not read: {names}{more}")
    if shelved.was_stopped:
        told.insert(0, "Stopped; what was read is kept, and adding it again goes on.")
    return " ".join(told)


def problem_lines(shelved: Shelved) -> list[str]:
    """What could not be read, a file a line; of many the first."""
    lines = [f"{each.path.name}: {each.problem}" for each in shelved.problems[:SHOWN_PROBLEMS]]
    left = len(shelved.problems) - len(lines)
    return [*lines, f"… and {left:,} more: mmchat docs list --json"] if left else lines


def of_conversation(documents: Sequence[Document], shelves: Sequence[str]) -> tuple[list[Document], str]:
    """Those that answers in a conversation use, its role's first, and a line on the others where there are any.

    Args:
        documents: all that there are.
        shelves: the conversation's.
    """
    used = [document for shelf in shelves for document in documents if document.shelf == shelf]
    left = len(documents) - len(used)
    return used, f"{counted(left, 'document')} that this conversation does not use: /docs all" if left else ""


def document_words(document: Document) -> str:
    """A document on one line."""
    whose = f"{document.shelf}: " if document.shelf != OWN_SHELF else ""
    title = f" “{document.title}”" if document.title != document.name else ""
    amount = counted(document.passages, "passage") if document.passages or not document.problem else ""
    about = ", ".join(part for part in (amount, document.problem.rstrip(".")) if part)
    return f"{whose}{shown_name(document)}{title} ({about})"


def found_words(found: Recalled) -> tuple[str, str]:
    """Where a passage stands, and how it begins."""
    passage = found.passage
    label = passage.label if passage is not None else ""
    text = " ".join(found.text.split())
    return label, text if len(text) <= EXCERPT else text[: EXCERPT - 1].rstrip() + "…"


def telling(found: Sequence[Recalled]) -> tuple[Recalled, ...]:
    """Those that surely bear on the question; where there are none, those that come nearest."""
    return tuple(each for each in found if each.is_sure) or tuple(found)


def sureness(found: Sequence[Recalled]) -> str:
    """What is said before what was found; empty where it surely bears on the question."""
    if not found:
        return "Nothing in the documents bears on it."
    return "" if found[0].is_sure else "Nothing in the documents surely bears on it. What comes nearest:"
