"""The conversation: a window of widgets over any number of turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.scrollbar import ScrollTo
from textual.widget import Widget
from textual.widgets import Static

from mmchat.domain import Turn, Window
from mmchat.tui.widgets.turns import ReplyView, UserTurnView, Welcome, WindowMark

if TYPE_CHECKING:
    from mmchat.tui.app import MmchatApp

FIRST_TURNS = 6
"""What the first paint shows; the rest of the screen is filled right after it."""
MORE_TURNS = 40
"""How many older turns each step up adds."""
MAX_TURNS = 80
"""Mounted turns beyond this are let go at the top while the end is watched: every layout looks at all of them."""

TurnView = UserTurnView | ReplyView


class Transcript(Vertical):
    """A scrolling list of turns that follows its end until the user scrolls away from it."""

    app: MmchatApp

    class Scrolled(Message):
        """The end came into or went out of view."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._scroll = _TurnScroll()
        self._pill = Static(classes="pill", markup=False)
        self._turns: tuple[Turn, ...] = ()
        self._first_mounted = 0
        """Index in `_turns` of the oldest turn that has a widget."""
        self._stop_mounted = 0
        """Index in `_turns` after the newest turn that has a widget."""
        self._held: tuple[Widget, int] | None = None
        """What keeps its place on the screen, so many lines below its top, while turns are laid out around it."""
        self._window = Window()
        self._pins: frozenset[str] = frozenset()
        self._is_loading = False
        self._is_loading_later = False
        self._is_middle = False
        """Whether there may be turns behind those that are known."""
        self.is_streaming = False

    def compose(self) -> ComposeResult:
        """The list, and the pill that floats over its end."""
        yield self._scroll
        yield self._pill

    def on_mount(self) -> None:
        """Follow the end."""
        self._pill.display = False
        self._scroll.anchor()

    # --- contents -------------------------------------------------------------------------------

    async def show(self, turns: Sequence[Turn], window: Window | None = None, *, at_turn: str = "") -> None:
        """Show a conversation from its end, or around a turn, which is marked."""
        self._turns = tuple(turns)
        self._window = window or Window()
        found = next((index for index, turn in enumerate(self._turns) if turn.id == at_turn), None)
        self._is_middle = found is not None
        self._stop_mounted = len(self._turns) if found is None else min(found + FIRST_TURNS, len(self._turns))
        self._first_mounted = max(0, self._stop_mounted - FIRST_TURNS if found is None else found - FIRST_TURNS // 2)
        widgets = self._widgets(self._turns[self._first_mounted : self._stop_mounted])
        self._held = None
        with self.app.batch_update():
            await self._scroll.remove_children()
            await self._scroll.mount_all(widgets or [Welcome(self.app.keys)])
        if found is None:
            self._scroll.anchor()
        else:
            self._scroll.release_anchor()
            view = next(view for view in self._turn_views() if view.turn_id == at_turn)
            view.add_class("-found")
            self._held = (view, self._scroll.size.height // 4)
            self.call_after_refresh(self._keep_place)
        self.call_after_refresh(self._update_pill)
        self.call_after_refresh(self._fill_screen)

    def know_rest(self, turns: Sequence[Turn]) -> bool:
        """Take over all turns of a conversation of which some are shown: the others are mounted on the way to them.

        Returns:
            False where something was said meanwhile behind turns from the middle, so that all must be shown anew.
        """
        is_middle, self._is_middle = self._is_middle, False
        places = {turn.id: index for index, turn in enumerate(turns)}
        known = [places[turn.id] for turn in self._turns if turn.id in places]
        if is_middle and (not known or {view.turn_id for view in self._turn_views()} - {t.id for t in self._turns}):
            return False
        earlier = known[0] if known else 0
        self._turns = (*turns[:earlier], *self._turns, *(turns[known[-1] + 1 :] if is_middle else ()))
        self._first_mounted += earlier
        self._stop_mounted += earlier
        self.call_after_refresh(self._update_pill)
        self.call_after_refresh(self._load_near)  # who went to the edge meanwhile gets no further by scrolling
        return True

    async def show_end(self) -> None:
        """Mount the end of the conversation, where only turns about an earlier one are mounted."""
        if self._stop_mounted < len(self._turns):
            is_middle = self._is_middle
            await self.show(self._turns, self._window)
            self._is_middle = is_middle

    def _keep_place(self) -> None:
        """Scroll so that what is held stays where it is on the screen."""
        if self._held is not None and self._held[0].is_attached:
            y = min(max(self._held[0].virtual_region.y - self._held[1], 0), self._scroll.max_scroll_y)
            if round(y) != round(self._scroll.scroll_y):
                self._scroll.scroll_to(y=y, animate=False, immediate=True)

    def let_go_of_place(self) -> None:
        """The user scrolls."""
        self._held = None

    async def _fill_screen(self) -> None:
        """Mount more while the screen has room, and one step beyond it."""
        if self._scroll.virtual_size.height < 2 * self._scroll.size.height and self._turns:
            before = self._first_mounted, self._stop_mounted
            await self.load_later(FIRST_TURNS)
            await self.load_earlier(FIRST_TURNS)
            if before != (self._first_mounted, self._stop_mounted):
                self.call_after_refresh(self._fill_screen)

    async def add(self, widget: Widget) -> None:
        """Put a widget at the end."""
        await self.show_end()
        self._scroll.query(Welcome).remove()
        await self._scroll.mount(widget)
        await self._let_go()

    async def show_pictures(self, view: UserTurnView) -> None:
        """Show the pictures that came with a message, below it."""
        if view.is_attached and (row := view.picture_row()):
            await self._scroll.mount(row, after=view)

    def set_window(self, window: Window) -> None:
        """Mark where the model's view begins; no mark while nothing is out of view."""
        self._window = window
        self._scroll.query(WindowMark).remove()
        for view in self._turn_views():
            if self._begins_view(view.turn_id):
                self._scroll.mount(WindowMark(window), before=view)

    def set_pins(self, turn_ids: Sequence[str]) -> None:
        """Mark the pinned turns."""
        self._pins = frozenset(turn_ids)
        for view in self._turn_views():
            view.set_pinned(view.turn_id in self._pins)

    def _begins_view(self, turn_id: str) -> bool:
        return bool(self._window.turns_out) and turn_id == self._window.first_turn_id

    def last_reply(self) -> ReplyView | None:
        """The newest reply on the screen."""
        views = [view for view in self._turn_views() if isinstance(view, ReplyView)]
        return views[-1] if views else None

    def reply_at_end(self) -> ReplyView | None:
        """The reply that the conversation ends with; None where a message waits for one."""
        views = self._turn_views()
        return views[-1] if views and isinstance(views[-1], ReplyView) else None

    def last_turn_id(self, *, before: Widget | None = None) -> str:
        """Id of the last turn that is shown, leaving out a widget; empty where there is none, or it is not stored."""
        views = [view for view in self._turn_views() if view is not before]
        return views[-1].turn_id if views else ""

    def show_rating(self, reply: Turn) -> None:
        """Show what the user thinks of a reply now."""
        self._turns = tuple(reply if turn.id == reply.id else turn for turn in self._turns)
        for view in self._turn_views():
            if isinstance(view, ReplyView) and view.turn_id == reply.id:
                view.set_rating(reply.rating)

    def _turn_views(self) -> list[TurnView]:
        return [child for child in self._scroll.children if isinstance(child, UserTurnView | ReplyView)]

    def _widgets(self, turns: Sequence[Turn]) -> list[Widget]:
        widgets: list[Widget] = []
        for turn in turns:
            if self._begins_view(turn.id):
                widgets.append(WindowMark(self._window))
            view = ReplyView(turn) if turn.role == "assistant" else UserTurnView(turn.text, turn=turn)
            view.set_pinned(turn.id in self._pins)
            widgets.append(view)
            if isinstance(view, UserTurnView) and (row := view.picture_row()):
                widgets.append(row)
        return widgets

    async def load_earlier(self, count: int = MORE_TURNS) -> None:
        """Mount older turns above, keeping what is seen in its place."""
        if self._is_loading or self._first_mounted == 0 or not self._turns:
            return
        self._is_loading = True
        stop = self._first_mounted
        self._first_mounted = max(0, stop - count)
        first = self._scroll.children[0] if self._scroll.children else None
        if not self.is_at_end and self._held is None and first is not None:  # at the end the anchor holds the place
            self._held = (first, first.virtual_region.y - round(self._scroll.scroll_y))
        await self._scroll.mount_all(self._widgets(self._turns[self._first_mounted : stop]), before=first)

        def loaded() -> None:
            self._keep_place()
            self._is_loading = False

        self.call_after_refresh(loaded)

    async def load_later(self, count: int = MORE_TURNS) -> None:
        """Mount newer turns below, where only turns about an earlier one are mounted."""
        start = self._stop_mounted
        if self._is_loading_later or start >= len(self._turns):
            return
        self._is_loading_later = True
        self._stop_mounted = min(start + count, len(self._turns))
        await self._scroll.mount_all(self._widgets(self._turns[start : self._stop_mounted]))

        def loaded() -> None:
            self._is_loading_later = False

        self.call_after_refresh(loaded)

    async def _let_go(self) -> None:
        """Unmount the oldest turns of a very long stay; they load again on the way up."""
        views = self._turn_views()
        if len(views) <= MAX_TURNS or not self.is_at_end:
            return
        known = {turn.id: index for index, turn in enumerate(self._turns)}
        keep_from = next((view for view in views[-(MAX_TURNS // 2) :] if view.turn_id in known), None)
        if keep_from is None:
            return
        children = list(self._scroll.children)
        await self._scroll.remove_children(children[: children.index(keep_from)])
        self._first_mounted = known[keep_from.turn_id]
        self.call_after_refresh(self._fill_screen)  # of a very high terminal

    # --- scrolling ------------------------------------------------------------------------------

    @property
    def is_at_end(self) -> bool:
        """Whether the end is followed: nothing was scrolled up, or everything fits."""
        if self._stop_mounted < len(self._turns):
            return False
        # Textual has no public name for "the user let go of the anchor".
        return not self._scroll._anchor_released or self._scroll.max_scroll_y - self._scroll.scroll_y < 1

    def scroll_to_end(self) -> None:
        """Return to the end and follow it again."""
        self._held = None
        if self._stop_mounted < len(self._turns):
            self.call_later(self.show_end)
        self._scroll.anchor()
        self.call_after_refresh(self._update_pill)

    def page(self, direction: int) -> None:
        """Move by most of a page."""
        scroll = self._scroll
        self._held = None
        if scroll.virtual_size.height <= scroll.size.height:
            return
        if direction < 0:
            scroll.release_anchor()
        scroll.scroll_to(
            y=scroll.scroll_y + direction * max(1, scroll.size.height - 2), animate=False, release_anchor=direction < 0
        )

    def on_transcript_scrolled(self, event: Scrolled) -> None:
        """Show the pill, and older and newer turns as they come near."""
        event.stop()
        self._keep_place()
        self._update_pill()
        self._load_near()

    def _load_near(self) -> None:
        """Mount the turns that come near."""
        if self._scroll.max_scroll_y - self._scroll.scroll_y < self._scroll.size.height:
            self.call_later(self.load_later)
        if self._first_mounted > 0 and self._scroll.scroll_y < self._scroll.size.height and not self.is_at_end:
            self.call_later(self.load_earlier)

    def _update_pill(self) -> None:
        if self.is_at_end:
            self._pill.display = False
            return
        self._pill.display = True
        words = "still writing below · End jumps there" if self.is_streaming else "End jumps to the latest"
        self._pill.update(Content(f" ↓ {words} "))

    def on_click(self) -> None:
        """A click on the pill returns to the end."""
        if self._pill.is_mouse_over:
            self.scroll_to_end()


class _TurnScroll(VerticalScroll, can_focus=False):
    """The scrolling part; keys reach it through the input box."""

    @on(events.MouseScrollUp)
    @on(events.MouseScrollDown)
    @on(ScrollTo)
    def _moved_by_hand(self) -> None:
        self.query_ancestor(Transcript).let_go_of_place()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Tell the transcript."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.post_message(Transcript.Scrolled())

    def watch_virtual_size(self) -> None:
        """More lines may have come below a reader who scrolled up."""
        self.post_message(Transcript.Scrolled())
