"""What changed in the documents of a conversation is read beside it, and before its first answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from mmchat.domain import Notice, ReplyEvent, WorkStarted
from mmchat.errors import MmchatError
from mmchat.knowledge_values import OWN_SHELF
from mmchat.memory.documents import known_files, remove_documents

if TYPE_CHECKING:
    from mmchat.chat.bookshelf import Bookshelf, Reading, Shelved
    from mmchat.memory.store import MemoryStore
    from mmchat.role_values import Persona, Role

log = logging.getLogger(__name__)

PATIENCE_S = 30.0
"""How long a first answer waits at most for documents to be read: a hundred pages, or a few pictures."""
PATIENCE_TO_EMBED_S = 15.0
"""How long it then waits for what was read to be findable by meaning: some hundred passages."""
UNSEEN_S = 0.3
"""What takes no longer is not told."""
_LOOK_EVERY_S = 0.1


class ReadingUp:
    """The documents of one conversation. Safe from any thread; harmless where there are none."""

    def __init__(
        self, store: MemoryStore, bookshelf: Callable[[], Bookshelf], persona: Persona | None, closing: Event
    ) -> None:
        """Nothing is looked at yet.

        Args:
            store: where the documents are.
            bookshelf: what reads them; called when there is something to look at.
            persona: whose documents, beside the user's own where it shares their memory.
            closing: set when the program ends.
        """
        self._store = store
        self._bookshelf = bookshelf
        self._role = persona.role if persona is not None else None
        self._closing = closing
        self._lock = threading.Lock()
        self._thread: Thread | None = None
        self._reading: Reading | None = None
        self._is_awaited = False
        self._problems = 0
        self._is_read = False
        """Everything is, and there was something."""
        self._error: MmchatError | None = None

    def begin(self) -> None:
        """Look for what is new or changed, in the background; once."""
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="read-documents", daemon=True)
                self._thread.start()

    def awaited(self, cancel: Event) -> Generator[ReplyEvent, None, None]:
        """Wait until all is read and findable, and tell what is going on; at once from the second time on.

        Reading is waited for `PATIENCE_S` at most. What is not findable by meaning after `PATIENCE_TO_EMBED_S` is found
        by its words until then.
        """
        if self._is_awaited:
            return
        self._is_awaited = True
        self.begin()
        if self._thread is not None:
            yield from self._waited_for(self._thread, PATIENCE_S, cancel)
            if self._thread.is_alive() and not cancel.is_set():
                yield Notice("The documents are still being read; what is not read yet is not known.")
        if self._error is not None:
            yield Notice(f"The documents could not be looked through: {self._error.message}")
        elif self._is_read:
            stop = Event()
            embedding = Thread(target=self._embed, args=(stop,), name="take-in-passages", daemon=True)
            embedding.start()
            try:
                yield from self._waited_for(embedding, PATIENCE_TO_EMBED_S, cancel)
            finally:
                stop.set()
        for path in self._role.knowledge if self._role is not None else ():
            if not path.exists():
                yield Notice(f"knowledge: there is nothing at {path}.")
        if self._problems and self._role is not None:
            what = "1 document" if self._problems == 1 else f"{self._problems} documents"
            yield Notice(f"{what} could not be read in full: mmchat docs list --role {self._role.name}")

    def _waited_for(self, thread: Thread, patience_s: float, cancel: Event) -> Generator[ReplyEvent, None, None]:
        began_s, told = time.monotonic(), ""
        while thread.is_alive() and not cancel.is_set() and not self._closing.is_set():
            waited_s = time.monotonic() - began_s
            if waited_s > patience_s:
                return
            words = self._words()
            if waited_s > UNSEEN_S and words != told:
                told = words
                yield WorkStarted(words)
            thread.join(_LOOK_EVERY_S)

    def _embed(self, stop: Event) -> None:
        try:
            self._bookshelf().embed(self._note, stop)
        except MmchatError:
            log.warning("passages not embedded", exc_info=True)

    def finish(self, timeout_s: float) -> None:
        """Wait for it to end, once `closing` is set."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    # --- within ---------------------------------------------------------------------------------

    def _words(self) -> str:
        whose = f"the documents of {self._role.name}" if self._role is not None else "your documents"
        reading = self._reading
        if reading is None:
            return f"looking through {whose}"
        if not reading.name:
            return f"taking in {whose}: {reading.done / max(reading.total, 1):.0%}"
        return f"reading {whose}: {reading.done + 1} of {reading.total}, {reading.name}"

    def _run(self) -> None:
        try:
            if not self._has_any():
                return
            if self._role is not None:
                drop_moved(self._store, self._role)
            shelved = [self._refresh(shelf, roots) for shelf, roots in self._shelves()]
            self._problems = sum(len(each.problems) for each in shelved)
            self._is_read = True
        except MmchatError as error:
            if not self._closing.is_set():
                log.warning("documents not looked through", exc_info=True)
                self._error = error

    def _has_any(self) -> bool:
        if self._role is not None and self._role.knowledge:
            return True
        return any(known_files(self._store, shelf) for shelf, _ in self._shelves())

    def _shelves(self) -> list[tuple[str, tuple[Path, ...]]]:
        """Whose documents, and what belongs to them beside what was added."""
        if self._role is None:
            return [(OWN_SHELF, ())]
        own = [(OWN_SHELF, ())] if self._role.memory == "shared" else []
        return [(self._role.name, self._role.knowledge), *own]

    def _refresh(self, shelf: str, roots: tuple[Path, ...]) -> Shelved:
        return self._bookshelf().refresh(shelf, roots, on_progress=self._note, cancel=self._closing)

    def _note(self, reading: Reading) -> None:
        self._reading = reading


def drop_moved(store: MemoryStore, role: Role) -> int:
    """Forget what was read of a role where it was before, e.g. in another Python's folder; returns how many files."""
    moved = [
        file.document
        for file in known_files(store, role.name).values()
        if file.root not in role.knowledge and _is_of_role(file.root, role.name) and not _is_in(file.root, role.path)
    ]
    return remove_documents(store, moved) if moved else 0


def _is_of_role(root: Path, name: str) -> bool:
    """Whether a folder lies in a role's own, going by where roles are kept."""
    parts = root.parts
    return any(parts[at : at + 2] == ("roles", name) for at in range(len(parts)))


def _is_in(root: Path, role_path: Path) -> bool:
    return root.is_relative_to(role_path if role_path.is_dir() else role_path.parent)
