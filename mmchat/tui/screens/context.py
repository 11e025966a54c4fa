"""Exactly what the model was shown for the last reply, and what it cost."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from mmchat.domain import PromptReady, Turn
from mmchat.tui.text import MUTED, clean, elide, one_line, usage_line, window_line


class ContextScreen(ModalScreen[None]):
    """The prompt, message by message."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss(None)", "Close"),
        Binding("ctrl+c", "dismiss(None)", "Close", priority=True),
    ]

    def __init__(self, prompt: PromptReady | None, reply: Turn | None) -> None:
        super().__init__()
        self._prompt = prompt
        self._reply = reply

    def compose(self) -> ComposeResult:
        """Figures first, then the words."""
        with Vertical(classes="dialog -large"):
            with VerticalScroll():
                yield Static(Content("\n").join(self._lines()), markup=False)
            yield Static(Content.assemble(("Esc", "bold"), " closes"), classes="dialog-keys", markup=False)

    def _lines(self) -> list[Content]:
        lines = [Content.styled("What the model was shown", "bold $primary")]
        window = self._prompt.window if self._prompt else self._reply.window if self._reply else None
        recalled = self._prompt.recalled if self._prompt else self._reply.recalled if self._reply else ()
        if window is not None:
            lines.append(Content(window_line(window)))
        if self._reply is not None and self._reply.usage is not None:
            lines.append(Content(usage_line(self._reply.usage)))
        for note in recalled:
            lines.append(Content.styled(f"recalled: {elide(one_line(note.text), 120)}", MUTED))
        lines.append(Content(""))
        for message in self._prompt.messages if self._prompt else ():
            pictures = f"  + {len(message.image_paths)} picture(s)" if message.image_paths else ""
            lines.append(Content.styled(f"{message.role}{pictures}", "bold $accent"))
            lines += [Content(clean(message.text)), Content("")]
        if self._prompt is None:
            lines.append(Content.styled("The words themselves are shown after the next reply.", MUTED))
        return lines
