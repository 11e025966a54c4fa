"""The summary of a conversation for the person who takes it over."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from mmchat.domain import HandOver
from mmchat.tui.text import MUTED, clean

Choice = Literal["copy", "save"]


class HandOverScreen(ModalScreen[Choice | None]):
    """Shows it whole; the caller copies or saves it, and says where to."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "dismiss('copy')", "Copy"),
        Binding("s", "dismiss('save')", "Save"),
        Binding("escape,q", "dismiss(None)", "Close"),
        Binding("ctrl+c", "dismiss(None)", "Close", priority=True),
    ]

    def __init__(self, hand_over: HandOver) -> None:
        super().__init__()
        self._hand_over = hand_over

    def compose(self) -> ComposeResult:
        """Title, the words, keys."""
        with Vertical(classes="dialog -large", id="hand-over"):
            yield Static(Content.styled("For the person who takes over", "bold $primary"), markup=False)
            yield Static(Content.styled("Copied or saved, it is kept with this conversation.", MUTED), markup=False)
            with VerticalScroll(id="hand-over-text"):
                yield Static(Content("\n").join(map(_line, clean(self._hand_over.text).splitlines())), markup=False)
            keys = [("c", " copy   "), ("s", " save to a file   "), ("↑ ↓", " look   "), ("Esc", " closes")]
            parts = [part for key, words in keys for part in ((key, "bold"), words)]
            yield Static(Content.assemble(*parts), classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """The keys scroll at once."""
        self.query_one(VerticalScroll).focus()


def _line(line: str) -> Content:
    """Headings stand out; the rest is as it will be read."""
    return Content.styled(line.lstrip("# "), "bold") if line.startswith("#") else Content(line)
