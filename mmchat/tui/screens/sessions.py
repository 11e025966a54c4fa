"""Earlier conversations: find, open, rename, delete."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker

from mmchat.domain import Session
from mmchat.errors import MmchatError
from mmchat.moments import local_day
from mmchat.tui.messages import SessionsListed, WorkFailed
from mmchat.tui.text import MUTED, clean, elide, one_line, plural

if TYPE_CHECKING:
    from mmchat.chat.desk import Desk
    from mmchat.chat.session import ChatSession
    from mmchat.tui.app import MmchatApp


@dataclass(frozen=True, slots=True)
class Choice:
    """What was done in the list."""

    open_id: str = ""
    gone_current: bool = False
    """The conversation in the background was deleted."""
    renamed_current: bool = False


def ago(iso: str, now: datetime | None = None) -> str:
    """How long ago, in words; the date once it is a week old."""
    then = datetime.fromisoformat(iso)
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    passed_s = ((now or datetime.now(UTC)) - then).total_seconds()
    if passed_s < 60:
        return "just now"
    if passed_s < 3600:
        return f"{passed_s // 60:.0f} min ago"
    if passed_s < 86_400:
        return f"{passed_s // 3600:.0f} h ago"
    return f"{passed_s // 86_400:.0f} d ago" if passed_s < 7 * 86_400 else local_day(iso)


class SessionsScreen(ModalScreen[Choice | None]):
    """A list that narrows as one types."""

    app: MmchatApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close"),
        Binding("ctrl+c", "close", "Close", priority=True),
        Binding("down", "move(1)", "Next", priority=True),
        Binding("up", "move(-1)", "Previous", priority=True),
        Binding("pagedown", "page(1)", "Next page", priority=True),
        Binding("pageup", "page(-1)", "Previous page", priority=True),
        Binding("ctrl+r", "rename", "Rename", priority=True),
        Binding("ctrl+d", "delete", "Delete", priority=True),
    ]

    def __init__(self, desk: Desk, current: ChatSession, query: str = "") -> None:
        super().__init__()
        self._desk = desk
        self._current = current
        self._current_id = current.info.id if current.info else ""
        self._query = query
        self._sessions: tuple[Session, ...] = ()
        self._gone_current = False
        self._renamed_current = False

    def compose(self) -> ComposeResult:
        """Search, list, keys."""
        with Vertical(classes="dialog -large", id="sessions"):
            yield Static(Content.styled("Conversations", "bold $primary"), markup=False)
            yield Input(self._query, placeholder="Search titles and messages", compact=True)
            yield OptionList(markup=False, compact=True)
            yield Static("", id="no-sessions", markup=False)
            yield Static(
                Content.assemble(
                    ("Enter", "bold"), " open   ", ("Ctrl+R", "bold"), " rename   ",
                    ("Ctrl+D", "bold"), " delete   ", ("Esc", "bold"), " close",
                ),
                classes="dialog-keys",
                markup=False,
            )  # fmt: skip

    def on_mount(self) -> None:
        """Fill the list."""
        self.query_one(OptionList).can_focus = False
        self.query_one("#no-sessions").display = False
        self._run_list(self._query)

    @work(thread=True, exclusive=True, group="sessions", exit_on_error=False)
    def _run_list(self, query: str) -> None:
        try:
            sessions = self._desk.sessions(query)
        except MmchatError as error:
            self.post_message(WorkFailed(error))
        else:
            self.post_message(SessionsListed(query, sessions))

    @on(WorkFailed)
    def _work_failed(self, event: WorkFailed) -> None:
        self._say(str(event.error))

    @on(Worker.StateChanged)
    async def _worker_changed(self, event: Worker.StateChanged) -> None:
        if await self.app.worker_changed(event):
            self._say("That did not work; the conversation behind this list says more.")

    @on(SessionsListed)
    def _listed(self, event: SessionsListed) -> None:
        if event.query != self.query_one(Input).value:
            return
        self._sessions = event.sessions
        options = self.query_one(OptionList)
        kept = options.highlighted or 0
        options.set_options(Option(self._line(session)) for session in self._sessions)
        options.display = bool(self._sessions)
        options.highlighted = min(kept, len(self._sessions) - 1) if self._sessions else None
        nothing = "No conversation matches that." if event.query else "No conversations yet. Esc, and say something."
        self._say("" if self._sessions else nothing)

    def _say(self, text: str) -> None:
        note = self.query_one("#no-sessions", Static)
        note.update(Content(clean(text)))
        note.display = bool(text)

    def _line(self, session: Session) -> Content:
        width = max(self.query_one(OptionList).size.width - 2, 40)
        about = f"{plural(session.turn_count, 'turn')} · {ago(session.updated_at)}"
        mark = "● " if session.id == self._current_id else "  "
        title = elide(one_line(session.title) or "Untitled", width - len(about) - 6)
        left = Content.assemble((mark, "$accent"), title)
        return Content.assemble(left, " " * max(width - left.cell_length - len(about), 2), (about, MUTED))

    def _highlighted(self) -> Session | None:
        at = self.query_one(OptionList).highlighted
        return self._sessions[at] if at is not None and at < len(self._sessions) else None

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._run_list(event.value)

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def _chosen(self) -> None:
        session = self._highlighted()
        if session is not None:
            self.dismiss(Choice(session.id, self._gone_current, self._renamed_current))

    def action_close(self) -> None:
        """Back to the conversation."""
        self.dismiss(Choice("", self._gone_current, self._renamed_current))

    def action_move(self, step: int) -> None:
        """Move the highlight."""
        options = self.query_one(OptionList)
        if step > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    def action_page(self, step: int) -> None:
        """Move by a page."""
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            at = options.highlighted + step * max(options.size.height - 1, 1)
            options.highlighted = min(max(at, 0), len(self._sessions) - 1)

    @work(exit_on_error=False)
    async def action_rename(self) -> None:
        """Give the highlighted conversation a title."""
        from mmchat.tui.screens.dialogs import AskScreen

        session = self._highlighted()
        if session is None:
            return
        title = await self.app.push_screen_wait(AskScreen("New title", session.title))
        if title and title.strip():
            try:
                if session.id == self._current_id:
                    self._current.rename(one_line(title))
                    self._renamed_current = True
                else:
                    self._desk.rename_session(session.id, one_line(title))
            except MmchatError as error:
                self._say(str(error))
                return
            self._run_list(self.query_one(Input).value)

    @work(exit_on_error=False)
    async def action_delete(self) -> None:
        """Delete the highlighted conversation, once confirmed."""
        from mmchat.tui.screens.dialogs import ConfirmScreen

        session = self._highlighted()
        if session is None:
            return
        question = f"Delete “{one_line(session.title) or 'Untitled'}” with {plural(session.turn_count, 'turn')}?"
        if await self.app.push_screen_wait(ConfirmScreen(question, "It cannot be brought back.", "Delete")):
            try:
                self._desk.delete_session(session.id)
            except MmchatError as error:
                self._say(str(error))
                return
            self._gone_current |= session.id == self._current_id
            self._run_list(self.query_one(Input).value)
