"""What the user's messages are taken to want, how they sound, and what a role does about it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING

from mmchat.chat.prepared import Prepared
from mmchat.domain import ReplyEvent, Turn
from mmchat.role_values import Persona

if TYPE_CHECKING:
    from mmchat.chat.ports import Engines
    from mmchat.memory.store import MemoryStore


class Understanding:
    """Reads the messages of one conversation."""

    def __init__(self, store: MemoryStore, engines: Engines, persona: Persona | None) -> None:
        """`persona`: whose intents and topics; None: nothing is read."""
        self._store = store
        self._engines = engines
        self._persona = persona

    def read(self, question: Turn) -> Generator[ReplyEvent, None, Turn]:
        """Read a message, with what was heard and seen in its files, and store what it is taken for.

        Returns:
            The message with `understood`.
        """
        yield from ()
        return question

    def prepared(self, question: Turn, history: Sequence[Turn]) -> Prepared | None:
        """What is said instead of the model: an intent's own reply, or that a topic is forbidden. None: nothing."""
        return None

    def afterwards(self, question: Turn, history: Sequence[Turn], reply: Turn) -> Iterator[ReplyEvent]:
        """Whether a person is suggested now."""
        yield from ()
