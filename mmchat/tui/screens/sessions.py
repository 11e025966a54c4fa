"""Earlier conversations: found as one types, opened at the hit, named, tagged, put away, deleted, brought back."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker

from mmchat.chat.library import KEPT_DAYS, Shelf, in_words_and_tags
from mmchat.domain import Session
from mmchat.errors import MmchatError
from mmchat.tui.messages import PreviewReady, SessionsListed, WorkFailed
from mmchat.tui.screens.list_dialog import ListDialog
from mmchat.tui.screens.session_lines import Found, found_line, preview_lines, shelf_title
from mmchat.tui.text import clean, elide, one_line

if TYPE_CHECKING:
    from mmchat.chat.desk import Desk
    from mmchat.chat.session import ChatSession
    from mmchat.tui.app import MmchatApp

TYPING_S = 0.12
"""How long the keys must rest before the words are looked for."""
MAX_FOUND = 100
FEW_HITS = 3
"""Of one conversation, until all are asked for."""
WIDE = 110
"""Columns from which the preview stands beside the list."""
NARROW_PREVIEW_LINES = 4
SHELVES: tuple[Shelf, ...] = ("listed", "archived", "trash")
KEYS = (
    ("Enter", "open"), ("Ctrl+R", "rename"), ("Ctrl+T", "tag"), ("Ctrl+G", "archive"), ("Ctrl+D", "delete"),
    ("Ctrl+Z", "undo"), ("Ctrl+L", "archive, trash"), ("Esc", "close"),
)  # fmt: skip
EMPTY: dict[Shelf, str] = {
    "listed": "No conversations yet. Esc, and say something.",
    "archived": "Nothing is archived. Ctrl+G puts a conversation away; search and recall still find it.",
    "trash": "The trash is empty.",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What was done in the list."""

    open_id: str = ""
    at_turn: str = ""
    """The turn that was found; empty for the end."""
    gone_current: bool = False
    """The conversation in the background was deleted."""


@dataclass(frozen=True, slots=True)
class _Undo:
    """How to take the last act back."""

    run: Callable[[], object]
    said: str
    brings_back: str = ""
    """The id of a conversation that was deleted."""


class SessionsScreen(ListDialog[Choice | None]):
    """A list that narrows as one types, and a look into what is highlighted."""

    app: MmchatApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close"),
        Binding("ctrl+c", "close", "Close", priority=True),
        Binding("pagedown", "page(1)", "Next page", priority=True),
        Binding("pageup", "page(-1)", "Previous page", priority=True),
        Binding("ctrl+r", "rename", "Rename", priority=True),
        Binding("ctrl+t", "tag", "Tag", priority=True),
        Binding("ctrl+g", "archive", "Archive", priority=True),
        Binding("ctrl+d", "delete", "Delete", priority=True),
        Binding("ctrl+z", "undo", "Undo", priority=True),
        Binding("ctrl+l", "shelf", "Archive and trash", priority=True),
        Binding("ctrl+o", "all_hits", "All hits", priority=True),
    ]

    def __init__(self, desk: Desk, current: ChatSession, query: str = "", shelf: Shelf = "listed") -> None:
        super().__init__()
        self._library = desk.library
        self._current = current
        self._current_id = current.info.id if current.info else ""
        self._query = query
        self._shelf: Shelf = shelf
        self._found: tuple[Found, ...] = ()
        self._undo: list[_Undo] = []
        self._gone: set[str] = set()
        self._typing: Timer | None = None
        self._has_all_hits = False

    def compose(self) -> ComposeResult:
        """Search, list and preview, what happened, keys."""
        with Vertical(classes="dialog -large", id="sessions"):
            yield Static(id="sessions-title", markup=False)
            yield Input(
                self._query, placeholder="Words of titles and messages; #tag", compact=True, select_on_focus=False
            )
            with Container(id="sessions-body"):
                yield OptionList(markup=False, compact=True)
                yield Static("", id="no-sessions", markup=False)
                yield Static("", id="preview", markup=False)
            yield Static("", id="sessions-note", markup=False)
            yield Static(classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """Fill the list."""
        self.query_one(OptionList).can_focus = False
        self.query_one("#no-sessions").display = False
        self._note("")
        self._show_title()
        self._run_look(self._query, self._shelf)

    def on_resize(self, event: events.Resize) -> None:
        """The preview stands beside the list where there is room."""
        is_wide = event.size.width >= WIDE
        self.set_class(is_wide, "-wide")
        keys = [Content.assemble((key, "bold"), f" {what}") for key, what in KEYS]
        rows = [keys] if is_wide else [keys[:4], keys[4:]]
        self.query_one(".dialog-keys", Static).update(Content("\n").join(Content("   ").join(row) for row in rows))
        self.call_after_refresh(self._draw)

    # --- looking --------------------------------------------------------------------------------

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if self._typing is not None:
            self._typing.stop()
        self._typing = self.set_timer(TYPING_S, self._look)

    def _look(self) -> None:
        self._run_look(self.query_one(Input).value, self._shelf)

    @work(thread=True, exclusive=True, group="sessions", exit_on_error=False)
    def _run_look(self, query: str, shelf: Shelf) -> None:
        try:
            found = self._look_for(query, shelf)
        except MmchatError as error:
            self.post_message(WorkFailed(error))
        else:
            self.post_message(SessionsListed(query, shelf, found))

    def _look_for(self, query: str, shelf: Shelf) -> tuple[Found, ...]:
        words, tags = in_words_and_tags(query)
        if not words.strip() or shelf == "trash":
            return tuple(Found(each) for each in self._library.list(words, shelf=shelf, tags=tags))
        hits = self._library.search(words, limit=MAX_FOUND, each=None if self._has_all_hits else FEW_HITS)
        return tuple(
            Found(hit.session, hit)
            for hit in hits
            if {tag.casefold() for tag in tags} <= set(hit.session.tags)
            and (shelf != "archived" or hit.session.archived_at is not None)
        )

    @on(SessionsListed)
    def _listed(self, event: SessionsListed) -> None:
        if (event.query, event.shelf) != (self.query_one(Input).value, self._shelf):
            return
        kept = self.query_one(OptionList).highlighted or 0
        self._found = event.found
        self._draw()
        options = self.query_one(OptionList)
        options.highlighted = min(kept, len(self._found) - 1) if self._found else None
        empty = self.query_one("#no-sessions", Static)
        empty.display = not self._found
        nothing = f"Nothing holds “{one_line(event.query)}”. Fewer words may." if event.query else EMPTY[self._shelf]
        empty.update(Content(clean(nothing)))
        if not self._found:
            self.query_one("#preview", Static).update("")

    def _draw(self) -> None:
        options = self.query_one(OptionList)
        at, width = options.highlighted, max(options.scrollable_content_region.width - 1, 30)
        options.set_options(Option(found_line(each, width, self._current_id)) for each in self._found)
        options.display = bool(self._found)
        options.highlighted = at if at is not None and at < len(self._found) else None
        is_hit = any(each.hit is not None for each in self._found)
        # In a small window the hits are shown where the preview would be: they say enough by themselves.
        self.query_one("#preview").display = bool(self._found) and (self.has_class("-wide") or not is_hit)

    @on(OptionList.OptionHighlighted)
    def _moved(self) -> None:
        found = self._highlighted()
        if found is not None and self.query_one("#preview").display:
            self._run_preview(found)

    @work(thread=True, exclusive=True, group="preview", exit_on_error=False)
    def _run_preview(self, found: Found) -> None:
        try:
            turns = self._library.preview(found.session.id, found.turn_id)
        except MmchatError as error:
            self.post_message(WorkFailed(error))
        else:
            self.post_message(PreviewReady(found, turns))

    @on(PreviewReady)
    def _preview_ready(self, event: PreviewReady) -> None:
        if event.found != self._highlighted():
            return
        preview = self.query_one("#preview", Static)
        is_wide, width = self.has_class("-wide"), max(preview.size.width, 30)
        height = max(preview.size.height, 1) if is_wide else NARROW_PREVIEW_LINES
        preview.update(preview_lines(event.found, event.turns, width, height, gap=int(is_wide)))

    def _highlighted(self) -> Found | None:
        at = self.query_one(OptionList).highlighted
        return self._found[at] if at is not None and at < len(self._found) else None

    # --- saying ---------------------------------------------------------------------------------

    @on(WorkFailed)
    def _work_failed(self, event: WorkFailed) -> None:
        self._note(str(event.error))

    @on(Worker.StateChanged)
    async def _worker_changed(self, event: Worker.StateChanged) -> None:
        if await self.app.worker_changed(event):
            self._note("That did not work; the conversation behind this list says more.")

    def _note(self, text: str) -> None:
        self.query_one("#sessions-note", Static).update(Content.styled(clean(text), "$warning"))

    def _show_title(self) -> None:
        self.query_one("#sessions-title", Static).update(shelf_title(self._shelf))

    # --- moving ---------------------------------------------------------------------------------

    def action_page(self, step: int) -> None:
        """Move by a page."""
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            lines = 2 if self._found[0].hit is not None else 1
            at = options.highlighted + step * max(options.size.height // lines - 1, 1)
            options.highlighted = min(max(at, 0), len(self._found) - 1)

    def action_shelf(self) -> None:
        """From the list to the archive, to the trash, and back."""
        self._shelf = SHELVES[(SHELVES.index(self._shelf) + 1) % len(SHELVES)]
        self._show_title()
        self._note("")
        self._look()

    def action_all_hits(self) -> None:
        """All hits of every conversation, and back to a few of each."""
        self._has_all_hits = not self._has_all_hits
        self._note("All hits. Ctrl+O: a few of each conversation." if self._has_all_hits else "")
        self._look()

    def action_close(self) -> None:
        """Back to the conversation."""
        self.dismiss(Choice(gone_current=self._current_id in self._gone))

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    async def _chosen(self) -> None:
        found = self._highlighted()
        if found is None:
            return
        session = found.session
        if session.deleted_at is not None and not self._try(lambda: self._library.restore(session.id)):
            return
        self.dismiss(Choice(session.id, found.turn_id, self._current_id in self._gone))

    # --- doing ----------------------------------------------------------------------------------

    @work(exit_on_error=False)
    async def action_rename(self) -> None:
        """Give the highlighted conversation a title."""
        from mmchat.tui.screens.dialogs import AskScreen

        found = self._highlighted()
        if found is None:
            return
        session = found.session
        title = one_line(await self.app.push_screen_wait(AskScreen("New title", session.title)) or "")
        if not title:
            return
        if session.id == self._current_id:
            is_done = self._try(lambda: self._current.rename(title))
        else:
            is_done = self._try(lambda: self._library.rename(session.id, title))
        if is_done:
            self._did(f"Now called “{title}”.", lambda: self._library.rename(session.id, session.title))

    @work(exit_on_error=False)
    async def action_tag(self) -> None:
        """Change the tags of the highlighted conversation."""
        from mmchat.tui.screens.dialogs import AskScreen

        found = self._highlighted()
        if found is None:
            return
        session, before = found.session, ", ".join(found.session.tags)
        answer = await self.app.push_screen_wait(AskScreen("Tags, with commas between", before, given_up=before))
        after = {tag.strip() for tag in re.split("[,，、]", answer) if tag.strip()}
        add, remove = after - set(session.tags), set(session.tags) - after
        if not add | remove:
            return
        if self._try(lambda: self._library.tag(session.id, sorted(add), sorted(remove))):
            self._did("Tagged.", lambda: self._library.tag(session.id, sorted(remove), sorted(add)))

    def action_archive(self) -> None:
        """Put the highlighted conversation away, or take it out."""
        found = self._highlighted()
        if found is None or found.session.deleted_at is not None:
            return
        session, is_archived = found.session, found.session.archived_at is None
        if self._try(lambda: self._library.archive(session.id, is_archived)):
            said = f"“{_short(session)}” is {'archived' if is_archived else 'listed again'}."
            self._did(said, lambda: self._library.archive(session.id, not is_archived))

    @work(exit_on_error=False)
    async def action_delete(self) -> None:
        """Move the highlighted conversation to the trash; from there, once confirmed, delete it for good."""
        from mmchat.tui.screens.dialogs import ConfirmScreen

        found = self._highlighted()
        if found is None:
            return
        session = found.session
        if session.deleted_at is None:
            if self._try(lambda: self._library.delete(session.id)):
                self._gone.add(session.id)
                said = f"“{_short(session)}” is in the trash for {KEPT_DAYS} days."
                self._did(said, lambda: self._library.restore(session.id), brings_back=session.id)
            return
        question = f"Delete “{one_line(session.title) or 'Untitled'}” with its {session.turn_count} turns for good?"
        if await self.app.push_screen_wait(ConfirmScreen(question, "It cannot be brought back.", "Delete")) and (
            self._try(lambda: self._library.delete_for_good(session.id))
        ):
            self._undo = [each for each in self._undo if each.brings_back != session.id]
            self._note("Deleted for good.")
            self._look()

    def action_undo(self) -> None:
        """Take the last act back."""
        if not self._undo:
            self._note("Nothing to undo.")
            return
        undo = self._undo.pop()
        if self._try(undo.run):
            self._gone.discard(undo.brings_back)
            self._note(f"Undone: {undo.said}")
            self._look()

    def _try(self, act: Callable[[], object]) -> bool:
        try:
            act()
        except MmchatError as error:
            self._note(str(error))
            return False
        return True

    def _did(self, said: str, undo: Callable[[], object], *, brings_back: str = "") -> None:
        self._undo.append(_Undo(undo, said, brings_back))
        self._note(f"{said} Ctrl+Z undoes it.")
        self._look()


def _short(session: Session) -> str:
    return elide(one_line(session.title) or "Untitled", 30)
