"""What a message is taken to want and how it sounds, in a few words for a line on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmchat.domain import OUT_OF_SCOPE, Likely, Understood

if TYPE_CHECKING:
    from mmchat.chat.why import Why

FELT = 0.2
"""A valence nearer to 0 than this is neutral."""
_SIGNS = {1: "↑", 0: "→", -1: "↓"}
_SAID = {1: "good", 0: "neutral", -1: "low"}


def short_words(understood: Understood | None) -> str:
    """Such as "refund 92 % · mood ↓"; empty where nothing was read."""
    if understood is None:
        return ""
    mood = f"mood {_SIGNS[_side(understood.mood)]}" if understood.mood is not None else ""
    return " · ".join(part for part in (_wanted(understood), mood) if part)


def plain_words(understood: Understood) -> str:
    """Such as "refund 92 %, mood low", to be read aloud."""
    mood = f"mood {_SAID[_side(understood.mood)]}" if understood.mood is not None else ""
    return ", ".join(part for part in (_wanted(understood), mood) if part)


def why_words(why: Why) -> list[str]:
    """What was wanted and what was done about it, a line each; nothing where nothing was read."""
    understood = why.question.understood if why.question is not None else None
    lines = _read_words(understood) if understood is not None else []
    if why.instructions:
        lines.append(f"told to: {why.instructions}")
    if why.reply.prepared:
        lines.append(f"not drawn from the model: {PREPARED_WORDS[why.reply.prepared]}")
    return lines


def _read_words(understood: Understood) -> list[str]:
    lines = []
    if understood.intents:
        best, *others = map(_likely, understood.intents)
        lines.append(f"wants: {best}" + (f" (or {', '.join(others)})" if others else ""))
    if understood.topic:
        lines.append(f"forbidden topic: {_label(understood.topic)}")
    if understood.mood is not None:
        lines.append(f"mood: {understood.mood:+.2f}, {_SAID[_side(understood.mood)]}")
    if understood.reader and lines:
        lines[0] += f", as {understood.reader} reads it" if understood.reader != "examples" else ", by examples"
    return lines


PREPARED_WORDS = {
    "intent": "the role's own reply to what is wanted",
    "forbidden": "the role's reply to a forbidden topic",
    "unknown": "its documents tell nothing of it",
    "quote": "in the documents' own words",
}
"""Why the words of a reply were not drawn from the model."""


def _wanted(understood: Understood) -> str:
    if understood.topic:
        return f"forbidden: {_label(understood.topic)}"
    return _likely(understood.intents[0]) if understood.intents else ""


def _likely(likely: Likely) -> str:
    return f"{_label(likely.label)} {likely.probability * 100:.0f} %"


def _label(label: str) -> str:
    return "out of scope" if label == OUT_OF_SCOPE else label.replace("_", " ")


def _side(mood: float | None) -> int:
    return 0 if mood is None or abs(mood) < FELT else 1 if mood > 0 else -1
