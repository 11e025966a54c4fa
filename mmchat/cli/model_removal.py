"""Removing a model: its weights here, and for a finetuned one its folder and its entry in models.toml."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from mmchat import paths
from mmchat.cli.model_rows import projector_of
from mmchat.config.user_models import own_names, unregister
from mmchat.errors import UsageError, WeightsError
from mmchat.weights.manifest import tree_bytes

if TYPE_CHECKING:
    from mmchat.config.model_entries import ModelEntry
    from mmchat.weights.store import WeightsStore


class Removal:
    """What goes with one model."""

    def __init__(self, entry: ModelEntry, store: WeightsStore) -> None:
        self._entry = entry
        self._store = store
        self._result_dir = finetuned_folder(entry)
        is_shared = bool(entry.base) and entry.weights_name == entry.base and not (entry.adapter or projector_of(entry))
        self._is_shared = is_shared

    def check(self) -> None:
        """Refuse to remove another model's weights.

        Raises:
            UsageError: it has none of its own.
        """
        if self._is_shared:
            raise UsageError(
                f"'{self._entry.name}' has no weights of its own.", hint=f"mmchat models remove {self._entry.base}"
            )

    @property
    def size_bytes(self) -> int:
        """What is freed."""
        return self._store.size_on_disk(self._entry) + (tree_bytes(self._result_dir) if self._result_dir else 0)

    @property
    def is_anything(self) -> bool:
        """Whether there is something to remove, if only an entry."""
        return self._result_dir is not None or self.size_bytes > 0

    def run(self) -> int:
        """Remove it; returns the bytes freed.

        Raises:
            ConfigError: models.toml cannot be written; nothing was deleted.
            WeightsError: the folder cannot be deleted.
        """
        if self._result_dir is None:
            return self._store.remove(self._entry)
        unregister(self._entry.name)  # first: an interrupted removal leaves no entry that cannot work
        freed = self.size_bytes
        self._store.remove(self._entry)
        try:
            if self._result_dir.exists():
                shutil.rmtree(self._result_dir)
        except OSError as error:
            raise WeightsError(
                f"{self._result_dir} cannot be deleted whole: {error.strerror or error}.", hint="Delete it by hand."
            ) from error
        return freed


def finetuned_folder(entry: ModelEntry) -> Path | None:
    """The folder that a finetune left for this entry; None for models that were not made here.

    Only a folder of the model's own name in mmchat's data folder counts: files that lie elsewhere are the user's.
    """
    local = [Path(source.target) for source in entry.sources if source.scheme == "dir"]
    on_top = entry.adapter or projector_of(entry)
    kept = [Path(on_top)] if on_top else local
    for path in kept:
        folder = path.parent
        if folder.name == entry.name and folder.parent.parent == paths.data_dir() and entry.name in own_names():
            return folder
    return None
