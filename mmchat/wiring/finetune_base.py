"""The weights that a finetune begins with: chosen, fetched, prepared for the library that trains."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, cast

from mmchat.chat.told import Listener, told_history
from mmchat.config.model_entries import LmEntry
from mmchat.domain import Message, ModelKind, PullProgress
from mmchat.errors import UsageError
from mmchat.evals.results import RunSettings
from mmchat.rows.values import LabelRow, RowFile, RowKind, RowMessage
from mmchat.train.base import PICTURE_METHODS, BaseModel
from mmchat.wiring.eval_models import EvalModels, EvalSources

if TYPE_CHECKING:
    from mmchat.config.model_entries import ModelEntry

TRAINING_ENGINES: dict[ModelKind, str] = {
    "lm": "transformers",
    "asr": "faster-whisper",  # whose folder is what both engines are made of
    "vision": "open_clip",
    "embed": "ctranslate2",
}
"""Whose prepared weights are trained. A GGUF that llama.cpp runs is trained as what transformers reads of it."""

KIND_WORDS: dict[ModelKind, str] = {
    "lm": "language",
    "asr": "speech",
    "vision": "picture",
    "embed": "sentence",
    "head": "label",
}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_ALL_TOKENS = 1 << 30
"""More than any conversation has: a trainer cuts by its own limit."""


@dataclass(frozen=True, slots=True)
class FinetuneSources:
    """Where bases come from."""

    evals: EvalSources
    on_progress: Callable[[PullProgress], None] = lambda progress: None
    """Told how far a download or a preparation has come."""


def default_name(base: str, data: Sequence[Path]) -> str:
    """A name for the result, of its base and its first file: "smollm2-135m-taskmaster4.train"."""
    stem = data[0].name.removesuffix(".jsonl") if data else ""
    parts = [_NOT_IN_NAMES.sub("-", part).strip("-._") for part in (Path(base.partition("@")[0]).stem, stem)]
    if "/" not in base and "\\" not in base:
        parts[0] = base.partition("@")[0]
    return "-".join(part for part in parts if part) + ("" if parts[1] else "-tuned")


def choose_base(sources: EvalSources, name: str, kind: ModelKind, row_kind: RowKind) -> ModelEntry:
    """The entry of a base, or of the user's model of that kind.

    Args:
        sources: models.toml and the user's choice.
        name: as the user typed it; empty for the default.
        kind: what the task trains.
        row_kind: for the message.

    Raises:
        UsageError: a model of another kind, or one whose weights cannot be trained here; says why.
        ModelNotFound, ConfigError: no such model.
    """
    entry, engine = sources.models.resolve(name or sources.defaults[kind])
    if entry.kind != kind:
        raise UsageError(
            f"'{entry.name}' is a {KIND_WORDS[entry.kind]} model; {row_kind} rows train a {KIND_WORDS[kind]} model.",
            hint=f"Leave out -m for {sources.defaults[kind]}, or name another: mmchat models list --kind {kind}",
        )
    if engine == "openai":
        raise UsageError(
            f"'{entry.name}' is served at {getattr(entry, 'base_url', '')}: its weights are not on this machine, "
            "so they cannot be trained.",
            hint=f"Name a model with weights: mmchat models list --kind {kind}",
        )
    if not entry.needs_weights:
        raise UsageError(
            f"'{entry.name}' has no weights to train: its engine is {engine}.",
            hint=f"Name a model with weights: mmchat models list --kind {kind}",
        )
    if isinstance(entry, LmEntry) and entry.projector:
        raise UsageError(
            f"'{entry.name}' has learnt to see already, on top of '{entry.base}'.",
            hint=f"Train on -m {entry.base} with the rows of both.",
        )
    if entry.adapter:
        raise UsageError(
            f"'{entry.name}' is itself an adapter over '{entry.base}'.",
            hint=f"Train on -m {entry.base} with the rows of both, or merge it first: "
            f"mmchat models export {entry.name} --to safetensors",
        )
    return entry


def fetch_base(
    entry: ModelEntry,
    helper_kinds: Sequence[ModelKind],
    sources: FinetuneSources,
    cancel: Event,
    *,
    is_to_see: bool = False,
) -> BaseModel:
    """Fetch and prepare a base and what a task needs beside it.

    Args:
        entry: the base.
        helper_kinds: of the models beside it.
        sources: where they come from.
        cancel: ends a download.
        is_to_see: whether a language model gets the pictures of rows themselves, not words about them.

    Raises:
        WeightsError, PullCancelled: it could not be had.
    """
    entries = {kind: sources.evals.models.resolve(sources.evals.defaults[kind])[0] for kind in helper_kinds}
    helpers = {kind: _fetch(each, sources, cancel) for kind, each in entries.items()}
    return BaseModel(
        name=entry.name,
        kind=entry.kind,
        path=_fetch(entry, sources, cancel),
        context_tokens=entry.context_tokens if isinstance(entry, LmEntry) else 0,
        license=entry.license,
        helpers=cast("Mapping[ModelKind, Path]", helpers),
        helper_names={kind: each.name for kind, each in entries.items()},
        tell=_teller(entry, sources.evals, is_to_see=is_to_see) if isinstance(entry, LmEntry) else None,
    )


def helper_kinds(files: Sequence[RowFile], method: str = "") -> tuple[ModelKind, ...]:
    """Kinds of model that rows need beside the base.

    Pictures with labels are seen by the user's vision model, and a language model learns to see through it.
    """
    if method in PICTURE_METHODS:
        return ("vision",)
    has_pictures = any(isinstance(row, LabelRow) and row.image_path is not None for file in files for row in file.rows)
    return ("vision",) if has_pictures else ()


def _fetch(entry: ModelEntry, sources: FinetuneSources, cancel: Event) -> Path:
    weights, engine = sources.evals.weights, TRAINING_ENGINES[entry.kind]
    if not weights.is_installed(entry):
        weights.pull(entry, on_progress=sources.on_progress, cancel=cancel, engine=engine)
    return weights.prepared(entry, engine, on_progress=sources.on_progress, cancel=cancel)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Keeps `chat.told.Reader` for a model that is not loaded as an engine; nothing is too long for it."""

    accepts_images: bool
    context_tokens: int = _ALL_TOKENS

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return 0


def _teller(
    entry: LmEntry, sources: EvalSources, *, is_to_see: bool
) -> Callable[[Sequence[object], str], Sequence[object]]:
    """What shows a row's messages as the chat would; the models that see and hear are loaded when they are needed."""
    senses = EvalModels(RunSettings(data=(), models=(), metrics=()), sources).senses
    # Of a GGUF model only the part that reads words is trained; its eyes are a file of llama.cpp's.
    has_pixels = is_to_see or (entry.accepts_images and entry.format != "gguf")
    listener = Listener(_Reader(has_pixels), entry.notes)

    def tell(messages: Sequence[object], persona: str) -> Sequence[Message]:
        return told_history(cast("Sequence[RowMessage]", messages), persona, listener, senses, room=0)

    return tell
