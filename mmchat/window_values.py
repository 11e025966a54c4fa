"""What the model is shown of a conversation, as values. Imported from `mmchat.domain`, where their like are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PartKind = Literal["system", "summary", "pinned", "facts", "recalled", "documents", "kept", "senses", "newest"]


@dataclass(frozen=True, slots=True)
class WindowPart:
    """One kind of thing in a prompt, and what it takes.

    - system: the system text, and what the chat template itself takes.
    - summary: what stands for older turns.
    - pinned: pinned turns that stand before the kept ones.
    - facts, recalled, documents: notes told beside messages, the newest and those kept: what the user said of
      themselves, older turns, passages of documents.
    - kept: the run of turns before the newest message, in their own words.
    - senses: pictures and sounds, told in words or given as pixels.
    - newest: the message to be answered.
    """

    kind: PartKind
    tokens: int
    count: int = 0
    """Turns, notes or files."""


@dataclass(frozen=True, slots=True)
class Window:
    """What the model was shown of the conversation."""

    turns_in: int = 0
    """Turns the model sees in their own words: kept, pinned, newest."""
    turns_out: int = 0
    tokens: int = 0
    budget: int = 0
    """The most tokens the prompt may take."""
    first_turn_id: str | None = None
    """The oldest turn of the kept run; None for an empty view."""
    parts: tuple[WindowPart, ...] = ()
    """What the prompt is made of, only what is there; their tokens sum up to `tokens`. Empty in accounts that were
    stored before there were parts."""
    room: int = 0
    """The most tokens the reply may take; 0 where it was not counted."""
    tokens_out: int = 0
    """About what is out of view, reckoned from its characters; 0 where it was not."""
    pins: tuple[str, ...] = ()
    """Ids of the pinned turns that stand before the kept ones, oldest first."""
    pins_out: int = 0
    """Pinned turns for which there was no room."""
    summary_id: str = ""
    """The summary that was in force, shown or not; empty for none."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What stands in the model's view for the older turns of a conversation; those stay stored."""

    id: str
    session_id: str
    last_turn_id: str
    """The newest turn that it stands for."""
    text: str
    writer: str
    """The language model's name, or `SENTENCES` for one put together from the user's own sentences."""
    created_at: str
    is_edited: bool = False
    """The user changed its words."""


SENTENCES = "sentences"
"""The writer of a summary that no model wrote."""
