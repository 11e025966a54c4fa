"""Keys and commands, made from the tables that the app itself uses."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from mmchat.tui.commands import COMMANDS
from mmchat.tui.keymap import Keys
from mmchat.tui.text import MUTED

KEYS = (
    ("Enter", "Send; while a reply runs, queue"),
    ("Ctrl+J", "New line (also Shift+Enter, Alt+Enter)"),
    ("Up / Down", "Earlier messages; the draft is kept"),
    ("Esc", "Stop the reply, cancel a recording, close"),
    ("PageUp/Down", "Move through the conversation"),
    ("End", "Back to the latest"),
    ("Ctrl+C", "Copy, stop, clear, then quit"),
    ("Ctrl+D", "Quit when the box is empty"),
)


class HelpScreen(ModalScreen[None]):
    """What can be pressed and typed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,q,enter", "dismiss(None)", "Close"),
        Binding("ctrl+c", "dismiss(None)", "Close", priority=True),
    ]

    def __init__(self, keys: Keys) -> None:
        super().__init__()
        self._keys = keys

    def compose(self) -> ComposeResult:
        """Two tables."""
        label = self._keys.label
        keys = (
            *KEYS,
            (f"{label('older')}/{label('newer').rpartition('+')[2]}", "Flip through replies drawn anew and edits"),
            (label("palette"), "Palette: all commands"),
        )
        rows = [(command.usage, command.help, label(command.name)) for command in COMMANDS]
        with Vertical(classes="dialog -large"):
            with VerticalScroll():
                yield Static(_table("Keys", [(key, words, "") for key, words in keys]), markup=False)
                yield Static(_table("Commands", rows), markup=False)
                yield Static(
                    Content.styled(
                        "Drop a picture or a sound file into the box, or type its path: it becomes a chip that "
                        "Backspace removes in one go. Everything is stored on this machine as it is said.",
                        MUTED,
                    ),
                    markup=False,
                )
            yield Static(Content.assemble(("Esc", "bold"), " closes"), classes="dialog-keys", markup=False)


def _table(title: str, rows: list[tuple[str, str, str]]) -> Content:
    width = max(len(row[0]) for row in rows) + 2
    lines = [Content.styled(title, "bold $primary")]
    for name, words, key in rows:
        lines.append(Content.assemble((f"  {name:<{width}}", "bold"), words, (f"  {key}" if key else "", "$accent")))
    lines.append(Content(""))
    return Content("\n").join(lines)
