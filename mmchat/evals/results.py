"""What comes out of an evaluation, as it is saved, printed and compared: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mmchat.domain import ModelKind
from mmchat.evals.base import Direction, TaskName

# --- results --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Score:
    """One number with its uncertainty."""

    dataset: str
    task: TaskName
    language: str
    model: str
    metric: str
    score: float
    low: float | None
    """Bounds of the 95% interval; None where there is none (too few groups, or no honest way)."""
    high: float | None
    samples: int
    groups: int
    direction: Direction
    signature: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same samples."""

    dataset: str
    task: TaskName
    language: str
    metric: str
    base: str
    other: str
    difference: float
    """other minus base."""
    low: float | None
    high: float | None
    samples: int
    groups: int
    verdict: Literal["better", "worse", "chance", "too few", "none"]
    """Of `other`; "none" for metrics without a direction or an interval."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A table that belongs to a result, such as a confusion table."""

    dataset: str
    task: TaskName
    language: str
    model: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What identifies a model in a result, years later."""

    name: str
    """As the user named it."""
    kind: ModelKind
    engine: str
    device: str = ""
    dtype: str = ""
    source: str = ""
    revision: str = ""
    weights_sha256: str = ""
    """Over all files that were loaded; empty for a model that is served elsewhere."""
    adapter_sha256: str = ""
    decoding: Mapping[str, object] = field(default_factory=dict)
    """How replies are drawn; empty for other kinds."""
    role: str = ""
    """What a model that is not itself scored did for the others, such as "tells pictures"."""


# --- runs -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DataFacts:
    """A file of rows as a run used it."""

    name: str
    path: str
    sha256: str
    rows: int
    used: int
    """Rows after `--limit`."""
    skipped: tuple[str, ...] = ()
    """Bad rows left out, each with its reason."""
    is_shipped: bool = False
    """mmchat's own evaluation set."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What was asked for; enough to go on with an interrupted run."""

    data: tuple[str, ...]
    """Absolute paths; empty for the shipped set."""
    models: tuple[str, ...]
    """As typed, of any kind; empty for the defaults."""
    metrics: tuple[str, ...]
    """As typed; empty for all that fit."""
    limit: int = 0
    """Rows of each file; 0: all."""
    seed: int = 0
    batch_size: int = 0
    resamples: int = 1000
    max_new_tokens: int = 64
    temperature: float = 0.0
    language: str = ""
    train: str = ""
    recall_k: int = 10
    window_tokens: int = 0
    """Of conversations with a role; 0: as their task has it."""
    should_skip_bad: bool = False
    dtype: str = "auto"


@dataclass(frozen=True, slots=True)
class Run:
    """An evaluation, whole or interrupted, as it is saved, printed and compared."""

    id: str
    created_at: str
    """ISO, UTC."""
    status: Literal["complete", "interrupted"]
    version: str
    """Of mmchat."""
    libraries: Mapping[str, str]
    """Version of each library that took part."""
    machine: str
    settings: RunSettings
    data: tuple[DataFacts, ...]
    models: tuple[ModelFacts, ...]
    scores: tuple[Score, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    exhibits: tuple[Exhibit, ...] = ()
    sentences: tuple[str, ...] = ()
    """The verdicts in plain words."""
    warnings: tuple[str, ...] = ()
    """What a reader of the scores must know: empty replies, cut replies, too few rows, a batch-dependent engine."""
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands. Sent after each batch."""

    text: str
    """What is being done: "talk-en · dialogue · smollm2-135m"."""
    done: int
    total: int
    """Of all samples of all models in this run."""
    left_s: float | None = None
    detail: str = ""
    """Such as a model's download."""
