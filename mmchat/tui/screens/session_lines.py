"""Conversations and hits as lines of the list, and a look into them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from textual.content import Content

from mmchat.chat.library import KEPT_DAYS, SearchHit, Shelf
from mmchat.domain import Session, Turn
from mmchat.moments import local_day
from mmchat.tui.text import MUTED, clean, elide, one_line, plural

HIT = "bold underline $accent"
_TURN_LINES = 4
"""The most lines that one turn of a preview takes."""
_WHO = {"user": "you", "assistant": "reply", "system": "system"}
_TITLES: dict[Shelf, tuple[str, str]] = {
    "listed": ("Conversations", ""),
    "archived": ("Archived conversations", "not listed, still found"),
    "trash": ("Trash", f"kept for {KEPT_DAYS} days; Enter brings back, Ctrl+D deletes for good"),
}


@dataclass(frozen=True, slots=True)
class Found:
    """A line of the list: a conversation, and where in it the words are."""

    session: Session
    hit: SearchHit | None = None

    @property
    def turn_id(self) -> str:
        """The turn that was hit; empty where none was."""
        return self.hit.turn.id if self.hit is not None and self.hit.turn is not None else ""


def ago(iso: str, now: datetime | None = None) -> str:
    """How long ago, in words; the date once it is a week old."""
    then = datetime.fromisoformat(iso)
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    passed_s = ((now or datetime.now(UTC)) - then).total_seconds()
    if passed_s < 60:
        return "just now"
    if passed_s < 3600:
        return f"{passed_s // 60:.0f} min ago"
    if passed_s < 86_400:
        return f"{passed_s // 3600:.0f} h ago"
    return f"{passed_s // 86_400:.0f} d ago" if passed_s < 7 * 86_400 else local_day(iso)


def shelf_title(shelf: Shelf) -> Content:
    """The heading of the list."""
    title, about = _TITLES[shelf]
    return Content.assemble((title, "bold $primary"), (f"   {about}" if about else "", MUTED))


def found_line(found: Found, width: int, current_id: str) -> Content:
    """One line for a conversation; two for a hit: where, then the words with the hits marked."""
    session, hit = found.session, found.hit
    if hit is None or hit.turn is None:
        about = f"{plural(session.turn_count, 'turn')} · {ago(session.deleted_at or session.updated_at)}"
    else:
        about = f"{_WHO[hit.turn.role]} · {ago(hit.turn.created_at)}"
    if session.archived_at is not None and hit is not None:
        about = f"archived · {about}"
    mark = "● " if session.id == current_id else "  "
    tags = "".join(f"  #{one_line(tag)}" for tag in session.tags)
    room = width - len(about) - 4
    tags = elide(tags, max(room // 2, 0))
    name = Content(elide(one_line(session.title) or "Untitled", max(room - Content(tags).cell_length, 8)))
    if hit is not None and hit.turn is None:
        name = marked(hit).truncate(max(room, 8), ellipsis=True)
    left = Content.assemble((mark, "$accent"), name, (tags, "$accent"))
    head = Content.assemble(left, " " * max(width - left.cell_length - Content(about).cell_length, 2), (about, MUTED))
    if hit is None:
        return head
    if hit.turn is None:
        return Content("\n").join([head, Content.styled("    its title", MUTED)])
    more = f"  +{hit.more} more · Ctrl+O" if hit.more else ""
    said = Content.assemble("    ", marked(hit)).truncate(max(width - len(more), 12), ellipsis=True)
    return Content("\n").join([head, Content.assemble(said, (more, MUTED))])


def marked(hit: SearchHit) -> Content:
    """The stretch of text around a hit, with the words that were found marked."""
    pieces: list[Content] = []
    at = 0
    for start, end in hit.spans:
        pieces += [_piece(hit.snippet[at:start]), _piece(hit.snippet[start:end]).stylize(HIT)]
        at = end
    return Content("").join([*pieces, _piece(hit.snippet[at:])])


def _piece(text: str) -> Content:
    return Content(clean(text).replace("\n", " "))


def preview_lines(found: Found, turns: Sequence[Turn], width: int, height: int, gap: int = 0) -> Content:
    """A look into a conversation: what was said about the hit, or last.

    Args:
        found: the line that is highlighted.
        turns: oldest first.
        width: columns.
        height: lines.
        gap: empty lines between turns.
    """
    if not turns:
        return Content.styled("Nothing was said in it.", MUTED)
    shown: list[Content] = []
    room = height
    is_hit = bool(found.turn_id)
    for turn in turns if is_hit else reversed(turns):
        text = _turn_line(found, turn, width, min(_TURN_LINES, room))
        lines = -(-text.cell_length // width)
        if lines > room:
            break
        shown.append(text)
        room -= lines + gap
        if room <= 0:
            break
    return Content("\n" * (1 + gap)).join(shown if is_hit else shown[::-1])


def _turn_line(found: Found, turn: Turn, width: int, lines: int) -> Content:
    who = f"{_WHO[turn.role]}  "
    if turn.id == found.turn_id and found.hit is not None:
        text = marked(found.hit)
    else:
        names = ", ".join(f"[{one_line(each.name)}]" for each in turn.attachments)
        text = Content(one_line(" ".join((*turn.text.split(), names))))
    # Words are not broken at a line's end, so a line holds a little less than its columns.
    room = max(width * lines - len(who) - 6 * (lines - 1), 8)
    return Content.assemble(
        (who, "bold $accent" if turn.id == found.turn_id else MUTED), text.truncate(room, ellipsis=True)
    )
