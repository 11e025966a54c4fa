"""Reads one turn of a conversation for the line-based front ends: `ask` and the plain mode.

The turn runs in a thread, so that Ctrl+C, a closed pipe and the progress of a download are answered
at once, whatever the model is busy with.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol

from mmchat.chat.understood_words import plain_words
from mmchat.cli.output import StatusLine, narrate
from mmchat.domain import (
    Attachment,
    AttachmentRead,
    Fact,
    FactsLearned,
    LoadState,
    MessageUnderstood,
    Notice,
    PersonSuggested,
    PromptReady,
    Recalled,
    ReplyDelta,
    ReplyEnded,
    ReplyEvent,
    ReplyStarted,
    Turn,
    Understood,
    UserTurnStored,
    Window,
    WorkStarted,
)
from mmchat.errors import UsageError
from mmchat.picture_sentences import caption_of
from mmchat.script import is_mostly_chinese

if TYPE_CHECKING:
    from mmchat.chat.desk import Desk
    from mmchat.chat.session import ChatSession
    from mmchat.role_values import MaskKind

POLL_S = 0.1
_SIGNALLED = 128
"""Added to a signal's number, it is the exit code of a program that the signal ended."""
STOP_GRACE_S = 5.0
"""How long a reply that was stopped may take to be stored."""
_KIND_WORDS = {
    "lm": "language model",
    "asr": "speech model",
    "vision": "picture model",
    "embed": "memory model",
    "head": "label model",
}


class Status(Protocol):
    """Where it is told what is going on."""

    def show(self, text: str) -> None: ...

    def clear(self) -> None: ...


@dataclass(slots=True)
class TurnOutcome:
    """What became of a turn."""

    question: Turn | None = None
    reply: Turn | None = None
    attachments: tuple[Attachment, ...] = ()
    recalled: tuple[Recalled, ...] = ()
    learnt: tuple[Fact, ...] = ()
    window: Window | None = None
    understood: Understood | None = None
    person: PersonSuggested | None = None
    """Somebody who could take over."""
    notices: tuple[str, ...] = ()
    masked: tuple[MaskKind, ...] = ()
    """Personal data that was masked in the message and its files."""
    text: str = ""
    """The reply as it was streamed."""
    was_interrupted: bool = False


def open_conversation(desk: Desk, *, should_continue: bool, session_id: str | None) -> ChatSession:
    """The conversation that `-c` and `-s` ask for; without them, or with nothing to continue, a new one.

    `session_id`: an id, the beginning of one, or "last".

    Raises:
        UsageError: both were given, or there is no such conversation.
    """
    if should_continue and session_id is not None:
        raise UsageError("-c and -s exclude each other.", hint="Use -s to name a conversation, -c for the last one.")
    if session_id is not None and session_id != "last":
        return desk.open_session(session_id)
    if should_continue or session_id is not None:
        latest = desk.latest_session()
        if latest is not None:
            return desk.open_session(latest.id)
        if session_id is not None:
            raise UsageError("There are no conversations yet.", hint="Leave out -s to start one.")
        narrate("There is no conversation to continue yet, so this is a new one.")
    return desk.new_session()


def read_turn(
    start: Callable[[threading.Event], Iterator[ReplyEvent]],
    *,
    load_states: Callable[[], tuple[LoadState, ...]],
    on_text: Callable[[str], None],
    say: Callable[[str], None] = narrate,
    status: Status | None = None,
) -> TurnOutcome:
    """Drive a turn to its end. The first Ctrl+C stops the reply and keeps it, the second leaves at once.

    Args:
        start: begins the turn, given its stop signal.
        load_states: where the models stand, for the status line.
        on_text: takes the reply's text as it comes.
        say: takes what is worth telling beside the reply, a line at a time.
        status: told what is being waited for, until the reply begins; by default a line on stderr.

    Raises:
        MmchatError: what the turn raised.
        KeyboardInterrupt: Ctrl+C before the reply began, or while it would not stop.
        SystemExit: the program was told to end, or its terminal closed; what was drawn is stored.
    """
    cancel = threading.Event()
    inbox: SimpleQueue[ReplyEvent | BaseException | None] = SimpleQueue()
    thread = threading.Thread(target=_run, args=(start, cancel, inbox), name="reply", daemon=True)
    outcome = TurnOutcome()
    status = status or StatusLine()
    with stop_on_interrupt(cancel):
        thread.start()
        try:
            _drain(inbox, outcome, cancel, status, load_states, on_text, say)
        finally:
            status.clear()
            if not outcome.was_interrupted:
                cancel.set()  # the reader is going away: have what was drawn so far stored
                thread.join(STOP_GRACE_S)
    return outcome


def _run(
    start: Callable[[threading.Event], Iterator[ReplyEvent]],
    cancel: threading.Event,
    inbox: SimpleQueue[ReplyEvent | BaseException | None],
) -> None:
    try:
        for event in start(cancel):
            inbox.put(event)
    except BaseException as error:  # carried to the main thread and raised there
        inbox.put(error)
    else:
        inbox.put(None)


def _drain(
    inbox: SimpleQueue[ReplyEvent | BaseException | None],
    outcome: TurnOutcome,
    cancel: threading.Event,
    status: Status,
    load_states: Callable[[], tuple[LoadState, ...]],
    on_text: Callable[[str], None],
    say: Callable[[str], None],
) -> None:
    work = ""
    give_up_at: float | None = None
    while True:
        if cancel.is_set() and give_up_at is None:
            outcome.was_interrupted = True
            # Before the first word there is nothing to store, and a download would not end in time.
            give_up_at = time.monotonic() + (STOP_GRACE_S if outcome.text else 2 * POLL_S)
        try:
            event = inbox.get(timeout=POLL_S)
        except Empty:
            if give_up_at is not None and time.monotonic() > give_up_at:
                raise KeyboardInterrupt from None
            if not outcome.text:
                status.show(progress_line(load_states(), work))
            continue
        if event is None:
            return
        if isinstance(event, BaseException):
            raise event
        if not isinstance(event, UserTurnStored | WorkStarted):
            status.clear()
        work = event.text if isinstance(event, WorkStarted) else work
        _take(event, outcome, on_text, say)


def _take(event: ReplyEvent, outcome: TurnOutcome, on_text: Callable[[str], None], say: Callable[[str], None]) -> None:
    match event:
        case UserTurnStored(turn):
            outcome.question = turn
        case AttachmentRead(attachment):
            outcome.attachments += (attachment,)
            say(describe_attachment(attachment, outcome.question.text if outcome.question is not None else ""))
        case PromptReady(window, recalled):
            outcome.window, outcome.recalled = window, recalled
            for note in recalled:
                if note.passage is not None:
                    continue  # said after the reply, as its sources
                say(f"{'Known of you' if note.fact else 'Recalled'}: {shorten(note.exchange)}")
        case MessageUnderstood(_, understood):
            outcome.understood = understood
            if words := plain_words(understood):
                say(f"Understood: {words}")
        case PersonSuggested() as person:
            outcome.person = person
        case FactsLearned(facts):
            outcome.learnt = facts
        case ReplyDelta(text):
            outcome.text += text
            on_text(text)
        case Notice(text, masked):
            outcome.notices += (text,)
            outcome.masked += tuple(kind for kind in masked if kind not in outcome.masked)
            say(text)
        case ReplyEnded(turn):
            outcome.reply = turn
        case ReplyStarted() | WorkStarted():
            pass


@contextmanager
def stop_on_interrupt(cancel: threading.Event) -> Iterator[None]:
    """Ctrl+C sets `cancel`; once that is set, it interrupts as usual.

    So do being ended and a closed terminal (SIGTERM, SIGHUP), after which the program ends as soon as what was drawn
    is stored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ended_by = 0

    def handle(number: int, _frame: object) -> None:
        nonlocal ended_by
        ended_by = ended_by if number == signal.SIGINT else number
        if cancel.is_set():
            raise SystemExit(_SIGNALLED + ended_by) if ended_by else KeyboardInterrupt
        cancel.set()

    names = ("SIGINT", "SIGTERM", "SIGHUP")
    previous = {number: signal.signal(number, handle) for name in names if (number := getattr(signal, name, None))}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if ended_by:
        raise SystemExit(_SIGNALLED + ended_by)


# --- in words -----------------------------------------------------------------------------------


def progress_line(states: tuple[LoadState, ...], work: str) -> str:
    """What is going on, for a person who waits."""
    for state in states:
        if state.stage in {"pulling", "loading"}:
            verb = "Fetching" if state.stage == "pulling" else "Loading"
            detail = f": {state.detail}" if state.detail else " …"
            return f"{verb} {_KIND_WORDS[state.kind]} {state.model}{detail}"
    return f"{work[:1].upper()}{work[1:]} …" if work else "Starting …"


def describe_attachment(attachment: Attachment, message: str = "") -> str:
    """What was seen or heard, on one line; a picture's sentence in the language of the message it came with."""
    if attachment.seen is not None:
        seen = attachment.seen
        parts = [", ".join(f"{tag.label} {tag.score:.0%}" for tag in seen.tags) or "not sure what it is"]
        caption = caption_of(seen, is_chinese=is_mostly_chinese(message))
        parts += [f'caption "{caption}"'] if caption else []
        parts += [f'text "{shorten(seen.text)}"'] if seen.text else []
        return f"Seen in {attachment.name}: {'; '.join(parts)}"
    if attachment.heard is not None:
        heard = attachment.heard
        words = f'"{heard.text}"' if heard.text else "no speech"
        return f"Heard in {attachment.name} ({heard.language}, {heard.duration_s:.1f} s): {words}"
    return f"Attached {attachment.name}"


def sources_line(reply: Turn | None) -> str:
    """Where a reply's passages stand; empty for one that was told none."""
    return f"From: {'; '.join(reply.sources)}" if reply is not None and reply.sources else ""


def shorten(text: str, limit: int = 100) -> str:
    """`text` on one line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
