"""Which kind of row an object is, by its keys."""

from __future__ import annotations

import difflib

from mmchat.rows.fields import Fields
from mmchat.rows.values import RowKind

_DIALOGUES = ("messages", "conversations", "prompt", "instruction")
_KEYS = (
    *_DIALOGUES,
    "completion",
    "output",
    "audio",
    "text",
    "image",
    "captions",
    "caption",
    "label",
    "turns",
    "chosen",
    "rejected",
)
KEYS_OF: dict[RowKind, str] = {
    "dialogue": "messages",
    "speech": "audio and text",
    "caption": "image and captions",
    "label": "text or image, and label",
    "memory": "turns",
    "preference": "messages, chosen and rejected",
    "text": "text",
}


def kind_of(row: Fields) -> RowKind | None:
    """The kind of a row, from the most telling key to the least; None where no key tells."""
    is_dialogue = any(key in row for key in _DIALOGUES)
    if "chosen" in row or "rejected" in row:
        return "preference"
    if "completion" in row and ("messages" in row or ("label" in row and is_dialogue)):
        return "preference"
    if is_dialogue:
        return "dialogue"
    if "turns" in row:
        return "memory"
    if "audio" in row:
        return "speech"
    if "captions" in row or "caption" in row:
        return "caption"
    if "label" in row and ("text" in row or "image" in row):
        return "label"
    if "text" in row and "image" not in row:
        return "text"
    return None


def unknown_kind(row: Fields) -> str:
    """What is wrong with a row of no kind, naming the nearest right keys."""
    if "image" in row:
        return "has 'image', but neither 'captions' nor 'label'; add what is said of the picture or what it shows"
    if "label" in row:
        return "has 'label', but neither 'text' nor 'image'; add what the label is of"
    for key in row:
        if key not in _KEYS and (near := difflib.get_close_matches(key.lower(), _KEYS, n=1, cutoff=0.7)):
            return f"unknown key '{key}': did you mean '{near[0]}'?"
    keys = "; ".join(f"{keys} ({kind})" for kind, keys in KEYS_OF.items())
    return f"has no key that tells its kind; it must have {keys}"
