"""Conversations as dialogue rows (JSON Lines)."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmchat.domain import Attachment, Turn
from mmchat.errors import MemoryStoreError
from mmchat.memory.citations import passage_reference
from mmchat.memory.export_turns import ExportedConversation, ExportedTurn
from mmchat.memory.incoming import NO_PARENT
from mmchat.rows.kept import KEPT_VERSION

PathOf = Callable[[Attachment], str]


def dialogue_row(conversation: ExportedConversation, path_of: PathOf) -> dict[str, Any]:
    """A conversation as `import` and finetuning take it, with all that `import` brings back.

    Turns that are no messages of the dialogue stand in `apart`: other variants, and those without words and files.

    Args:
        conversation: what to write.
        path_of: how an attachment's file is named in the row.
    """
    session = conversation.session
    messages: list[dict[str, Any]] = []
    apart: list[dict[str, Any]] = []
    standing = ""
    for each in conversation.turns:
        is_message = not each.is_retired and bool(each.turn.text.strip() or each.turn.attachments)
        (messages if is_message else apart).append(_kept_message(each, standing, path_of))
        if not each.is_retired:
            standing = each.turn.id
    if apart:
        positions = {each.turn.id: each.position for each in conversation.turns}
        for message in (*messages, *apart):
            message["position"] = positions[message["id"]]
    row = {
        "messages": messages,
        "title": session.title,
        "persona": session.persona,
        "mmchat": KEPT_VERSION,
        "id": session.id,
        "source": conversation.source,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
        "model": session.model,
        "archived_at": session.archived_at,
        "tags": list(session.tags),
        "apart": apart,
        "hand_overs": [
            {"reason": each.reason, "text": each.text, "created_at": each.created_at}
            for each in conversation.hand_overs
        ],
    }
    return {key: value for key, value in row.items() if value or key == "messages"}


def _kept_message(each: ExportedTurn, standing: str, path_of: PathOf) -> dict[str, Any]:
    """A turn as a message with further keys, none of which are written where they say nothing."""
    turn = each.turn
    parts: list[dict[str, Any]] = [_kept_file(file, path_of) for file in turn.attachments]
    if turn.text and parts:
        parts.append({"type": "text", "text": turn.text})
    rating = turn.rating
    further = {
        "created_at": turn.created_at,
        "speaker": each.speaker,
        "model": turn.model,
        "engine": turn.engine,
        "status": turn.status if turn.status != "complete" else "",
        "notice": turn.notice,
        "rating": without_nothing({"mark": rating.mark, "better": rating.better}) if rating is not None else None,
        "usage": asdict(turn.usage) if turn.usage is not None else None,
        "understood": asdict(turn.understood) if turn.understood is not None else None,
        "prepared": turn.prepared,
        "cited": [
            {"score": note.score, **passage_reference(note.passage)} for note in turn.cited if note.passage is not None
        ],
        "pinned": each.is_pinned,
    }
    return {
        "role": turn.role,
        "content": parts or turn.text,
        **place_in_tree(each, standing),
        **without_nothing(further),
    }


def place_in_tree(each: ExportedTurn, standing: str) -> dict[str, Any]:
    """Which turn it is and which it answers, and whether it is in view.

    Args:
        each: the turn.
        standing: id of the last turn in view before it; empty where there is none.
    """
    turn = each.turn
    return without_nothing(
        {
            "id": turn.id,
            "parent": "" if (turn.parent_id or "") == standing else turn.parent_id or NO_PARENT,
            "retired": each.is_retired,
            "retired_order": each.retired_order,
        }
    )


def _kept_file(file: Attachment, path_of: PathOf) -> dict[str, Any]:
    further = {
        "name": file.name,
        "media_type": file.media_type,
        "heard": asdict(file.heard) if file.heard is not None else None,
        "seen": asdict(file.seen) if file.seen is not None else None,
    }
    return {"type": file.kind, file.kind: path_of(file), **without_nothing(further)}


def without_nothing(fields: dict[str, Any]) -> dict[str, Any]:
    """Without the keys that say nothing."""
    return {key: value for key, value in fields.items() if value}


def messages_of(turns: Sequence[Turn], path_of: PathOf) -> list[dict[str, Any]]:
    """Turns as the messages of a row; those without words and files are left out."""
    messages: list[dict[str, Any]] = []
    for turn in turns:
        parts: list[dict[str, str]] = [{"type": each.kind, each.kind: path_of(each)} for each in turn.attachments]
        if turn.text and parts:
            parts.append({"type": "text", "text": turn.text})
        if turn.text or parts:
            messages.append({"role": turn.role, "content": parts or turn.text})
    return messages


def row_line(row: Mapping[str, Any]) -> str:
    """A row as a line of its file."""
    return json.dumps(row, ensure_ascii=False) + "\n"


class FileCopier:
    """Copies attachments beside an export, once each, and names them relative to it."""

    def __init__(self, folder: Path, relative_to: Path) -> None:
        self._folder = folder
        self._relative_to = relative_to
        self._copied: dict[str, str] = {}

    def __call__(self, attachment: Attachment) -> str:
        """Copy the file unless it is there, and return its path with forward slashes.

        Raises:
            MemoryStoreError: the kept copy is missing, or the folder cannot be written.
        """
        if attachment.sha256 not in self._copied:
            # The hash keeps two different "photo.jpg" apart; the ending tells programs what it is.
            target = self._folder / f"{attachment.sha256[:16]}{attachment.path.suffix}"
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(attachment.path, target)
                target.chmod(0o600)  # as the kept copy: it may show anything
            except OSError as error:
                raise MemoryStoreError(
                    f"{attachment.name} could not be copied to {target}: {error.strerror or error}.",
                    hint="Check the folder and the free space; `mmchat doctor` checks the kept files.",
                ) from error
            self._copied[attachment.sha256] = Path(os.path.relpath(target, self._relative_to)).as_posix()
        return self._copied[attachment.sha256]


def kept_path(attachment: Attachment) -> str:
    """Where mmchat itself keeps the file."""
    return str(attachment.path)
