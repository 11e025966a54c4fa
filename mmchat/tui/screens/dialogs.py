"""Small questions: yes or no, a line of text, a path."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from mmchat.tui.screens.list_dialog import ListDialog
from mmchat.tui.suggest import complete_path
from mmchat.tui.text import MUTED, clean
from mmchat.tui.widgets.completions import Completion


class ConfirmScreen(ModalScreen[bool]):
    """A question whose yes cannot be taken back. Enter alone never means yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,enter", "answer(False)", "No"),
        Binding("ctrl+c", "answer(False)", "No", priority=True),
    ]

    def __init__(self, question: str, consequence: str, verb: str) -> None:
        super().__init__()
        self._question = question
        self._consequence = consequence
        self._verb = verb

    def compose(self) -> ComposeResult:
        """Question, consequence, keys."""
        with Vertical(classes="dialog"):
            yield Static(Content.styled(clean(self._question), "bold"), markup=False)
            yield Static(Content.styled(clean(self._consequence), MUTED), markup=False)
            keys = Content.assemble(("y", "bold $text-error"), f" {self._verb}   ", ("Esc", "bold"), " keep it")
            yield Static(keys, classes="dialog-keys", markup=False)

    def action_answer(self, is_yes: bool) -> None:
        """Close with the answer."""
        self.dismiss(is_yes)


class AskScreen(ModalScreen[str]):
    """A line of text; empty when given up, if nothing else is said."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "Cancel"),
        Binding("ctrl+c", "give_up", "Cancel", priority=True),
    ]

    def __init__(self, label: str, value: str = "", *, given_up: str = "") -> None:
        super().__init__()
        self._label = label
        self._value = value
        self._given_up = given_up

    def compose(self) -> ComposeResult:
        """Label, input, keys."""
        with Vertical(classes="dialog"):
            yield Static(Content.styled(clean(self._label), "bold"), markup=False)
            yield Input(clean(self._value), compact=True, select_on_focus=False)
            keys = Content.assemble(("Enter", "bold"), " save   ", ("Esc", "bold"), " cancel")
            yield Static(keys, classes="dialog-keys", markup=False)

    def action_give_up(self) -> None:
        """Close without an answer."""
        self.dismiss(self._given_up)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)


class AttachScreen(ListDialog[str]):
    """A path, with completion; empty when given up."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "Cancel"),
        Binding("ctrl+c", "give_up", "Cancel", priority=True),
        Binding("tab", "complete", "Complete", priority=True),
    ]

    def compose(self) -> ComposeResult:
        """Input above the list of what fits."""
        self._found: list[Completion] = []
        with Vertical(classes="dialog"):
            yield Static(Content.styled("Attach a picture or a sound file", "bold"), markup=False)
            yield Input(placeholder="Path; ~ is your home folder", compact=True)
            yield OptionList(id="paths", markup=False, compact=True)
            keys = Content.assemble(
                ("Tab", "bold"), " complete   ", ("Enter", "bold"), " attach   ", ("Esc", "bold"), " cancel"
            )
            yield Static(keys, classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """Begin with the folder the app was started in."""
        self.query_one(OptionList).can_focus = False
        self._offer("")

    def _offer(self, text: str) -> None:
        self._found = complete_path(text, Path.cwd(), ("image", "audio"))
        paths = self.query_one(OptionList)
        paths.set_options(Option(Content(clean(each.label))) for each in self._found)
        paths.highlighted = 0 if self._found else None
        paths.display = bool(self._found)

    def action_give_up(self) -> None:
        """Close without an answer."""
        self.dismiss("")

    def action_complete(self) -> None:
        """Take the highlighted path into the input."""
        at = self.query_one(OptionList).highlighted
        if at is not None:
            entry = self.query_one(Input)
            entry.value = self._found[at].insert
            entry.cursor_position = len(entry.value)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._offer(event.value)

    @on(OptionList.OptionSelected)
    def _clicked(self) -> None:
        self.action_complete()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        at = self.query_one(OptionList).highlighted
        if at is not None:
            chosen = self._found[at].insert
            if chosen != event.value:
                self.action_complete()
            if chosen.endswith("/"):
                return
            self.dismiss(chosen)
        elif event.value.strip():
            self.dismiss(event.value.strip())
