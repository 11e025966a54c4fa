"""One conversation: a turn, end to end, as a plain generator of frozen events.

The full-screen app, the plain mode and `mmchat ask` are readers of this generator, so what happens
in a turn, and in which order it becomes safe on disk, is decided here and nowhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from mmchat.chat.branches import Branches, to_answer_anew
from mmchat.chat.compact import Compaction
from mmchat.chat.consulting import Consulting
from mmchat.chat.export import SessionExport
from mmchat.chat.hand_over import HandingOver
from mmchat.chat.known import KnownFacts
from mmchat.chat.listening import Listening
from mmchat.chat.masked import Masking, kinds_of, masked_notices
from mmchat.chat.notices import prompt_notices
from mmchat.chat.prepared import Prepared, say_prepared
from mmchat.chat.quiet import Quiet
from mmchat.chat.ratings import Ratings
from mmchat.chat.read_ahead import Ahead, ReadingAhead
from mmchat.chat.remembering import Remembering, ids_of
from mmchat.chat.reply import stream_reply
from mmchat.chat.roles import example_messages
from mmchat.chat.senses import Senses, examine
from mmchat.chat.shown_pictures import asked_about, seen_turns
from mmchat.chat.terms import terms_of
from mmchat.chat.title import make_title
from mmchat.chat.understanding import Understanding
from mmchat.chat.window import SessionWindow, reply_options, view_start
from mmchat.domain import (
    AttachmentRead,
    FactsLearned,
    GenerateOptions,
    Message,
    Notice,
    PromptReady,
    Recalled,
    ReplyEnded,
    ReplyEvent,
    Session,
    Turn,
    UserTurnStored,
    Window,
    WorkStarted,
)
from mmchat.errors import DeviceError, EngineUnavailable, ModelNotFound, UsageError, WeightsError
from mmchat.memory.role_sessions import begin_with_role
from mmchat.role_values import MaskKind, Persona

if TYPE_CHECKING:
    from mmchat.chat.ports import Engines
    from mmchat.chat.reading_up import ReadingUp
    from mmchat.memory.recall import Recall
    from mmchat.memory.store import MemoryStore

log = logging.getLogger(__name__)

TERM_TURNS = 20
"""So many of the last turns tell a recogniser which names may come up."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How conversations run."""

    options: Mapping[str, int | float] = field(default_factory=dict)
    """Fields of `GenerateOptions` that the user's settings name; the others are the model's habits."""
    typed_options: Mapping[str, int | float] = field(default_factory=dict)
    """Those that were typed with the command: stronger than a role's."""
    system: str = ""
    """Told to the model first, unless somebody is played."""
    is_system_typed: bool = False
    """Stronger then than what a stored conversation keeps."""
    persona: Persona | None = None
    """Whom the assistant plays."""
    language: str | None = None
    """Speech language, ISO 639-1; None detects it."""
    should_recall: bool = True
    should_know_facts: bool = True
    """Whether facts about the user are learnt from messages, and told to the model."""
    should_read_ahead: bool = True
    """Whether the model reads messages while they are typed."""
    should_learn: bool = True
    """False: they are told, but nothing is learnt, e.g. because what is sent was piped in and is no talk of theirs."""
    window_tokens: int = 0
    """The most tokens a prompt may take; 0: what the model's context leaves."""
    intent_model: str = ""
    """A head that tells what messages want where nobody is played."""
    reads_mood: bool = False
    """Whether the mood of messages is read whoever is played."""
    mask: tuple[MaskKind, ...] = ()
    """Personal data that is masked whoever is played."""
    is_temporary: bool = False
    """Whether the store goes with the program, so that nothing of it can be used later."""

    @property
    def head_text(self) -> str:
        """What the model is told first."""
        return self.persona.text.system if self.persona is not None else self.system

    @property
    def examples(self) -> tuple[Message, ...]:
        """Exchanges that show how whoever is played answers."""
        return example_messages(self.persona.text) if self.persona is not None else ()

    @property
    def chosen_options(self) -> dict[str, int | float]:
        """What goes before the model's habits: the settings, then the role, then what was typed."""
        role = self.persona.role.options if self.persona is not None else {}
        return {**self.options, **role, **self.typed_options}

    @property
    def memory_scope(self) -> str:
        """Which conversations recall each other; '' is the user's memory."""
        is_own = self.persona is not None and self.persona.role.memory == "own"
        return self.persona.role.name if self.persona is not None and is_own else ""


@dataclass(frozen=True, slots=True)
class UserInput:
    """What the user sends: words and files, in the order of the chips."""

    text: str
    files: tuple[Path, ...] = ()
    """Pictures and sound files; a microphone recording arrives as text, through `Desk.transcribe`."""


class ChatSession:
    """A conversation that can be spoken in. One reply at a time; several sessions may share engines."""

    def __init__(
        self,
        store: MemoryStore,
        recall: Recall,
        engines: Engines,
        settings: SessionSettings,
        session: Session | None,
        quiet: Quiet | None = None,
        documents: ReadingUp | None = None,
    ) -> None:
        self._store = store
        self._recall = recall
        self._engines = engines
        self._settings = settings
        self._session = session
        spoken = settings.persona.language if settings.persona is not None else ""
        self.listening = Listening(settings.language, self._terms, expected=spoken)
        """The language of its speech, and the names in it."""
        self.masking = Masking(kinds_of(settings.mask, settings.persona))
        """Takes personal data out of what is about to be stored."""
        self._senses = Senses(store, recall, engines, self.listening, self.masking)
        self._quiet = quiet or Quiet()
        self._documents = documents
        self._regenerations = 0
        self.facts = KnownFacts(store, engines.embedder)
        """What is known of the user."""
        self._remembering = Remembering(
            store,
            self.facts,
            recall,
            self._senses,
            does_recall=settings.should_recall,
            does_know=settings.should_know_facts and not settings.memory_scope,
            scope=settings.memory_scope,
        )
        self.branches = Branches(store, lambda: self._session)
        """Other variants, exchanges taken back, copies."""
        self.window = SessionWindow(store, engines, settings, lambda: self._session)
        """Pins, the summary, and what the model sees."""
        self.compaction = Compaction(store, engines, settings, self.window, lambda: self._session)
        self.export = SessionExport(store, lambda: self._session)
        self.ratings = Ratings(store, self.turns, is_kept=not settings.is_temporary, masking=self.masking)
        """What the user thinks of its replies."""
        self.hand_over = HandingOver(store, settings.persona, lambda: self._session)
        """What a person is told who takes it over."""
        self._understanding = Understanding(
            store, engines, settings.persona, intent_model=settings.intent_model, reads_mood=settings.reads_mood
        )
        self._consulting = Consulting(store, engines, settings.persona)
        self._consulting_drafts = Consulting(store, engines, settings.persona)  # each keeps what it found last
        self.ahead = ReadingAhead(Ahead(engines, settings, self.window, self.masking, self._before_next, self._noted))
        """Has the model read a message while it is typed."""

    @property
    def info(self) -> Session | None:
        """None until the first turn is stored."""
        return self._session

    @property
    def is_private(self) -> bool:
        """Whether it goes with the program, or as soon as it is left, and leaves nothing behind."""
        return self._settings.is_temporary

    @property
    def persona(self) -> Persona | None:
        """Whom the assistant plays."""
        return self._settings.persona

    @property
    def shelves(self) -> tuple[str, ...]:
        """Whose documents it is told of."""
        return self._consulting.shelves

    @property
    def greeting(self) -> str:
        """What whoever is played says before anything is stored; empty where nothing or no longer."""
        persona = self._settings.persona
        return persona.text.greeting if persona is not None and self._session is None else ""

    def turns(self, *, newest: int = 0, around: str = "") -> tuple[Turn, ...]:
        """All stored turns, oldest first, or so many of the newest, or so many before and after one."""
        return self._store.turns(self._session.id, newest=newest, around=around) if self._session else ()

    def _terms(self) -> tuple[str, ...]:
        """Names and terms that came up, the last first, for the recogniser to spell."""
        title = self._session.title if self._session else ""
        return terms_of([*(turn.text for turn in reversed(self.turns(newest=TERM_TURNS))), title])

    def rename(self, title: str) -> Session:
        """Give the conversation a title of the user's.

        Raises:
            UsageError: nothing was said yet, so there is nothing to name.
        """
        if self._session is None:
            raise UsageError("This conversation is empty, so there is nothing to rename.", hint="Say something first.")
        self._session = self._store.rename_session(self._session.id, self.masking.words(title))
        return self._session

    def reply(self, user_input: UserInput, cancel: Event, instead_of: str = "") -> Iterator[ReplyEvent]:
        """Store what the user sent, read it, recall, and stream the reply.

        With the id of an earlier message, this one takes its place; the earlier one is kept with what followed it,
        as a variant. Yields events in the order of `domain.ReplyEvent`; setting `cancel` stops within a token and
        keeps the text. On an error everything stored stays stored, the reply row is marked `failed`
        with its text, and the error is raised.

        Raises:
            UsageError: nothing to send.
            MediaError: a file cannot be read; nothing was stored, so the caller keeps the draft.
            MmchatError: the engine failed.
        """
        if not user_input.text.strip() and not user_input.files:
            raise UsageError("There is nothing to send.", hint="Type a message or attach a file.")
        masked, was_deleted = self.masking.text(user_input.text.strip()), self.branches.is_in_trash()
        if instead_of:
            turn = self.branches.add_edited(instead_of, masked.text, user_input.files)
        else:
            new_attachments = [examine(path) for path in user_input.files]
            if self._session is None:
                self._session = self._begin()
            turn = self._store.add_user_turn(self._session.id, masked.text, new_attachments)
        yield UserTurnStored(turn)
        yield from masked_notices(masked)
        if was_deleted:
            yield Notice("This conversation was in the trash. It is listed again, for you went on with it.")
        yield from self._answer(turn, cancel)

    def _begin(self) -> Session:
        """Store the conversation, and what the assistant said first."""
        persona = self._settings.persona
        if persona is None:
            return self._store.create_session()
        return begin_with_role(
            self._store,
            persona.key,
            persona=persona.text.system,
            greeting=persona.text.greeting,
            memory_scope=self._settings.memory_scope,
        )

    def regenerate(self, cancel: Event) -> Iterator[ReplyEvent]:
        """Draw the last reply anew; the old one stays stored as a variant, out of the conversation.

        Raises:
            UsageError: no message to regenerate, or another program is answering it.
        """
        question = to_answer_anew(self.turns())
        self._regenerations += 1
        yield from self._answer(question, cancel)

    # --- the steps of a turn --------------------------------------------------------------------

    def _answer(self, question: Turn, cancel: Event) -> Iterator[ReplyEvent]:
        with self._quiet.broken():
            yield from self._answer_at_once(question, cancel)

    def _answer_at_once(self, question: Turn, cancel: Event) -> Iterator[ReplyEvent]:
        question = yield from self._read_attachments(question, cancel)
        self._title_from(question)
        history = self.branches.before(question)
        question, said, passages = yield from self._consulted(question, history, cancel)
        if cancel.is_set():
            yield from self._stopped(question)
            return
        if said is not None:
            yield from self._told(say_prepared(self._store, question, said), question, history)
            return
        yield WorkStarted("waiting for the model")
        model = self._engines.language_model()
        if cancel.is_set():
            yield from self._stopped(question)
            return
        recalled = yield from self._recalled(question, history, has_pixels=model.accepts_images)
        options = self._options()
        recalled = self.window.fitting_notes(model, options, question, (*passages, *recalled))
        prompt = self.window.prompt(model, options, history, question, recalled)
        if prompt.has_moved and model.accepts_images:  # a picture that is asked about may have left the view just now
            again = asked_about(question, history, seen_turns(history, prompt.window), has_pixels=True)
            if again := self.window.fitting_notes(model, options, question, (*passages, *again) if again else ()):
                recalled = again
                prompt = self.window.prompt(model, options, history, question, recalled)
        yield PromptReady(prompt.window, recalled, prompt.messages)
        for notice in prompt_notices(prompt, _last_window(history)):
            yield Notice(notice)
        # What the window leaves of the context is the most that the reply can have.
        options = replace(options, max_new_tokens=prompt.window.room)
        yield from self._told(
            stream_reply(self._store, model, question, prompt, recalled, options, cancel), question, history
        )

    def _consulted(
        self, question: Turn, history: Sequence[Turn], cancel: Event
    ) -> Generator[ReplyEvent, None, tuple[Turn, Prepared | None, tuple[Recalled, ...]]]:
        """What the message wants, what is said to it without the model, and the passages that bear on it.

        Nothing more is looked for once `cancel` is set, for nothing is answered then.
        """
        said: Prepared | None = None
        passages: tuple[Recalled, ...] = ()
        if not cancel.is_set():
            question = yield from self._understanding.read(question)
        if not cancel.is_set():
            said = self._understanding.prepared(question, history)
        if said is None and self._documents is not None and not cancel.is_set():
            yield from self._documents.awaited(cancel)
        if said is None and not cancel.is_set():
            passages = yield from self._consulting.passages(question, history)
            said = self._consulting.prepared(question, passages)
            if said.kind == "unknown" if said is not None else not passages:
                said = self._understanding.otherwise(question, history) or said
        return question, said, passages

    def _stopped(self, question: Turn) -> Iterator[ReplyEvent]:
        yield Notice("Stopped before the reply began. Your message is kept.")
        yield from self._learn(question)

    def _told(self, events: Iterable[ReplyEvent], question: Turn, history: Sequence[Turn]) -> Iterator[ReplyEvent]:
        """A reply as it comes, whoever words it, and what follows from the exchange."""
        reply: Turn | None = None
        for event in events:
            if isinstance(event, ReplyEnded):
                reply = event.turn
                yield from self._understanding.afterwards(question, history, reply)
                yield from self._learn(question)
            yield event
        turn_ids = (question.id, *([reply.id] if reply is not None and reply.text else []))
        if not self.is_private:  # nothing of it will be looked for
            self._quiet.afterwards(lambda: self._index(*turn_ids))

    def _read_attachments(self, turn: Turn, cancel: Event) -> Generator[ReplyEvent, None, Turn]:
        attachments = []
        for attachment in turn.attachments:
            if cancel.is_set():  # the next of several is not begun any more
                attachments.append(attachment)
                continue
            if self._senses.needs_work(attachment):
                verb = "looking at" if attachment.kind == "image" else "listening to"
                yield WorkStarted(f"{verb} {attachment.name}")
            try:
                attachments.append(self._senses.read(attachment, cancel))
            except (EngineUnavailable, ModelNotFound, WeightsError, DeviceError) as error:
                if attachment.kind != "image" or not self._engines.language_model().accepts_images:
                    raise
                attachments.append(attachment)
                yield Notice(f"The model sees {attachment.name} itself, but recall will not find it: {error.message}")
            yield AttachmentRead(attachments[-1])
            yield from masked_notices(self._senses.take_masked(attachment.id), attachment.name)
        return replace(turn, attachments=tuple(attachments))

    def _title_from(self, question: Turn) -> None:
        if self._session is not None and not self._session.title:
            self._store.title_session(self._session.id, make_title(question))
            self._session = self._store.get_session(self._session.id)

    def _recalled(
        self, question: Turn, history: Sequence[Turn], *, has_pixels: bool
    ) -> Generator[ReplyEvent, None, tuple[Recalled, ...]]:
        start = view_start(history, self.window.summary())
        in_view = [*(turn.id for turn in history[start:]), *self.window.pinned()]
        if again := asked_about(question, history, in_view, has_pixels=has_pixels):
            return again  # what else is found by "the first photo" is not what was meant
        told = [note for turn in history[start:] for note in turn.recalled]
        return (yield from self._remembering.notes(question, [*in_view, *ids_of(told), question.id]))

    def _before_next(self) -> tuple[Turn, ...]:
        """What will stand before the next message: all turns, or what is said first."""
        first = Turn("", "", None, "assistant", self.greeting, "complete", "")
        return self.turns() or ((first,) if self.greeting else ())

    def _noted(
        self, question: Turn, history: Sequence[Turn], has_pixels: bool
    ) -> Generator[ReplyEvent, None, tuple[Recalled, ...]]:
        """What would be told beside a message that is still being written."""
        passages = yield from self._consulting_drafts.passages(question, history)
        return (*passages, *(yield from self._recalled(question, history, has_pixels=has_pixels)))

    def _learn(self, question: Turn) -> Iterator[ReplyEvent]:
        """After the reply was drawn, so that it is never delayed, and before its end is told."""
        # What is said to somebody with a memory of their own is no fact about the user.
        may_learn = self._settings.should_know_facts and self._settings.should_learn
        may_learn = may_learn and not self._settings.memory_scope
        if may_learn and (learnt := self.facts.learn(question)):
            yield FactsLearned(learnt)

    def _index(self, *turn_ids: str) -> None:
        """Make turns findable by meaning: after the reply, so that neither it nor the next one is delayed.

        What a crash or a missing model skips, `Recall.backfill` makes up for at the next start.
        """
        try:
            for turn_id in turn_ids:
                self._recall.index(turn_id)
            self.facts.index()
        except (EngineUnavailable, WeightsError, DeviceError):
            log.warning("turns not embedded", exc_info=True)

    def _options(self) -> GenerateOptions:
        options = reply_options(self._engines, self._settings)
        # A fixed seed would draw the same reply again, and the user asked for another.
        seed = None if options.seed is None else options.seed + self._regenerations
        return replace(options, seed=seed)


def _last_window(history: Sequence[Turn]) -> Window | None:
    return next((turn.window for turn in reversed(history) if turn.role == "assistant"), None)
