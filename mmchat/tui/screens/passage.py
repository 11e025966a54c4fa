"""A passage of a document that a reply cites, in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from mmchat.chat.finder import InPlace
from mmchat.domain import Passage
from mmchat.errors import MmchatError
from mmchat.tui.text import MUTED, clean, elide_start, one_line, sentence

if TYPE_CHECKING:
    from mmchat.chat.desk import Desk

GONE_WORDS = "This document was changed or removed after it was cited, so its words are not kept."


class PassageScreen(ModalScreen[None]):
    """One of the cited passages at a time; what stands before and after it in the document is dim.

    Where there is more than fits, it is the cited one that is seen first.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Close"),
        Binding("ctrl+c", "dismiss(None)", "Close", priority=True),
        Binding("enter,o", "open_file", "Open the file"),
        Binding("right,n,tab", "step(1)", "Next", show=False),
        Binding("left,p,shift+tab", "step(-1)", "Previous", show=False),
        Binding("down,j", "scroll(1)", "Down", show=False),
        Binding("up,k", "scroll(-1)", "Up", show=False),
        Binding("pagedown,space", "scroll(10)", "Page down", show=False),
        Binding("pageup", "scroll(-10)", "Page up", show=False),
    ]

    def __init__(self, desk: Desk, passages: Sequence[Passage], at: int = 0, whose: str = "") -> None:
        """`at`: the passage to begin with; `whose`: which reply cites them, where that is not plain."""
        super().__init__()
        self._desk = desk
        self._passages = tuple(passages)
        self._at = at
        self._note = ""
        self._whose = whose

    def compose(self) -> ComposeResult:
        """Place, words, keys."""
        with Vertical(classes="dialog -large", id="passage"):
            yield Static(id="passage-place", markup=False)
            with VerticalScroll(can_focus=False):
                yield Static(id="passage-before", markup=False)
                yield Static(id="passage-text", markup=False)
                yield Static(id="passage-after", markup=False)
            yield Static(classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """Show the first one."""
        self._show()

    def action_step(self, step: int) -> None:
        """Go to the next or the previous of them."""
        if len(self._passages) > 1:
            self._at = (self._at + step) % len(self._passages)
            self._note = ""
            self._show()

    def action_scroll(self, lines: int) -> None:
        """Read on."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    @work(exclusive=True, group="open-document", exit_on_error=False)
    async def action_open_file(self) -> None:
        """Open the file in the system's program; where that cannot be, say why."""
        passage = self._passages[self._at]
        try:
            await asyncio.to_thread(self._desk.finder.open_document, passage)
            self._note = f"Opened {one_line(passage.name)}."
        except MmchatError as error:
            self._note = f"{error.message} {error.hint}".rstrip()
        self._show_place()

    def _show(self) -> None:
        self._show_place()
        passage = self._passages[self._at]
        self._show_words(InPlace(passage))
        if not passage.is_gone:
            self._run_look(passage)

    @work(exclusive=True, group="look-around", exit_on_error=False)
    async def _run_look(self, passage: Passage) -> None:
        """What stands around it, read off the interface thread."""
        there = await asyncio.to_thread(self._desk.finder.in_place, passage)
        if self._passages[self._at] is passage:
            self._show_words(there)

    def _show_place(self) -> None:
        passage = self._passages[self._at]
        width = max(20, min(self.app.size.width * 94 // 100, 86) - 8)
        title = passage.heading or passage.name
        count = f"   {self._at + 1} of {len(self._passages)}" if len(self._passages) > 1 else ""
        lines = [
            Content.assemble((clean(one_line(title)), "bold $primary"), (count, MUTED)),
            Content.styled(elide_start(one_line(str(passage.path)), width), MUTED),
        ]
        if passage.position:
            lines.append(Content.styled(sentence(passage.position), MUTED))
        if self._whose:
            lines.insert(0, Content.styled(clean(self._whose), "$text-warning"))
        if self._note:
            lines.append(Content.styled(clean(self._note), "$text-warning"))
        self.query_one("#passage-place", Static).update(Content("\n").join(lines))
        others = Content.assemble(("← →", "bold"), " the others   ") if len(self._passages) > 1 else Content("")
        keys = Content.assemble(("Enter", "bold"), " opens the file   ", others, ("Esc", "bold"), " closes")
        self.query_one(".dialog-keys", Static).update(keys)

    def _show_words(self, there: InPlace) -> None:
        if there.passage.is_gone:
            words = Content.styled(GONE_WORDS, "$text-warning")
        else:
            words = Content.assemble(
                (_heading("Cited", there.passage.heading), "bold $accent"), "\n", clean(there.passage.text)
            )
        self.query_one("#passage-text", Static).update(words)
        self._show_neighbour("before", "Before it", there.heading_before, there.before)
        self._show_neighbour("after", "After it", there.heading_after, there.after)
        self.call_after_refresh(self._scroll_to_cited)

    def _show_neighbour(self, side: str, where: str, heading: str, text: str) -> None:
        widget = self.query_one(f"#passage-{side}", Static)
        widget.display = bool(text)
        widget.update(Content.styled(f"{_heading(where, heading)}\n{clean(text)}", MUTED))

    def _scroll_to_cited(self) -> None:
        cited = self.query_one("#passage-text", Static)
        self.query_one(VerticalScroll).scroll_to_widget(cited, top=True, animate=False, force=True)


def _heading(where: str, heading: str) -> str:
    return f"{where}: {clean(one_line(heading))}" if heading else where
