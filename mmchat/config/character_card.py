"""Character cards, as role-play programs exchange them, turned into roles.

A card is JSON, alone or base64 in a text chunk of a PNG: `chara` for versions 1 and 2, `ccv3` for version 3. Nothing
of the picture is decoded. Texts are data: they go into the role's file as they are, made harmless to a terminal.
Source: the character card specifications V2 (malfoyslastname, 2023) and V3 (kwaroran, 2024).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmchat.config.role_file import MAX_CHARACTERS
from mmchat.errors import DataError
from mmchat.sanitize import plain_line, plain_text
from mmchat.script import is_mostly_chinese

MAX_CARD_BYTES = 64 * 2**20
MAX_JSON_BYTES = 8 * 2**20
MAX_EXAMPLES = 8
_PNG = b"\x89PNG\r\n\x1a\n"
_CHUNKS = (b"ccv3", b"chara")
"""The newer first: a card may carry both."""
_SPEAKER = re.compile(r"^\{\{(user|char)\}\}:[ \t]*", re.IGNORECASE | re.MULTILINE)
_MARK = re.compile(r"\{\{(user|char)\}\}", re.IGNORECASE)
_ANGLE = re.compile(r"<(user|bot|char)>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Card:
    """A card as a role."""

    name: str
    """The character's, as it is written."""
    table: dict[str, Any]
    """What a role's file holds."""
    left_out: tuple[str, ...]
    """What of the card has no place in a role, in words."""


def read_card(path: Path) -> Card:
    """Read a PNG or JSON card.

    Raises:
        DataError: it cannot be read, or is no card; what is wrong is said.
    """
    data = _read(path)
    text = _json_of_png(data, path.name) if data.startswith(_PNG) else data
    if len(text) > MAX_JSON_BYTES:
        raise DataError(f"'{path.name}' holds {len(text):,} bytes of text: too much for a character.")
    try:
        value = json.loads(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(
            f"'{path.name}' is neither a PNG nor UTF-8 text.", hint="Cards are PNG or JSON files."
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path.name}' is not JSON: {error}", hint="Cards are PNG or JSON files.") from error
    fields = value.get("data", value) if isinstance(value, dict) else None
    if not isinstance(fields, dict) or not isinstance(fields.get("name"), str) or not fields["name"].strip():
        raise DataError(
            f"'{path.name}' is no character card: it names no character.",
            hint="Cards have 'name', 'description' and 'first_mes', in 'data' from version 2 on.",
        )
    return _Reader(fields).card()


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise DataError(f"'{path.name}' is too large for a character card.", hint="Is it the right file?")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror}.", hint="Check the path.") from error


def _json_of_png(data: bytes, name: str) -> bytes:
    found: dict[bytes, bytes] = {}
    place = len(_PNG)
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        if place + 8 + length > len(data):
            raise DataError(f"'{name}' is cut off.", hint="Copy or download it again.")
        if kind == b"tEXt":
            keyword, _, text = data[place + 8 : place + 8 + length].partition(b"\0")
            found.setdefault(keyword.lower(), text)
        place += 12 + length
    chunk = next((found[keyword] for keyword in _CHUNKS if keyword in found), None)
    if chunk is None:
        raise DataError(
            f"'{name}' is a picture without a character in it.",
            hint="Cards lose their text when they are edited or sent as photos; take the original file.",
        )
    try:
        return base64.b64decode(chunk, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(f"The character in '{name}' is damaged.", hint="Copy or download it again.") from error


class _Reader:
    """The fields of one card."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields
        self._left_out: list[str] = []

    def card(self) -> Card:
        name = plain_line(self._fields["name"])[:80]
        system = self._system(name)
        table: dict[str, Any] = {"title": name}
        if about := plain_line(self._text("creator_notes"))[:300]:
            table["description"] = about
        table["languages"] = ["zh" if is_mostly_chinese(system) else "en"]
        table["system"] = system
        if greeting := self._text("first_mes"):
            table["greeting"] = greeting
        if examples := self._examples():
            table["examples"] = examples
        table["memory"] = "own"  # a character's adventures are no memories of the user's
        if creator := plain_line(self._text("creator"))[:200]:
            table["creator"] = creator
        self._count("alternate_greetings", "further greetings")
        if self._text("post_history_instructions"):
            self._left_out.append("instructions that stand after the conversation")
        return Card(name, table, tuple(self._left_out))

    def _text(self, key: str) -> str:
        value = self._fields.get(key)
        if not isinstance(value, str):
            return ""
        text = _ANGLE.sub(lambda mark: "{{user}}" if mark[1].lower() == "user" else "{{char}}", plain_text(value))
        text = _MARK.sub(lambda mark: mark[0].lower(), text).strip()
        if len(text) > MAX_CHARACTERS:
            self._left_out.append(f"the end of '{key}', beyond {MAX_CHARACTERS:,} characters")
        return text[:MAX_CHARACTERS]

    def _system(self, name: str) -> str:
        default = "You are {{char}}. Stay in character."
        own = self._text("system_prompt").replace("{{original}}", default)
        parts = [own or default, self._text("description")]
        parts += [f"{title}: {text}" for title, key in (("Personality", "personality"), ("Scenario", "scenario"))
                  if (text := self._text(key))]  # fmt: skip
        parts += self._lore()
        system = "\n\n".join(part for part in parts if part)
        if len(system) > MAX_CHARACTERS:
            self._left_out.append(f"the end of the description, beyond {MAX_CHARACTERS:,} characters")
        return system[:MAX_CHARACTERS]

    def _lore(self) -> list[str]:
        """Entries of the character's book that always hold; the others wait for their words to be said."""
        book = self._fields.get("character_book")
        entries = book.get("entries") if isinstance(book, dict) else None
        entries = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
        entries = [entry for entry in entries if entry.get("enabled", True) and isinstance(entry.get("content"), str)]
        if waiting := sum(not entry.get("constant") for entry in entries):
            self._left_out.append(f"{waiting} entries of its book that wait for a word")
        return [plain_text(entry["content"]).strip() for entry in entries if entry.get("constant")]

    def _examples(self) -> list[dict[str, str]]:
        """Pairs of a message and a reply: <START> begins a new dialogue, a line names who speaks."""
        pairs: list[dict[str, str]] = []
        for dialogue in re.split(r"<START>", self._text("mes_example"), flags=re.IGNORECASE):
            marks = list(_SPEAKER.finditer(dialogue))
            ends = [mark.start() for mark in marks[1:]] + [len(dialogue)]
            said = [
                (mark[1].lower(), dialogue[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=False)
            ]
            pairs += [
                {"user": asked, "reply": reply}
                for (who, asked), (answering, reply) in zip(said, said[1:], strict=False)
                if who == "user" and answering == "char" and asked and reply
            ]
        if len(pairs) > MAX_EXAMPLES:
            self._left_out.append(f"{len(pairs) - MAX_EXAMPLES} example exchanges")
        return pairs[:MAX_EXAMPLES]

    def _count(self, key: str, what: str) -> None:
        value = self._fields.get(key)
        if isinstance(value, list) and value:
            self._left_out.append(f"{len(value)} {what}")
