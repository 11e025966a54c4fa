"""Replies on the screen: one running turn, those queued behind it, and what their events change.

Called by the chat screen's message handlers only, so everything here runs on the interface thread.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

from mmchat.chat.session import ChatSession
from mmchat.domain import (
    AttachmentRead,
    FactsLearned,
    MessageUnderstood,
    Notice,
    PersonSuggested,
    PromptReady,
    ReplyDelta,
    ReplyEnded,
    ReplyEvent,
    ReplyStarted,
    Turn,
    UserTurnStored,
    WorkStarted,
)
from mmchat.errors import MmchatError, ReplyUnsaved
from mmchat.tui.commands import Invocation, parse
from mmchat.tui.drafts import Draft
from mmchat.tui.text import one_line, plural
from mmchat.tui.widgets.turns import ErrorView, NoticeLine, ReplyView, UserTurnView

if TYPE_CHECKING:
    from mmchat.tui.messages import ReplyProgressed
    from mmchat.tui.screens.chat import ChatScreen

NO_SPEED_BEFORE = 8
"""Deltas before a speed is worth showing."""


@dataclass(slots=True)
class Run:
    """A turn that is being answered."""

    id: int
    draft: Draft | None
    """None for a reply that is drawn anew."""
    cancel: Event = field(default_factory=Event)
    ended: Event = field(default_factory=Event)
    """Set by the thread when nothing more will be stored."""
    user_view: UserTurnView | None = None
    reply_view: ReplyView | None = None
    replaced_view: ReplyView | None = None
    """The reply that a regeneration takes the place of."""
    stored: Turn | None = None
    is_behind: bool = False
    """Whether another window changed the conversation, so that the message follows something that is not shown."""
    prompt: PromptReady | None = None
    reply: Turn | None = None
    first_delta_at: float = 0.0
    delta_count: int = 0
    notices: set[str] = field(default_factory=set)


class ReplyFlow:
    """Starts turns, shows their events, ends them, and goes on with the next in the queue."""

    def __init__(self, screen: ChatScreen) -> None:
        self._screen = screen
        self._runs = 0
        self.run: Run | None = None
        self.queue: deque[Draft] = deque()
        self.last_prompt: PromptReady | None = None
        self.last_reply: Turn | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a turn is being answered."""
        return self.run is not None

    # --- beginning ------------------------------------------------------------------------------

    async def send(self, draft: Draft) -> None:
        """Answer a message now, or after those before it."""
        if self.is_busy:
            self.queue.append(draft)
            self._screen.show_queue(self.queue)
            return
        run = self._new_run(draft)
        if draft.instead_of:
            await self._leave_branch(draft.instead_of)
        run.user_view = UserTurnView(draft.words, [path.name for path in draft.files])
        self._screen.transcript.scroll_to_end()
        await self._screen.transcript.add(run.user_view)
        session, user_input = self._screen.session, draft.to_input()
        self._begin(run, session, lambda: session.reply(user_input, run.cancel, draft.instead_of))

    async def _leave_branch(self, turn_id: str) -> None:
        """Show only what stands before a message that is about to be replaced."""
        turns = await asyncio.to_thread(self._screen.session.turns)
        ids = [turn.id for turn in turns]
        kept = turns[: ids.index(turn_id)] if turn_id in ids else turns
        await self._screen.show_turns(kept)

    async def regenerate(self) -> None:
        """Draw the last reply anew."""
        run = self._new_run(None)
        await self._screen.transcript.show_end()
        run.replaced_view = self._screen.transcript.reply_at_end()
        if run.replaced_view is not None:
            run.replaced_view.add_class("-replaced")
        self._screen.transcript.scroll_to_end()
        session = self._screen.session
        self._begin(run, session, lambda: session.regenerate(run.cancel))

    def _new_run(self, draft: Draft | None) -> Run:
        self._screen.ahead.stop()
        self._runs += 1
        self.run = Run(self._runs, draft)
        return self.run

    def _begin(self, run: Run, session: ChatSession, events: Callable[[], Iterable[ReplyEvent]]) -> None:
        self._screen.transcript.is_streaming = True
        self._screen.activity.set_work("sending")
        self._screen.start_reply_worker(run.id, events, run.cancel, run.ended)

    def wait(self, command: str) -> None:
        """Carry out a slash command when this turn, and the messages behind it, are answered."""
        if all(draft.text != command for draft in self.queue):
            self.queue.append(Draft(command))
            self._screen.show_queue(self.queue)

    # --- stopping -------------------------------------------------------------------------------

    def stop(self) -> bool:
        """Ask the running turn to stop, keeping its text; False where none runs."""
        if self.run is None:
            return False
        self.run.cancel.set()
        self._screen.desk.speaker.hush()
        self._screen.activity.set_work("stopping")
        return True

    async def stop_waiting(self) -> None:
        """End a turn that waits for its model, which cannot be hurried: it will find itself stopped when it wakes."""
        run = self.run
        if run is not None and run.cancel.is_set() and run.prompt is None and run.stored is not None:
            await self._screen.transcript.add(
                NoticeLine(f"Stopped before the reply began. Your message is kept; {self._regen_key} answers it.")
            )
            await self._go_on()

    def abandon(self) -> None:
        """Stop without waiting: another conversation is opened, or the app ends. What was said stays stored."""
        if self.run is not None:
            self.run.cancel.set()
        self.run = None
        self._screen.desk.speaker.hush()
        self.queue.clear()
        self.last_prompt = self.last_reply = None
        self._screen.show_queue(self.queue)
        self._screen.transcript.is_streaming = False
        self._screen.activity.set_work("")

    def take_back(self) -> Draft | None:
        """The message queued last, out of the queue."""
        draft = self.queue.pop() if self.queue else None
        self._screen.show_queue(self.queue)
        return draft

    # --- events ---------------------------------------------------------------------------------

    async def progressed(self, message: ReplyProgressed) -> None:
        """Show one event of the current turn; those of an earlier one are dropped."""
        run, screen = self.run, self._screen
        if run is None or message.run_id != run.id:
            return
        match message.event:
            case UserTurnStored(turn):
                run.stored = turn
                shown = screen.transcript.last_turn_id(before=run.user_view)
                run.is_behind = bool(shown and turn.parent_id) and turn.parent_id != shown
                if run.user_view is not None:
                    run.user_view.store(turn)
                    await screen.transcript.show_pictures(run.user_view)
                screen.turn_stored(turn)
                screen.keeper.save_soon()  # what is stored is no draft any more
            case WorkStarted(text):
                screen.activity.set_work(one_line(text), can_stop=True)
            case AttachmentRead(attachment):
                if run.user_view is not None:
                    run.user_view.set_attachment(attachment)
            case FactsLearned(facts):
                screen.desk.forgetting.learnt(facts)
                if run.user_view is not None:
                    run.user_view.set_learnt(facts)
            case MessageUnderstood(_, understood):
                screen.status.set(understood=understood)
            case PersonSuggested(text):
                await screen.transcript.add(NoticeLine(f"{text} (/handover)"))
            case PromptReady() as prompt:
                run.prompt = self.last_prompt = prompt
                screen.status.set(window=prompt.window)
                screen.transcript.set_window(prompt.window)
                screen.activity.set_work("thinking", can_stop=True)
            case ReplyStarted(turn_id):
                await self._reply_started(run, turn_id)
            case ReplyDelta(text):
                await self._reply_grew(run, text, message.delta_count)
            case Notice(text):
                run.notices.add(text)
                await screen.transcript.add(NoticeLine(text))
            case ReplyEnded(turn):
                await self._reply_ended(run, turn)

    async def _reply_started(self, run: Run, turn_id: str) -> None:
        if run.replaced_view is not None:
            await run.replaced_view.remove()
            run.replaced_view = None
            self._screen.turn_count -= 1
        self._screen.desk.speaker.begin()
        run.reply_view = ReplyView(recalled=run.prompt.recalled if run.prompt else ())
        run.reply_view.turn_id = turn_id
        await self._screen.transcript.add(run.reply_view)

    async def _reply_grew(self, run: Run, text: str, delta_count: int) -> None:
        if run.reply_view is None:
            await self._reply_started(run, "")
        assert run.reply_view is not None
        await run.reply_view.append(text)
        self._screen.desk.speaker.feed(text)
        now = time.monotonic()
        run.first_delta_at = run.first_delta_at or now
        run.delta_count += delta_count
        passed_s = now - run.first_delta_at
        if run.delta_count >= NO_SPEED_BEFORE and passed_s > 0:
            self._screen.status.set(tokens_per_s=run.delta_count / passed_s)
        if not run.cancel.is_set():
            self._screen.activity.set_work("replying", can_stop=True)

    async def _reply_ended(self, run: Run, turn: Turn) -> None:
        run.reply = self.last_reply = turn
        self._screen.desk.speaker.finish()
        if run.reply_view is None:
            await self._reply_started(run, turn.id)
        assert run.reply_view is not None
        await run.reply_view.end(turn, should_show_notice=turn.notice not in run.notices)
        self._screen.status.set(
            model=turn.model or self._screen.status.standing.model,
            engine=turn.engine or self._screen.status.standing.engine,
            window=turn.window or self._screen.status.standing.window,
            tokens_per_s=turn.usage.tokens_per_s if turn.usage else 0.0,
        )
        self._screen.turn_stored(turn)
        self._screen.activity.set_work("")

    # --- ending ---------------------------------------------------------------------------------

    async def finished(self, run_id: int) -> None:
        """The turn's events are over."""
        run = self.run
        if run is None or run.id != run_id:
            return
        if run.reply is None and run.replaced_view is not None:
            run.replaced_view.remove_class("-replaced")
        await self._go_on()
        if run.is_behind and not self.is_busy:
            self._screen.reload()
            self._screen.activity.set_hint("Another window changed this conversation; it is shown as it is now.")

    async def failed(self, run_id: int, error: MmchatError) -> None:
        """The turn ended with an error: say what happened, what was kept, and the next step."""
        run = self.run
        if run is None or run.id != run_id:
            return
        if run.replaced_view is not None:
            run.replaced_view.remove_class("-replaced")
        if run.reply_view is not None:
            await run.reply_view.end(failed=True)
        kept, next_step = "", error.hint
        if run.draft is not None and run.stored is None:
            if run.user_view is not None:
                await run.user_view.remove()
            self._screen.restore_draft(run.draft)
            if run.draft.instead_of:
                await self._screen.show_turns(await asyncio.to_thread(self._screen.session.turns))
            kept = "Nothing was sent; your message is back in the box."
        elif isinstance(error, ReplyUnsaved):
            kept = "Your message is kept; the reply stands above, whole."
        elif run.draft is not None:
            written = len(run.reply_view.text) if run.reply_view else 0
            kept = "Your message is kept" + (f", with {plural(written, 'character')} of the reply." if written else ".")
            next_step = next_step or f"Press {self._regen_key} to try again."
        await self._screen.transcript.add(ErrorView(error.message, kept, next_step))
        await self._go_on()

    async def crashed(self, run_id: int) -> None:
        """The turn's worker died of a bug; the app goes on."""
        if self.run is not None and self.run.id == run_id:
            if self.run.reply_view is not None:
                await self.run.reply_view.end(failed=True)
            await self._go_on()

    @property
    def _regen_key(self) -> str:
        return self._screen.app.keys.label("regen")

    async def _go_on(self) -> None:
        self.run = None
        self._screen.transcript.is_streaming = False
        self._screen.activity.set_work("")
        while self.queue and not self.is_busy:
            # Commands that wait sum up what was said, so messages go first, whatever was typed first.
            draft = next((each for each in self.queue if parse(each.text) is None), self.queue[0])
            self.queue.remove(draft)
            self._screen.show_queue(self.queue)
            match parse(draft.text):
                case Invocation(command, argument):
                    await self._run_command(command.name, argument)
                case _:
                    await self.send(draft)
        self._screen.ahead.touched()  # what was typed meanwhile

    async def _run_command(self, name: str, argument: str) -> None:
        """Carry out a command that waited; what is being typed meanwhile must not end in its dialog."""
        screen = self._screen
        if screen.composer.draft.is_empty and screen.app.screen is screen:
            screen.app.run_command(name, argument)
        else:
            await screen.say(f"The reply has ended: /{f'{name} {argument}'.rstrip()} can be used now.")
