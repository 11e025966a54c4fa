"""A summary being written, read, changed and agreed to."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static, TextArea

from mmchat.chat.compact import CompactEvent, SummaryDraft, SummaryGrew, SummaryProgressed, Writer
from mmchat.domain import SENTENCES, Summary
from mmchat.errors import MmchatError
from mmchat.tui.screens.context import written_by
from mmchat.tui.text import MUTED, clean, one_line, plural
from mmchat.tui.threads import in_daemon_thread

if TYPE_CHECKING:
    from mmchat.chat.session import ChatSession


@dataclass(frozen=True, slots=True)
class Agreed:
    """What the user agreed to."""

    text: str
    draft: SummaryDraft | None = None
    """None: the words of the summary in force were changed."""


class CompactScreen(ModalScreen[Agreed | None]):
    """Shows a summary while it is written; then its words are the user's to change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "Cancel", priority=True),
        Binding("ctrl+c", "give_up", "Cancel", priority=True),
        Binding("ctrl+s", "agree", "Use it", priority=True),
        Binding("ctrl+r", "other", "Other writer", priority=True),
    ]

    @dataclass
    class Progressed(Message):
        """Something happened in the writing."""

        run: int
        event: CompactEvent

    def __init__(self, session: ChatSession, writer: Writer, summary: Summary | None = None) -> None:
        """`summary`: the one in force, to be changed instead of writing a new one."""
        super().__init__()
        self._session = session
        self._writer = writer
        self._summary = summary
        self._draft: SummaryDraft | None = None
        self._cancel = Event()
        self._run = 0
        self._box = TextArea(soft_wrap=True, show_line_numbers=False, id="summary-text")
        self._about = Static(id="summary-about", markup=False)

    def compose(self) -> ComposeResult:
        """Title, what is going on, the words, keys."""
        with Vertical(classes="dialog -large", id="compact"):
            title = "The summary in the place of older turns" if self._summary else "A summary for older turns"
            yield Static(Content.styled(title, "bold $primary"), markup=False)
            yield self._about
            yield self._box
            keys = [("Ctrl+S", " use it   ")]
            keys += [] if self._summary else [("Ctrl+R", " other writer   ")]
            parts = [part for key, words in (*keys, ("Esc", " leave as it is")) for part in ((key, "bold"), words)]
            yield Static(Content.assemble(*parts), classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """Begin to write, or show what there is."""
        if self._summary is not None:
            self._box.text = clean(self._summary.text)
            self._tell(f"Written {written_by(self._summary)}. Change what you like.")
            self._box.focus()
        else:
            self._begin()

    def on_unmount(self) -> None:
        """Nobody waits for it any more."""
        self._cancel.set()

    # --- writing --------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._cancel.set()
        self._cancel, self._draft = Event(), None
        self._run += 1
        self._box.text = ""
        self._box.read_only = True
        self._tell("Beginning …")
        self._write(self._run, self._writer, self._cancel)

    @work(exclusive=True, group="compact", exit_on_error=False)
    async def _write(self, run: int, writer: Writer, cancel: Event) -> None:
        def drive() -> None:
            for event in self._session.compaction.write(writer, cancel):
                self.post_message(CompactScreen.Progressed(run, event))

        try:
            await in_daemon_thread(drive, "compact")
        except MmchatError as error:
            if run == self._run:
                self._tell(f"{error.message} {error.hint}".rstrip())

    @on(Progressed)
    def _progressed(self, message: Progressed) -> None:
        if message.run != self._run:
            return
        match message.event:
            case SummaryProgressed(_, _, what):
                self._tell(f"{what[:1].upper()}{what[1:]} … Esc stops.")
            case SummaryGrew(text):
                self._box.insert(clean(text), self._box.document.end, maintain_selection_offset=False)
                self._box.scroll_end(animate=False)
            case SummaryDraft() as draft:
                self._draft = draft
                self._box.text = clean(draft.text)
                self._box.read_only = False
                self._box.focus()
                turns = plural(draft.turn_count, "turn")
                if draft.writer == SENTENCES:
                    self._tell(f"For {turns}, out of your own sentences. Change what you like; the turns stay stored.")
                else:
                    self._tell(
                        f"For {turns}, by {one_line(draft.writer)}, which may be wrong. Change what you like; "
                        "the turns stay stored."
                    )

    def _tell(self, words: str) -> None:
        self._about.update(Content.styled(clean(words), MUTED))

    # --- keys -----------------------------------------------------------------------------------

    def action_agree(self) -> None:
        """Use the words as they stand."""
        if self._summary is not None:
            self.dismiss(Agreed(self._box.text))
        elif self._draft is not None:
            self.dismiss(Agreed(self._box.text, self._draft))

    def action_other(self) -> None:
        """Let the other one write."""
        if self._summary is None:
            self._writer = "model" if self._writer == "sentences" else "sentences"
            self._begin()

    def action_give_up(self) -> None:
        """Change nothing."""
        self._cancel.set()
        self.dismiss(None)
