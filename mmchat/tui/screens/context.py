"""Exactly what the model sees now: a bar and its parts in tokens, and the prompt itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from mmchat.domain import SENTENCES, PromptReady, Summary, Window
from mmchat.errors import MmchatError
from mmchat.tui.text import MUTED, clean, one_line, plural, window_line
from mmchat.tui.threads import in_daemon_thread
from mmchat.tui.widgets.window_bar import bar, legend

if TYPE_CHECKING:
    from mmchat.chat.session import ChatSession


class ContextScreen(ModalScreen[None]):
    """The window, counted anew while one looks."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss(None)", "Close"),
        Binding("ctrl+c", "dismiss(None)", "Close", priority=True),
        Binding("down,j", "scroll(1)", "Down", show=False),
        Binding("up,k", "scroll(-1)", "Up", show=False),
        Binding("pagedown,space", "scroll(10)", "Page down", show=False),
        Binding("pageup", "scroll(-10)", "Page up", show=False),
    ]

    def __init__(self, session: ChatSession, window: Window | None) -> None:
        """`window`: what is known before it was counted, to be shown meanwhile."""
        super().__init__()
        self._session = session
        self._window = window
        self._text = Static(markup=False)

    def compose(self) -> ComposeResult:
        """Figures first, then the words."""
        with Vertical(classes="dialog -large"):
            with VerticalScroll():
                yield self._text
            keys = Content.assemble(("↑ ↓", "bold"), " scroll   ", ("Esc", "bold"), " closes")
            yield Static(keys, classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """Count: what was stored with the last reply may be long ago."""
        waiting = "Counting with the model's own tokenizer …"
        self._say(self._figures(self._window, None) if self._window else [], waiting)
        self._run_count()

    @work(exclusive=True, group="count", exit_on_error=False)
    async def _run_count(self) -> None:
        found: list[tuple[PromptReady, Summary | None]] = []
        session = self._session
        try:
            await in_daemon_thread(lambda: found.append((session.window.preview(), session.window.summary())), "count")
        except MmchatError as error:
            self._say(self._figures(self._window, None) if self._window else [], f"{error.message} {error.hint}")
            return
        ready, summary = found[0]
        self._say([*self._figures(ready.window, summary), Content(""), *prompt_lines(ready)], "")

    def _say(self, lines: list[Content], note: str) -> None:
        title = Content.styled("What the model sees now", "bold $primary")
        notes = [Content.styled(clean(note), MUTED)] if note else []
        self._text.update(Content("\n").join([title, *lines, *notes]))

    def _figures(self, window: Window | None, summary: Summary | None) -> list[Content]:
        if window is None or not window.budget:
            return []
        width = max(20, min(self.app.size.width * 94 // 100, 86) - 8)
        lines = [bar(window, width), Content(window_line(window))]
        return [*lines, *legend(window, writer=written_by(summary))] if window.parts else lines

    def action_scroll(self, lines: int) -> None:
        """Move through a long prompt."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


def prompt_lines(ready: PromptReady) -> list[Content]:
    """The prompt, message by message."""
    lines = [Content.styled("The prompt, word for word; your next message comes at its end", "bold $primary")]
    for message in ready.messages:
        pictures = f"  + {plural(len(message.image_paths), 'picture')}" if message.image_paths else ""
        lines.append(Content.styled(f"{message.role}{pictures}", "bold $accent"))
        lines += [Content(clean(message.text)), Content("")]
    if not ready.messages:
        lines.append(Content.styled("Nothing yet: it begins with your first message.", MUTED))
    return lines


def written_by(summary: Summary | None) -> str:
    """Who wrote a summary, for people."""
    if summary is None:
        return ""
    writer = "out of your own sentences" if summary.writer == SENTENCES else f"by {one_line(summary.writer)}"
    return f"{writer}, edited by you" if summary.is_edited else writer
