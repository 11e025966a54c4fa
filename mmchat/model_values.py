"""Models and their weights, as values. Imported from `mmchat.domain`, where their like are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ModelKind = Literal["lm", "asr", "vision", "embed", "head"]


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A line of `mmchat models list`."""

    name: str
    kind: ModelKind
    engine: str
    license: str
    size_bytes: int
    """Download size; 0 where nothing is downloaded."""
    is_installed: bool
    is_default: bool
    source: str
    description: str = ""
    context_tokens: int = 0
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PullProgress:
    """Where a pull stands. Sent several times a second."""

    model: str
    stage: Literal["waiting", "downloading", "verifying", "unpacking", "preparing", "done"]
    done_bytes: int = 0
    total_bytes: int = 0
    """0 while unknown."""
    bytes_per_s: float = 0.0
    left_s: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LoadState:
    """Where one engine stands, for the status line and `doctor`."""

    kind: ModelKind
    model: str
    engine: str
    stage: Literal["idle", "pulling", "loading", "ready", "failed"]
    detail: str = ""
    """For people: "downloading 62%, 8 s left", or the failure's message and hint."""
    fraction: float | None = None
    context_tokens: int = 0
    device: str = ""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """All that a loader in `engines/` needs to know; built by `wiring` from a `models.toml` entry."""

    name: str
    """The model's name in models.toml; kept with every stored result."""
    engine: str
    path: Path | None = None
    """Folder of prepared weights for that engine; None for engines without weights."""
    context_tokens: int = 0
    """0: what the weights say."""
    device: str = "auto"
    """auto | cpu | cuda | mps."""
    dtype: str = "auto"
    """auto | float32 | bfloat16 | float16."""
    threads: int = 0
    """0: `device.usable_threads()`."""
    adapter_path: Path | None = None
    parallel: int = 1
    """How many replies are drawn at once at most; engines that set memory aside for it do so when loaded."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Engine-specific settings, e.g. `base_url`, `api_model`, `api_key_env` for `openai`."""
