"""One conversation: a turn, end to end, as a plain generator of frozen events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from mmchat.domain import GenerateOptions, ReplyEvent, Session, Turn

if TYPE_CHECKING:
    from mmchat.chat.ports import Engines
    from mmchat.memory.recall import Recall
    from mmchat.memory.store import MemoryStore


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How conversations run."""

    options: GenerateOptions = GenerateOptions()
    system: str = ""
    language: str | None = None
    """Speech language, ISO 639-1; None detects it."""
    should_log: bool = True
    """False: nothing of the conversation is stored."""


@dataclass(frozen=True, slots=True)
class UserInput:
    """What the user sends: words and files, in the order of the chips."""

    text: str
    files: tuple[Path, ...] = ()
    """Pictures and sound files; recordings arrive as text, through `Desk.transcribe`."""


class ChatSession:
    """A conversation that can be spoken in. One reply at a time; several sessions may share engines."""

    def __init__(
        self, store: MemoryStore, recall: Recall, engines: Engines, settings: SessionSettings, session: Session | None
    ) -> None: ...

    @property
    def info(self) -> Session | None:
        """None until the first turn is stored."""
        ...

    def turns(self) -> tuple[Turn, ...]:
        """All stored turns, oldest first."""
        ...

    def reply(self, user_input: UserInput, cancel: Event) -> Iterator[ReplyEvent]:
        """Store what the user sent, read it, recall, and stream the reply.

        Yields events in the order of `domain.ReplyEvent`; setting `cancel` stops within a token and
        keeps the text. On an error everything stored stays stored, the reply row is marked `failed`
        with its text, and the error is raised.

        Raises:
            UsageError: nothing to send.
            MediaError: a file cannot be read; nothing was stored, so the caller keeps the draft.
            MmchatError: the engine failed.
        """
        ...

    def regenerate(self, cancel: Event) -> Iterator[ReplyEvent]:
        """Draw the last reply anew; the old one stays stored as a variant, out of the conversation.

        Raises:
            UsageError: no message to regenerate.
        """
        ...
