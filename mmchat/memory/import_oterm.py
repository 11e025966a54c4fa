"""Conversations of oterm's database (`store.db`: tables `chat` and `message`, pictures as base64)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from mmchat.domain import Role
from mmchat.memory.import_bundle import HEAD_BYTES, sensed_file
from mmchat.memory.import_database import ForeignDatabase
from mmchat.memory.import_run import Incoming
from mmchat.memory.import_values import list_of, text_of, title_from
from mmchat.memory.incoming import NewConversation, NewFile, NewTurn
from mmchat.moments import utc_text

_ROLES: dict[str, Role] = {
    "user": "user",
    "me": "user",
    "assistant": "assistant",
    "ollama": "assistant",
    "system": "system",
}
"""Its early versions wrote 'me' and 'ollama'."""


def is_oterm(database: ForeignDatabase) -> bool:
    """Whether oterm wrote it."""
    return database.has("chat", "id", "name", "model") and database.has("message", "id", "chat_id", "author", "text")


def incoming(database: ForeignDatabase) -> Iterator[Incoming]:
    """All conversations.

    oterm keeps no times: all turns get the one when the file was last written, after which none was said.
    """
    written_at = utc_text(datetime.fromtimestamp(database.path.stat().st_mtime, UTC))
    images = "images" if database.has("message", "images") else "'[]' AS images"
    system = "system" if database.has("chat", "system") else "'' AS system"
    for chat in list(database.rows(f"SELECT id, name, model, {system} FROM chat ORDER BY id")):
        left_out: Counter[str] = Counter()
        turns: list[NewTurn] = []
        if said := text_of(chat["system"]).strip():
            turns.append(NewTurn("system", said, written_at))
        for row in database.rows(
            f"SELECT id, author, text, {images} FROM message WHERE chat_id = ? ORDER BY id", chat["id"]
        ):
            role = _ROLES.get(text_of(row["author"]).lower())
            if role is None:
                left_out[f"message of a {text_of(row['author'])}"] += 1
                continue
            files = tuple(_pictures(row["images"], left_out))
            model = text_of(chat["model"]) if role == "assistant" else ""
            turns.append(
                NewTurn(role, text_of(row["text"]), written_at, files=files, row_id=str(row["id"]), model=model)
            )
        first = next((turn.text for turn in turns if turn.role == "user"), "")
        # Chats are only numbered, in every such file from 1: their beginning tells them apart.
        known_by = hashlib.sha256(f"{chat['id']} {first}".encode("utf-8", "replace")).hexdigest()[:16]
        is_empty = all(turn.role == "system" for turn in turns)
        yield NewConversation(
            text_of(chat["name"]) or title_from(first),
            () if is_empty else tuple(turns),
            source=f"oterm:{chat['id']}:{known_by}",
            model=text_of(chat["model"]),
            created_at=written_at,
            updated_at=written_at,
            left_out=left_out,
        )


def _pictures(column: object, left_out: Counter[str]) -> Iterator[NewFile]:
    try:
        encoded = list_of(json.loads(text_of(column) or "[]"))
    except (ValueError, RecursionError):
        encoded = [None]
    for number, each in enumerate(encoded, start=1):
        try:
            data = base64.b64decode(text_of(each), validate=True)
        except (binascii.Error, ValueError):
            data = b""
        file = sensed_file(f"picture-{number}", data[:HEAD_BYTES], lambda data=data: data)  # type: ignore[misc]
        if file is not None:
            yield file
        else:
            left_out["picture that cannot be read"] += 1
