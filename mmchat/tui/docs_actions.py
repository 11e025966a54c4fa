"""Slash commands on the user's documents."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from mmchat.chat.attachments import find_paths
from mmchat.errors import UsageError
from mmchat.tui.action_base import ActionGroup
from mmchat.tui.text import clean, one_line, plural

if TYPE_CHECKING:
    from mmchat.chat.bookshelf import Bookshelf, Reading, Shelved
    from mmchat.tui.drafts import Draft

LOOK_EVERY_S = 0.2
ADD_HINT = "/docs add PATH takes some in: files, or folders with all that is in them."


class DocsActions(ActionGroup):
    """What answers can cite."""

    @property
    def _documents(self) -> Bookshelf:
        return self._app.desk.documents

    async def do_docs(self, argument: str, draft: Draft | None = None) -> None:
        """List the documents, take some in, look into them, forget them."""
        word, _, rest = argument.strip().partition(" ")
        match word.lower():
            case "" | "list":
                await self._list_docs()
            case "all":
                await self._list_docs(is_all=True)
            case "add":
                await self._add_docs(rest.strip(), draft)
            case "stop":
                if not self._documents.is_adding:
                    self._hint("No documents are being read.")
                self._documents.stop_adding()
            case "remove":
                await self._remove_docs(rest.strip(), draft)
            case "search":
                await self._search_docs(rest.strip())
            case _:
                raise UsageError(
                    f"/docs {one_line(word)}: there is no such thing.",
                    hint="/docs lists; /docs all, /docs add PATH, /docs search WORDS, /docs remove NAME.",
                )

    async def _list_docs(self, *, is_all: bool = False) -> None:
        from mmchat.chat.shelf_words import document_words, of_conversation

        documents = await asyncio.to_thread(lambda: self._documents.all())
        if not documents:
            self._hint(f"There are no documents yet. {ADD_HINT}")
            return
        used, left = (documents, "") if is_all else of_conversation(documents, self._chat.session.shelves)
        lines = [f"{plural(len(used), 'document')} (/docs search WORDS, /docs remove NAME, /docs add PATH):"]
        lines += [f"   {clean(document_words(document))}" for document in used]
        lines += [left] if left else []
        await self._chat.say("\n".join(lines))

    async def _add_docs(self, text: str, draft: Draft | None) -> None:
        from mmchat.chat.shelf_words import problem_lines, shelved_words

        if self._chat.session.is_private:
            raise UsageError("Nothing is taken in during a private conversation.", hint="/new leaves it.")
        if self._documents.is_adding:
            self._hint("Documents are being read already. /docs stop ends that.")
            return
        paths = await asyncio.to_thread(_paths_in, text, draft)
        if not paths:
            raise UsageError(
                f"There is no file or folder '{one_line(text)}'." if text else "Which file or folder?", hint=ADD_HINT
            )
        shelved = await self._read_docs(paths)
        self._hint(shelved_words(shelved))
        if problems := problem_lines(shelved):
            await self._chat.say("\n".join(["Not read, or not in full:", *(f"   {clean(line)}" for line in problems)]))

    async def _read_docs(self, paths: list[Path]) -> Shelved:
        """Take files in, telling how far it is; leaving the app stops it after the file at hand."""
        from mmchat.chat.shelf_words import reading_words

        cancel = Event()
        last: list[Reading] = []
        told = ""

        def on_progress(reading: Reading) -> None:
            last[:] = [reading]

        adding = asyncio.create_task(
            asyncio.to_thread(lambda: self._documents.add(paths, on_progress=on_progress, cancel=cancel))
        )
        try:
            while not adding.done():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(adding), LOOK_EVERY_S)
                words = reading_words(last[0]) if last else ""
                if words != told and not adding.done():  # told again, it would take away other answers
                    told = words
                    self._hint(f"{one_line(words)} /docs stop ends it.")
            return await adding
        finally:
            cancel.set()

    async def _remove_docs(self, name: str, draft: Draft | None) -> None:
        from mmchat.tui.screens.dialogs import ConfirmScreen

        if not name:
            raise UsageError("Which document?", hint="/docs lists them; /docs remove NAME forgets one.")
        paths = await asyncio.to_thread(_paths_in, name, draft)
        wanted = str(paths[0]) if len(paths) == 1 else name
        meant = await asyncio.to_thread(lambda: self._documents.meant(wanted))
        named = one_line(meant[0].name) if len(meant) == 1 else plural(len(meant), "document")
        if len(meant) > 1 and not await self._app.push_screen_wait(
            ConfirmScreen(f"Forget what {named} say?", "The files stay where they are.", "forget")
        ):
            self._hint("Nothing was removed.")
            return
        await asyncio.to_thread(lambda: self._documents.remove(meant))
        self._hint(f"Removed {named}. The files are where they were.")

    async def _search_docs(self, words: str) -> None:
        from mmchat.chat.shelf_words import found_words, sureness, telling

        if not words:
            raise UsageError("Search for what?", hint="/docs search WORDS")
        shelves = self._chat.session.shelves
        self._hint("Looking it up …")
        found = await asyncio.to_thread(lambda: self._documents.search(words, shelves=shelves))
        self._hint("")
        lines = [sureness(found)] if sureness(found) else []
        for each in telling(found):
            label, text = found_words(each)
            lines += [f" {clean(label)}", f"   {clean(text)}"]
        await self._chat.say("\n".join(lines))


def _paths_in(text: str, draft: Draft | None) -> list[Path]:
    """The files and folders that were typed or dropped; pictures among them are chips already."""
    files = list(draft.files) if draft is not None else []
    words = text
    for chip in draft.chips if draft is not None else ():
        if chip.path is not None:
            words = words.replace(chip.label, "", 1)
    if not words.strip():
        return files
    found = find_paths(words, cwd=Path.cwd())
    return [*found, *files] if found else []
