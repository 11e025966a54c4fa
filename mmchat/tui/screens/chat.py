"""The main screen: transcript, activity, input box, status."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.worker import Worker

from mmchat.chat.desk import history_prompts
from mmchat.chat.session import ChatSession
from mmchat.chat.window import View
from mmchat.domain import ReplyEvent, Turn
from mmchat.errors import MmchatError
from mmchat.tui.ahead_keeper import AheadKeeper
from mmchat.tui.commands import Invocation, UnknownCommand, parse
from mmchat.tui.draft_keeper import DraftKeeper
from mmchat.tui.drafts import Draft
from mmchat.tui.hands_free import HandsFree
from mmchat.tui.keymap import DEFAULT_KEYS
from mmchat.tui.messages import (
    EarlierRead,
    ReplyFailed,
    ReplyFinished,
    ReplyProgressed,
    SessionOpened,
    SpeakerChanged,
    WorkFailed,
)
from mmchat.tui.reply_flow import ReplyFlow
from mmchat.tui.reply_worker import run_reply
from mmchat.tui.screens.chat_box import ChatBox
from mmchat.tui.text import clean, one_line
from mmchat.tui.threads import in_daemon_thread
from mmchat.tui.widgets.completions import Completions
from mmchat.tui.widgets.composer import Composer
from mmchat.tui.widgets.pictures import PictureRow
from mmchat.tui.widgets.status import ActivityLine, HeaderLine, QueueView, StatusLine, loading_words, taking_in_words
from mmchat.tui.widgets.transcript import Transcript
from mmchat.tui.widgets.turns import ErrorView, NoticeLine, ReplyView
from mmchat.tui.widgets.voice import VoiceBar

if TYPE_CHECKING:
    from mmchat.chat.desk import Desk
    from mmchat.tui.app import MmchatApp

POLL_S = 0.25
WARM_AFTER_S = 0.2
LAST_WORDS_S = 2.0
LONG_TURNS = 100
"""Of a longer conversation so many turns are read and shown before the rest is read."""
"""How long leaving waits for a stopped reply to be stored."""
PLACEHOLDER = "Message, or / for commands"


class ChatScreen(ChatBox):
    """One conversation."""

    app: MmchatApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "step_back", "Stop", show=False),
        Binding("ctrl+c", "interrupt", "Stop, clear or quit", show=False, priority=True),
        Binding("ctrl+d", "quit_when_empty", "Quit", show=False, priority=True),
        Binding(DEFAULT_KEYS["latest"], "to_end", "Latest", show=False, id="latest"),
        *(
            Binding(DEFAULT_KEYS[name], f"app.command('{name}')", name.capitalize(), show=False, id=name)
            for name in (
                "new",
                "sessions",
                "help",
                "regen",
                "good",
                "bad",
                "voice",
                "attach",
                "paste",
                "pictures",
                "edit",
                "restore",
            )
        ),
        Binding(DEFAULT_KEYS["older"], "app.flip('', -1)", "Variant before", show=False, id="older"),
        Binding(DEFAULT_KEYS["newer"], "app.flip('', 1)", "Variant after", show=False, id="newer"),
    ]

    def __init__(self, desk: Desk, session: ChatSession) -> None:
        super().__init__()
        self.desk = desk
        self.session = session
        self.completions = Completions(id="completions")
        self.composer = Composer(self.completions, id="composer")
        self.transcript = Transcript(id="transcript")
        self.activity = ActivityLine(id="activity")
        self.status = StatusLine(id="status")
        self.voice = VoiceBar(desk, lambda: self.session, id="voice")
        self.hands_free = HandsFree(self)
        self.flow = ReplyFlow(self)
        self.keeper = DraftKeeper(self)
        self.ahead = AheadKeeper(self)
        self.turn_count = 0
        self._header = HeaderLine(id="header")
        self._queue_view = QueueView(id="queue")
        self._confirmed_text: str | None = None
        """A text with unusable file names that was answered once; sent as words the second time."""

    def compose(self) -> ComposeResult:
        """Top to bottom."""
        yield self._header
        yield self.transcript
        with Vertical(id="bottom"):
            yield self.activity
            yield self.voice
            yield self._queue_view
            yield self.completions
            with Vertical(id="box"):
                yield self.composer
            yield self.status

    def on_mount(self) -> None:
        """Take keys at once; the conversation and the models follow."""
        self.composer.placeholder = PLACEHOLDER
        self.composer.focus()
        # Not before the box is painted: loading holds the interpreter for long moments.
        self.set_timer(WARM_AFTER_S, lambda: self.desk.warm(("lm",)))
        self._poll = self.set_interval(POLL_S, self.look_at_models)
        self.look_at_models()
        self.show_title()
        self.desk.speaker.watch(lambda: self.post_message(SpeakerChanged()))
        if problem := self.desk.speaker.take_problem():
            words = f"Replies are not spoken: {problem.message} {problem.hint}".rstrip()
            self.app.notify(clean(words), severity="warning", markup=False)
        if self.session.info is None:
            self.call_later(self.show_turns, ())
            self.call_later(self.keeper.show, self.session)
        else:
            self._run_open(lambda: self.session)

    @on(events.ScreenSuspend)
    @on(events.ScreenResume)
    def _covered(self) -> None:
        """A dialog came or went: pictures of pixels must not lie over it."""
        if self.app.pictures.graphics == "sixel":
            for row in self.query(PictureRow):
                row.refresh()

    def on_unmount(self) -> None:
        """Stop what runs; everything said is stored."""
        self.ahead.stop()
        self.end_reply()
        self.keeper.save_last()

    def end_reply(self) -> None:
        """Stop the running reply and wait until it is stored."""
        if self.flow.run is not None:
            self.flow.run.cancel.set()
            if self.flow.run.prompt is not None:
                self.flow.run.ended.wait(LAST_WORDS_S)

    # --- workers --------------------------------------------------------------------------------

    @work(exclusive=True, group="reply", exit_on_error=False)
    async def start_reply_worker(
        self, run_id: int, events: Callable[[], Iterable[ReplyEvent]], cancel: Event, ended: Event
    ) -> None:
        """Drive a turn in a thread."""

        def run() -> None:
            try:
                run_reply(run_id, events, cancel, self.post_message)
            finally:
                ended.set()

        await in_daemon_thread(run, "reply")

    def open(self, session_id: str, at_turn: str = "") -> None:
        """Go to another conversation: to its end, or to a turn of it."""
        self._run_open(lambda: self.desk.open_session(session_id), at_turn)

    @work(thread=True, exclusive=True, group="open", exit_on_error=False)
    def _run_open(self, get: Callable[[], ChatSession], at_turn: str = "", is_whole: bool = False) -> None:
        try:
            session = get()
            is_long = session.info is not None and session.info.turn_count > LONG_TURNS and not is_whole
            if is_long:
                few = LONG_TURNS // 2 if at_turn else LONG_TURNS
                self.post_message(SessionOpened(session, session.turns(newest=few, around=at_turn), at_turn))
            turns = session.turns()
            view = session.window.view(turns)
        except MmchatError as error:
            self.post_message(WorkFailed(error))
        else:
            self.post_message(
                EarlierRead(session, turns, view) if is_long else SessionOpened(session, turns, at_turn, view)
            )

    @on(Worker.StateChanged)
    async def _worker_changed(self, event: Worker.StateChanged) -> None:
        """A worker that died of a bug: log it, say where, go on."""
        if await self.app.worker_changed(event) and event.worker.group == "reply" and self.flow.run is not None:
            await self.flow.crashed(self.flow.run.id)

    # --- conversations --------------------------------------------------------------------------

    async def _leave_private(self, session: ChatSession) -> None:
        """What was said in private goes as soon as another conversation is entered."""
        if self.session.is_private and not session.is_private:
            self.composer.set_history(())  # what was typed goes too
            await asyncio.to_thread(self.desk.leave_private)

    @on(SessionOpened)
    async def _session_opened(self, event: SessionOpened) -> None:
        if event.session is not self.session:
            await self.keeper.leave()
        self.flow.abandon()
        await self._leave_private(event.session)
        self.session = event.session
        self.composer.set_history(history_prompts(event.turns))
        await self.show_turns(event.turns, event.at_turn, event.view)
        if event.view is None and event.session.info is not None:
            self.turn_count = event.session.info.turn_count
            self.show_title()
        self.composer.focus()
        await self.keeper.show(event.session)

    @on(EarlierRead)
    async def _earlier_read(self, event: EarlierRead) -> None:
        if event.session is not self.session:
            return  # another conversation was opened meanwhile
        self.composer.set_history(history_prompts(event.turns))
        if not self.transcript.know_rest(event.turns):
            if self.flow.run is not None:
                self.flow.run.is_behind = True  # shown anew when the reply has ended
            else:
                await self.show_turns(event.turns, view=event.view)
        if not self.flow.is_busy:
            self.flow.last_reply = next((turn for turn in reversed(event.turns) if turn.role == "assistant"), None)
        self.turn_count = max(self.turn_count, len(event.turns))
        self.show_title()
        self.transcript.set_pins(event.view.pins)
        if not self.flow.is_busy:
            self.status.set(window=event.view.window)
            self.transcript.set_window(event.view.window)
            if not event.view.window.budget:
                self._run_count()

    async def show_turns(self, turns: Sequence[Turn], at_turn: str = "", view: View | None = None) -> None:
        """Show these turns of the conversation, from their end or about one of them."""
        self.turn_count = len(turns)
        last = next((turn for turn in reversed(turns) if turn.role == "assistant"), None)
        self.flow.last_reply = last
        is_middle = view is None and bool(at_turn)  # of turns about one, the last does not say what the model sees
        window = view.window if view else last.window if last and not is_middle else None
        asked = next((turn for turn in reversed(turns) if turn.role == "user"), None)
        self.status.set(window=window, tokens_per_s=0.0, understood=asked.understood if asked is not None else None)
        self.show_title()
        if view is not None:
            self.transcript.set_pins(view.pins)
        await self.transcript.show(turns, window, at_turn=at_turn)
        if not turns and self.session.greeting:
            await self.transcript.add(ReplyView(Turn("", "", None, "assistant", self.session.greeting, "complete", "")))
        if turns and view is not None and not view.window.budget:
            self._run_count()

    async def refresh_view(self) -> None:
        """Show pins and the beginning of the view as they are now, and count the window anew."""
        session = self.session

        def look() -> View:
            return session.window.view(session.turns())

        view = await asyncio.to_thread(look)
        if session is self.session and not self.flow.is_busy:
            self.transcript.set_pins(view.pins)
            self.transcript.set_window(view.window)
            self._run_count()

    @work(exclusive=True, group="count", exit_on_error=False)
    async def _run_count(self) -> None:
        """Have the model count its window; the status line shows it when it is there."""
        session, found = self.session, []
        with suppress(MmchatError):  # a model that cannot be loaded says so elsewhere
            await in_daemon_thread(lambda: found.append(session.window.preview()), "count")
        if found and session is self.session and not self.flow.is_busy:
            self.status.set(window=found[0].window)
            self.transcript.set_window(found[0].window)

    def reload(self, at_turn: str = "") -> None:
        """Show this conversation as it is stored now: other turns of it came into view."""
        self._run_open(lambda: self.session, at_turn, is_whole=True)

    async def start_new(self, session: ChatSession | None = None) -> None:
        """An empty conversation, or one that was begun with somebody."""
        await self._start(session or self.desk.new_session())

    async def start_private(self) -> None:
        """A conversation that leaves nothing behind."""
        await self._start(await asyncio.to_thread(self.desk.private_session))

    async def _start(self, session: ChatSession) -> None:
        # What was typed for a new conversation goes along into it, but neither into a private one nor out of it.
        await self.keeper.leave(has_box=session.is_private or self.session.is_private)
        self.flow.abandon()
        await self._leave_private(session)
        self.session = session
        self.transcript.set_pins(())
        await self.show_turns(())
        await self.keeper.show(session)

    def turn_stored(self, turn: Turn) -> None:
        """Count it, and show the title it may have brought."""
        self.turn_count += 1
        self.show_title()

    def show_title(self) -> None:
        """Header and terminal title."""
        info = self.session.info
        title = one_line(info.title) if info else ""
        is_private = self.session.is_private
        persona = self.session.persona
        role = one_line(persona.text.title) if persona is not None else ""
        self._header.say(title, self.turn_count, role=role, is_private=is_private)
        self.app.set_terminal_title("private" if is_private else title)

    # --- models ---------------------------------------------------------------------------------

    def look_at_models(self) -> None:
        """Show loading progress; rest once nothing is under way."""
        states = self.desk.load_states()
        words = loading_words(states)
        language = next((state for state in states if state.kind == "lm"), None)
        if language is not None:
            self.status.set(model=language.model, engine=language.engine, device=language.device)
            if language.stage == "failed":
                words = f"{language.model} cannot be used: {clean(language.detail)}"
        taken_in = self.desk.taken_in()
        self.activity.set_models(" · ".join(part for part in (words, taking_in_words(taken_in)) if part))
        speech = tuple(state for state in states if state.kind == "asr")
        self.voice.set_waiting(loading_words(speech))
        is_settled = language is not None and language.stage in ("ready", "failed") and not loading_words(states)
        if is_settled and taken_in is None and not self.flow.is_busy and self.voice.state == "off":
            self._poll.pause()

    def watch_models(self) -> None:
        """Look again, until all is settled."""
        self._poll.resume()

    # --- sending --------------------------------------------------------------------------------

    @on(Composer.Submitted)
    async def _submitted(self, event: Composer.Submitted) -> None:
        self.activity.set_hint("")
        draft = event.draft
        if self.voice.state == "recording" and not (self.hands_free.is_on and not draft.is_empty):
            self.voice.finish()
            return
        if self.hands_free.is_on and not draft.is_empty:
            self.voice.cancel()  # what was typed goes first
        if draft.is_empty:
            return
        match parse(draft.text):
            case Invocation(command, argument):
                self.composer.clear_draft()
                self.composer.remember(draft)
                self.app.run_command(command.name, argument, draft)
                return
            case UnknownCommand(word):
                self.activity.set_hint(f"Unknown command '{word}'. Type /help.")
                return
        if draft.instead_of and self.flow.is_busy:
            self.activity.set_hint("A reply is running. Esc stops it, then Enter sends your edit.")
            return
        draft = draft.with_typed_files(Path.cwd())
        problems = draft.unusable_files(Path.cwd())
        if problems and self._confirmed_text != draft.text:
            self._confirmed_text = draft.text
            self.activity.set_hint(f"{problems[0]}. Enter again sends it as words.")
            return
        self._confirmed_text = None
        self.ahead.stop()
        self.composer.clear_draft()
        self.composer.remember(draft)
        self.watch_models()
        await self.flow.send(draft)

    @on(ReplyProgressed)
    async def _progressed(self, event: ReplyProgressed) -> None:
        await self.flow.progressed(event)

    @on(ReplyFailed)
    async def _failed(self, event: ReplyFailed) -> None:
        await self.flow.failed(event.run_id, event.error)

    @on(ReplyFinished)
    async def _finished(self, event: ReplyFinished) -> None:
        await self.flow.finished(event.run_id)

    @on(WorkFailed)
    async def _work_failed(self, event: WorkFailed) -> None:
        await self.transcript.add(ErrorView(event.error.message, next_step=event.error.hint))

    async def say(self, text: str) -> None:
        """Answer in the transcript."""
        await self.transcript.add(NoticeLine(text))
        self.transcript.scroll_to_end()

    def show_queue(self, queue: Sequence[Draft]) -> None:
        """Messages that wait for their turn."""
        self._queue_view.say([draft.text for draft in queue])
        self.keeper.touched()

    def restore_draft(self, draft: Draft) -> None:
        """Put a message back, before what was typed since."""
        since = self.composer.draft
        chips = {chip: None for chip in (*draft.chips, *since.chips)}
        text = draft.text if since.is_empty else f"{draft.text}\n{since.text}"
        self.composer.draft = Draft(text, tuple(chips), draft.instead_of)
