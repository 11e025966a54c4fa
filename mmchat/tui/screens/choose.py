"""Choosing one line of a few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from mmchat.tui.screens.list_dialog import ListDialog
from mmchat.tui.text import MUTED, clean, elide


class ChooseScreen(ListDialog["int | None"]):
    """Gives the place of the chosen line, or None.

    Args:
        question: above the lines.
        lines: what each is called, and what is said about it.
        current: the place of the one in force; it is marked and highlighted. Negative for none.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "Cancel"),
        Binding("ctrl+c", "give_up", "Cancel", priority=True),
    ]

    def __init__(self, question: str, lines: Sequence[tuple[str, str]], current: int) -> None:
        super().__init__()
        self._question = question
        self._lines = lines
        self._current = current

    def compose(self) -> ComposeResult:
        """Question, lines, keys."""
        with Vertical(classes="dialog"):
            yield Static(Content.styled(clean(self._question), "bold $primary"), markup=False)
            yield OptionList(*map(self._option, range(len(self._lines))), markup=False, compact=True)
            keys = Content.assemble(("Enter", "bold"), " choose   ", ("Esc", "bold"), " cancel")
            yield Static(keys, classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """Begin at the one in force."""
        options = self.query_one(OptionList)
        options.highlighted = max(self._current, 0)
        options.focus()

    def _option(self, place: int) -> Option:
        name, about = self._lines[place]
        mark = "● " if place == self._current else "  "
        width = max(self.app.size.width * 70 // 100 - len(about) - 8, 20)
        return Option(Content.assemble(mark, elide(clean(name), width), (f"  {clean(about)}" if about else "", MUTED)))

    def action_give_up(self) -> None:
        """Close without an answer."""
        self.dismiss(None)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_index)
