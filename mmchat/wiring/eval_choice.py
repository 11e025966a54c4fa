"""Which engine, number format and files an evaluation takes for a model, and what identifies them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmchat.engines.device import has_gpu
from mmchat.free_memory import available_memory_bytes
from mmchat.weights.manifest import PlacedFile, hash_tree, read_manifest, sha256_of
from mmchat.weights.place import is_local, local_manifest
from mmchat.weights.preparers import PREPARERS, preparer_for

if TYPE_CHECKING:
    from mmchat.config.model_entries import ModelEntry
    from mmchat.config.models_file import ModelsFile
    from mmchat.weights.store import WeightsStore

_FLOAT32_GROWTH = {"gguf": 8.0}
"""Bytes in float32 for each byte of a file: 4-bit weights grow eightfold."""
_FLOAT32_GROWTH_OTHERWISE = 2.0
"""Most safetensors are in 16 bits."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How a model is loaded for an evaluation."""

    entry: ModelEntry
    name: str
    """With its engine, as `ModelsFile.resolve` takes it."""
    engine: str
    dtype: str
    """For `HubOptions.dtype`: empty for the entry's own."""


@dataclass(frozen=True, slots=True)
class Place:
    """What models run on."""

    has_gpu: bool
    free_bytes: int
    """Of memory; 0 where nobody knows."""


def this_machine(device: str) -> Place:
    """Where models run that are told auto | cpu | cuda | mps."""
    return Place(has_gpu=device != "cpu" and has_gpu(), free_bytes=available_memory_bytes())


def choose(models: ModelsFile, name: str, place: Place, *, dtype: str = "auto") -> Choice:
    """Choose the engine and the number format.

    A language model is scored on transformers, in float32 on a CPU: there a reply does not depend on what
    else is in its batch, and likelihoods can be had. One that would not fit into memory so keeps the engine
    and format of its entry, as does one whose user wrote `NAME@ENGINE`.

    Args:
        models: models.toml.
        name: as the user typed it.
        place: the machine.
        dtype: the user's wish, or "auto".

    Raises:
        ModelNotFound, ConfigError: see `ModelsFile.resolve`.
    """
    entry, engine = models.resolve(name, has_gpu=place.has_gpu)
    wished = "" if dtype == "auto" else dtype
    if entry.kind != "lm":
        return Choice(entry, name, engine, wished)
    fits = _fits_as_float32(entry, place)
    if not name.endswith(f"@{engine}"):
        if (entry.format, "transformers") in PREPARERS and (place.has_gpu or fits):
            engine = "transformers"
        name = f"{name}@{engine}"
    is_float32 = engine == "transformers" and not place.has_gpu and entry.dtype == "auto" and fits
    return Choice(entry, name, engine, wished or ("float32" if is_float32 else ""))


def _fits_as_float32(entry: ModelEntry, place: Place) -> bool:
    here = local_manifest(entry) if is_local(entry) else None
    size = sum(file.size_bytes for file in here.files.values()) if here else entry.download_bytes
    needed = size * _FLOAT32_GROWTH.get(entry.format, _FLOAT32_GROWTH_OTHERWISE)
    return not place.free_bytes or needed <= place.free_bytes


def weights_checksum(store: WeightsStore, entry: ModelEntry, engine: str) -> str:
    """SHA-256 over the names and checksums of all files that the engine loads; empty without weights.

    Raises:
        ModelNotFound: the weights are not on this machine.
    """
    if not entry.needs_weights:
        return ""
    folder = store.prepared(entry, engine)
    manifest = read_manifest(store.root / entry.weights_name)
    files: Mapping[str, PlacedFile] = {}
    if manifest is not None:
        is_made = preparer_for(entry.name, entry.format, engine) is not None
        files = manifest.prepared[engine].files if is_made else manifest.files
    if not files or not all(file.sha256 for file in files.values()):
        files = hash_tree(folder)  # a folder of the user's is noted without reading it
    return _digest({name: file.sha256 for name, file in files.items()})


def adapter_checksum(adapter: str | None) -> str:
    """SHA-256 over the files of an adapter's folder; empty without one."""
    if not adapter:
        return ""
    path = Path(adapter)
    return sha256_of(path) if path.is_file() else _digest({name: f.sha256 for name, f in hash_tree(path).items()})


def _digest(checksums: Mapping[str, str]) -> str:
    text = "".join(f"{name}\0{checksum}\n" for name, checksum in sorted(checksums.items()))
    return hashlib.sha256(text.encode()).hexdigest()
