"""The values and protocols of finetuning.

The kind of row chooses the task. A task first prepares (everything is checked and counted, nothing is
trained: that is what `--dry-run` shows), then trains while it sends events, and leaves a folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import ceil
from pathlib import Path
from threading import Event
from typing import Literal, Protocol

from mmchat.domain import ModelKind
from mmchat.rows.values import Row, RowFile, RowKind

TaskName = Literal["dialogue", "preference", "caption", "picture", "label", "speech"]
MethodName = Literal[
    "lora",
    "dora",
    "rslora",
    "full",
    "last-layers",
    "bitfit",
    "prefix",
    "prompt",
    "ia3",
    "adalora",
    "qlora",
    "projector",
    "projector-lora",
]
METHODS: tuple[MethodName, ...] = (
    "lora",
    "dora",
    "rslora",
    "full",
    "last-layers",
    "bitfit",
    "prefix",
    "prompt",
    "ia3",
    "adalora",
    "qlora",
    "projector",
    "projector-lora",
)
PICTURE_METHODS: tuple[MethodName, ...] = ("projector", "projector-lora")
"""Of a language model that learns to see; rows with pictures are what they take."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What was asked for, resolved: saved beside the result, and enough to go on with an interrupted run.

    A number that is None or 0 where marked so is chosen by the method or the task; `resolved` settings have none.
    """

    data: tuple[str, ...]
    """Absolute paths of row files."""
    model: str
    """The base, as models.toml names it."""
    name: str
    """Of the result, as models.toml will name it."""
    method: MethodName | Literal[""] = ""
    """Empty: what suits the task ("lora" for language models)."""
    epochs: float = 3.0
    max_steps: int = 0
    """0: as many as the epochs take."""
    batch_size: int = 16
    """Rows between two steps of the optimiser, over all processes and accumulations."""
    micro_batch: int = 0
    """Rows at once on one device; 0: chosen by memory."""
    is_checkpointed: bool = False
    """Whether activations are calculated twice instead of being kept; chosen by memory."""
    learning_rate: float | None = None
    warmup_share: float = 0.05
    weight_decay: float = 0.01
    dropout: float = 0.05
    max_grad_norm: float = 1.0
    rank: int = 16
    alpha: int = 32
    last_layers: int = 4
    max_length: int = 1024
    """Tokens of one row; longer conversations lose whole turns from their beginning."""
    validation: str = ""
    """A file of rows; empty: a share of the conversations."""
    validation_share: float = 0.1
    evaluate_every: int = 0
    """Steps; 0: about ten times a run."""
    patience: int = 3
    """Evaluations without a better validation loss before training stops; 0: never."""
    replay_share: float = 0.0
    """General answers of the base itself mixed in, as a share of all rows, against forgetting."""
    preference_beta: float = 0.1
    fusion: Literal["concat", "attention"] = "concat"
    """How text and picture are joined by a classification head."""
    language: str = ""
    seed: int = 0
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    log_to: Literal["tensorboard", "trackio", "wandb", "none"] = "tensorboard"
    should_skip_bad: bool = False
    chosen: tuple[str, ...] = ()
    """Names of the settings that the user typed; a task may suit the others to itself (`suited`)."""

    def suited(self, **values: float) -> TrainSettings:
        """With these values where nobody chose others."""
        own = {each.name: each.default for each in fields(self)}
        free = {key: to for key, to in values.items() if key not in self.chosen and getattr(self, key) == own[key]}
        return replace(self, **free)  # type: ignore[arg-type]

    def steps_for(self, rows: int, batch_size: int = 0) -> int:
        """Of the optimiser, for so many training rows; at least one.

        Args:
            rows: that are trained on.
            batch_size: of a task that takes fewer than were asked for; 0: those that were.
        """
        return self.max_steps or max(1, ceil(self.epochs * rows / (batch_size or self.batch_size)))


# --- what a dry run shows -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of an example as the model sees it."""

    text: str
    is_supervised: bool


@dataclass(frozen=True, slots=True)
class Preparation:
    """What was found before training."""

    task: TaskName
    method: MethodName
    settings: TrainSettings
    """Resolved."""
    rows: int
    train_rows: int
    validation_rows: int
    skipped: tuple[str, ...] = ()
    """Bad rows that were left out, `file:line: field: reason`."""
    dropped: tuple[str, ...] = ()
    """Good rows that cannot be learnt from (nothing supervised is left), each with its reason."""
    cut_rows: int = 0
    """Rows that lost turns because they are too long."""
    cut_turns: int = 0
    tokens: int = 0
    supervised_tokens: int = 0
    """0 for tasks without tokens."""
    lengths: tuple[int, ...] = ()
    """Tokens of each row, for the histogram."""
    example: tuple[Span, ...] = ()
    held_out: tuple[Row, ...] = ()
    """The validation rows, as they were read: base and result are compared on them afterwards."""
    labels: tuple[str, ...] = ()
    """Classes of a label task."""
    trainable_parameters: int = 0
    all_parameters: int = 0
    steps: int = 0
    estimated_s: float | None = None
    """Measured on a few steps' worth of this machine, not guessed."""
    estimated_bytes: int | None = None
    notes: tuple[str, ...] = ()


# --- while it runs ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TrainStepped:
    """A step of the optimiser was taken."""

    step: int
    steps: int
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float | None
    tokens_per_s: float
    """Rows a second for tasks without tokens."""
    left_s: float | None
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class TrainValidated:
    """The held-out rows were scored."""

    step: int
    loss: float
    is_best: bool
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainNotice:
    """Something the user should know: memory ran out and the micro-batch was halved, training stopped early."""

    text: str


TrainEvent = TrainStepped | TrainValidated | TrainNotice
OnEvent = Callable[[TrainEvent], None]


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training left behind."""

    folder: Path
    """Holds `settings.json`, `adapter/` or `weights/`, `checkpoints/`, `logs/`."""
    status: Literal["complete", "stopped early", "interrupted"]
    steps: int
    best_step: int
    first_validation_loss: float | None
    """Of the base, before the first step."""
    best_validation_loss: float | None
    losses: tuple[float, ...]
    """Of each step."""
    trainable_parameters: int
    all_parameters: int
    elapsed_s: float
    seconds_per_step: float
    """Median, without validation."""


@dataclass(frozen=True, slots=True)
class BaseModel:
    """The weights that are finetuned; built by `wiring`."""

    name: str
    kind: ModelKind
    path: Path
    """Folder prepared for the library that trains: transformers, open_clip, …"""
    context_tokens: int = 0
    license: str = ""
    helpers: Mapping[ModelKind, Path] = field(default_factory=dict)
    """Prepared folders of other kinds that a task needs, such as the text encoder of a label task."""
    helper_names: Mapping[ModelKind, str] = field(default_factory=dict)
    """The same, as models.toml names them."""
    tell: Callable[[Sequence[object], str], Sequence[object]] | None = None
    """Turns the messages of a row into what the chat would show the model (`evals.base.Models.messages`)."""


class Trainer(Protocol):
    """One task. `train.registry` names them; each lives in a module that is imported only when it is needed."""

    task: TaskName
    row_kind: RowKind
    model_kind: ModelKind
    methods: tuple[MethodName, ...]
    """Which make sense here; the first is the default."""

    def prepare(self, files: Sequence[RowFile], settings: TrainSettings, base: BaseModel) -> Preparation:
        """Check, count and estimate.

        Raises:
            DataError: rows that cannot be trained on, all of them named; or nothing supervised is left.
            UsageError: a method this base cannot take, with the reason.
        """
        ...

    def train(
        self,
        preparation: Preparation,
        files: Sequence[RowFile],
        base: BaseModel,
        folder: Path,
        on_event: OnEvent,
        cancel: Event,
        *,
        should_resume: bool,
    ) -> TrainResult:
        """Train into `folder`. Cancelled, it saves a checkpoint and returns `interrupted`.

        Resumed, it goes on exactly: the same losses as an unbroken run.

        Raises:
            DeviceError: memory ran out even with the smallest micro-batch.
        """
        ...
