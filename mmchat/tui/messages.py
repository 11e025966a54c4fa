"""Facts that workers and widgets tell the screen. Plain dataclasses: Textual writes to its messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from textual.message import Message

from mmchat.chat.session import ChatSession
from mmchat.chat.window import View
from mmchat.domain import Fact, Heard, LiveText, ReplyEvent, Turn
from mmchat.errors import MmchatError

if TYPE_CHECKING:
    from mmchat.chat.library import Shelf
    from mmchat.chat.mic import Ending
    from mmchat.tui.screens.session_lines import Found


@dataclass
class ReplyProgressed(Message):
    """Something happened in a running turn."""

    run_id: int
    event: ReplyEvent
    delta_count: int = 0
    """Deltas merged into the event, about one per token."""


@dataclass
class ReplyFailed(Message):
    """The turn ended with an error; what was stored stays stored."""

    run_id: int
    error: MmchatError


@dataclass
class ReplyFinished(Message):
    """The turn's events are over."""

    run_id: int
    was_cut: bool


@dataclass
class SessionOpened(Message):
    """A conversation is at hand, with all its turns or, of a long one, some; `EarlierRead` follows then."""

    session: ChatSession
    turns: tuple[Turn, ...]
    at_turn: str = ""
    """The turn to show and mark; empty for the end."""
    view: View | None = None
    """What is known of the model's window."""


@dataclass
class EarlierRead(Message):
    """All turns of a long conversation that is open already."""

    session: ChatSession
    turns: tuple[Turn, ...]
    view: View


@dataclass
class FactsListed(Message):
    """What is remembered of the user and fits what was typed."""

    query: str
    facts: tuple[Fact, ...]
    said: str = ""
    """What was done just now."""


@dataclass
class SessionsListed(Message):
    """What fits what was typed."""

    query: str
    shelf: Shelf
    found: tuple[Found, ...]


@dataclass
class PreviewReady(Message):
    """A few turns of what is highlighted in the list."""

    found: Found
    turns: tuple[Turn, ...]


@dataclass
class WorkFailed(Message):
    """A piece of background work could not be done."""

    error: MmchatError


@dataclass
class MicrophoneOpened(Message):
    """The microphone runs."""

    take: int


@dataclass
class MicrophoneFailed(Message):
    """The microphone or the recogniser gave up."""

    take: int
    error: MmchatError
    is_kept: bool = False
    """Whether the recording can be turned into words again."""


@dataclass
class RecordingEnded(Message):
    """A running recording should end."""

    take: int
    ending: Ending
    trouble: str = ""
    """What is wrong with the microphone, in words."""


@dataclass
class LiveHeard(Message):
    """What is being said, while it is recorded."""

    take: int
    text: LiveText


@dataclass
class SpeechTranscribed(Message):
    """The recording as words; None for a recording without any sound."""

    take: int
    heard: Heard | None
    ending: Ending | Literal["again"] = "asked"
    """Why the recording ended; "again" for the last one, turned into words anew."""
    trouble: str = ""
    """What was wrong with the microphone when it ended, in words."""
    duration_s: float = 0.0
    problem: MmchatError | None = None
    """Why the recording was not kept."""


@dataclass
class SpeakerChanged(Message):
    """Speaking began or ended, or was given up."""


@dataclass
class Copied(Message):
    """Text went to a clipboard; `how` says which, truthfully."""

    text: str
    what: str
    how: str
    """Empty: no native tool took it, the terminal has to be asked."""
