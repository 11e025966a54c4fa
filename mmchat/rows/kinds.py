"""Which kind of row an object is, by its keys."""

from __future__ import annotations

import difflib
from functools import lru_cache

from mmchat.rows.fields import Fields, quoted
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
    "probes",
)
_SENSES = ("audio", "image", "label", "captions", "caption", "messages", "chosen", "rejected")
_KEYS_OF: dict[RowKind, str] = {
    "dialogue": "messages",
    "speech": "audio and text",
    "caption": "image and captions",
    "label": "text or image, and label",
    "memory": "turns",
    "preference": "messages, chosen and rejected",
    "persona": "role and probes",
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
    if "probes" in row:
        return "persona"
    if "audio" in row:
        return "speech"
    if "captions" in row or "caption" in row:
        return "caption"
    if "label" in row and ("text" in row or "image" in row):
        return "label"
    # Any other kind with a misspelled key looks like plain text, and would be scored as such.
    if "text" in row and "image" not in row and not _misspelled(row, _SENSES):
        return "text"
    return None


def without_nulls(row: Fields) -> Fields:
    """A row without the empty columns that exports of tables have; as it is where they tell its kind."""
    kept = {key: value for key, value in row.items() if value is not None}
    return kept if kind_of(kept) is not None else row


def _misspelled(row: Fields, known: tuple[str, ...]) -> tuple[str, str] | None:
    """A key that is not one of ours, and the one of `known` it was probably meant to be."""
    for key in row:
        if key.lower().startswith(("audio_", "image_")):
            return key, key[:5].lower()
        if key not in _KEYS and (near := _nearest(key, known)):
            return key, near
    return None


@lru_cache(maxsize=1024)  # the rows of a file share their keys
def _nearest(key: str, known: tuple[str, ...]) -> str:
    return next(iter(difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.75)), "")


def unknown_kind(row: Fields) -> str:
    """What is wrong with a row of no kind, naming the nearest right keys."""
    if "image" in row:
        return "has 'image', but neither 'captions' nor 'label'; add what is said of the picture or what it shows"
    if "label" in row:
        return "has 'label', but neither 'text' nor 'image'; add what the label is of"
    if near := _misspelled(row, _KEYS):
        return f"unknown key {quoted(near[0])}: did you mean '{near[1]}'?"
    keys = "; ".join(f"{keys} ({kind})" for kind, keys in _KEYS_OF.items())
    return f"has no key that tells its kind; it must have {keys}"
