"""The two lines around the input box: what is happening now, and where things stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.widgets import Static

from mmchat.chat.understood_words import short_words
from mmchat.domain import LoadState, Understood, Window
from mmchat.tui.text import MUTED, clean, elide, elide_middle, one_line, plural, short_count
from mmchat.tui.widgets.window_bar import bar

if TYPE_CHECKING:
    from mmchat.tui.app import MmchatApp

MANY_TURNS = 200
"""So many turns to take in are worth a word; fewer take seconds."""
WIDE_CELLS = 100
"""From this width on the lines say more."""
BAR, WIDE_BAR = 12, 30
"""Cells of the window's bar."""
UNDERSTOOD_CELLS = 32


class _OneLine(Static):
    """A line of fixed height: what it says changes nothing else, so that nothing is laid out again.

    A layout looks at every mounted turn, and while a reply streams these lines are told something 25 times a second.
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id, markup=False)
        self._words = Content()

    def put(self, words: Content) -> None:
        """Say it, unless it is said already."""
        if not words.is_same(self._words):
            self._words = words
            self.update(words, layout=False)


class HeaderLine(_OneLine):
    """The conversation's title and length."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._title = ""
        self._turn_count = 0
        self._is_private = False
        self._role = ""

    def say(self, title: str, turn_count: int, *, role: str = "", is_private: bool = False) -> None:
        """Show a conversation; a private one is marked, and so is whom it is with."""
        self._role = role
        self._title, self._turn_count, self._is_private = title, turn_count, is_private
        self.set_class(is_private, "-private")
        self._show()

    def on_resize(self, event: events.Resize) -> None:
        """Fit the line."""
        self._show()

    def _show(self) -> None:
        width = max(self.size.width, 20)
        counted = plural(self._turn_count, "turn") if self._turn_count else ""
        about = "PRIVATE, not stored" + (f" · {counted}" if counted else "") if self._is_private else counted
        role = f"{elide(self._role, 24)}  " if self._role else ""
        title = elide(self._title or "New conversation", max(width - len(about) - 10 - cell_len(role), 8))
        left = Content.assemble(("mmchat", "bold $primary"), "  ", (role, "bold $accent"), (title, MUTED))
        gap = " " * max(width - left.cell_length - len(about), 1)
        self.put(Content.assemble(left, gap, (about, "bold $warning" if self._is_private else MUTED)))


class QueueView(Static):
    """Messages that wait for their turn; gone while there are none."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id, markup=False)
        self.display = False

    def say(self, texts: Sequence[str]) -> None:
        """Show what waits."""
        self.display = bool(texts)
        width = max(self.app.size.width - 6, 20)
        lines = [elide(f"queued: {one_line(text)}", width) for text in texts]
        self.update(Content("\n".join([*lines, "Up takes the last one back"])))


@dataclass(frozen=True, slots=True)
class Standing:
    """What the status line knows."""

    model: str = ""
    engine: str = ""
    device: str = ""
    window: Window | None = None
    tokens_per_s: float = 0.0
    understood: Understood | None = None
    """What the last message is taken to want, where that is read."""


class StatusLine(_OneLine):
    """Model, engine, what is wanted, window use, speed."""

    app: MmchatApp

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self.standing = Standing()

    def set(self, **changes: object) -> None:
        """Change what is known."""
        self.standing = replace(self.standing, **changes)  # type: ignore[arg-type]
        self._show()

    def on_resize(self, event: events.Resize) -> None:
        """Fit the line."""
        self._show()

    def _show(self) -> None:
        width = self.size.width
        left, right = self._left(width >= WIDE_CELLS), self._right(width >= WIDE_CELLS)
        room = width - right.cell_length - 2
        left = left.truncate(max(room, 0), ellipsis=True)
        self.put(Content.assemble(left, " " * max(width - left.cell_length - right.cell_length, 1), right))

    def _left(self, is_wide: bool) -> Content:
        standing = self.standing
        parts = [
            elide_middle(one_line(standing.model), 40 if is_wide else 24),
            one_line(standing.engine),
            standing.device,
        ]
        return Content(" · ".join(part for part in parts if part))

    def _right(self, is_wide: bool) -> Content:
        standing = self.standing
        words = short_words(standing.understood)
        parts = [Content.styled(elide(one_line(words), UNDERSTOOD_CELLS), "$accent")] if words else []
        window = standing.window
        if window is not None and window.budget:
            numbers = f" {short_count(window.tokens)}/{short_count(window.budget)}"
            if window.turns_out:
                numbers += f", {plural(window.turns_out, 'turn')} out of view" if is_wide else f" -{window.turns_out:,}"
            parts.append(
                Content.assemble("window " if is_wide else "", bar(window, WIDE_BAR if is_wide else BAR), numbers)
            )
        if standing.tokens_per_s:
            parts.append(Content(f"{standing.tokens_per_s:.0f} tok/s"))
        if is_wide:
            parts.append(Content.assemble((self.app.keys.label("palette"), "bold"), " palette"))
        parts.append(Content.assemble((self.app.keys.label("help"), "bold"), " help"))
        return Content("  ").join(parts)


class ActivityLine(_OneLine):
    """One line that says what is going on; empty while nothing is. A hint covers the rest."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._hint = ""
        self._hint_about: str | None = None
        self._work = ""
        self._can_stop = False
        self._loading = ""
        self._is_speaking = False

    @property
    def words(self) -> str:
        """What the line says."""
        if self._hint:
            return self._hint
        speaking = "speaking" if self._is_speaking else ""
        if self._work:
            keys = "Esc stops" if self._can_stop else ""
            return " · ".join(part for part in (self._work, speaking, self._loading, keys) if part)
        return "speaking · any key stops" if speaking else self._loading

    def set_hint(self, text: str, *, about: str | None = None) -> None:
        """Answer the user; stays until the next key that changes something.

        Args:
            text: the words; empty takes them away.
            about: a draft that was put into the box: the words stay as long as it stands there as it is.
        """
        self._hint = text
        self._hint_about = about
        self._show()

    def drop_hint(self, draft_text: str) -> None:
        """The box changed, and holds these words now."""
        if draft_text != self._hint_about:
            self.set_hint("")

    def set_work(self, text: str, *, can_stop: bool = False) -> None:
        """Say what a running turn does, and whether Esc stops it."""
        self._work = text
        self._can_stop = can_stop
        self._show()

    def set_speaking(self, is_speaking: bool) -> None:
        """Say that the reply is being spoken, or not."""
        self._is_speaking = is_speaking
        self._show()

    def set_models(self, text: str) -> None:
        """Say what is being fetched or loaded."""
        self._loading = text
        self._show()

    def on_resize(self, event: events.Resize) -> None:
        """Fit the line."""
        self._show()

    def _show(self) -> None:
        style = "$warning" if self._hint else MUTED
        self.put(Content.styled(elide(one_line(self.words), max(self.size.width - 2, 20)), style))


_KIND_WORDS = {"lm": "language", "asr": "speech", "vision": "sight", "embed": "memory", "head": "labels"}


def taking_in_words(taken_in: tuple[int, int] | None) -> str:
    """How far a long work in the background is; empty for a short one."""
    done, total = taken_in or (0, 0)
    return f"memory: taking in {plural(total, 'earlier turn')}, {done / total:.0%}" if total >= MANY_TURNS else ""


def loading_words(states: tuple[LoadState, ...]) -> str:
    """What is being fetched or loaded, for people; empty when nothing is."""
    parts = []
    for state in states:
        if state.stage in ("pulling", "loading"):
            detail = clean(state.detail)
            if not detail:
                detail = "fetching" if state.stage == "pulling" else "loading"
                detail += f" {state.fraction:.0%}" if state.fraction is not None else ""
            parts.append(f"{_KIND_WORDS[state.kind]}: {detail}")
    return " · ".join(parts)
