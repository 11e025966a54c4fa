"""Naming a conversation after its first turn."""

from __future__ import annotations

import re

from mmchat.chat.script import is_cjk
from mmchat.domain import Turn

MAX_COLUMNS = 48
"""What a list of conversations shows at 80 columns."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s|(?<=[。！？])|\n")


def make_title(turn: Turn) -> str:
    """The first sentence of what the user said, or what was heard or shown; never empty.

    A rule, not a model: small models name conversations worse than their first words do.
    """
    heard = [attachment.heard.text for attachment in turn.attachments if attachment.heard and attachment.heard.text]
    for text in (turn.text, *heard):
        sentence = " ".join(_SENTENCE_END.split(text.strip())[0].split()) if text.strip() else ""
        if sentence:
            return _fit(sentence)
    for attachment in turn.attachments:
        if attachment.seen and attachment.seen.tags:
            return _fit(f"Photo: {', '.join(tag.label for tag in attachment.seen.tags[:2])}")
    return _fit(turn.attachments[0].name) if turn.attachments else "Untitled"


def _fit(text: str) -> str:
    """Cut at a word's end to `MAX_COLUMNS`; Chinese characters take two columns each."""
    columns = 0
    for index, character in enumerate(text):
        columns += 2 if is_cjk(character) else 1
        if columns > MAX_COLUMNS:
            cut = text[:index]
            space = cut.rfind(" ")
            return (cut[:space] if space > len(cut) // 2 else cut).rstrip(" ,;:") + "…"
    return text
