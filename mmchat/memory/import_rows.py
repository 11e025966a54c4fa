"""Conversations from rows: dialogues and memories, all checked before any is stored."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mmchat.domain import Role, Seen, Session
from mmchat.errors import DataError
from mmchat.memory import rows as convert
from mmchat.memory.blobs import NewAttachment
from mmchat.memory.statements import index_turn, insert_attachment, insert_session, insert_turn
from mmchat.memory.store import MemoryStore
from mmchat.memory.text_search import storable
from mmchat.rows.reader import read_rows
from mmchat.rows.values import DialogueRow, MemoryRow, MemoryTurn, RowFile, RowPart


@dataclass(frozen=True, slots=True)
class NewTurn:
    """A turn as a row gives it."""

    role: Role
    text: str
    created_at: str = ""
    speaker: str = ""
    files: tuple[NewAttachment, ...] = ()
    caption: str = ""
    """What the row says of its picture."""
    row_id: str = ""
    """The turn's id in the file; empty for dialogue rows."""


@dataclass(frozen=True, slots=True)
class NewConversation:
    """A conversation as one or more rows give it."""

    title: str
    turns: tuple[NewTurn, ...]
    persona: str = ""


def read_conversations(path: Path) -> tuple[NewConversation, ...]:
    """Read and check a whole file.

    Raises:
        DataError: names every bad row as `file:line: field: what is wrong, and how to mend it`.
    """
    return conversations_of(read_rows(path))


def conversations_of(rows: RowFile) -> tuple[NewConversation, ...]:
    """The conversations in rows that were read: one of each dialogue row, one of each session of a memory row.

    Raises:
        DataError: rows of a kind that holds no conversations.
    """
    if rows.kind not in ("dialogue", "memory"):
        raise DataError(
            f"{rows.path} holds {rows.kind} rows, which are no conversations.",
            hint="Give a file of dialogue rows ('messages') or memory rows ('turns').",
        )
    found: list[NewConversation] = []
    for row in rows.rows:
        if isinstance(row, DialogueRow):
            turns = tuple(NewTurn(each.role, each.text, files=_attachments(each.files)) for each in row.messages)
            found.append(NewConversation(row.title, turns, row.persona))
        elif isinstance(row, MemoryRow):
            found += _sessions(row)
    return tuple(found)


def store_conversations(
    store: MemoryStore, conversations: tuple[NewConversation, ...]
) -> tuple[tuple[Session, ...], dict[str, str]]:
    """Store conversations, all or none.

    Returns:
        the new sessions, and the stored id of each turn that had an id in its file.
    """
    kept = [
        [[(new, store.blobs.keep(new.path, new.media_type)) for new in turn.files] for turn in conversation.turns]
        for conversation in conversations
    ]
    ids: dict[str, str] = {}
    session_ids: list[str] = []
    with store.file.write() as db:
        for conversation, files in zip(conversations, kept, strict=True):
            session_id = insert_session(db, title=conversation.title, persona=conversation.persona)
            session_ids.append(session_id)
            for turn, attached in zip(conversation.turns, files, strict=True):
                turn_id = insert_turn(
                    db,
                    session_id,
                    {
                        "role": turn.role,
                        "text": storable(turn.text),
                        "status": "complete",
                        "speaker": storable(turn.speaker),
                    },
                    created_at=turn.created_at,
                )
                for position, (new, blob) in enumerate(attached):
                    attachment_id = insert_attachment(db, store.blobs, turn_id, position, new, blob)
                    if turn.caption:
                        seen = convert.to_json(Seen((), caption=storable(turn.caption), model="import"))
                        db.execute("UPDATE attachments SET seen = ? WHERE id = ?", [seen, attachment_id])
                index_turn(db, turn_id)
                if turn.row_id:
                    ids[turn.row_id] = turn_id
            if times := [turn.created_at for turn in conversation.turns if turn.created_at]:
                # So that old conversations stand among the old ones in the list.
                db.execute(
                    "UPDATE sessions SET created_at = ?, updated_at = ? WHERE id = ?",
                    [min(times), max(times), session_id],
                )
    return tuple(store.get_session(session_id) for session_id in session_ids), ids


# --- rows ---------------------------------------------------------------------------------------


def _sessions(row: MemoryRow) -> list[NewConversation]:
    by_session: dict[str, list[NewTurn]] = {}
    for turn in row.turns:
        by_session.setdefault(turn.session, []).append(_memory_turn(turn))
    return [NewConversation(f"{row.id} {session}".strip(), tuple(each)) for session, each in by_session.items()]


def _memory_turn(turn: MemoryTurn) -> NewTurn:
    text = turn.text
    picture = () if turn.image_path is None else (RowPart("image", path=turn.image_path),)
    if turn.caption and not picture:
        # Without its picture a caption would have no row to stand in, and must not be lost.
        text = f"{text}\n[picture: {turn.caption}]".lstrip("\n")
    return NewTurn(turn.role, text, turn.created_at, turn.speaker, _attachments(picture), turn.caption, turn.id)


def _attachments(parts: Iterable[RowPart]) -> tuple[NewAttachment, ...]:
    found = []
    for part in parts:
        if part.kind != "text" and part.path is not None:
            ending = part.path.suffix.lstrip(".").lower()
            media_type = mimetypes.guess_type(part.path.name)[0] or f"{part.kind}/{ending}"
            found.append(NewAttachment(part.path, part.kind, media_type, part.path.name))
    return tuple(found)
