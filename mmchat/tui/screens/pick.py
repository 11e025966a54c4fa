"""Choosing one turn of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from mmchat.domain import Turn
from mmchat.tui.screens.list_dialog import ListDialog
from mmchat.tui.text import MUTED, clean, elide, one_line

MAX_SHOWN = 300
"""Typing narrows a longer conversation."""


class PickTurnScreen(ListDialog[str]):
    """The turns of a conversation, the newest highlighted; gives the id of the chosen one, empty when given up."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "Cancel"),
        Binding("ctrl+c", "give_up", "Cancel", priority=True),
    ]

    def __init__(self, question: str, turns: Sequence[Turn], verb: str) -> None:
        super().__init__()
        self._question = question
        self._turns = tuple(turns)
        self._verb = verb
        self._shown: tuple[Turn, ...] = ()

    def compose(self) -> ComposeResult:
        """Question, filter, turns, keys."""
        with Vertical(classes="dialog -large"):
            yield Static(Content.styled(clean(self._question), "bold $primary"), markup=False)
            yield Input(placeholder="Type to narrow", compact=True)
            yield OptionList(markup=False, compact=True)
            yield Static(Content.styled("No turn holds that.", MUTED), id="no-turns", markup=False)
            keys = Content.assemble(("Enter", "bold"), f" {self._verb}   ", ("Esc", "bold"), " cancel")
            yield Static(keys, classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """Begin at the end."""
        self.query_one(OptionList).can_focus = False
        self._offer("")

    def _offer(self, words: str) -> None:
        wanted = words.casefold().split()
        fitting = [turn for turn in self._turns if all(word in turn.text.casefold() for word in wanted)]
        self._shown = tuple(fitting[-MAX_SHOWN:])
        options = self.query_one(OptionList)
        options.set_options(Option(self._line(turn)) for turn in self._shown)
        options.display = bool(self._shown)
        options.highlighted = len(self._shown) - 1 if self._shown else None
        self.query_one("#no-turns").display = not self._shown

    def _line(self, turn: Turn) -> Content:
        width = max(min(self.app.size.width * 94 // 100, 86) - 8, 30)
        who = "you  " if turn.role == "user" else "reply"
        text = one_line(" ".join(turn.text.split())) or ", ".join(one_line(each.name) for each in turn.attachments)
        about = f"  ‹ {turn.variant}/{turn.variants} ›" if turn.variants > 1 else ""
        return Content.assemble((f"{who}  ", MUTED), elide(text, width - 7 - len(about)), (about, MUTED))

    def action_give_up(self) -> None:
        """Close without an answer."""
        self.dismiss("")

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._offer(event.value)

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def _chosen(self) -> None:
        at = self.query_one(OptionList).highlighted
        if at is not None and at < len(self._shown):
            self.dismiss(self._shown[at].id)
