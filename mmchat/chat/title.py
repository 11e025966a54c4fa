"""Naming a conversation after its first turn."""

from __future__ import annotations

from mmchat.domain import Turn
from mmchat.patterns import later
from mmchat.script import is_cjk

MAX_COLUMNS = 48
"""What a list of conversations shows at 80 columns."""
MIN_COLUMNS = 10
"""A first sentence shorter than this ("Hello!") names nothing; the next one is added."""

_SENTENCE_END = later(r"(?<=[.!?])\s|(?<=[。！？])|\n")


def make_title(turn: Turn) -> str:
    """The first sentence of what the user said, or what was heard or shown; never empty.

    A rule, not a model: small models name conversations worse than their first words do.
    """
    heard = [attachment.heard.text for attachment in turn.attachments if attachment.heard and attachment.heard.text]
    for text in (turn.text, *heard):
        title = ""
        for sentence in filter(None, _SENTENCE_END().split(text.strip())):
            title = " ".join(f"{title} {sentence}".split())
            if _columns(title) >= MIN_COLUMNS:
                break
        if title:
            return _fit(title)
    for attachment in turn.attachments:
        if attachment.seen and attachment.seen.tags:
            return _fit(f"Photo: {', '.join(tag.label for tag in attachment.seen.tags[:2])}")
    return _fit(turn.attachments[0].name) if turn.attachments else "Untitled"


def _columns(text: str) -> int:
    return sum(2 if is_cjk(character) else 1 for character in text)


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
