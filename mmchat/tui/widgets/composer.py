"""The input box: several lines, history, and chips that behave as one character each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual import events
from textual.message import Message
from textual.widgets import TextArea
from textual.widgets.text_area import Location, Selection

from mmchat.domain import AttachmentKind
from mmchat.tui.doubts import Doubts, index_of, place_of
from mmchat.tui.drafts import ChipShelf, Draft, fold_paste, pasted_text

if TYPE_CHECKING:
    from textual.widgets.text_area import EditResult

    from mmchat.tui.widgets.completions import Completions

NEWLINE_KEYS = ("ctrl+j", "shift+enter", "alt+enter", "ctrl+enter")


class Composer(TextArea):
    """Where messages are written. Enter sends; Ctrl+J (or Shift+Enter, Alt+Enter) makes a new line."""

    @dataclass
    class Submitted(Message):
        """Enter was pressed."""

        draft: Draft

    @dataclass
    class Edited(Message):
        """The text changed; `text` up to the cursor decides what is completed."""

        text: str

    class PreviousWanted(Message):
        """Up was pressed on the first row."""

    class EndWanted(Message):
        """End was pressed where the line already ends."""

    class PictureWanted(Message):
        """Something was pasted that is no text, or Ctrl+V was pressed: the clipboard may hold a picture."""

    @dataclass
    class PageWanted(Message):
        """PageUp or PageDown: the transcript should move."""

        direction: int

    def __init__(self, completions: Completions, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        self._doubts = Doubts()
        self._spoken = ""
        self._shelf = ChipShelf()  # before the base class, whose first selection asks for it
        self._instead_of = ""
        super().__init__(id=id, compact=True, highlight_cursor_line=False, tab_behavior="focus")
        self._completions = completions
        self._history: list[Draft] = []
        self._place = 0
        """Where in the history the box stands; `len(history)` is the draft itself."""
        self._kept = Draft()
        """The draft left behind while walking through the history."""
        self.match_cursor_bracket = False

    # --- drafts ---------------------------------------------------------------------------------

    @property
    def draft(self) -> Draft:
        """What stands in the box."""
        return replace(self._shelf.draft(self.text), instead_of=self._instead_of)

    @draft.setter
    def draft(self, draft: Draft) -> None:
        self._shelf = ChipShelf(dict.fromkeys(draft.chips))
        self._instead_of = draft.instead_of
        self.text = draft.text
        self.move_cursor(self.document.end)

    @property
    def unsent(self) -> Draft:
        """The draft itself, also while an older message from the history stands in its place."""
        is_walking = self._place < len(self._history) and self.draft == self._history[self._place]
        return self._kept if is_walking else self.draft

    def clear_draft(self) -> None:
        """Empty the box and return to the newest place of the history."""
        self.draft = Draft()
        self._place = len(self._history)

    def remember(self, draft: Draft) -> None:
        """Add a sent message to the history."""
        draft = replace(draft, instead_of="")
        if not self._history or self._history[-1] != draft:
            self._history.append(draft)
        self._place = len(self._history)

    def set_history(self, prompts: tuple[str, ...]) -> None:
        """Take over what was said before, oldest first."""
        self._history = [Draft(prompt) for prompt in prompts]
        self._place = len(self._history)

    def show_previous(self) -> None:
        """Step back in the history, keeping the draft."""
        self._walk(-1)

    def _walk(self, step: int) -> None:
        place = self._place + step
        if not 0 <= place <= len(self._history):
            return
        if self._place == len(self._history):
            self._kept = self.draft
        self._place = place
        self.draft = self._kept if place == len(self._history) else self._history[place]

    def insert_words(self, words: str) -> None:
        """Put words at the cursor, set off by spaces where letters would touch."""
        row, column = self.cursor_location
        line = self.document.get_line(row)
        before, after = line[:column][-1:], line[column:][:1]
        lead = " " if before.isascii() and before.isalnum() and words[:1].isascii() else ""
        trail = " " if after.isascii() and after.isalnum() and words[-1:].isascii() else ""
        self._replace_via_keyboard(lead + words + trail, *self.selection)

    def insert_spoken(self, words: str, doubts: Sequence[tuple[int, int]], *, is_again: bool = False) -> None:
        """Put spoken words at the cursor, with those that are in doubt marked.

        Args:
            words: what was said.
            doubts: places in it, first and past-the-last character of each.
            is_again: in the place of the words put in last, if they stand there as they were.
        """
        at = self.text.find(self._spoken) if is_again and self._spoken else -1
        if at >= 0:
            text, end = self.text, at + len(self._spoken)
            self._replace_via_keyboard(words, place_of(text, at), place_of(text, end))
        else:
            at = index_of(self.text, min(self.selection))
            self.insert_words(words)
            at = self.text.find(words, at)
        self._spoken = words
        self._doubts.add(self.text, at, doubts)

    @property
    def doubt_count(self) -> int:
        """How many words in the box are marked as doubtful."""
        self._doubts.follow(self.text)
        return self._doubts.count

    def attach(self, path: Path, kind: AttachmentKind) -> None:
        """Put a chip for a file at the cursor."""
        self.insert_words(f"{self._shelf.add_path(path, kind).label} ")

    def complete(self, start: int, words: str) -> None:
        """Replace the first line from column `start` to the cursor with `words`."""
        row, column = self.cursor_location
        self._replace_via_keyboard(words, (row, start), (row, column))

    # --- keys -----------------------------------------------------------------------------------

    async def _on_key(self, event: events.Key) -> None:
        key = event.key
        if self._completions.is_open and self._completions.take_key(key):
            event.stop()
            event.prevent_default()
        elif key in NEWLINE_KEYS:
            event.stop()
            event.prevent_default()
            self._replace_via_keyboard("\n", *self.selection)
        elif key == "enter":
            event.stop()
            event.prevent_default()
            self.post_message(self.Submitted(self.draft))
        elif key.startswith("alt+") and event.is_printable:
            # Terminals send the letter along with Alt; it is a key, no word of the message.
            event.prevent_default()

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        text = pasted_text(event.text)
        if not text:
            self.post_message(self.PictureWanted())
            return
        if fold_paste(text):
            self.insert_words(self._shelf.add_paste(text).label)
            return
        chipped = self._shelf.chip_files(text, Path.cwd())
        if chipped != text:
            # A drop ends where the next word begins.
            self.insert_words(f"{chipped.rstrip()} ")
        else:
            self._replace_via_keyboard(text, *self.selection)

    def action_paste(self) -> None:
        """A picture on the clipboard, else the text that was copied here."""
        self.post_message(self.PictureWanted())

    def paste_text(self) -> bool:
        """Paste the text that was copied here; False where there is none."""
        super().action_paste()
        return bool(self.app.clipboard)

    def action_cursor_up(self, select: bool = False) -> None:
        """Move up; from the first row, step back in the history."""
        if not select and self.wrapped_document.location_to_offset(self.cursor_location).y == 0:
            self.post_message(self.PreviousWanted())
        else:
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        """Move down; from the last row, step forward in the history."""
        row = self.wrapped_document.location_to_offset(self.cursor_location).y
        if not select and row == self.wrapped_document.height - 1:
            self._walk(+1)
        else:
            super().action_cursor_down(select)

    def action_cursor_line_end(self, select: bool = False) -> None:
        """Move to the end of the line; from there, to the end of the transcript."""
        if self.cursor_at_end_of_line and not select:
            self.post_message(self.EndWanted())
        super().action_cursor_line_end(select)

    def action_cursor_page_up(self) -> None:
        """Move the transcript, not the cursor."""
        self.post_message(self.PageWanted(-1))

    def action_cursor_page_down(self) -> None:
        """Move the transcript, not the cursor."""
        self.post_message(self.PageWanted(+1))

    # --- chips as one unit ----------------------------------------------------------------------

    def _validate_selection(self, selection: Selection) -> Selection:
        start, end = super()._validate_selection(selection)
        previous = self.selection.end
        snapped_end = self._outside_chip(end, forward=end > previous)
        snapped_start = snapped_end if start == end else self._outside_chip(start, forward=start > end)
        return Selection(snapped_start, snapped_end)

    def _outside_chip(self, location: Location, *, forward: bool) -> Location:
        row, column = location
        for start, end in self._chip_spans(row):
            if start < column < end:
                return (row, end if forward else start)
        return location

    def _chip_spans(self, row: int) -> list[tuple[int, int]]:
        return self._shelf.spans(self.document.get_line(row)) if row < self.document.line_count else []

    def _delete_via_keyboard(self, start: Location, end: Location) -> EditResult | None:
        return super()._delete_via_keyboard(*self._whole_chips(start, end))

    def _replace_via_keyboard(self, insert: str, start: Location, end: Location) -> EditResult | None:
        return super()._replace_via_keyboard(insert, *self._whole_chips(start, end))

    def _whole_chips(self, start: Location, end: Location) -> tuple[Location, Location]:
        """Widen a range so that it holds every chip that it touches."""
        if start == end:
            return start, end
        top, bottom = sorted((start, end))
        return self._outside_chip(top, forward=False), self._outside_chip(bottom, forward=True)

    def get_line(self, line_index: int) -> Text:
        """The line with its chips set off, and the words that were heard unsurely."""
        line = super().get_line(line_index)
        doubtful = self.get_component_rich_style("composer--doubt", partial=True)
        for start, end in self._doubts.in_line(self.text, line_index) if self._doubts.count else ():
            line.stylize(doubtful, start, end)
        style = self.get_component_rich_style("composer--chip", partial=True)
        for start, end in self._shelf.spans(line.plain):
            line.stylize(style, start, end)
        return line

    COMPONENT_CLASSES = {"composer--chip", "composer--doubt"}  # noqa: RUF012 - Textual reads it so
