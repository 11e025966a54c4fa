"""Words on the screen: made harmless, made short, made plain.

Everything that comes from models, files, names or errors passes through `clean` before it is shown,
and is shown as plain `Content`, never as markup.
"""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

from mmchat.domain import Attachment, Heard, Seen, Usage, Window
from mmchat.picture_sentences import caption_of, chinese_word
from mmchat.sanitize import plain_line, plain_text
from mmchat.script import is_mostly_chinese

MUTED = "$foreground 60%"
"""Secondary words. (`$text-muted` is relative to a background, which a span inside a line has none of.)"""


def clean(text: str) -> str:
    """Drop what a terminal could obey, and make tabs spaces."""
    return plain_text(text).replace("\t", "    ")


def one_line(text: str) -> str:
    """`clean`, on one line."""
    return plain_line(text)


def elide(text: str, cells: int) -> str:
    """Cut to at most `cells` columns, wide characters counted as two."""
    if cell_len(text) <= cells:
        return text
    return set_cell_size(text, max(cells - 1, 0)).rstrip() + "…"


def elide_start(text: str, cells: int) -> str:
    """Cut the beginning, so that the newest words of what goes on stay in view."""
    if cell_len(text) <= cells:
        return text
    return "…" + set_cell_size(text[::-1], max(cells - 1, 0)).rstrip()[::-1] if cells > 0 else ""


def elide_middle(text: str, cells: int) -> str:
    """Cut the middle, so that a file name keeps its ending."""
    if cell_len(text) <= cells:
        return text
    tail = text[-(cells // 3) :]
    return elide(text, cells - cell_len(tail)) + tail


def sentence(words: str) -> str:
    """Words with a capital and a full stop, on one line; empty where there are none."""
    words = one_line(words).strip()
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def plural(count: int, noun: str) -> str:
    """A count with its noun, such as 1 turn or 2 turns."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def short_count(count: int) -> str:
    """812, 8.1k, 12k."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 9950 else f"{count / 1000:.0f}k"


def clock(seconds: float) -> str:
    """0:07."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def meter(fraction: float, cells: int = 8) -> tuple[str, str]:
    """The filled and the empty part of a thin bar."""
    filled = round(min(max(fraction, 0.0), 1.0) * cells)
    if fraction > 0:
        filled = max(filled, 1)
    return "━" * filled, "─" * (cells - filled)


def seen_line(seen: Seen, *, is_chinese: bool = False) -> str:
    """What was seen: the sentence, in the language of the message, and its tags."""
    parts = []
    if seen.caption:
        parts.append(f"“{one_line(caption_of(seen, is_chinese=is_chinese))}”")
    if seen.tags:
        named = [(chinese_word(tag.label) if is_chinese else tag.label, tag.score) for tag in seen.tags[:5]]
        parts.append(", ".join(f"{one_line(label)} {score:.2f}" for label, score in named))
    if seen.text:
        parts.append(f"reads “{elide(one_line(seen.text), 80)}”")
    return "seen: " + (" · ".join(parts) if parts else "not sure what it is")


def heard_line(heard: Heard) -> str:
    """What was heard."""
    about = f"heard ({one_line(heard.language)}, {heard.duration_s:.1f} s)"
    return f"{about}: {one_line(heard.text)}" if heard.text.strip() else f"{about}: no speech"


def attachment_line(attachment: Attachment, message: str = "") -> str:
    """Name of the file, and what was made of it so far, in the language of the message it came with."""
    if attachment.seen is not None:
        made = seen_line(attachment.seen, is_chinese=is_mostly_chinese(message))
    elif attachment.heard is not None:
        made = heard_line(attachment.heard)
    else:
        made = ""
    return f"{elide_middle(one_line(attachment.name), 40)}  {made}".rstrip()


def usage_line(usage: Usage) -> str:
    """What a reply cost."""
    return (
        f"{usage.reply_tokens} tokens · {usage.tokens_per_s:.0f} tok/s · first token after {usage.first_token_s:.2f} s"
        f" · prompt {usage.prompt_tokens} ({usage.cached_tokens} cached)"
    )


def window_line(window: Window) -> str:
    """How much of the conversation the model was shown."""
    line = f"{plural(window.turns_in, 'turn')} in view, {window.tokens:,} of {window.budget:,} tokens"
    return f"{line}; {plural(window.turns_out, 'older turn')} out of view" if window.turns_out else line
