"""What is remembered of the user: look, search, edit, forget, go to where it was said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker

from mmchat.domain import Fact
from mmchat.errors import MmchatError
from mmchat.moments import local_day
from mmchat.tui.messages import FactsListed, WorkFailed
from mmchat.tui.screens.list_dialog import ListDialog
from mmchat.tui.text import MUTED, clean, elide, one_line

if TYPE_CHECKING:
    from mmchat.chat.desk import Desk
    from mmchat.tui.app import MmchatApp

EMPTY = (
    "Nothing is remembered yet. What you say of yourself (“I live in Lyon”, “我对花生过敏”) is kept here;\n"
    "/remember TEXT keeps anything."
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fact was said."""

    session: str
    turn: str


class MemoryScreen(ListDialog[Place | None]):
    """A list that narrows as one types."""

    app: MmchatApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close"),
        Binding("ctrl+c", "close", "Close", priority=True),
        Binding("ctrl+r", "edit", "Edit", priority=True),
        Binding("ctrl+d", "forget", "Forget", priority=True),
        Binding("ctrl+z", "undo", "Undo", priority=True),
    ]

    def __init__(self, desk: Desk, query: str = "") -> None:
        super().__init__()
        self._desk = desk
        self._query = query
        self._facts: tuple[Fact, ...] = ()

    def compose(self) -> ComposeResult:
        """Search, list, what happened, keys."""
        with Vertical(classes="dialog -large", id="memory"):
            yield Static(Content.styled("What I know of you", "bold $primary"), id="memory-title", markup=False)
            yield Input(self._query, placeholder="Words of what is remembered", compact=True)
            yield OptionList(markup=False, compact=True)
            yield Static("", id="memory-note", markup=False)
            yield Static(
                Content.assemble(
                    ("Enter", "bold"), " where I said it   ", ("Ctrl+R", "bold"), " edit   ",
                    ("Ctrl+D", "bold"), " forget   ", ("Ctrl+Z", "bold"), " undo   ", ("Esc", "bold"), " close",
                ),
                classes="dialog-keys",
                markup=False,
            )  # fmt: skip

    def on_mount(self) -> None:
        """Fill the list."""
        self.query_one(OptionList).can_focus = False
        self._run_list(self._query)

    # --- looking --------------------------------------------------------------------------------

    @work(thread=True, exclusive=True, group="facts", exit_on_error=False)
    def _run_list(self, query: str, said: str = "") -> None:
        try:
            facts = self._desk.facts.all(query)
        except MmchatError as error:
            self.post_message(WorkFailed(error))
        else:
            self.post_message(FactsListed(query, facts, said))

    @on(WorkFailed)
    def _work_failed(self, event: WorkFailed) -> None:
        self._say(str(event.error))

    @on(Worker.StateChanged)
    async def _worker_changed(self, event: Worker.StateChanged) -> None:
        if await self.app.worker_changed(event):
            self._say("That did not work; the conversation behind this list says more.")

    @on(FactsListed)
    def _listed(self, event: FactsListed) -> None:
        if event.query != self.query_one(Input).value:
            return
        self._facts = event.facts
        options = self.query_one(OptionList)
        kept = options.highlighted or 0
        options.set_options(Option(self._line(fact)) for fact in self._facts)
        options.display = bool(self._facts)
        options.highlighted = min(kept, len(self._facts) - 1) if self._facts else None
        nothing = "Nothing that is remembered holds these words." if event.query else EMPTY
        self._say(event.said or ("" if self._facts else nothing))

    def _say(self, text: str) -> None:
        self.query_one("#memory-note", Static).update(Content(clean(text)))

    def _line(self, fact: Fact) -> Content:
        width = max(self.query_one(OptionList).size.width - 2, 40)
        marks = [mark for mark, holds in (("edited", fact.is_edited), ("older", fact.is_superseded)) if holds]
        about = " · ".join([*marks, "told" if fact.origin == "told" else "said", local_day(fact.updated_at)])
        text = elide(one_line(fact.text), width - len(about) - 3)
        left = Content.styled(text, MUTED) if fact.is_superseded else Content(text)
        return Content.assemble(left, " " * max(width - left.cell_length - len(about), 2), (about, MUTED))

    def _highlighted(self) -> Fact | None:
        at = self.query_one(OptionList).highlighted
        return self._facts[at] if at is not None and at < len(self._facts) else None

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._run_list(event.value)

    # --- acting ---------------------------------------------------------------------------------

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def _chosen(self) -> None:
        fact = self._highlighted()
        if fact is None:
            return
        if fact.turn:
            self.dismiss(Place(fact.session, fact.turn))
        else:
            self._say("You told this outright, so there is no conversation to go to.")

    def action_close(self) -> None:
        """Back to the conversation."""
        self.dismiss(None)

    @work(exit_on_error=False)
    async def action_edit(self) -> None:
        """Put other words in the place of the highlighted fact's."""
        from mmchat.tui.screens.dialogs import AskScreen

        fact = self._highlighted()
        if fact is None:
            return
        text = await self.app.push_screen_wait(AskScreen("What is true", fact.text))
        if text.strip() and text.strip() != fact.text:
            await self._do(lambda: self._desk.facts.edit(fact.id, text), "Changed.")

    @work(exit_on_error=False)
    async def action_forget(self) -> None:
        """Forget the highlighted fact; Ctrl+Z brings it back."""
        fact = self._highlighted()
        if fact is not None:
            said = f"Forgotten: {one_line(fact.text)}. Ctrl+Z brings it back."
            await self._do(lambda: self._desk.forgetting.forget((fact,)), said)

    @work(exit_on_error=False)
    async def action_undo(self) -> None:
        """Bring back what was forgotten last."""
        await self._do(self._desk.forgetting.undo, "It is remembered again.")

    async def _do(self, act: Callable[[], object], said: str) -> None:
        try:
            await asyncio.to_thread(act)
        except MmchatError as error:
            self._say(f"{error.message} {error.hint}".strip())
        else:
            self._run_list(self.query_one(Input).value, said)
