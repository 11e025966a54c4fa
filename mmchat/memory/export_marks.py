"""Comments in exported Markdown: a reader does not see them, and `sessions import` finds its way by them.

A mark stands on a line of its own: `<!-- mmchat: {"turn": "user", …} -->`. A line of a text that looks like one is
written with a backslash before it, which Markdown takes away again.
"""

from __future__ import annotations

import json
import re

_MARK = re.compile(r"<!-- mmchat: (.*) -->")
_LIKE_A_MARK = re.compile(r"^(\\*)(?=<!-- mmchat:)", re.MULTILINE)
_ESCAPED = re.compile(r"^\\(?=\\*<!-- mmchat:)", re.MULTILINE)


def mark(value: object) -> str:
    """A comment that holds a value of JSON."""
    text = json.dumps(value, ensure_ascii=False)
    # Neither end the comment nor break its line.
    for character in ("<", ">", "\x85", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f"<!-- mmchat: {text} -->"


def read_mark(line: str) -> object | None:
    """What a line holds if it is a mark."""
    match = _MARK.fullmatch(line.rstrip("\r"))
    if match is None:
        return None
    try:
        value: object = json.loads(match[1])
    except ValueError:
        return None
    return value


def guarded(text: str) -> str:
    """A text without lines that are marks."""
    return _LIKE_A_MARK.sub(r"\1\\", text)


def unguarded(text: str) -> str:
    """The inverse of `guarded`."""
    return _ESCAPED.sub("", text)
