"""What a person looks for in all conversations: by words, by what is in pictures, by a picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmchat.chat.viewer import Viewer
from mmchat.domain import Attachment, Passage, Recalled
from mmchat.errors import UsageError
from mmchat.memory.contents import beside, is_document

if TYPE_CHECKING:
    from mmchat.chat.ports import Engines
    from mmchat.memory.recall import Recall
    from mmchat.memory.store import MemoryStore

FOUND = 50


@dataclass(frozen=True, slots=True)
class Found:
    """A turn, and the title of its conversation."""

    turn: Recalled
    title: str


@dataclass(frozen=True, slots=True)
class InPlace:
    """A passage of a document, and what stands before and after it there; empty for nothing."""

    passage: Passage
    before: str = ""
    after: str = ""
    heading_before: str = ""
    heading_after: str = ""


class Finder:
    """Every method is slow: for a worker thread."""

    def __init__(self, store: MemoryStore, recall: Recall, engines: Engines) -> None:
        self._store = store
        self._recall = recall
        self._engines = engines
        self._viewer = Viewer(store.blobs.folder)

    def by_words(self, query: str, *, are_pictures: bool = False, k: int = FOUND) -> tuple[Found, ...]:
        """Turns that bear on a question, best first, or pictures alone."""
        if are_pictures:
            return self._titled(self._recall.find_pictures(query, k=k))
        return self._titled(self._recall.find(query, k=k, reach="nearest"))

    def by_picture(self, path: Path, *, k: int = FOUND) -> tuple[Found, ...]:
        """Turns with pictures like this one, most alike first. Loads the picture model.

        Raises:
            MediaError: the file cannot be read.
            MmchatError: the model cannot be had.
        """
        from mmchat.engines.image_io import open_image

        image = open_image(path)
        reader = self._engines.image_reader()
        return self._titled(self._recall.find_by_image(reader.embed_images([image])[0], reader.name, k=k))

    def open_file(self, attachment: Attachment) -> None:
        """Show a kept picture or play a kept sound with the system's program: `Viewer.open`."""
        self._viewer.open(attachment)

    def in_place(self, passage: Passage) -> InPlace:
        """A passage with what stands around it."""
        if passage.is_gone:
            return InPlace(passage)
        (heading_before, before), (heading_after, after) = beside(self._store, passage.id)
        return InPlace(passage, before, after, heading_before, heading_after)

    def open_document(self, passage: Passage) -> None:
        """Show the document of a passage with the system's program: `Viewer.open_document`.

        Raises:
            UsageError: it is not among the documents any more.
        """
        if not is_document(self._store, passage.path):
            raise UsageError(f"{passage.name} is not among the documents any more.", hint=f"It was {passage.path}")
        self._viewer.open_document(passage.path)

    def _titled(self, found: Iterable[Recalled]) -> tuple[Found, ...]:
        titles: dict[str, str] = {}
        titled: list[Found] = []
        for each in found:
            if each.session not in titles:
                titles[each.session] = self._store.get_session(each.session).title
            titled.append(Found(each, titles[each.session]))
        return tuple(titled)
