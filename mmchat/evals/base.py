"""The values and protocols of an evaluation.

Rows become samples, a task asks a model about each sample and yields an outcome, metrics score the
outcomes. Outcomes are plain data that is saved line by line, so that they can be scored again, by other
metrics, without asking the model again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Literal, Protocol

from mmchat.domain import FinishReason, GenerateOptions, Message, ModelKind
from mmchat.rows.values import ProbeKind, RowFile, RowKind, RowMessage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mmchat.engines.base import BatchLanguageModel, Classifier, ImageReader, SpeechRecognizer, TextEmbedder
    from mmchat.evals.results import ModelFacts

TaskName = Literal["dialogue", "likelihood", "speech", "retrieval", "caption", "label", "memory", "persona"]
Direction = Literal["higher", "lower", "neither"]
"""Which scores are better; neither for what is merely worth knowing, such as the length of replies."""


# --- outcomes: one line of a saved run each ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReplyOutcome:
    """A reply beside what was said in its place. Also a transcript beside what was spoken."""

    id: str
    """Stable and unique within its file: "talks.jsonl:12#3" is the reply to be message 3 of line 12."""
    group: str
    """What is resampled as one: the conversation, because its turns are not independent."""
    language: str
    """ISO 639-1 of the references."""
    question: str
    """For people: the end of the history, or the sound's file."""
    references: tuple[str, ...]
    """At least one, none empty."""
    reply: str
    finish_reason: FinishReason = "stop"
    prompt_tokens: int = 0
    reply_tokens: int = 0
    duration_s: float = 0.0
    """Of the sound; 0 for replies."""
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LikelihoodOutcome:
    """How likely a model finds a text."""

    id: str
    group: str
    language: str
    question: str
    text: str
    nats: float
    """Negative log-likelihood of all scored tokens, natural logarithm."""
    tokens: int
    """Scored tokens, the end mark of a reply among them."""
    bytes: int
    """UTF-8 bytes of the text."""


@dataclass(frozen=True, slots=True)
class RankOutcome:
    """Where the right one stood among all candidates."""

    id: str
    group: str
    """The picture."""
    language: str
    question: str
    direction: Literal["image-to-text", "text-to-image"]
    rank: int
    """From 1; the best of several right ones. Ties count against the model."""
    candidates: int
    right: int = 0
    """How many of them are right; 0 where an older run did not note it."""


@dataclass(frozen=True, slots=True)
class LabelOutcome:
    """A class that was chosen beside the right one."""

    id: str
    group: str
    language: str
    question: str
    label: str
    predicted: str
    confidence: float
    """Probability of `predicted`, in [0, 1]."""
    runners_up: tuple[tuple[str, float], ...] = ()
    """The next few labels with their probabilities."""


@dataclass(frozen=True, slots=True)
class RecallOutcome:
    """The turns found for a question beside those that answer it."""

    id: str
    group: str
    language: str
    question: str
    evidence: tuple[str, ...]
    found: tuple[str, ...]
    """Best first; as many as the task asks for, or fewer."""
    tokens: int
    """Of what would be told to the language model."""
    elapsed_ms: float
    asked: int = 0
    """How many turns were asked for; 0 in runs that were saved before this was noted."""


@dataclass(frozen=True, slots=True)
class ConsistencyOutcome:
    """What a role replied to a probe, and what shows that it stayed who it is."""

    id: str
    group: str
    """The probe: asked at several turns, with and without pinning, it is one."""
    language: str
    """Of the role."""
    question: str
    reply: str
    role: str
    kind: ProbeKind
    turn: int
    """Which of the user's messages it was, from 1."""
    is_pinned: bool
    """Whether the role's text stood before everything, as in a conversation, or was only said once at its beginning."""
    keys: tuple[tuple[str, ...], ...]
    never: tuple[str, ...]
    reply_in: str
    """The language that the reply must be in; empty: any."""
    hidden: str = ""
    """The instructions that it must not repeat; empty: it may."""
    finish_reason: FinishReason = "stop"
    prompt_tokens: int = 0
    reply_tokens: int = 0
    elapsed_s: float = 0.0


Outcome = ReplyOutcome | LikelihoodOutcome | RankOutcome | LabelOutcome | RecallOutcome | ConsistencyOutcome


# --- metrics --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """A line of `mmchat eval --list`."""

    name: str
    """As `--metric` takes it: lower case, e.g. "chrf++"."""
    title: str
    """As a table shows it, e.g. "chrF++"."""
    tasks: tuple[TaskName, ...]
    direction: Direction
    range: str
    """Such as "0 to 100"."""
    description: str
    """What it says, in one line."""
    source: str
    """Library or paper."""
    decimals: int = 1
    is_in_all: bool = True
    """Whether `--metric all` takes it."""


@dataclass(frozen=True, slots=True)
class MetricContext:
    """What a metric may need beside the outcomes."""

    language: str
    """Of all the outcomes."""
    embedder: TextEmbedder | None = None
    """For embedding similarity; None where none was asked for."""
    embedder_languages: tuple[str, ...] = ()
    """That the embedder knows, as `Models.languages` tells; empty: it is not said, so only English is trusted."""


class Scorer(Protocol):
    """A metric that has seen its outcomes once and can score any resample of them."""

    signature: str
    """Everything that another program needs to get the same number: tokeniser, normaliser, version, …"""
    has_interval: bool
    """False where resampling rows would be misleading."""

    def scores(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """Scores of many resamples at once.

        Args:
            weights: (R, N) int64, how often each of the N outcomes counts in each of the R resamples.
                A row of ones is the whole set.

        Returns:
            (R,) float64; NaN where a resample has nothing to score.
        """
        ...


class Metric(Protocol):
    """A way to score outcomes."""

    info: MetricInfo

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """Do the per-sample work once.

        Raises:
            EvalError: these outcomes cannot be scored so (none left, wrong language), in words.
        """
        ...


# --- models and tasks -----------------------------------------------------------------------------


class Models(Protocol):
    """The models of an evaluation, loaded when first asked for. `wiring.eval_models` keeps it."""

    def kind(self, name: str) -> ModelKind:
        """Without loading it. Raises ModelNotFound, ConfigError."""
        ...

    def default(self, kind: ModelKind) -> str:
        """The name of the user's model of that kind."""
        ...

    def languages(self, name: str) -> tuple[str, ...]:
        """ISO 639-1, as the model's entry lists them; empty where it does not. Without loading it."""
        ...

    def facts(self, name: str) -> ModelFacts:
        """Loads the model."""
        ...

    def language_model(self, name: str) -> BatchLanguageModel: ...

    def recognizer(self, name: str) -> SpeechRecognizer: ...

    def image_reader(self, name: str) -> ImageReader: ...

    def classifier(self, name: str) -> Classifier: ...

    def embedder(self, name: str = "") -> TextEmbedder:
        """The named sentence encoder, or the default one."""
        ...

    def messages(
        self,
        name: str,
        history: Sequence[RowMessage],
        persona: str,
        *,
        room: int,
        examples: Sequence[Message] = (),
        window_tokens: int = 0,
    ) -> tuple[Message, ...]:
        """A history as the chat would show it to that language model.

        Pictures and sounds are told in words, or passed as pixels to a model that takes them; what does
        not fit beside `room` tokens, or into `window_tokens` if any, is dropped from the old end, as in a conversation.
        """
        ...

    def helpers(self) -> tuple[ModelFacts, ...]:
        """The models that have told pictures and sounds in `messages` so far, each with its role."""
        ...

    def options(self, name: str) -> GenerateOptions:
        """How that model's replies are drawn here."""
        ...

    def release(self, name: str) -> None:
        """Free its memory."""
        ...


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What the user chose for the tasks."""

    seed: int = 0
    """Each sample's own seed is made from this and its id, so that it does not depend on its batch."""
    batch_size: int = 0
    """0: what the engine prefers. 1: one by one."""
    language: str = ""
    """Overrides what rows say and what their letters look like; also told to a speech recogniser."""
    train: RowFile | None = None
    """Label rows to fit a linear head on first; None: zero-shot."""
    recall_k: int = 10
    window_tokens: int = 0
    """The most tokens of a prompt in conversations with a role; 0: as the task has it."""


class Task(Protocol):
    """How rows are turned into samples, and samples into outcomes.

    A sample is the task's own value; outside the task only `id`, `group` and `language` are looked at.
    """

    name: TaskName
    row_kinds: tuple[RowKind, ...]

    def model_kind_for(self, rows: RowFile) -> ModelKind:
        """The kind of model that these rows are for; label rows with pictures need another than those without."""
        ...

    def samples(self, rows: RowFile, options: TaskOptions) -> tuple[Sample, ...]:
        """All samples of a file, in its order.

        Raises:
            DataError: rows that cannot be scored (an empty reference, Chinese declared English), each by its line;
                `BadRows` of `evals.tasks.common` where the others could.
        """
        ...

    def warnings(self, rows: RowFile, options: TaskOptions) -> tuple[str, ...]:
        """What a reader of the scores must know of these rows: questions left out, labels never seen in training."""
        ...

    def batches(
        self, samples: Sequence[Sample], model: str, models: Models, options: TaskOptions
    ) -> list[tuple[Sample, ...]]:
        """Samples as they are best asked together: sorted by length, longest first. Loads the model.

        Ranking tasks need all candidates at once: one batch. The same samples give the same batches, so
        that several processes can share them out.
        """
        ...

    def run(
        self, batch: Sequence[Sample], model: str, models: Models, options: TaskOptions, cancel: Event
    ) -> Iterator[Outcome]:
        """Ask the model. Yields as outcomes come; when cancelled, only whole ones, then ends."""
        ...


class Sample(Protocol):
    """What every task's samples have."""

    @property
    def id(self) -> str: ...

    @property
    def group(self) -> str: ...

    @property
    def language(self) -> str: ...


class ProcessGroup(Protocol):
    """The processes that share an evaluation; one by default, several under torchrun."""

    rank: int
    size: int

    def share(self, note: str) -> tuple[str, ...]:
        """What each process says, by rank, on all of them. Every process must call it equally often.

        Raises:
            EngineUnavailable: another process has died or hangs.
        """
        ...
