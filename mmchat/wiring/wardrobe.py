"""The adapters that roles name, put on a loaded base and taken off again, so that a change of role reloads nothing."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmchat.adapter_files import adapter_kind
from mmchat.config.model_entries import LmEntry
from mmchat.engines.base import RedressableModel
from mmchat.engines.registry import load_engine
from mmchat.errors import MmchatError
from mmchat.weights.lora_file import can_be_worn, lora_file

if TYPE_CHECKING:
    from mmchat.config.model_entries import ModelEntry
    from mmchat.config.models_file import ModelsFile
    from mmchat.domain import EngineSpec
    from mmchat.weights.store import WeightsStore
    from mmchat.wiring.slots import Slot

log = logging.getLogger(__name__)

_TAKEN_OFF = frozenset({"LORA", "PREFIX_TUNING", "PROMPT_TUNING"})
"""Kinds of adapters that leave the base as it was when they go."""


def redressed_or_loaded(slot: Slot, spec: EngineSpec) -> Any:
    """The model of a spec: that of the slot before with another adapter where only that differs, else loaded anew.

    Raises:
        MmchatError: what `engines.registry.load_engine` or `redressed` raises.
    """
    slot.spec, before = spec, slot.before
    if before is not None:
        worn = before.loaded()
        if before.spec is not None and isinstance(worn, RedressableModel) and can_change(before.spec, spec):
            return worn.redressed(spec)
        slot.let_go()  # its memory is needed now
    return load_engine(slot.state.kind, spec)


def can_change(old: EngineSpec, new: EngineSpec) -> bool:
    """Whether a model that was loaded by one can become another's by a change of adapters alone."""
    bare = [replace(each, name="", adapter_path=None) for each in (old, new)]
    return (
        bare[0] == bare[1]
        and not new.options.keys() & {"projector", "weights"}
        and all(_comes_off(each.adapter_path) for each in (old, new))
    )


def _comes_off(adapter: Path | None) -> bool:
    return adapter is None or adapter_kind(adapter) in _TAKEN_OFF


class Wardrobe:
    """Which adapters llama.cpp is given along with a base: those that roles name."""

    def __init__(self, models: ModelsFile, weights: WeightsStore) -> None:
        self._models = models
        self._weights = weights

    def base_of(self, entry: ModelEntry, engine: str) -> LmEntry | None:
        """The model whose file is loaded for an entry, with the adapters beside it; None where there are none."""
        if engine != "llamacpp" or not isinstance(entry, LmEntry):
            return None
        if entry.weights_name not in self._models:
            return None  # named by its path
        base, names = self._models[entry.weights_name], self._names(entry.weights_name)
        is_of_it = entry.name in (*names, entry.weights_name)
        return base if names and is_of_it and isinstance(base, LmEntry) else None

    def files(self, base: LmEntry, gguf_dir: Path, wanted: str) -> dict[str, str]:
        """The adapters' files by model, written where they are missing.

        Args:
            base: as `base_of` gave it.
            gguf_dir: its prepared folder.
            wanted: the model that is to speak; only its adapter must be sound.

        Raises:
            ModelNotFound, WeightsError: its adapter is not there, or does not fit.
        """
        found: dict[str, str] = {}
        for name in self._names(base.name):
            adapter = Path(self._models[name].adapter or "")
            try:
                found[name] = str(lora_file(name, adapter, gguf_dir, self._weights.root / name / "llamacpp-lora"))
            except MmchatError:
                if name == wanted:
                    raise
                log.warning("the adapter of %s is left out", name, exc_info=True)
        return found

    def _names(self, base: str) -> list[str]:
        """Models that roles name and that are LoRA on a base."""
        from mmchat.config.role_shelf import all_roles  # read when a model is loaded, not when the program starts

        named = dict.fromkeys(self._models[role.model].name for role in all_roles()[0] if role.model in self._models)
        return [name for name in named if self._is_lora_on(name, base)]

    def _is_lora_on(self, name: str, base: str) -> bool:
        try:
            entry = self._models[name]
            is_its = entry.weights_name == base != entry.name and entry.engine == "llamacpp"
            return is_its and entry.adapter is not None and can_be_worn(Path(entry.adapter))
        except MmchatError:
            return False
