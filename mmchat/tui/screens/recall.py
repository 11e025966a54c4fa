"""What was said, shown or heard before: looked for in words, or with a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker

from mmchat.chat.finder import Found
from mmchat.errors import MmchatError
from mmchat.moments import local_day
from mmchat.tui.messages import WorkFailed
from mmchat.tui.screens.list_dialog import ListDialog
from mmchat.tui.text import MUTED, elide, elide_middle, one_line, plural

if TYPE_CHECKING:
    from mmchat.chat.desk import Desk
    from mmchat.domain import Attachment
    from mmchat.tui.app import MmchatApp

TYPING_S = 0.3
"""How long the keys must rest before it is looked for."""
NAME_CELLS = 24
_WHO = {"user": "you", "assistant": "reply", "system": "system"}


@dataclass(frozen=True, slots=True)
class GoToTurn:
    """A turn that was chosen."""

    session_id: str
    turn_id: str


@dataclass
class TurnsFound(Message):
    """What bears on what was typed."""

    query: str
    found: tuple[Found, ...]


@dataclass
class FileOpened(Message):
    """A file is shown by another program."""

    name: str


class RecallScreen(ListDialog[GoToTurn | None]):
    """Turns that bear on a question, or on a picture; Enter goes to one, Ctrl+O opens its file."""

    app: MmchatApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close"),
        Binding("ctrl+c", "close", "Close", priority=True),
        Binding("ctrl+o", "open_file", "Open the file", priority=True),
        Binding("ctrl+l", "switch", "Pictures only", priority=True),
    ]

    def __init__(self, desk: Desk, query: str = "", picture: Path | None = None) -> None:
        super().__init__()
        self._finder = desk.finder
        self._query = query.strip()
        self._picture = picture
        self._are_pictures = False
        self._found: tuple[Found, ...] = ()
        self._typing: Timer | None = None

    def compose(self) -> ComposeResult:
        """Question, what was found, what happened, keys."""
        with Vertical(classes="dialog -large", id="recall"):
            yield Static(id="recall-title", markup=False)
            yield Input(self._query, placeholder="What do you look for? In your words", compact=True)
            yield OptionList(markup=False, compact=True)
            yield Static(id="recall-note", markup=False)
            yield Static(self._keys(), classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """Look for what was asked with the command."""
        self.query_one(OptionList).can_focus = False
        self.query_one(Input).display = self._picture is None
        self._show_title()
        if self._picture is not None or self._query:
            self._look()
        else:
            self._say("A question, a few words, or what is in a picture: the red bike.")

    def _keys(self) -> Content:
        keys = [("Enter", "go there"), ("Ctrl+O", "open the file"), ("Esc", "close")]
        if self._picture is None:
            keys.insert(2, ("Ctrl+L", "pictures only"))
        return Content("   ").join(Content.assemble((key, "bold"), f" {what}") for key, what in keys)

    # --- looking --------------------------------------------------------------------------------

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if self._typing is not None:
            self._typing.stop()
        if event.value.strip() != self._query:  # what came with the command is looked for already
            self._typing = self.set_timer(TYPING_S, self._look)

    def _look(self) -> None:
        if self._picture is not None:
            self._say("Looking at the picture …")
            self._run_look("", self._picture)
        elif query := self.query_one(Input).value.strip():
            self._query = query
            self._say("Looking …")
            self._run_look(query, None)

    @work(thread=True, exclusive=True, group="recall", exit_on_error=False)
    def _run_look(self, query: str, picture: Path | None) -> None:
        try:
            if picture is not None:
                found = self._finder.by_picture(picture)
            else:
                found = self._finder.by_words(query, are_pictures=self._are_pictures)
        except MmchatError as error:
            self.post_message(WorkFailed(error))
        else:
            self.post_message(TurnsFound(query, found))

    @on(TurnsFound)
    def _turns_found(self, event: TurnsFound) -> None:
        if self._picture is None and event.query != self.query_one(Input).value.strip():
            return
        self._found = event.found
        options = self.query_one(OptionList)
        options.set_options(Option(self._line(each)) for each in event.found)
        options.highlighted = 0 if event.found else None
        if event.found:
            is_sure = event.found[0].turn.is_sure
            self._say(plural(len(event.found), "turn") + ("" if is_sure else ": nothing surely bears on that"))
        elif self._picture is not None or self._are_pictures:
            self._say("No picture is like that.")
        else:
            self._say("Nothing bears on that.")

    def _line(self, found: Found) -> Content:
        turn = found.turn
        width = max(min(self.app.size.width * 94 // 100, 100) - 8, 30)
        chip = f"▪ {elide_middle(one_line(turn.attachment.name), NAME_CELLS)}  " if turn.attachment is not None else ""
        about = f"{local_day(turn.created_at)}  {elide(one_line(found.title) or 'Untitled', 24)}  {_WHO[turn.role]}"
        words = one_line(" ".join(turn.text.split()))
        return Content.assemble(
            (elide(about, width), MUTED), "\n  ", (chip, "$accent"), elide(words, max(width - 2 - len(chip), 10))
        )

    # --- what can be done -------------------------------------------------------------------------

    def _highlighted(self) -> Found | None:
        at = self.query_one(OptionList).highlighted
        return self._found[at] if at is not None and at < len(self._found) else None

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def _chosen(self) -> None:
        found = self._highlighted()
        if found is not None:
            self.dismiss(GoToTurn(found.turn.session, found.turn.turn))

    def action_open_file(self) -> None:
        """Show the picture, or play the sound, of the highlighted turn."""
        found = self._highlighted()
        if found is None or found.turn.attachment is None:
            self._say("No file came with that turn.")
        else:
            self._run_open(found.turn.attachment)

    @work(thread=True, group="open-file", exit_on_error=False)
    def _run_open(self, attachment: Attachment) -> None:
        try:
            self._finder.open_file(attachment)
        except MmchatError as error:
            self.post_message(WorkFailed(error))
        else:
            self.post_message(FileOpened(attachment.name))

    @on(FileOpened)
    def _file_opened(self, event: FileOpened) -> None:
        self._say(f"Opened {one_line(event.name)}.")

    @on(WorkFailed)
    def _work_failed(self, event: WorkFailed) -> None:
        event.stop()
        self._say(f"{event.error.message} {event.error.hint}".rstrip())

    @on(Worker.StateChanged)
    async def _worker_changed(self, event: Worker.StateChanged) -> None:
        if await self.app.worker_changed(event):
            self._say("That did not work; the conversation behind this list says more.")

    def action_switch(self) -> None:
        """Pictures alone, or all turns again."""
        if self._picture is None:
            self._are_pictures = not self._are_pictures
            self._show_title()
            self._look()

    def action_close(self) -> None:
        """Close; nothing changes."""
        self.dismiss(None)

    def _show_title(self) -> None:
        if self._picture is not None:
            title = f"Pictures like {elide_middle(one_line(self._picture.name), 40)}"
        else:
            title = "Recall: pictures" if self._are_pictures else "Recall: what was said, shown and heard"
        self.query_one("#recall-title", Static).update(Content.styled(title, "bold $primary"))

    def _say(self, text: str) -> None:
        self.query_one("#recall-note", Static).update(Content.styled(one_line(text), MUTED))
