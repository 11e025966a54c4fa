"""Conversations from rows: dialogues and memories, all checked before any is stored."""

from __future__ import annotations

import hashlib
import json
import mimetypes
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from mmchat.domain import Seen
from mmchat.errors import DataError
from mmchat.memory.incoming import NewConversation, NewFile, NewTurn, known_tags, store_conversations
from mmchat.rows.kept import KeptDialogue, KeptFile, KeptTurn
from mmchat.rows.reader import read_rows
from mmchat.rows.values import DialogueRow, MemoryRow, MemoryTurn, RowFile, RowPart

__all__ = ["NewConversation", "NewTurn", "conversations_of", "read_conversations", "store_conversations"]


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
            found.append(_dialogue(row))
        elif isinstance(row, MemoryRow):
            found += _sessions(row)
    return tuple(found)


# --- dialogues ----------------------------------------------------------------------------------


def _dialogue(row: DialogueRow) -> NewConversation:
    if row.kept is not None:
        return _kept_dialogue(row, row.kept)
    turns = tuple(NewTurn(each.role, each.text, files=_files(each.files)) for each in row.messages)
    return _named(NewConversation(row.title, turns, row.persona))


def _kept_dialogue(row: DialogueRow, kept: KeptDialogue) -> NewConversation:
    turns = [
        (of, _kept_turn(NewTurn(each.role, each.text, files=_files(each.files, of.files)), of))
        for each, of in zip(row.messages, kept.turns, strict=True)
    ]
    turns += [
        (each.kept, _kept_turn(NewTurn(each.role, each.text, files=_files(each.files, each.kept.files)), each.kept))
        for each in kept.apart
    ]
    if kept.apart:
        turns.sort(key=lambda pair: pair[0].position)
    return NewConversation(
        row.title,
        tuple(turn for _, turn in turns),
        row.persona,
        source=kept.source or f"mmchat:{kept.id}",
        model=kept.model,
        created_at=kept.created_at,
        updated_at=kept.updated_at,
        archived_at=kept.archived_at,
        tags=known_tags(kept.tags),
        hand_overs=kept.hand_overs,
    )


def _kept_turn(turn: NewTurn, kept: KeptTurn) -> NewTurn:
    return replace(
        turn,
        created_at=kept.created_at,
        speaker=kept.speaker,
        row_id=kept.id,
        parent=kept.parent,
        model=kept.model,
        engine=kept.engine,
        status=kept.status,
        notice=kept.notice,
        rating=kept.rating,
        usage=kept.usage,
        understood=kept.understood,
        prepared=kept.prepared,
        cited=kept.cited,
        is_pinned=kept.is_pinned,
        is_retired=kept.is_retired,
        retired_order=kept.retired_order,
    )


# --- memories -----------------------------------------------------------------------------------


def _sessions(row: MemoryRow) -> list[NewConversation]:
    by_session: dict[str, list[NewTurn]] = {}
    for turn in row.turns:
        by_session.setdefault(turn.session, []).append(_memory_turn(turn))
    return [_named(NewConversation(f"{row.id} {session}".strip(), tuple(each))) for session, each in by_session.items()]


def _memory_turn(turn: MemoryTurn) -> NewTurn:
    text = turn.text
    picture = () if turn.image_path is None else _files([RowPart("image", path=turn.image_path)])
    if turn.caption and picture:
        picture = tuple(replace(each, seen=Seen((), caption=turn.caption, model="import")) for each in picture)
    elif turn.caption:
        # Without its picture a caption would have no row to stand in, and must not be lost.
        text = f"{text}\n[picture: {turn.caption}]".lstrip("\n")
    return NewTurn(turn.role, text, turn.created_at, turn.speaker, picture, row_id=turn.id)


# --- both ---------------------------------------------------------------------------------------


def _named(conversation: NewConversation) -> NewConversation:
    """With a source of its own content: rows of other programs have no id that could be relied on."""
    said = [[turn.role, turn.text, turn.created_at, [each.name for each in turn.files]] for turn in conversation.turns]
    content = json.dumps([conversation.title, conversation.persona, said], ensure_ascii=True)
    return replace(conversation, source=f"rows:{hashlib.sha256(content.encode()).hexdigest()[:32]}")


def _files(parts: Iterable[RowPart], kept: Sequence[KeptFile] = ()) -> tuple[NewFile, ...]:
    found = []
    for part, known in zip_longest(parts, kept, fillvalue=None):
        if part is not None and part.kind != "text" and part.path is not None:
            known = known or KeptFile()
            ending = part.path.suffix.lstrip(".").lower()
            media_type = known.media_type or mimetypes.guess_type(part.path.name)[0] or f"{part.kind}/{ending}"
            name = known.name or part.path.name
            found.append(NewFile(part.kind, media_type, name, part.path, heard=known.heard, seen=known.seen))
    return tuple(found)
