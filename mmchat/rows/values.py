"""What a row holds once it was read and checked: frozen values, one class for each kind of row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mmchat.domain import Role

if TYPE_CHECKING:
    from mmchat.rows.kept import KeptDialogue

RowKind = Literal["dialogue", "speech", "caption", "label", "memory", "preference", "persona", "text"]
PartKind = Literal["text", "image", "audio"]
ProbeKind = Literal["fact", "contradiction", "language", "instructions"]
"""What a role is tried with: a question about itself, a false claim, another language, a wish for its instructions."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands, for messages and as its stable name."""

    path: Path
    line: int
    """From 1."""

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}"


@dataclass(frozen=True, slots=True)
class RowPart:
    """A piece of a message."""

    kind: PartKind
    text: str = ""
    path: Path | None = None
    """Of a picture or a sound; absolute, and there when the row was read."""


@dataclass(frozen=True, slots=True)
class RowMessage:
    """One message of a dialogue."""

    role: Role
    parts: tuple[RowPart, ...]

    @property
    def text(self) -> str:
        """All text parts, one below the other."""
        return "\n".join(part.text for part in self.parts if part.kind == "text")

    @property
    def files(self) -> tuple[RowPart, ...]:
        """Pictures and sounds, in order."""
        return tuple(part for part in self.parts if part.kind != "text")


@dataclass(frozen=True, slots=True)
class DialogueRow:
    """A conversation."""

    place: Place
    messages: tuple[RowMessage, ...]
    persona: str = ""
    title: str = ""
    language: str = ""
    """As the row says in `lang`; empty where it does not."""
    kept: KeptDialogue | None = None
    """What `sessions export` wrote beside the words; None for rows of other programs."""


@dataclass(frozen=True, slots=True)
class SpeechRow:
    """A sound and what is said in it."""

    place: Place
    audio_path: Path
    text: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class CaptionRow:
    """A picture and sentences that describe it."""

    place: Place
    image_path: Path
    captions: tuple[str, ...]
    language: str = ""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A text, a picture or both, and the class they belong to."""

    place: Place
    label: str
    text: str = ""
    image_path: Path | None = None
    language: str = ""


@dataclass(frozen=True, slots=True)
class MemoryTurn:
    """A turn that may be remembered."""

    id: str
    session: str
    role: Role
    text: str
    created_at: str = ""
    """ISO, UTC."""
    speaker: str = ""
    image_path: Path | None = None
    caption: str = ""


@dataclass(frozen=True, slots=True)
class MemoryQuestion:
    """A question about the turns, and the ids of those that answer it."""

    question: str
    evidence: tuple[str, ...]
    answer: str = ""


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """Conversations of two people, and questions about them."""

    place: Place
    id: str
    turns: tuple[MemoryTurn, ...]
    questions: tuple[MemoryQuestion, ...]
    language: str = ""


@dataclass(frozen=True, slots=True)
class PreferenceRow:
    """A prompt with a better and a worse reply, or with one reply that was liked or not."""

    place: Place
    messages: tuple[RowMessage, ...]
    chosen: str = ""
    rejected: str = ""
    completion: str = ""
    is_liked: bool | None = None
    """None for a row with `chosen` and `rejected`."""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A message and the reply to it."""

    user: str
    reply: str


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing asked of a role, and how one sees that it stayed who it is."""

    kind: ProbeKind
    ask: str
    keys: tuple[tuple[str, ...], ...] = ()
    """What the reply must say: one of each."""
    never: tuple[str, ...] = ()
    """What it must not say."""
    reply_in: str = ""
    """The language it must reply in, ISO 639-1; empty: any, but that of `ask` where the language is tried."""
    before: tuple[Exchange, ...] = ()
    """Said just before it."""


@dataclass(frozen=True, slots=True)
class PersonaRow:
    """Probes of one role."""

    place: Place
    role: str
    """Its name, with a language where one is meant (`tutor:zh`), or the path of its file."""
    probes: tuple[Probe, ...]
    turns: tuple[int, ...]
    """At which of the user's messages each probe is asked, from 1."""
    filler: tuple[Exchange, ...] = ()
    """What is said before; empty: mmchat's own."""


@dataclass(frozen=True, slots=True)
class TextRow:
    """Plain text, for perplexity."""

    place: Place
    text: str
    language: str = ""


Row = DialogueRow | SpeechRow | CaptionRow | LabelRow | MemoryRow | PreferenceRow | PersonaRow | TextRow


@dataclass(frozen=True, slots=True)
class RowProblem:
    """What is wrong with a row, and how to mend it."""

    path: Path
    line: int
    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.field}: {self.text}"


@dataclass(frozen=True, slots=True)
class RowFile:
    """A file that was read: rows of one kind."""

    path: Path
    sha256: str
    """Of the file's bytes."""
    kind: RowKind
    rows: tuple[Row, ...]
    problems: tuple[RowProblem, ...] = ()
    """Of the rows left out; empty unless bad rows were to be skipped."""
    rest: tuple[Row, ...] = ()
    """Good rows that a limit leaves out: nothing is asked about them, but their labels are still there to choose."""

    @property
    def name(self) -> str:
        """For tables: the file's name without its ending."""
        return self.path.name.removesuffix(".jsonl")
