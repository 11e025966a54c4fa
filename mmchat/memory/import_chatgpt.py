"""Conversations of a ChatGPT export: a tree of messages for each, of which the path in view is taken.

The shape is no published contract; what is read here follows unofficial descriptions of exports of 2023 to 2026
(`mapping` and `current_node`, parts of text and `*_asset_pointer`, tools as messages of their own).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from mmchat.domain import Rating, Role
from mmchat.memory.import_bundle import Bundle
from mmchat.memory.import_run import Incoming, Unreadable
from mmchat.memory.import_values import Fields, fields_of, joined, list_of, moment_of, text_of, title_from
from mmchat.memory.incoming import NewConversation, NewFile, NewTurn

_POINTER = re.compile(r"(?:.*//)?(file-[A-Za-z0-9]+|file_[0-9a-f]+)")
_CITATION = re.compile("\ue200[^\ue201]*\ue201|[\ue200-\ue2ff]|【\\d+†[^】]*】")
"""Marks of sources in the text; private characters that no font shows."""
_THOUGHTS = ("thoughts", "reasoning_recap")
_INSTRUCTIONS = ("user_editable_context", "model_editable_context")
_FILE_NAMES = {"image": "picture", "audio": "voice", "video": "video"}


def is_chatgpt(item: object) -> bool:
    """Whether an item of a list is a conversation of ChatGPT."""
    return isinstance(item, dict) and "mapping" in item


def chatgpt_conversation(
    item: object, number: int, bundle: Bundle | None, ratings: dict[str, Rating] | None = None
) -> Incoming:
    """One item of `conversations.json`.

    Args:
        item: what stands there.
        number: its place in the file, from 1.
        bundle: where its pictures and sounds may lie.
        ratings: what the user thought of replies, by the message's id.
    """
    of = fields_of(item)
    mapping = fields_of(of.get("mapping"))
    title = text_of(of.get("title"))
    if not isinstance(of.get("mapping"), dict):
        return Unreadable(title or f"conversation {number}", "has no messages ('mapping')")
    path = _path(mapping, text_of(of.get("current_node")))
    reading = _Reading(bundle, ratings or {})
    for node in path:
        reading.add(fields_of(mapping[node].get("message")) if isinstance(mapping[node], dict) else {})
    branches = _leaves(mapping) - 1
    if branches > 0:
        reading.left_out["other branch"] += branches
    turns = tuple(reading.turns)
    updated_at = moment_of(of.get("update_time"))
    name = text_of(of.get("conversation_id")) or text_of(of.get("id"))
    return NewConversation(
        title or title_from(next((turn.text for turn in turns if turn.role == "user"), "")),
        turns,
        source=f"chatgpt:{name}" if name else f"chatgpt:{moment_of(of.get('create_time'))} {title}",
        model=text_of(of.get("default_model_slug")),
        created_at=moment_of(of.get("create_time")),
        updated_at=updated_at,
        archived_at=updated_at if of.get("is_archived") is True else "",
        left_out=reading.left_out,
    )


def chatgpt_ratings(bundle: Bundle) -> dict[str, Rating]:
    """What the user thought of replies (`message_feedback.json`), by the message's id."""
    found: dict[str, Rating] = {}
    for name in bundle.named(r"message_feedback\.json")[:1]:
        with bundle.open(name) as file:
            try:
                feedback = json.load(file)
            except (ValueError, RecursionError):
                return {}
        for each in map(fields_of, list_of(feedback)):
            said = text_of(each.get("rating")).lower().replace("_", "")
            message = text_of(each.get("message_id")) or text_of(each.get("id"))
            if message and said in ("thumbsup", "thumbsdown"):
                found[message] = Rating("good" if said == "thumbsup" else "bad")
    return found


def _path(mapping: Fields, current: str) -> list[str]:
    """The nodes from the root to the one in view."""
    if current not in mapping:
        # Without a pointer: the leaf that was said last.
        leaves = [name for name in mapping if not list_of(fields_of(mapping[name]).get("children"))]
        current = max(leaves, key=lambda name: _said_at(mapping, name), default="")
    path: list[str] = []
    seen: set[str] = set()
    while current in mapping and current not in seen:
        seen.add(current)
        path.append(current)
        current = text_of(fields_of(mapping[current]).get("parent"))
    return path[::-1]


def _said_at(mapping: Fields, name: str) -> str:
    return moment_of(fields_of(fields_of(mapping[name]).get("message")).get("create_time"))


def _leaves(mapping: Fields) -> int:
    return sum(1 for node in mapping.values() if not any(child in mapping for child in _children(node)))


def _children(node: object) -> list[str]:
    return [child for child in list_of(fields_of(node).get("children")) if isinstance(child, str)]


@dataclass(slots=True)
class _Reading:
    """Puts messages together to turns: tools and their results belong to the reply that they are part of."""

    bundle: Bundle | None
    ratings: dict[str, Rating]
    turns: list[NewTurn] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, message: Fields) -> None:
        role = text_of(fields_of(message.get("author")).get("role"))
        content = fields_of(message.get("content"))
        metadata = fields_of(message.get("metadata"))
        kind = text_of(content.get("content_type"))
        is_hidden = metadata.get("is_visually_hidden_from_conversation") is True
        if kind in _INSTRUCTIONS or metadata.get("is_user_system_message") is True:
            self._put("system", _instructions(content, metadata), (), message)
        elif kind in _THOUGHTS:
            self.left_out["thought"] += 1
        elif role == "tool":
            self._tool(message, content)
        elif role == "assistant" and text_of(message.get("recipient")) not in ("", "all"):
            self._call(message, content)
        elif role in ("user", "assistant", "system"):
            text, files = self._said(content, metadata)
            if is_hidden or (role == "system" and not text):
                self.left_out["hidden message"] += bool(text or files)
                return
            self._put(
                "user" if role == "user" else "assistant" if role == "assistant" else "system", text, files, message
            )
        elif role:
            self.left_out[f"message of a {role}"] += 1

    def _put(self, role: Role, text: str, files: tuple[NewFile, ...], message: Fields) -> None:
        if not text and not files:
            return
        metadata = fields_of(message.get("metadata"))
        name = text_of(message.get("id"))
        model = text_of(metadata.get("model_slug")) if role == "assistant" else ""
        rating = self.ratings.get(name) if role == "assistant" else None
        last = self.turns[-1] if self.turns else None
        if role == "assistant" and last is not None and last.role == "assistant":
            self.turns[-1] = replace(
                last,
                text=joined([last.text, text]),
                files=(*last.files, *files),
                model=model or last.model,
                rating=rating or last.rating,
                row_id=name or last.row_id,
            )
            return
        is_cut = text_of(fields_of(metadata.get("finish_details")).get("type")) == "interrupted"
        status = text_of(message.get("status"))
        self.turns.append(
            NewTurn(
                role,
                text,
                moment_of(message.get("create_time")),
                files=files,
                row_id=name,
                model=model,
                status="stopped" if is_cut or status in ("in_progress", "finished_partial_completion") else "complete",
                rating=rating,
            )
        )

    def _tool(self, message: Fields, content: Fields) -> None:
        """Results count, and pictures made by a tool are part of the reply."""
        self.left_out["tool result"] += 1
        if text_of(content.get("content_type")) == "multimodal_text":
            _, files = self._said(content, {})
            self._put("assistant", "", files, message)

    def _call(self, message: Fields, content: Fields) -> None:
        tool = text_of(message.get("recipient"))
        text = text_of(content.get("text")) or joined([text_of(part) for part in list_of(content.get("parts"))])
        if tool.startswith("canmore.create"):
            try:
                document = fields_of(json.loads(text))
            except (ValueError, RecursionError):
                document = {}
            if body := text_of(document.get("content")):
                name = text_of(document.get("name")) or "document"
                self._put("assistant", joined([f"[canvas: {name}]", body]), (), message)
                return
        self.left_out["tool call"] += 1
        self._put("assistant", f"[tool: {tool}]", (), message)

    def _said(self, content: Fields, metadata: Fields) -> tuple[str, tuple[NewFile, ...]]:
        """Text and files of a message; what cannot be shown leaves a note."""
        kind = text_of(content.get("content_type"))
        pieces: list[str] = []
        files: list[NewFile] = []
        shown: set[str] = set()
        if kind == "code":
            pieces.append(
                f"```{text_of(content.get('language')).replace('unknown', '')}\n{text_of(content.get('text'))}\n```"
            )
        elif not isinstance(content.get("parts"), list):
            pieces.append(text_of(content.get("text")) or text_of(content.get("result")))
        for part in list_of(content.get("parts")):
            if isinstance(part, str):
                pieces.append(part)
            elif isinstance(part, dict):
                self._part(part, pieces, files, shown)
        for file in map(fields_of, list_of(metadata.get("attachments"))):
            if text_of(file.get("id")) not in shown:
                name = text_of(file.get("name")) or "without a name"
                if (found := self._fetched(text_of(file.get("id")), name)) is not None:
                    files.append(found)
                else:
                    pieces.append(f"[file: {name}]")
                    self.left_out["file"] += 1
        return _clean(joined(pieces), metadata), tuple(files)

    def _part(self, part: Fields, pieces: list[str], files: list[NewFile], shown: set[str]) -> None:
        kind = text_of(part.get("content_type"))
        if kind.endswith("asset_pointer"):
            if kind.startswith("real_time"):
                self._part(
                    {**fields_of(part.get("audio_asset_pointer")), "content_type": "audio_asset_pointer"},
                    pieces,
                    files,
                    shown,
                )
                return
            pointer = _POINTER.match(text_of(part.get("asset_pointer")))
            file_id = pointer[1] if pointer else ""
            shown.add(file_id)
            found = self._fetched(file_id, "")
            if found is not None:
                files.append(found)
                return
            what = _FILE_NAMES.get(kind.split("_")[0], "file")
            prompt = text_of(fields_of(fields_of(part.get("metadata")).get("dalle")).get("prompt"))
            pieces.append(f"[{what}: {prompt}]" if prompt else f"[{what}]")
            self.left_out[f"{what} that is not in the export" if what != "voice" else "voice recording"] += 1
        elif text := text_of(part.get("text")):
            pieces.append(text)
        else:
            pieces.append(f"[{kind.replace('_', ' ') or 'something unknown'}]")
            self.left_out[kind.replace("_", " ") or "unknown piece"] += 1

    def _fetched(self, file_id: str, name: str) -> NewFile | None:
        stored = self.bundle.by_id(file_id) if self.bundle is not None and file_id else None
        return self.bundle.picture_or_sound(stored, name) if self.bundle is not None and stored is not None else None


def _instructions(content: Fields, metadata: Fields) -> str:
    """The user's custom instructions, wherever the export has them."""
    told = fields_of(metadata.get("user_context_message_data"))
    pieces = [text_of(told.get("about_user_message")), text_of(told.get("about_model_message"))]
    pieces += [text_of(content.get(key)) for key in ("user_profile", "user_instructions", "model_set_context")]
    pieces += [text_of(part) for part in list_of(content.get("parts"))]
    return joined(pieces)


def _clean(text: str, metadata: Fields) -> str:
    for each in map(fields_of, list_of(metadata.get("content_references"))):
        mark, instead = text_of(each.get("matched_text")), text_of(each.get("alt"))
        if mark.strip() and instead:
            text = text.replace(mark, instead)
    return _CITATION.sub("", text)


def incoming(items: Iterator[object], bundle: Bundle | None) -> Iterator[Incoming]:
    """All conversations of a list."""
    ratings = chatgpt_ratings(bundle) if bundle is not None else {}
    for number, item in enumerate(items, start=1):
        yield chatgpt_conversation(item, number, bundle, ratings)
