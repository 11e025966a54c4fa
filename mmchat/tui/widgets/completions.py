"""The list above the input box while a slash command or a path is typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from mmchat.tui.text import clean


@dataclass(frozen=True, slots=True)
class Completion:
    """One line of the list."""

    insert: str
    """What replaces the text from `start` on."""
    label: str
    help: str = ""
    start: int = 0
    """The column from which the text is replaced."""
    should_run: bool = False
    """Whether Enter also sends it."""


class Completions(OptionList, can_focus=False):
    """Suggestions; the focus stays in the input box, which passes its keys on."""

    @dataclass
    class Chosen(Message):
        """A suggestion was taken."""

        completion: Completion
        by_enter: bool

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id, markup=False, compact=True)
        self._shown: tuple[Completion, ...] = ()
        self._dismissed_for: str | None = None
        self._text = ""
        self.display = False

    @property
    def is_open(self) -> bool:
        """Whether the list is shown."""
        return bool(self._shown)

    def offer(self, text: str, completions: Sequence[Completion]) -> None:
        """Show suggestions for `text`; an Esc for the same text keeps the list away."""
        self._text = text
        self._shown = () if text == self._dismissed_for else tuple(completions)
        if text != self._dismissed_for:
            self._dismissed_for = None
        self.display = self.is_open
        width = max((cell_len(completion.label) for completion in self._shown), default=0)
        self.set_options(Option(_prompt(completion, width)) for completion in self._shown)
        self.highlighted = 0 if self._shown else None

    def close(self) -> None:
        """Put the list away until the text changes."""
        self._dismissed_for = self._text
        self.offer(self._text, ())

    def take_key(self, key: str) -> bool:
        """Act on a key of the input box; False where the list has no use for it."""
        match key:
            case "up" | "ctrl+p":
                self.action_cursor_up()
            case "down" | "ctrl+n":
                self.action_cursor_down()
            case "escape":
                self.close()
            case "tab" | "enter":
                if self.highlighted is None:
                    return False
                self.post_message(self.Chosen(self._shown[self.highlighted], by_enter=key == "enter"))
            case _:
                return False
        return True

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click takes the suggestion."""
        event.stop()
        self.post_message(self.Chosen(self._shown[event.option_index], by_enter=False))


def _prompt(completion: Completion, width: int) -> Content:
    label = clean(completion.label)
    gap = " " * (width - cell_len(label) + 2)
    return Content.assemble((label, "bold"), gap, (clean(completion.help), "dim"))
