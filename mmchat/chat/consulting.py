"""What the documents at hand say to a message."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from mmchat.chat.prepared import Prepared
from mmchat.domain import Recalled, ReplyEvent, Turn
from mmchat.role_values import Persona

if TYPE_CHECKING:
    from mmchat.chat.ports import Engines
    from mmchat.memory.store import MemoryStore


class Consulting:
    """Looks up the passages that bear on a message."""

    def __init__(self, store: MemoryStore, engines: Engines, persona: Persona | None) -> None:
        """`persona`: whose documents, beside the user's own where it shares their memory; None: the user's alone."""
        self._store = store
        self._engines = engines
        self._persona = persona

    def passages(self, question: Turn, history: Sequence[Turn]) -> Generator[ReplyEvent, None, tuple[Recalled, ...]]:
        """At most a few passages, best first; each is told to the model and cited."""
        yield from ()
        return ()

    def prepared(self, question: Turn, passages: Sequence[Recalled]) -> Prepared | None:
        """What is said instead of the model: that it is not known, or the documents' own words. None: nothing."""
        return None
