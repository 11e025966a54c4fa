"""The values that travel between layers: frozen, free of I/O, free of heavy imports.

Shape letters used in docstrings throughout: B batch, T tokens, V vocabulary, S samples, F frames,
M mels, H W pixels, C channels, D embedding width. Times in `_s` are seconds, ISO texts are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmchat.knowledge_values import Passage as Passage
from mmchat.model_values import EngineSpec as EngineSpec
from mmchat.model_values import LoadState as LoadState
from mmchat.model_values import ModelKind as ModelKind
from mmchat.model_values import ModelSummary as ModelSummary
from mmchat.model_values import PullProgress as PullProgress
from mmchat.role_values import MaskKind
from mmchat.speech_values import TEXT_ONLY as TEXT_ONLY
from mmchat.speech_values import UNSURE_BELOW as UNSURE_BELOW
from mmchat.speech_values import Heard as Heard
from mmchat.speech_values import ListenOptions as ListenOptions
from mmchat.speech_values import LiveText as LiveText
from mmchat.speech_values import Segment as Segment
from mmchat.speech_values import Word as Word
from mmchat.understanding_values import OUT_OF_SCOPE as OUT_OF_SCOPE
from mmchat.understanding_values import HandOver as HandOver
from mmchat.understanding_values import Likely as Likely
from mmchat.understanding_values import PreparedKind as PreparedKind
from mmchat.understanding_values import Understood as Understood
from mmchat.window_values import SENTENCES as SENTENCES
from mmchat.window_values import PartKind as PartKind
from mmchat.window_values import Summary as Summary
from mmchat.window_values import Window as Window
from mmchat.window_values import WindowPart as WindowPart

Role = Literal["system", "user", "assistant"]
TurnStatus = Literal["complete", "streaming", "stopped", "failed"]
AttachmentKind = Literal["image", "audio"]
FinishReason = Literal["stop", "length", "cancelled", "repetition"]
Mark = Literal["good", "bad"]


# --- what a language model reads and writes -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """One message as the model's chat template sees it."""

    role: Role
    text: str
    image_paths: tuple[Path, ...] = ()
    """Pixels for models that take them; empty for models told in words."""


@dataclass(frozen=True, slots=True)
class GenerateOptions:
    """How a reply is drawn."""

    max_new_tokens: int = 512
    temperature: float = 0.7
    """0 is greedy."""
    top_p: float = 0.9
    top_k: int = 40
    repetition_penalty: float = 1.1
    """1 is off. Looks at the last 256 tokens."""
    seed: int | None = None
    """None draws a fresh seed."""
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelHabits:
    """What suits one language model when the user says nothing else."""

    options: GenerateOptions = GenerateOptions()
    note_style: str = "spoken"
    """How pictures, sounds and memories are told to it; a key of `chat.note_styles.STYLES`."""
    summaries: Literal["model", "sentences"] = "model"
    """Who writes the summary of /compact: the model, or nobody, from the user's own sentences."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the reply, in order; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class GenerationDone:
    """The last thing a stream yields, also after a cancel."""

    finish_reason: FinishReason
    prompt_tokens: int
    cached_tokens: int
    """Prompt tokens whose keys and values were still held from an earlier turn."""
    reply_tokens: int
    first_token_s: float
    """From the call to the first token."""
    decode_s: float
    """From the first token to the last."""

    @property
    def tokens_per_s(self) -> float:
        """Decoding speed; 0 for a reply too short to time."""
        return (self.reply_tokens - 1) / self.decode_s if self.reply_tokens > 1 and self.decode_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class BatchReply:
    """One reply of many that were drawn at once."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    reply_tokens: int


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a model finds a text."""

    nats: float
    """Negative log-likelihood of the scored tokens, summed; natural logarithm."""
    tokens: int


# --- what the senses say ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tag:
    """A label and how far to believe it, a calibrated probability in [0, 1]."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture turned into words, best tag first."""

    tags: tuple[Tag, ...]
    text: str = ""
    """Text read in the picture; empty where none was read."""
    caption: str = ""
    model: str = ""
    elapsed_s: float = 0.0
    part: str = ""
    """Which page or frame of the file it is ("frame 7 of 24", "page 1 of 3"); empty where the file is one picture."""


# --- what is remembered -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a turn, kept as a content-addressed copy."""

    id: str
    turn_id: str
    kind: AttachmentKind
    name: str
    """File name as the user gave it, without folders."""
    sha256: str
    media_type: str
    size_bytes: int
    path: Path
    """The kept copy."""
    heard: Heard | None = None
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a reply cost. Field names are those of `ask --json`."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    reply_tokens: int = 0
    first_token_s: float = 0.0
    tokens_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Partner:
    """The other half of an exchange: what a turn answers, or how it was answered."""

    turn: str
    role: Role
    text: str
    is_first: bool
    """Said before the turn that it belongs to."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """An older turn, a fact about the user, or a passage of a document, that bears on the present turn."""

    session: str
    """Empty, like `turn`, for a fact that the user told outright, and for a passage."""
    turn: str
    role: Role
    text: str
    created_at: str
    score: float
    """Fused rank score; higher is better; comparable within one query only."""
    attachment: Attachment | None = None
    fact: str = ""
    """Id of the fact that this is, said in `turn`; empty for a turn."""
    is_sure: bool = True
    """False: nothing surely bears on the query, and this merely comes nearest."""
    place: int | None = None
    """For a picture of the present conversation that the message asks about: which one it is in the message's own
    count, from 1; 0 where the message does not count. None for everything else."""
    partner: Partner | None = None
    """Told with it where it is not whole alone: the answer to a question, the question to an answer."""
    passage: Passage | None = None
    """Where it stands in a document; None for what was said."""

    @property
    def exchange(self) -> str:
        """Its words, with those of its partner in the order in which they were said."""
        if self.partner is None:
            return self.text
        halves = (self.partner.text, self.text) if self.partner.is_first else (self.text, self.partner.text)
        return " → ".join(halves)


FactOrigin = Literal["said", "told"]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something the user said of themselves, in their own words."""

    id: str
    text: str
    origin: FactOrigin
    """`said` in a turn, or `told` outright with /remember."""
    created_at: str
    updated_at: str
    """When it was last said, or edited."""
    topic: str = ""
    """What it is about, e.g. "home" or "allergy:peanuts"; of one topic the newest counts."""
    turn: str = ""
    """The turn that it was last said in; empty for one that was told."""
    session: str = ""
    is_edited: bool = False
    is_superseded: bool = False
    """A newer fact of the same topic takes its place."""


@dataclass(frozen=True, slots=True)
class Rating:
    """What the user thinks of a reply; at least one of the fields says something."""

    mark: Mark | None = None
    better: str = ""
    """What the reply should have been; empty where the user did not say."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, as stored."""

    id: str
    session_id: str
    parent_id: str | None
    role: Role
    text: str
    status: TurnStatus
    created_at: str
    model: str = ""
    engine: str = ""
    attachments: tuple[Attachment, ...] = ()
    usage: Usage | None = None
    window: Window | None = None
    recalled: tuple[Recalled, ...] = ()
    notice: str = ""
    """Why a reply ended early, in words; empty when it ended by itself."""
    rating: Rating | None = None
    understood: Understood | None = None
    """For a message of the user's."""
    prepared: PreparedKind = ""
    """Why a reply was not drawn from the model; empty for one that was."""
    variant: int = 1
    """Which of its variants this is, oldest first. Only told for turns in view."""
    variants: int = 1
    """How many turns there are for this place of the conversation: replies drawn anew, messages edited."""

    @property
    def cited(self) -> tuple[Recalled, ...]:
        """The passages of documents that a reply was told, best first."""
        return tuple(note for note in self.recalled if note.passage is not None)

    @property
    def sources(self) -> tuple[str, ...]:
        """Where these stand, each place once."""
        return tuple(dict.fromkeys(note.passage.source for note in self.recalled if note.passage is not None))


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation."""

    id: str
    title: str
    created_at: str
    updated_at: str
    model: str = ""
    persona: str = ""
    """The system text of its own; empty: the user's."""
    role: str = ""
    """Whom the assistant plays, as `Persona.key` names it; empty: nobody."""
    turn_count: int = 0
    tags: tuple[str, ...] = ()
    """In alphabetical order."""
    archived_at: str | None = None
    """Put away: not listed, still found."""
    deleted_at: str | None = None
    """In the trash: not listed, not found, gone for good after a while."""


# --- what happens in a turn, in order -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UserTurnStored:
    """The user's words and files are safe on disk; slow work starts now."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class WorkStarted:
    """Something slow began; `text` says what, for the status line."""

    text: str


@dataclass(frozen=True, slots=True)
class AttachmentRead:
    """A picture was seen or a sound was heard; the attachment carries the outcome."""

    attachment: Attachment


@dataclass(frozen=True, slots=True)
class MessageUnderstood:
    """What the user's message is taken to want was read and stored."""

    turn_id: str
    understood: Understood


@dataclass(frozen=True, slots=True)
class PersonSuggested:
    """The conversation is better handed over to a person; after the reply."""

    text: str
    """What to say of it, in the conversation's language."""
    reason: Literal["mood", "intent", "unknown"]


@dataclass(frozen=True, slots=True)
class FactsLearned:
    """Something in the user's message was remembered as a fact about them; never empty."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class PromptReady:
    """The prompt was assembled."""

    window: Window
    recalled: tuple[Recalled, ...] = ()
    messages: tuple[Message, ...] = ()
    """Exactly what the model is shown."""


@dataclass(frozen=True, slots=True)
class ReplyStarted:
    """The first token arrived and the reply row exists."""

    turn_id: str


@dataclass(frozen=True, slots=True)
class ReplyDelta:
    """More of the reply."""

    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know that is not an error (a loop was cut, the view moved)."""

    text: str
    masked: tuple[MaskKind, ...] = ()
    """Where it says that personal data was masked: of which kinds."""


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """The reply is stored, whole or stopped. Always the last event of a turn that did not fail."""

    turn: Turn


ReplyEvent = (
    UserTurnStored
    | WorkStarted
    | AttachmentRead
    | MessageUnderstood
    | FactsLearned
    | PromptReady
    | ReplyStarted
    | ReplyDelta
    | Notice
    | PersonSuggested
    | ReplyEnded
)
