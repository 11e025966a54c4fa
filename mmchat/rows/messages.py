"""Messages of a dialogue, as the usual formats spell them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mmchat.rows.fields import Fields, RowFields, described, quoted
from mmchat.rows.values import PartKind, RowMessage, RowPart

_FILE_KINDS: tuple[PartKind, ...] = ("image", "audio")

# The part types of OpenAI's chat and responses interfaces beside our own: where each keeps its value.
_TEXT_TYPES = ("text", "input_text", "output_text")
_FILE_TYPES: dict[str, PartKind] = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "audio": "audio",
    "audio_url": "audio",
    "input_audio": "audio",
}


def read_messages(fields: RowFields, value: object, where: str) -> tuple[RowMessage, ...]:
    """Messages with `role` and `content`, or `from` and `value` as ShareGPT has them.

    An empty system message says what none says, and is left out.
    """
    found = []
    for position, message in enumerate(fields.items(value, where, "message")):
        if (read := _message(fields, message, f"{where}[{position}]")) is not None:
            found.append(read)
    return tuple(found)


def prompt_messages(fields: RowFields, value: object, where: str) -> tuple[RowMessage, ...]:
    """A prompt that is a text, hence of the user, or a list of messages."""
    if isinstance(value, list):
        return read_messages(fields, value, where)
    return (text_message("user", fields.checked_text(value, where)),)


def text_message(role: Any, text: str) -> RowMessage:
    """A message of one text."""
    return RowMessage(role, (RowPart("text", text),))


def is_file_part(part: object) -> bool:
    """Whether a part of a message is a picture or a sound."""
    return isinstance(part, dict) and part.get("type") in _FILE_TYPES


def read_files(fields: RowFields, content: Sequence[object], where: str) -> tuple[RowPart, ...]:
    """The pictures and sounds among the parts of a message."""
    found = [
        _file_part(fields, part, part["type"], f"{where}[{position}]")
        for position, part in enumerate(content)
        if isinstance(part, dict) and is_file_part(part)
    ]
    return tuple(part for part in found if part is not None)


def with_files(fields: RowFields, messages: tuple[RowMessage, ...]) -> tuple[RowMessage, ...]:
    """Put the files that the row names beside its messages (`image`, `images`, `audio`, …) in their places.

    A place is marked `<image>` or `<audio>` in a text, as LLaVA and its kin do. Without any mark, the files
    stand at the beginning of the user's first message.
    """
    for kind in _FILE_KINDS:
        key = next((each for each in (kind, f"{kind}s") if fields.row.get(each)), "")
        if not key:
            continue
        given = fields.row[key]
        names = given if isinstance(given, list) else [given]
        where = [f"{key}[{position}]" for position in range(len(names))] if isinstance(given, list) else [key]
        parts = [
            RowPart(kind, path=path)
            for name, place in zip(names, where, strict=True)
            if (path := fields.file(name, place)) is not None
        ]
        if len(parts) == len(names):
            messages = _placed(fields, messages, parts, key, f"<{kind}>")
    return messages


def _message(fields: RowFields, message: object, where: str) -> RowMessage | None:
    if not isinstance(message, dict):
        fields.wrong(where, f'is {described(message)}; it must be {{"role": …, "content": …}}')
        return None
    speaker = "from" if "role" not in message and "from" in message else "role"
    said = "value" if "content" not in message and "value" in message else "content"
    role = fields.role(message.get(speaker), f"{where}.{speaker}")
    content, place = message.get(said), f"{where}.{said}"
    if role == "system" and isinstance(content, str) and not content.strip():
        return None
    parts: tuple[RowPart, ...] = ()
    if isinstance(content, str):
        parts = (RowPart("text", fields.checked_text(content, place)),)
    elif isinstance(content, list) and content:
        parts = _parts(fields, content, place)
    else:
        fields.wrong(place, f"is {described(content)}; it must be a text or a list of parts")
    return RowMessage(role, parts) if role is not None else None


def _parts(fields: RowFields, content: Sequence[object], where: str) -> tuple[RowPart, ...]:
    before = len(fields.problems)
    parts = tuple(
        part
        for position, value in enumerate(content)
        if (part := _part(fields, value, f"{where}[{position}]")) is not None
    )
    if len(fields.problems) == before and not any(part.path or part.text.strip() for part in parts):
        fields.wrong(where, "holds neither words nor a file; give it words, or leave the row out")
    return parts


def _part(fields: RowFields, part: object, where: str) -> RowPart | None:
    if isinstance(part, str):
        # Pieces of one text, several references, words without spaces between them: nobody can tell.
        fields.wrong(where, f'is a bare text, {quoted(part)}; write {{"type": "text", "text": …}}, or one text alone')
        return None
    kind = part.get("type") if isinstance(part, dict) else None
    if isinstance(part, dict) and kind in _TEXT_TYPES:
        if isinstance(part.get("text"), str):
            return RowPart("text", part["text"])
        fields.wrong(f"{where}.text", f"is {described(part.get('text'))}; it must be a text")
    elif isinstance(part, dict) and isinstance(kind, str) and kind in _FILE_TYPES:
        return _file_part(fields, part, kind, where)
    else:
        fields.wrong(where, 'has no known type; it must be {"type": "text" | "image" | "audio", …}')
    return None


def _file_part(fields: RowFields, part: Fields, written: str, where: str) -> RowPart | None:
    kind = _FILE_TYPES[written]
    key = next((each for each in (written, kind, f"{kind}_url") if each in part), written)
    value, place = part.get(key), f"{where}.{key}"
    if isinstance(value, dict) and "data" in value:
        fields.wrong(place, "holds the sound itself; save it as a file, and give the file's path")
        return None
    if isinstance(value, dict) and "url" in value:
        value, place = value["url"], f"{place}.url"
    path = fields.file(value, place)
    return RowPart(kind, path=path) if path is not None else None


def _placed(
    fields: RowFields, messages: tuple[RowMessage, ...], parts: list[RowPart], key: str, mark: str
) -> tuple[RowMessage, ...]:
    """Put files where their marks stand."""
    marks = sum(part.text.count(mark) for message in messages for part in message.parts)
    if marks == 0:
        first = next((at for at, message in enumerate(messages) if message.role == "user"), None)
        if first is None:
            if not fields.problems:
                fields.wrong(key, f"names a file, but no message of the user and no {mark} says where it belongs")
            return messages
        shown = RowMessage("user", (*parts, *messages[first].parts))
        return (*messages[:first], shown, *messages[first + 1 :])
    if marks != len(parts):
        fields.wrong(key, f"names {len(parts)}, but the messages hold {quoted(mark)} {marks} times; make them agree")
        return messages
    left = iter(parts)
    return tuple(
        RowMessage(message.role, tuple(piece for part in message.parts for piece in _split(part, mark, left)))
        for message in messages
    )


def _split(part: RowPart, mark: str, files: Any) -> list[RowPart]:
    if mark not in part.text:
        return [part]
    pieces: list[RowPart] = []
    for position, text in enumerate(re.split(rf"\n?{mark}\n?", part.text)):
        if position:
            pieces.append(next(files))
        if text.strip():
            pieces.append(RowPart("text", text))
    return pieces
