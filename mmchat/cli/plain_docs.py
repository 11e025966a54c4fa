"""`/docs` in the plain mode: what the user's documents say."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from mmchat.chat.attachments import find_paths
from mmchat.chat.shelf_words import (
    NONE_YET,
    document_words,
    found_words,
    of_conversation,
    problem_lines,
    reading_words,
    shelved_words,
    sureness,
    telling,
)
from mmchat.cli.output import print_text
from mmchat.cli.progress_lines import ProgressLines
from mmchat.cli.replies import stop_on_interrupt
from mmchat.errors import UsageError
from mmchat.memory.import_values import counted

if TYPE_CHECKING:
    from mmchat.chat.bookshelf import Reading
    from mmchat.cli.plain import PlainChat


def docs(chat: PlainChat, argument: str) -> None:
    """`/docs`."""
    word, _, rest = argument.strip().partition(" ")
    match word.lower():
        case "" | "list":
            _list(chat)
        case "all":
            _list(chat, is_all=True)
        case "add":
            _add(chat, rest.strip())
        case "remove":
            _remove(chat, rest.strip())
        case "search":
            _search(chat, rest.strip())
        case _:
            raise UsageError(f"/docs {word}: there is no such thing.", hint="/docs lists; all, add, remove, search.")


def _list(chat: PlainChat, *, is_all: bool = False) -> None:
    documents = chat.desk.documents.all()
    used, left = (documents, "") if is_all else of_conversation(documents, chat.conversation.shelves)
    for document in used:
        print_text(document_words(document))
    if left:
        chat.say(left)
    elif not documents:
        chat.say(NONE_YET)


def _add(chat: PlainChat, text: str) -> None:
    if chat.conversation.is_private:
        raise UsageError("Nothing is taken in during a private conversation.", hint="/new leaves it.")
    paths = find_paths(text, cwd=Path.cwd())
    if not paths:
        raise UsageError(
            f"There is no file or folder '{text}'." if text else "Which file or folder?", hint="/docs add PATH"
        )
    status = ProgressLines(chat.say if chat.is_interactive else lambda _: None)

    def on_progress(reading: Reading) -> None:
        status.show(reading_words(reading))

    cancel = threading.Event()
    with stop_on_interrupt(cancel):
        shelved = chat.desk.documents.add(paths, on_progress=on_progress, cancel=cancel)
    for line in problem_lines(shelved):
        chat.say(line)
    chat.say(shelved_words(shelved))


def _remove(chat: PlainChat, name: str) -> None:
    if not name:
        raise UsageError("Which document?", hint="/docs lists them; /docs remove NAME")
    meant = chat.desk.documents.meant(_unquoted(name))
    named = meant[0].name if len(meant) == 1 else counted(len(meant), "document")
    if len(meant) > 1 and not chat.confirm(f"Forget what {named} say? [y/N] "):
        chat.say("Nothing was removed.")
        return
    chat.desk.documents.remove(meant)
    chat.say(f"Removed {named}. The files are where they were.")


def _search(chat: PlainChat, words: str) -> None:
    if not words:
        raise UsageError("Search for what?", hint="/docs search WORDS")
    found = chat.desk.documents.search(words, shelves=chat.conversation.shelves)
    if said := sureness(found):
        chat.say(said)
    for each in telling(found):
        label, text = found_words(each)
        print_text(f"{label}: {text}")


def _unquoted(name: str) -> str:
    """A name as it was typed or dropped, as a path where it is one."""
    paths = find_paths(name, cwd=Path.cwd())
    return str(paths[0]) if len(paths) == 1 else name
