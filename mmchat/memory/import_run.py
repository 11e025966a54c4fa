"""Bringing conversations in, one after the other: those that are there already are passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Event
from typing import Literal

from mmchat.domain import Session
from mmchat.errors import MediaError
from mmchat.memory.incoming import NewConversation, store_conversation
from mmchat.memory.store import MemoryStore
from mmchat.memory.text_search import storable

Standing = Literal["new", "there", "grown"]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A conversation that cannot be brought in."""

    name: str
    """Its title, or its place in the file."""
    reason: str


Incoming = NewConversation | Unreadable


@dataclass(frozen=True, slots=True)
class Looked:
    """A conversation of the file in short, and whether the store has it."""

    title: str
    source: str
    turn_count: int
    last_said_at: str
    standing: Standing


@dataclass(slots=True)
class ImportTally:
    """What has happened so far; it holds true also when an import stops in the middle."""

    imported: list[Session] = field(default_factory=list)
    looked: list[Looked] = field(default_factory=list)
    """All that were read, when nothing is to be stored."""
    turns: int = 0
    """In view, of the imported ones."""
    files: int = 0
    there: int = 0
    """Passed over: the store has them."""
    grown: int = 0
    """Of those, how many have more turns in the file than in the store."""
    empty: int = 0
    """Without a single turn."""
    unreadable: list[Unreadable] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """Pieces of imported conversations that could not be brought in, by kind."""
    is_stopped: bool = False


@dataclass(frozen=True, slots=True)
class ImportChoice:
    """What to do with conversations that the store has."""

    should_repeat: bool = False
    """Import all of them again."""
    should_take_grown: bool = False
    """Import those again that have more turns by now."""
    is_dry: bool = False
    """Only look."""


def run_import(
    store: MemoryStore,
    incoming: Iterable[Incoming],
    choice: ImportChoice,
    *,
    tally: ImportTally,
    cancel: Event,
    on_step: Callable[[], None] = lambda: None,
) -> None:
    """Store conversations as they are read, each whole or not at all.

    Args:
        store: where they go.
        incoming: what the file holds; it is read only as far as needed.
        choice: what to do with those that are there.
        tally: told what happened, at each step.
        cancel: set it to stop after the conversation at hand.
        on_step: called after each.

    Raises:
        MmchatError: the file cannot be read on, or the store not be written; `tally` says what was stored.
    """
    for each in incoming:
        if cancel.is_set():
            tally.is_stopped = True
            return
        if isinstance(each, Unreadable):
            tally.unreadable.append(each)
        elif not each.turns:
            tally.empty += 1
        else:
            _take(store, each, choice, tally)
        on_step()


def _take(store: MemoryStore, each: NewConversation, choice: ImportChoice, tally: ImportTally) -> None:
    standing = standing_of(store, each)
    if choice.is_dry:
        tally.looked.append(Looked(each.title, each.source, each.turn_count, each.last_said_at, standing))
    if standing != "new":
        tally.there += 1
        tally.grown += standing == "grown"
        if not choice.should_repeat and not (choice.should_take_grown and standing == "grown"):
            return
        tally.there -= 1
        tally.grown -= standing == "grown"
    if not choice.is_dry:
        try:
            session = store_conversation(store, each)
        except MediaError as error:
            tally.unreadable.append(Unreadable(each.title or each.source, error.message))
            return
        tally.imported.append(session)
    tally.turns += each.turn_count
    tally.files += sum(len(turn.files) for turn in each.turns)
    tally.left_out += each.left_out


def standing_of(store: MemoryStore, conversation: NewConversation) -> Standing:
    """Whether the store has a conversation; what is in the trash does not count."""
    own_id = conversation.source.removeprefix("mmchat:")
    found = store.file.rows(
        "SELECT (SELECT count(*) FROM turns t WHERE t.session_id = s.id AND NOT t.is_retired) AS turns FROM sessions s"
        " WHERE s.deleted_at IS NULL AND ((s.source = ? AND s.source <> '') OR s.id = ?)",
        (storable(conversation.source), storable(own_id)),
    )
    if not found:
        return "new"
    return "grown" if conversation.turn_count > max(row["turns"] for row in found) else "there"
