"""Reads the fields of one row and collects what is wrong with them, instead of stopping at the first."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmchat.domain import Role
from mmchat.moments import utc_text
from mmchat.rows.values import Place, RowProblem

Fields = Mapping[str, Any]
"""An object of JSON, as it was read."""

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}
"""Who speaks, as the usual formats name them."""

_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]+://|data:)", re.IGNORECASE)
_LANGUAGE = re.compile(r"([A-Za-z]{2}|yue)(?:[-_][A-Za-z0-9]{2,8})*")


def language_code(written: str) -> str:
    """The language (ISO 639-1, or yue) of a code such as zh or zh-CN; "" for what is no such code."""
    match = _LANGUAGE.fullmatch(written)
    return match[1].lower() if match else ""


@dataclass(slots=True)
class RowFields:
    """Where a row stands, what it holds and what is wrong with it."""

    place: Place
    row: Fields
    problems: list[RowProblem] = field(default_factory=list)

    def wrong(self, where: str, what: str) -> None:
        """Note a problem of the field `where`."""
        self.problems.append(RowProblem(self.place.path, self.place.line, where, what))

    def text(self, key: str, *, of: Fields | None = None, where: str = "") -> str:
        """A text that must be there and hold more than blanks; "" after a complaint."""
        fields = self.row if of is None else of
        if key not in fields and (near := difflib.get_close_matches(key, fields, n=1, cutoff=0.7)):
            self.wrong(where or key, f"is missing; rename the key {quoted(near[0])}, if that is what it holds")
            return ""
        return self.checked_text(fields.get(key), where or key)

    def checked_text(self, value: object, where: str) -> str:
        """`value` if it is a text with words; "" after a complaint."""
        if not isinstance(value, str):
            self.wrong(where, f"is {described(value)}; it must be a text")
        elif not value.strip():
            self.wrong(where, "is an empty text; give it words, or leave the row out")
        else:
            return value
        return ""

    def optional_text(self, key: str, *, of: Fields | None = None, where: str = "") -> str:
        """A text that may be empty or missing."""
        value = (self.row if of is None else of).get(key)
        if value is None or isinstance(value, str):
            return value or ""
        self.wrong(where or key, f"is {described(value)}; it must be a text, or be left out")
        return ""

    def scalar_text(self, value: object, where: str) -> str:
        """A label or an answer: a text, a number or true/false, as text; "" after a complaint."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float) and math.isfinite(value):
            return str(value)
        return self.checked_text(value, where).strip()

    def items(self, value: object, where: str, of_what: str) -> Sequence[Any]:
        """A list with at least one entry; empty after a complaint."""
        if isinstance(value, list) and value:
            return value
        self.wrong(where, f"is {described(value)}; it must be a list with at least one {of_what}")
        return ()

    def role(self, value: object, where: str) -> Role | None:
        """Who speaks."""
        if isinstance(value, str) and (role := ROLES.get(value.strip().lower())):
            return role
        self.wrong(where, f"is {described(value)}; it must be one of system, user, assistant")
        return None

    def file(self, given: object, where: str) -> Path | None:
        """A file that is there, as an absolute path."""
        if not isinstance(given, str) or not given.strip():
            self.wrong(where, f"is {described(given)}; it must be the path of a file")
            return None
        try:
            path = (self.place.path.parent / given).absolute()
            if path.is_file():
                return path
        except (OSError, ValueError):
            pass  # no name a file can have here: too long, or holding a zero byte
        if _ADDRESS.match(given):
            self.wrong(where, f"{quoted(given)} is not on this machine; save it as a file, and give the file's path")
        else:
            self.wrong(where, f"{quoted(given)} is not a file; paths are relative to the file of rows")
        return None

    def language(self) -> str:
        """The language that the row declares (ISO 639-1), or ""."""
        key = "lang" if self.row.get("lang") is not None else "language"
        given = self.optional_text(key).strip()
        if not given:
            return ""
        if code := language_code(given):
            return code
        self.wrong(key, f"{quoted(given)} is no language code; write two letters such as en or zh, or leave it out")
        return ""

    def moment(self, key: str, of: Fields, where: str) -> str:
        """A time in UTC as the store spells it, or ""."""
        given = self.optional_text(key, of=of, where=where)
        if not given:
            return ""
        try:
            moment = datetime.fromisoformat(given)
            return utc_text(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        except (ValueError, OverflowError):
            self.wrong(where, f"{quoted(given)} is no ISO time; write it as 2026-01-31T18:30:00Z")
            return ""


def described(value: object) -> str:
    """A value of JSON in a few words, for a message."""
    if value is None:
        return "missing"
    if isinstance(value, str):
        return quoted(value) if value.strip() else "an empty text"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "an object" if value else "an empty object"


def quoted(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return f"'{line}'" if len(line) <= 60 else f"'{line[:59]}…'"
