"""Conversations on their way into the store, whoever wrote them: all of one is stored, or nothing of it."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlite_utils import Database

from mmchat.domain import (
    AttachmentKind,
    HandOver,
    Heard,
    PreparedKind,
    Rating,
    Recalled,
    Role,
    Seen,
    Session,
    TurnStatus,
    Understood,
    Usage,
)
from mmchat.errors import UsageError
from mmchat.memory import rows as convert
from mmchat.memory.blobs import Blob, NewAttachment
from mmchat.memory.hand_overs import insert_hand_over
from mmchat.memory.ids import new_id, now_text
from mmchat.memory.shelves import as_tag
from mmchat.memory.statements import index_title, index_turn, insert_attachment, write_rating
from mmchat.memory.store import MemoryStore
from mmchat.memory.text_search import storable

Kept = list[list[tuple[NewAttachment, Blob]]]
NO_PARENT = "none"
"""The `parent` of a turn that answers nothing although others stand before it: another beginning."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A picture or a sound that comes with a turn: a file that is there, or bytes, fetched only when needed."""

    kind: AttachmentKind
    media_type: str
    name: str
    path: Path | None = None
    read: Callable[[], bytes] | None = None
    heard: Heard | None = None
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class NewTurn:
    """A turn as a file gives it."""

    role: Role
    text: str
    created_at: str = ""
    """ISO, UTC; empty where the file does not tell."""
    speaker: str = ""
    files: tuple[NewFile, ...] = ()
    row_id: str = ""
    """The turn's id in the file; empty where it has none."""
    parent: str = ""
    """The id in the file of the turn that it answers; empty for the one before it."""
    model: str = ""
    engine: str = ""
    status: TurnStatus = "complete"
    notice: str = ""
    rating: Rating | None = None
    usage: Usage | None = None
    understood: Understood | None = None
    prepared: PreparedKind = ""
    cited: tuple[Recalled, ...] = ()
    """Passages of documents, without their words: those are the documents', if they are here too."""
    is_pinned: bool = False
    is_retired: bool = False
    retired_order: int = 0


@dataclass(frozen=True, slots=True)
class NewConversation:
    """A conversation as a file gives it."""

    title: str
    turns: tuple[NewTurn, ...]
    """In the order in which they were stored, those that are no longer in view among them."""
    persona: str = ""
    source: str = ""
    """A stable name of where it comes from, by which it is known when it is imported again."""
    model: str = ""
    created_at: str = ""
    updated_at: str = ""
    archived_at: str = ""
    tags: tuple[str, ...] = ()
    """As `shelves.as_tag` gives them."""
    hand_overs: tuple[HandOver, ...] = ()
    """Their ids are given here."""
    left_out: Counter[str] = field(default_factory=Counter)
    """What of it could not be brought in, by kind, in plain words: "thought": 3."""

    @property
    def turn_count(self) -> int:
        """Turns in view."""
        return sum(not turn.is_retired for turn in self.turns)

    @property
    def last_said_at(self) -> str:
        """The latest time that the file tells; "" where it tells none."""
        return max((turn.created_at for turn in self.turns if turn.created_at), default=self.updated_at)


def known_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Those that can be tags here."""
    found: list[str] = []
    for tag in tags:
        with contextlib.suppress(UsageError):
            found.append(as_tag(tag))
    return tuple(dict.fromkeys(found))


def store_conversation(store: MemoryStore, conversation: NewConversation) -> Session:
    """Store a conversation whole, or on an error nothing of it.

    Raises:
        MediaError: a file of it cannot be read.
        MemoryStoreError: it cannot be written.
    """
    with _kept_files(store, conversation) as kept, store.file.write() as db:
        session_id = insert_conversation(db, store, conversation, kept, {})
    return store.get_session(session_id)


def store_conversations(
    store: MemoryStore, conversations: Sequence[NewConversation]
) -> tuple[tuple[Session, ...], dict[str, str]]:
    """Store conversations, all or none.

    Returns:
        the new sessions, and the stored id of each turn that had an id in its file.
    """
    ids: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(_kept_files(store, each)) for each in conversations]
        with store.file.write() as db:
            session_ids = [
                insert_conversation(db, store, each, files, ids)
                for each, files in zip(conversations, kept, strict=True)
            ]
    return tuple(store.get_session(session_id) for session_id in session_ids), ids


def insert_conversation(
    db: Database, store: MemoryStore, conversation: NewConversation, kept: Kept, ids: dict[str, str]
) -> str:
    """Write a conversation within the caller's transaction, and return its id.

    Args:
        db: the connection.
        store: keeps the files.
        conversation: what to write.
        kept: the files of each turn, whose bytes are safe.
        ids: is told the stored id of each turn that has one in its file.
    """
    times = _times(conversation)
    session_id, now = new_id(), now_text()
    created_at = conversation.created_at or min(times, default=now)
    updated_at = max(times, default=conversation.updated_at or created_at)
    db.execute(
        "INSERT INTO sessions (id, title, model, persona, source, archived_at, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            session_id,
            *map(storable, (conversation.title, conversation.model, conversation.persona, conversation.source)),
            conversation.archived_at or None,
            min(created_at, updated_at),
            updated_at,
        ],
    )
    index_title(db, session_id)
    for tag in conversation.tags:
        db.execute("INSERT OR IGNORE INTO session_tags (session_id, tag) VALUES (?, ?)", [session_id, tag])
    for hand_over in conversation.hand_overs:
        insert_hand_over(db, replace(hand_over, id=new_id(), session_id=session_id))
    standing: str | None = None
    own_ids: dict[str, str] = {}
    for position, (turn, created, files) in enumerate(zip(conversation.turns, times, kept, strict=True), start=1):
        parent = None if turn.parent == NO_PARENT else own_ids.get(turn.parent, standing)
        turn_id = _insert_turn(db, session_id, turn, position=position, parent_id=parent, created_at=created)
        for at, (new, (attachment, blob)) in enumerate(zip(turn.files, files, strict=True)):
            _insert_file(db, store, turn_id, at, new, attachment, blob)
        index_turn(db, turn_id)
        if turn.row_id:
            own_ids[turn.row_id] = turn_id
        if not turn.is_retired:
            standing = turn_id
    ids.update(own_ids)
    return session_id


def _insert_turn(
    db: Database, session_id: str, turn: NewTurn, *, position: int, parent_id: str | None, created_at: str
) -> str:
    values = {
        "id": new_id(),
        "session_id": session_id,
        "parent_id": parent_id,
        "position": position,
        "role": turn.role,
        "speaker": storable(turn.speaker),
        "text": storable(turn.text),
        # Nobody is writing it any more.
        "status": "stopped" if turn.status == "streaming" else turn.status,
        "is_retired": int(turn.is_retired),
        "retired_order": turn.retired_order,
        "model": storable(turn.model),
        "engine": storable(turn.engine),
        "notice": storable(turn.notice),
        "usage": convert.to_json(turn.usage),
        "recalled": convert.recalled_to_json(turn.cited),
        "understood": convert.to_json(turn.understood),
        "prepared": turn.prepared,
        "created_at": created_at,
        "updated_at": created_at,
    }
    db.execute(
        f"INSERT INTO turns ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", list(values.values())
    )
    turn_id = str(values["id"])
    if turn.rating is not None:
        write_rating(db, turn_id, turn.rating)
    if turn.is_pinned:
        db.execute("INSERT INTO pins (turn_id, created_at) VALUES (?, ?)", [turn_id, now_text()])
    return turn_id


def _insert_file(
    db: Database, store: MemoryStore, turn_id: str, at: int, new: NewFile, attachment: NewAttachment, blob: Blob
) -> None:
    attachment_id = insert_attachment(db, store.blobs, turn_id, at, attachment, blob)
    if new.heard is not None or new.seen is not None:
        db.execute(
            "UPDATE attachments SET heard = ?, seen = ? WHERE id = ?",
            [convert.to_json(new.heard), convert.to_json(new.seen), attachment_id],
        )


def _times(conversation: NewConversation) -> list[str]:
    """When each turn was said; one without a time was said when the one before it was."""
    times: list[str] = []
    last = next((turn.created_at for turn in conversation.turns if turn.created_at), "")
    last = conversation.created_at or last or conversation.updated_at or now_text()
    for turn in conversation.turns:
        last = turn.created_at or last
        times.append(last)
    return times


@contextlib.contextmanager
def _kept_files(store: MemoryStore, conversation: NewConversation) -> Iterator[Kept]:
    """Copy the files of a conversation among the blobs; bytes that are no file yet stand in a folder meanwhile."""
    with tempfile.TemporaryDirectory(prefix="mmchat-import-") as folder:
        kept: Kept = []
        for turn in conversation.turns:
            files: list[tuple[NewAttachment, Blob]] = []
            for new in turn.files:
                path = new.path
                if path is None:
                    # One of its own: `insert_attachment` copies it again where another program removed the blob.
                    path = Path(folder) / f"{len(kept)}-{len(files)}"
                    path.write_bytes(new.read() if new.read is not None else b"")
                attachment = NewAttachment(path, new.kind, new.media_type, new.name)
                files.append((attachment, store.blobs.keep(path, new.media_type)))
            kept.append(files)
        yield kept
