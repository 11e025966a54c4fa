"""Conversations from JSON Lines: dialogue rows and memory rows, all checked before any is stored."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast, get_args

from mmchat.domain import AttachmentKind, Role, Seen, Session
from mmchat.errors import DataError
from mmchat.memory import rows as convert
from mmchat.memory.blobs import NewAttachment
from mmchat.moments import utc_text
from mmchat.memory.statements import index_turn, insert_attachment, insert_session, insert_turn
from mmchat.memory.store import MemoryStore
from mmchat.memory.text_search import storable

ROLES = get_args(Role)
_SHOWN_PROBLEMS = 20


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


@dataclass(slots=True)
class _Reader:
    """Collects what is wrong instead of stopping at the first."""

    path: Path
    line: int = 0
    problems: list[str] = field(default_factory=list)

    def wrong(self, where: str, what: str) -> None:
        self.problems.append(f"{self.path}:{self.line}: {where}: {what}")


def read_conversations(path: Path) -> tuple[NewConversation, ...]:
    """Read and check a whole file.

    Raises:
        DataError: names every bad row as `file:line: field: what is wrong, and how to mend it`.
    """
    reader = _Reader(path)
    found: list[NewConversation] = []
    for row in _rows(reader):
        if "messages" in row:
            found += _from_dialogue(reader, row)
        elif "turns" in row:
            found += _from_memory(reader, row)
        else:
            reader.wrong("row", "has neither 'messages' (dialogue) nor 'turns' (memory); add one of them")
    if reader.problems:
        shown = reader.problems[:_SHOWN_PROBLEMS]
        more = len(reader.problems) - len(shown)
        raise DataError(
            "\n".join([*shown, *([f"… and {more} more"] if more else [])]),
            hint="Nothing was imported. Mend these rows, then import the file again.",
        )
    if not found:
        raise DataError(f"{path}: holds no rows.", hint="Give a JSON Lines file with one conversation a line.")
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


def _rows(reader: _Reader) -> Iterator[dict[str, Any]]:
    try:
        content = reader.path.read_bytes()
    except OSError as error:
        raise DataError(f"{reader.path} cannot be read: {error.strerror or error}.", hint="Check the path.") from error
    for reader.line, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            reader.wrong("row", f"is not UTF-8 (byte {error.start + 1}); save the file as UTF-8")
        except (ValueError, RecursionError) as error:
            reader.wrong("row", f"is not JSON ({error}); put one whole object on each line")
        else:
            if isinstance(row, dict):
                yield row
            else:
                reader.wrong("row", f"is {_kind(row)}; it must be an object, {{…}}")


def _from_dialogue(reader: _Reader, row: Mapping[str, Any]) -> list[NewConversation]:
    messages = row["messages"]
    if not isinstance(messages, list) or not messages:
        reader.wrong("messages", f"is {_kind(messages)}; it must be a list with at least one message")
        return []
    turns = [
        turn
        for position, message in enumerate(messages)
        if (turn := _from_message(reader, message, f"messages[{position}]")) is not None
    ]
    return [NewConversation(_text(reader, row, "title"), tuple(turns), _text(reader, row, "persona"))]


def _from_message(reader: _Reader, message: object, where: str) -> NewTurn | None:
    if not isinstance(message, dict):
        reader.wrong(where, f'is {_kind(message)}; it must be {{"role": …, "content": …}}')
        return None
    role = _role(reader, message, where)
    content = message.get("content")
    texts: list[str] = []
    files: list[NewAttachment] = []
    if isinstance(content, str):
        texts.append(content)
    elif isinstance(content, list) and content:
        for position, part in enumerate(content):
            _read_part(reader, part, f"{where}.content[{position}]", texts, files)
    else:
        reader.wrong(f"{where}.content", f"is {_kind(content)}; it must be a text or a list of parts")
    if role is None:
        return None
    return NewTurn(role, "\n".join(texts), files=tuple(files))


def _read_part(reader: _Reader, part: object, where: str, texts: list[str], files: list[NewAttachment]) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part, dict) or kind not in ("text", "image", "audio"):
        reader.wrong(where, 'has no known type; it must be {"type": "text" | "image" | "audio", …}')
    elif not isinstance(part.get(kind), str):
        reader.wrong(
            f"{where}.{kind}", f"is {_kind(part.get(kind))}; it must be a {'text' if kind == 'text' else 'path'}"
        )
    elif kind == "text":
        texts.append(part["text"])
    else:
        files += _file(reader, part[kind], cast(AttachmentKind, kind), f"{where}.{kind}")


def _from_memory(reader: _Reader, row: Mapping[str, Any]) -> list[NewConversation]:
    turns = row["turns"]
    if not isinstance(turns, list) or not turns:
        reader.wrong("turns", f"is {_kind(turns)}; it must be a list with at least one turn")
        return []
    name = _text(reader, row, "id")
    by_session: dict[str, list[NewTurn]] = {}
    for position, turn in enumerate(turns):
        where = f"turns[{position}]"
        if not isinstance(turn, dict):
            reader.wrong(where, f"is {_kind(turn)}; it must be an object")
            continue
        new = _from_memory_turn(reader, turn, where)
        session = _text(reader, turn, "session", where)
        if new is not None:
            by_session.setdefault(session, []).append(new)
    return [NewConversation(f"{name} {session}".strip(), tuple(each)) for session, each in by_session.items()]


def _from_memory_turn(reader: _Reader, turn: Mapping[str, Any], where: str) -> NewTurn | None:
    role = _role(reader, turn, where)
    text = turn.get("text")
    if not isinstance(text, str):
        reader.wrong(f"{where}.text", f"is {_kind(text)}; it must be a text")
    caption = _text(reader, turn, "caption", where)
    image = _text(reader, turn, "image", where)
    files = _file(reader, image, "image", f"{where}.image") if image else ()
    created_at = _moment(reader, turn, where)
    speaker, row_id = _text(reader, turn, "speaker", where), _text(reader, turn, "id", where)
    if role is None or not isinstance(text, str):
        return None
    if caption and not files:
        # Without its picture a caption would have no row to stand in, and must not be lost.
        text = f"{text}\n[picture: {caption}]"
    return NewTurn(role, text, created_at, speaker, files, caption, row_id)


# --- fields -------------------------------------------------------------------------------------


def _role(reader: _Reader, fields: Mapping[str, Any], where: str) -> Role | None:
    role = fields.get("role")
    if role in ROLES:
        return cast(Role, role)
    reader.wrong(f"{where}.role", f"is {_kind(role)}; it must be one of {', '.join(ROLES)}")
    return None


def _text(reader: _Reader, fields: Mapping[str, Any], key: str, where: str = "") -> str:
    value = fields.get(key)
    if value is None or isinstance(value, str):
        return value or ""
    reader.wrong(f"{where}.{key}".lstrip("."), f"is {_kind(value)}; it must be a text, or be left out")
    return ""


def _moment(reader: _Reader, fields: Mapping[str, Any], where: str) -> str:
    text = _text(reader, fields, "created_at", where)
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(text)
        return utc_text(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        reader.wrong(f"{where}.created_at", f"'{text}' is no ISO time; write it as 2026-01-31T18:30:00Z")
        return ""


def _file(reader: _Reader, given: str, kind: AttachmentKind, where: str) -> tuple[NewAttachment, ...]:
    try:
        path = reader.path.parent / given
        is_there = path.is_file()
    except (OSError, ValueError):
        is_there = False
    if not is_there:
        reader.wrong(where, f"'{given}' is not a file; paths are relative to the file of rows")
        return ()
    media_type = mimetypes.guess_type(path.name)[0] or f"{kind}/{path.suffix.lstrip('.').lower()}"
    return (NewAttachment(path, kind, media_type, path.name),)


def _kind(value: object) -> str:
    if value is None:
        return "missing"
    if isinstance(value, str):
        return f"'{value[:40]}'" if value else "an empty text"
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    name = names.get(type(value), type(value).__name__)
    return f"an empty {name.split()[-1]}" if value in ([], {}) else name
