"""The window as a bar: what the prompt is made of, and how much room is left.

Each part has a pattern of its own beside its colour, so that the bar can be read without colours.
"""

from __future__ import annotations

from textual.content import Content

from mmchat.domain import PartKind, Window, WindowPart
from mmchat.tui.text import MUTED, plural

PATTERNS: dict[PartKind, tuple[str, str]] = {
    "system": ("█", "$foreground 50%"),
    "summary": ("▓", "$accent"),
    "pinned": ("▚", "$warning"),
    "kept": ("▒", "$primary"),
    "documents": ("▥", "$accent"),
    "recalled": ("░", "$success"),
    "facts": ("▞", "$success"),
    "senses": ("▌", "$accent"),
    "newest": ("█", "$primary"),
}
"""Glyph and colour of each part, neighbours differing in both."""
NAMES: dict[PartKind, str] = {"documents": "passages"}
"""What is called otherwise where the column is narrow."""
FREE = ("─", "$foreground 30%")
BEFORE_PARTS = ("━", "$primary")
"""For an account that was stored before there were parts."""


def bar(window: Window, cells: int) -> Content:
    """The budget as so many cells; every part that is there has one at least."""
    runs = [(PATTERNS[part.kind], count) for part, count in zip(window.parts, _shares(window, cells), strict=True)]
    if not window.parts and window.tokens:
        runs = [(BEFORE_PARTS, max(1, round(cells * min(1.0, window.tokens / max(1, window.budget)))))]
    taken = sum(count for _, count in runs)
    runs.append((FREE, max(0, cells - taken)))
    return Content.assemble(*((glyph * count, style) for (glyph, style), count in runs if count))


def _shares(window: Window, cells: int) -> list[int]:
    """Cells of each part, by its share of the budget; what is rounded up is taken from the longest."""
    counts = [max(1, round(cells * part.tokens / max(1, window.budget))) for part in window.parts]
    while sum(counts) > cells and max(counts) > 1:
        counts[counts.index(max(counts))] -= 1
    return counts


def legend(window: Window, *, writer: str = "") -> list[Content]:
    """A line for each part: its pattern, name and tokens, and what it is."""
    width = max([len(f"{part.tokens:,}") for part in window.parts] + [len(f"{window.budget:,}")])
    lines = [
        _line(PATTERNS[part.kind], NAMES.get(part.kind, part.kind), part.tokens, what_it_is(part, writer), width)
        for part in window.parts
    ]
    free = f"of {window.budget:,}" + (f"; the reply may take {window.room:,} more" if window.room else "")
    lines.append(_line(FREE, "free", max(0, window.budget - window.tokens), free, width))
    if window.turns_out:
        about = f", about {window.tokens_out:,} tokens" if window.tokens_out else ""
        lines.append(Content.assemble((f"  out of view: {plural(window.turns_out, 'turn')}{about}", MUTED)))
    return lines


def _line(pattern: tuple[str, str], name: str, tokens: int, words: str, width: int) -> Content:
    glyph, style = pattern
    return Content.assemble((glyph * 2, style), f" {name:<9}{tokens:>{width},}  ", (words, MUTED))


def what_it_is(part: WindowPart, writer: str = "") -> str:
    """A part in words."""
    match part.kind:
        case "system":
            return "the system text, and what the chat template takes"
        case "summary":
            return "for older turns" + (f", {writer}" if writer else "")
        case "pinned":
            return (
                f"{plural(part.count, 'turn')} that never drop out" if part.count > 1 else "1 turn that never drops out"
            )
        case "kept":
            return f"{plural(part.count, 'turn')} as they were said" if part.count > 1 else "1 turn as it was said"
        case "documents":
            return plural(part.count, "passage") + " of documents"
        case "recalled":
            return plural(part.count, "note") + " from earlier turns"
        case "facts":
            return plural(part.count, "fact") + " about you"
        case "senses":
            return "what was seen and heard in " + plural(part.count, "file")
        case "newest":
            return "your message"
