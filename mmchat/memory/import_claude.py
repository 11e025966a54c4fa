"""Conversations of a Claude export (`conversations.json` with `chat_messages`).

The shape is no published contract; what is read here follows exports of 2024 to 2026: `text` and, since, blocks in
`content`; attachments with the text taken from them; names of files whose bytes are not in the export.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmchat.domain import Role
from mmchat.memory.import_bundle import HEAD_BYTES, sensed_file
from mmchat.memory.import_run import Incoming, Unreadable
from mmchat.memory.import_values import Fields, fields_of, joined, list_of, moment_of, text_of, title_from
from mmchat.memory.incoming import NewConversation, NewFile, NewTurn

_ROLES: dict[str, Role] = {"human": "user", "user": "user", "assistant": "assistant", "system": "system"}


def is_claude(item: object) -> bool:
    """Whether an item of a list is a conversation of Claude."""
    return isinstance(item, dict) and "chat_messages" in item


def claude_conversation(item: object, number: int) -> Incoming:
    """One item of `conversations.json`, the `number`th."""
    of = fields_of(item)
    title = text_of(of.get("name"))
    if not isinstance(of.get("chat_messages"), list):
        return Unreadable(title or f"conversation {number}", "has no messages ('chat_messages')")
    messages = [fields_of(message) for message in of["chat_messages"]]
    path = _path(messages, text_of(of.get("current_leaf_message_uuid")))
    reading = _Reading()
    for message in path:
        reading.add(message)
    if branches := _leaves(messages) - 1:
        reading.left_out["other branch"] += max(branches, 0)
    turns = tuple(reading.turns)
    name = text_of(of.get("uuid"))
    return NewConversation(
        title or title_from(next((turn.text for turn in turns if turn.role == "user"), "")),
        turns,
        source=f"claude:{name}" if name else f"claude:{moment_of(of.get('created_at'))} {title}",
        model=text_of(of.get("model")),
        created_at=moment_of(of.get("created_at")),
        updated_at=moment_of(of.get("updated_at")),
        left_out=+reading.left_out,
    )


def incoming(items: Iterator[object]) -> Iterator[Incoming]:
    """All conversations of a list."""
    for number, item in enumerate(items, start=1):
        yield claude_conversation(item, number)


def _path(messages: Sequence[Fields], leaf: str) -> Sequence[Fields]:
    """The messages in view. Without parents they are in order; with parents, those from the last one up."""
    by_id = {name: message for message in messages if (name := text_of(message.get("uuid")))}
    if not any(text_of(message.get("parent_message_uuid")) in by_id for message in messages):
        return messages
    current = leaf if leaf in by_id else text_of(messages[-1].get("uuid"))
    path: list[Fields] = []
    while (message := by_id.pop(current, None)) is not None:
        path.append(message)
        current = text_of(message.get("parent_message_uuid"))
    return path[::-1]


def _leaves(messages: Sequence[Fields]) -> int:
    """How many ways the conversation ends; one where messages have no parents."""
    ids = {text_of(message.get("uuid")) for message in messages} - {""}
    parents = {text_of(message.get("parent_message_uuid")) for message in messages} & ids
    return len(ids - parents) if parents else 1


@dataclass(slots=True)
class _Reading:
    turns: list[NewTurn] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, message: Fields) -> None:
        sender = text_of(message.get("sender"))
        role = _ROLES.get(sender)
        if role is None:
            self.left_out[f"message of a {sender or 'nobody'}"] += 1
            return
        pieces: list[str] = []
        files: list[NewFile] = []
        for block in list_of(message.get("content")):
            self._block(fields_of(block), pieces, files)
        if not any(piece.strip() for piece in pieces) and not files:
            pieces = [text_of(message.get("text"))]
        for attachment in map(fields_of, list_of(message.get("attachments"))):
            name = text_of(attachment.get("file_name")) or "pasted text"
            inside = text_of(attachment.get("extracted_content"))
            pieces.append(joined([f"[file: {name}]", inside]))
            if not inside:
                self.left_out["file"] += 1
        for file in map(fields_of, list_of(message.get("files")) or list_of(message.get("files_v2"))):
            pieces.append(f"[file: {text_of(file.get('file_name')) or 'without a name'}]")
            self.left_out["file"] += 1
        text = joined(pieces)
        if text or files:
            name = text_of(message.get("uuid"))
            self.turns.append(
                NewTurn(role, text, moment_of(message.get("created_at")), files=tuple(files), row_id=name)
            )

    def _block(self, block: Fields, pieces: list[str], files: list[NewFile]) -> None:
        kind = text_of(block.get("type"))
        if kind == "text":
            pieces.append(text_of(block.get("text")))
        elif kind == "voice_note":
            pieces.append(joined([f"[voice: {text_of(block.get('title')) or 'note'}]", text_of(block.get("text"))]))
        elif kind in ("thinking", "redacted_thinking"):
            self.left_out["thought"] += 1
        elif kind == "tool_use":
            self._call(block, pieces)
        elif kind == "tool_result":
            self.left_out["tool result"] += 1
        elif kind == "image" and (picture := _picture(block)) is not None:
            files.append(picture)
        elif kind not in ("token_budget", "flag"):
            pieces.append(f"[{kind.replace('_', ' ') or 'something unknown'}]")
            self.left_out[kind.replace("_", " ") or "unknown piece"] += 1

    def _call(self, block: Fields, pieces: list[str]) -> None:
        given = fields_of(block.get("input"))
        tool = text_of(block.get("name"))
        if tool == "artifacts" and (body := text_of(given.get("content"))):
            pieces.append(joined([f"[artifact: {text_of(given.get('title')) or 'document'}]", body]))
            return
        pieces.append(f"[tool: {tool or 'without a name'}]")
        self.left_out["tool call"] += 1


def _picture(block: Fields) -> NewFile | None:
    source: Any = fields_of(block.get("source"))
    try:
        data = base64.b64decode(text_of(source.get("data")), validate=True)
    except (binascii.Error, ValueError):
        return None
    return sensed_file("picture", data[:HEAD_BYTES], lambda: data)
