"""Pictures large, one at a time: those of the draft, or those of the conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from mmchat.tui.text import MUTED, elide_middle
from mmchat.tui.widgets.pictures import PictureRow, Shown

if TYPE_CHECKING:
    from mmchat.tui.app import MmchatApp

NAME_CELLS = 50


class PicturesScreen(ModalScreen[None]):
    """Left and right flip, Enter opens the original where it is kept."""

    app: MmchatApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "Close"),
        Binding("ctrl+c", "close", "Close", priority=True),
        Binding("left,up,pageup", "flip(-1)", "Before"),
        Binding("right,down,pagedown,space", "flip(1)", "Next"),
        Binding("enter,o", "open", "Open the original"),
    ]

    def __init__(self, pictures: Sequence[Shown], at: int = 0) -> None:
        super().__init__()
        self._pictures = tuple(pictures)
        self._at = at

    def compose(self) -> ComposeResult:
        """Which it is, the picture, keys."""
        with Vertical(classes="dialog -large", id="pictures"):
            yield Static(id="pictures-title", markup=False)
            yield PictureRow(self._pictures[self._at : self._at + 1], classes="-large")
            yield Static(classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """Show the first."""
        self._show()

    @property
    def shown(self) -> Shown:
        """The picture that is looked at."""
        return self._pictures[self._at]

    def action_flip(self, step: int) -> None:
        """Another picture; at either end it stays."""
        self._at = min(max(self._at + step, 0), len(self._pictures) - 1)
        self._show()

    def action_open(self) -> None:
        """Open a stored one with the system's program; it is told below the conversation how that went."""
        if self.shown.attachment_id:
            self.app.action_open_file(self.shown.attachment_id)
        self.dismiss(None)

    def action_close(self) -> None:
        """Back to the conversation."""
        self.dismiss(None)

    def _show(self) -> None:
        count = len(self._pictures)
        name = elide_middle(self.shown.name, NAME_CELLS)
        place = f"  {self._at + 1} of {count}" if count > 1 else ""
        self.query_one("#pictures-title", Static).update(Content.assemble((name, "bold"), (place, MUTED)))
        keys = [("←/→", "flip")] * (count > 1)
        keys += [("Enter", "open the original")] * bool(self.shown.attachment_id)
        keys.append(("Esc", "close"))
        words = Content("   ").join(Content.assemble((key, "bold"), f" {what}") for key, what in keys)
        self.query_one(".dialog-keys", Static).update(words)
        self.query_one(PictureRow).show((self.shown,))
