"""A desk without models, disk or microphone, whose replies a test writes and whose pace a test sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mmchat.chat.desk import Desk
from mmchat.chat.forgetting import Forgetting
from mmchat.chat.known import KnownFacts
from mmchat.chat.library import SearchHit
from mmchat.chat.listening import Listening
from mmchat.chat.masked import NOTHING, Masking
from mmchat.chat.mic import Device, Ending
from mmchat.chat.ports import RecorderState, Voice
from mmchat.chat.session import UserInput
from mmchat.chat.speaking import Speaker, no_voice
from mmchat.chat.window import View
from mmchat.domain import (
    Attachment,
    AttachmentRead,
    Fact,
    HandOver,
    Heard,
    LiveText,
    LoadState,
    Message,
    ModelSummary,
    PromptReady,
    Rating,
    ReplyDelta,
    ReplyEnded,
    ReplyEvent,
    ReplyStarted,
    Seen,
    Session,
    Tag,
    Turn,
    Usage,
    UserTurnStored,
    Window,
    WindowPart,
    WorkStarted,
)
from mmchat.errors import AudioError, UsageError
from mmchat.memory.facts import ForgottenFact
from mmchat.role_values import Persona, Role, RoleText

NOW = "2020-05-03T10:00:00+00:00"
READY = (LoadState("lm", "smollm2-135m-instruct", "llamacpp", "ready", context_tokens=8192, device="cpu"),)
WAIT_S = 10.0


def make_turn(number: int, role: str = "user", text: str = "", session: str = "s1", **changes: Any) -> Turn:
    turn = Turn(f"t{number}", session, None, cast(Any, role), text or f"{role} {number}", "complete", NOW)
    return replace(turn, **changes)


def make_turns(count: int, session: str = "s1") -> tuple[Turn, ...]:
    return tuple(make_turn(n, "user" if n % 2 == 0 else "assistant", session=session) for n in range(count))


Script = Callable[["FakeSession", UserInput | None, Turn, Event], Iterator[ReplyEvent]]


@dataclass
class FakeWindow:
    """What the model saw at the last reply is what it sees; the real one is in test_window.py."""

    session: FakeSession

    def view(self, turns: Sequence[Turn]) -> View:
        return View(next((turn.window for turn in reversed(turns) if turn.window), None) or Window())

    def preview(self) -> PromptReady:
        said = tuple(Message(turn.role, turn.text) for turn in self.session.stored)
        return PromptReady(self.view(self.session.stored).window, (), said)

    def summary(self) -> None: ...


HANDED = """# Hand-over: Luz

Conversation s1, 2020-05-03 10:00 to 10:04. Messages: 2. Language: English.
Why: the mood fell.

## What is wanted

- refund (92%): “I want my money back for the lamp!”

## Still open

- “Is it dimmable?” (not known)
"""


@dataclass
class FakeHandOver:
    """One summary; what makes it is in tests/unit/chat/test_hand_over.py."""

    session: FakeSession

    def prepare(self) -> HandOver:
        if not self.session.stored:
            raise UsageError("Nothing was said yet, so there is nothing to hand over.")
        return HandOver("h1", "s1", "mood", HANDED, NOW)

    def keep(self, made: HandOver) -> HandOver:
        self.session.handed_over.append(made)
        return made

    def path_for(self, argument: str, cwd: Path) -> Path:
        return self.session.desk.folder / (argument or "handover-lamp.md")


class FakeFacts:
    """Facts in a list, the last first."""

    def __init__(self) -> None:
        self.kept: list[Fact] = []

    def all(self, query: str = "") -> tuple[Fact, ...]:
        words = query.casefold().split()
        return tuple(fact for fact in self.kept if all(word in fact.text.casefold() for word in words))

    def add(self, text: str, **changes: Any) -> Fact:
        fact = replace(Fact(f"f{len(self.kept)}", text, "told", NOW, NOW), **changes)
        self.kept.insert(0, fact)
        return fact

    def remember(self, text: str) -> Fact:
        return self.add(text)

    def edit(self, fact_id: str, text: str) -> Fact:
        at = next(index for index, fact in enumerate(self.kept) if fact.id == fact_id)
        self.kept[at] = replace(self.kept[at], text=text, is_edited=True)
        return self.kept[at]

    def forget(self, facts: Sequence[Fact]) -> tuple[ForgottenFact, ...]:
        self.kept = [fact for fact in self.kept if fact not in facts]
        return tuple(ForgottenFact(fact, "") for fact in facts)

    def restore(self, forgotten: Sequence[ForgottenFact]) -> tuple[Fact, ...]:
        self.kept[:0] = [each.fact for each in forgotten]
        return tuple(each.fact for each in forgotten)


LUZ = Role(
    "luz",
    "Helps to practise Spanish",
    {
        "en": RoleText("Luz", "You are Luz.", "Hola, what did you do today?"),
        "zh": RoleText("露丝", "你是露丝。", "你好，我们来练习吧。"),
    },
    Path("luz.toml"),
)


@dataclass
class FakeAhead:
    """Notes which drafts were read; what the model does is in tests/unit/chat/test_read_ahead.py."""

    desk: FakeDesk

    @property
    def is_on(self) -> bool:
        return self.desk.does_read_ahead

    def read(self, draft: str, cancel: Event) -> None:
        self.desk.read.append(draft)
        if self.desk.reading is not None:
            assert wait_either(self.desk.reading, cancel)
            if not self.desk.reading.is_set():
                self.desk.unread.append(draft)


@dataclass
class FakeSession:
    """Keeps turns in a list; a script decides what a reply does."""

    desk: FakeDesk
    info: Session | None = None
    stored: list[Turn] = field(default_factory=list)
    sent: list[UserInput] = field(default_factory=list)
    handed_over: list[HandOver] = field(default_factory=list)
    is_private: bool = False
    listening: Listening = field(default_factory=Listening)
    persona: Persona | None = None
    masking: Masking = NOTHING

    @property
    def greeting(self) -> str:
        return self.persona.text.greeting if self.persona is not None and self.info is None else ""

    @property
    def ahead(self) -> FakeAhead:
        return FakeAhead(self.desk)

    @property
    def shelves(self) -> tuple[str, ...]:
        return ("",)

    @property
    def ratings(self) -> FakeSession:
        return self

    @property
    def hand_over(self) -> FakeHandOver:
        return FakeHandOver(self)

    @property
    def window(self) -> FakeWindow:
        return FakeWindow(self)

    def turns(self, *, newest: int = 0, around: str = "") -> tuple[Turn, ...]:
        at = next((place for place, turn in enumerate(self.stored) if turn.id == around), None)
        if newest and at is not None:
            return tuple(self.stored[max(at - newest, 0) : at + newest + 1])
        return tuple(self.stored[-newest:])

    def rename(self, title: str) -> Session:
        assert self.info is not None
        self.info = replace(self.info, title=title)
        self.desk.infos[self.info.id] = self.info
        return self.info

    def rate(self, mark: Any) -> Turn:
        rating = self.last().rating or Rating()
        return self._keep(replace(rating, mark=None if rating.mark == mark else mark))

    def improve(self, text: str) -> Turn:
        return self._keep(replace(self.last().rating or Rating(), better=text))

    def unrate(self) -> Turn:
        return self._keep(Rating())

    def last(self) -> Turn:
        if not self.stored or self.stored[-1].role != "assistant":
            raise UsageError("There is no reply to rate yet.")
        return self.stored[-1]

    def _keep(self, rating: Rating) -> Turn:
        self.stored[-1] = replace(self.last(), rating=rating if rating != Rating() else None)
        return self.stored[-1]

    def reply(self, user_input: UserInput, cancel: Event, instead_of: str = "") -> Iterator[ReplyEvent]:
        self.sent.append(user_input)
        if self.desk.refuse is not None:
            raise self.desk.refuse
        if self.info is None:
            self.info = Session("s-new", user_input.text[:40], NOW, NOW)
        turn = make_turn(len(self.stored), text=user_input.text)
        turn = replace(turn, attachments=tuple(make_attachment(turn.id, path) for path in user_input.files))
        self.stored.append(turn)
        yield UserTurnStored(turn)
        yield from self.desk.script(self, user_input, turn, cancel)

    def regenerate(self, cancel: Event) -> Iterator[ReplyEvent]:
        if self.stored and self.stored[-1].role == "assistant":
            self.stored.pop()
        yield from self.desk.script(self, None, self.stored[-1], cancel)


def make_attachment(turn_id: str, path: Path) -> Attachment:
    kind = "audio" if path.suffix == ".wav" else "image"
    return Attachment(f"a-{path.name}", turn_id, cast(Any, kind), path.name, "0" * 64, "image/png", 10, path)


def answer(
    *pieces: str, gates: Sequence[Event] = (), window: Window | None = None, recalled: Sequence[Any] = (),
    status: str = "complete", error: Exception | None = None, notice: str = "",
) -> Script:  # fmt: skip
    """A reply in pieces; before piece n the n-th gate is awaited, so that a test can look in between."""

    def script(session: FakeSession, user_input: UserInput | None, turn: Turn, cancel: Event) -> Iterator[ReplyEvent]:
        for attachment in turn.attachments:
            yield WorkStarted(f"reading {attachment.name}")
            if attachment.kind == "image":
                seen = Seen((Tag("dog", 0.82), Tag("grass", 0.41)))
                yield AttachmentRead(replace(attachment, seen=seen))
            else:
                yield AttachmentRead(replace(attachment, heard=Heard("hello there", "en", 3.2)))
        parts = (WindowPart("system", 30), WindowPart("kept", 368, 2), WindowPart("newest", 12, 1))
        view = window or Window(len(session.stored), 0, 410, 7680, turn.id, parts=parts, room=512)
        yield PromptReady(view, tuple(recalled), (Message("user", turn.text),))
        text = ""
        was_cut = False
        for number, piece in enumerate(pieces):
            if number < len(gates):
                assert wait_either(gates[number], cancel)
            if cancel.is_set():
                was_cut = True
                break
            if not text:
                yield ReplyStarted(f"t{len(session.stored)}")
            text += piece
            yield ReplyDelta(piece)
        if error is not None:
            raise error
        usage = Usage(120, 80, 40, 0.12, 97.0)
        reply = make_turn(
            len(session.stored), "assistant", text or " ", status="stopped" if was_cut else status, usage=usage,
            window=view, recalled=tuple(recalled), model="smollm2-135m-instruct", engine="llamacpp", notice=notice,
        )  # fmt: skip
        session.stored.append(reply)
        yield ReplyEnded(reply)

    return script


def wait_either(gate: Event, cancel: Event) -> bool:
    return any(gate.wait(0.005) or cancel.wait(0.005) for _ in range(int(WAIT_S / 0.01)))


class FakeRecorder:
    """A microphone whose sound and failures a test sets."""

    def __init__(self, *, seconds: float = 1.0, error: Exception | None = None, gate: Event | None = None) -> None:
        self.state: RecorderState = "idle"
        self.elapsed_s = 7.2
        self.peak_dbfs = -12.0
        self.device_name = "Fake microphone"
        self.warning = ""
        self.was_cancelled = False
        self._seconds = seconds
        self._error = error
        self._gate = gate

    def start(self) -> None:
        self.state = "starting"
        if self._gate is not None:
            assert self._gate.wait(WAIT_S)
        if self._error is not None:
            self.state = "failed"
            raise self._error
        self.state = "recording"

    def sound(self, since: int = 0) -> NDArray[np.float32]:
        return np.zeros(0, dtype=np.float32)

    def stop(self) -> NDArray[np.float32]:
        self.state = "stopped"
        return np.zeros(int(16_000 * self._seconds), dtype=np.float32)

    def cancel(self) -> None:
        self.state = "stopped"
        self.was_cancelled = True


class FakeMic:
    """Gives the desk's recorder; a test says when a recording ends by itself."""

    def __init__(self, desk: FakeDesk) -> None:
        self._desk = desk
        self.auto_stop_s = 0.0
        self.has_live_text = True
        self.device = ""
        self.ending: Ending | None = None
        """Set it, and a running recording ends for this reason."""
        self.was_hands_free = False
        self.kept: list[tuple[int, bool]] = []
        """How long each kept recording is, in samples, and whether it is private."""
        self.keep_error: AudioError | None = None
        self.plugged_in = (Device("Desk mic, ALSA", "48 kHz"), Device("Headset, ALSA", "16 kHz"))

    def new_recorder(self) -> FakeRecorder:
        return self._desk.recorder

    def follow(self, recorder: FakeRecorder, over: Event, *, is_hands_free: bool = False) -> Ending:
        self.was_hands_free = is_hands_free
        while not over.wait(0.005):
            if self.ending is not None:
                ending, self.ending = self.ending, None
                return ending
        return "asked"

    def keep(self, pcm: NDArray[np.float32], *, is_private: bool = False) -> None:
        if self.keep_error is not None:
            raise self.keep_error
        self.kept.append((pcm.size, is_private))

    def last(self) -> NDArray[np.float32]:
        if not self.kept:
            raise UsageError("Nothing was recorded yet.")
        return np.zeros(self.kept[-1][0], dtype=np.float32)

    def devices(self) -> tuple[Device, ...]:
        return tuple(replace(each, is_chosen=each.label == self.device) for each in self.plugged_in)

    def choose(self, name: str) -> str:
        label = next((each.label for each in self.plugged_in if name in each.label), "")
        if not label and name != "default":
            raise UsageError(f"No microphone is called '{name}'.")
        self.device = label
        return label

    def set_auto_stop(self, seconds: float) -> None:
        self.auto_stop_s = seconds


@dataclass(frozen=True)
class FakeLibrary:
    """The desk's conversations; what is more is tried on the real store, in test_branches and test_finding."""

    desk: FakeDesk

    def list(self, query: str = "", *, shelf: str = "listed", tags: Sequence[str] = ()) -> tuple[Session, ...]:
        is_trash = shelf == "trash"
        fitting = (info for info in self.desk.infos.values() if query.lower() in info.title.lower())
        return tuple(info for info in fitting if (info.deleted_at is not None) == is_trash)

    def search(self, query: str, *, limit: int = 50, each: int | None = None) -> tuple[SearchHit, ...]:
        hits = [SearchHit(info, None, info.title, ()) for info in self.list(query)]
        for info in self.list():
            for turn in self.desk.stored[info.id]:
                at = turn.text.lower().find(query.lower())
                if at >= 0:
                    hits.append(SearchHit(info, turn, turn.text, ((at, at + len(query)),)))
        return tuple(hits)

    def preview(self, session_id: str, around: str = "") -> tuple[Turn, ...]:
        return tuple(self.desk.stored[session_id][-4:])

    def rename(self, session_id: str, title: str) -> Session:
        return self._put(session_id, title=title)

    def delete(self, session_id: str) -> Session:
        return self._put(session_id, deleted_at=NOW)

    def restore(self, session_id: str) -> Session:
        return self._put(session_id, deleted_at=None)

    def delete_for_good(self, session_id: str) -> None:
        self.desk.infos.pop(session_id)

    def _put(self, session_id: str, **changes: Any) -> Session:
        self.desk.infos[session_id] = replace(self.desk.infos[session_id], **changes)
        return self.desk.infos[session_id]


@dataclass
class FakeDrafts:
    """Drafts by conversation."""

    kept: dict[str | None, str] = field(default_factory=dict)

    def keep(self, session_id: str | None, content: str) -> None:
        self.kept[session_id] = content

    def find(self, session_id: str | None) -> str:
        return self.kept.get(session_id, "")


@dataclass
class FakeDesk:
    """What the app is handed, in memory."""

    script: Script = field(default_factory=lambda: answer("Hello", " there."))
    states: tuple[LoadState, ...] = READY
    infos: dict[str, Session] = field(default_factory=dict)
    stored: dict[str, list[Turn]] = field(default_factory=dict)
    refuse: Exception | None = None
    """Raised by `reply` before anything is stored."""
    recorder: FakeRecorder = field(default_factory=FakeRecorder)
    heard: Heard | Exception = field(default_factory=lambda: Heard("what is this", "en", 1.0))
    transcribe_gate: Event | None = None
    folder: Path = Path()
    """Where scenes put their files."""
    finder: Any = None
    """What /recall and /view ask, where a test needs them."""
    documents: Any = None
    """What /docs asks, where a test needs it."""
    does_read_ahead: bool = True
    read: list[str] = field(default_factory=list)
    """Drafts that the model was given to read."""
    reading: Event | None = None
    """What reading one waits for."""
    unread: list[str] = field(default_factory=list)
    """Those whose reading was ended."""
    used_models: list[str] = field(default_factory=list)
    warmed: list[str] = field(default_factory=list)

    facts: FakeFacts = field(default_factory=FakeFacts)
    drafts: FakeDrafts = field(default_factory=lambda: FakeDrafts())
    taking_in: tuple[int, int] | None = None
    """How far the work in the background is."""
    playing: Persona | None = None
    private_left: int = 0
    """How often a private conversation was left for good."""

    find_voice: Callable[[], Voice] = no_voice
    """What speaks."""

    live: Sequence[LiveText] = ()
    """What is shown while one speaks."""
    transcribed_by: list[str] = field(default_factory=list)
    """The models that recordings were given to; empty for the chosen one."""

    def __post_init__(self) -> None:
        self.mic = FakeMic(self)
        self.speaker = Speaker(lambda: self.find_voice())
        self.forgetting = Forgetting(cast(KnownFacts, self.facts))

    def private_session(self) -> FakeSession:
        return FakeSession(self, is_private=True)

    def leave_private(self) -> None:
        self.private_left += 1

    def as_desk(self) -> Desk:
        return cast(Desk, self)

    def add_session(self, session_id: str, title: str, turns: Sequence[Turn]) -> None:
        self.infos[session_id] = Session(session_id, title, NOW, NOW, turn_count=len(turns))
        self.stored[session_id] = list(turns)

    def new_session(self) -> FakeSession:
        return FakeSession(self, persona=self.playing)

    def roles(self) -> tuple[Role, ...]:
        return (LUZ,)

    def play(self, key: str) -> FakeSession:
        if key not in ("luz", "luz:zh", "off"):
            raise UsageError(f"There is no role '{key}'.", hint="mmchat roles list")
        self.playing = None if key == "off" else Persona(LUZ, "zh" if key.endswith("zh") else "en")
        return self.new_session()

    def open_session(self, session_id: str) -> FakeSession:
        if session_id not in self.infos:
            raise UsageError(f"No conversation {session_id}")
        return FakeSession(self, self.infos[session_id], self.stored[session_id])

    @property
    def library(self) -> FakeLibrary:
        return FakeLibrary(self)

    def taken_in(self) -> tuple[int, int] | None:
        return self.taking_in

    def load_states(self) -> tuple[LoadState, ...]:
        return self.states

    def language_models(self) -> tuple[ModelSummary, ...]:
        return (
            ModelSummary("smollm2-135m-instruct", "lm", "llamacpp", "apache-2.0", 97_000_000, True, True, "pypi:x"),
            ModelSummary("qwen3-0.6b", "lm", "transformers", "apache-2.0", 1_200_000_000, False, False, "hub:x"),
        )

    def speech_models(self) -> tuple[ModelSummary, ...]:
        return (ModelSummary("whisper-base", "asr", "faster-whisper", "mit", 150_000_000, True, True, "pypi:x"),)

    def use_language_model(self, name: str) -> None:
        self.used_models.append(name)

    def warm(self, kinds: Sequence[str]) -> None:
        self.warmed += kinds

    def live_transcript(
        self, recorder: FakeRecorder, over: Event, *, listening: Listening | None = None
    ) -> Iterator[LiveText]:
        yield from self.live

    def transcribe(
        self,
        pcm: NDArray[np.float32],
        cancel: Event | None = None,
        *,
        listening: Listening | None = None,
        model: str = "",
    ) -> Heard:
        self.transcribed_by.append(model)
        if self.transcribe_gate is not None:
            assert cancel is not None
            assert wait_either(self.transcribe_gate, cancel)
        if isinstance(self.heard, Exception):
            raise self.heard
        return self.heard
