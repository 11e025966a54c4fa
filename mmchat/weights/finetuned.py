"""Finetuned models: what has to be made of an adapter, or of a folder of new weights, for llama.cpp.

transformers loads the base and puts the adapter on it. llama.cpp gets a file of its own, made once of the
base, the adapter and the metadata of the base's GGUF, and made again when any of them changes.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from threading import Event

from mmchat.adapter_files import CONFIG_NAME, WEIGHTS_NAME, adapter_kind, changes_prompt, require_adapter
from mmchat.config.model_entries import Entry
from mmchat.errors import ModelNotFound, WeightsError
from mmchat.weights.making import Recipe, disk_watched, make
from mmchat.weights.manifest import Manifest, PlacedFile, PlacedSource, Prepared, read_manifest, sha256_of
from mmchat.weights.place import Locked
from mmchat.weights.preparers import Preparer
from mmchat.weights.progress import Meter

TO_GGUF = Preparer("mmchat.weights.prepare_merged:to_gguf")
_FORMAT = "q8_0"
"""llama.cpp's fastest on a CPU, and the base's own (see `prepare_gguf`)."""


def has_peft_adapter(entry: Entry) -> bool:
    """Whether the entry's adapter is a folder of peft's. A LoRA in GGUF form is llama.cpp's own affair."""
    if entry.adapter is None:
        return False
    path = Path(entry.adapter)
    return path.suffix != ".gguf" and ((path / CONFIG_NAME).is_file() or not any(path.glob("*.gguf")))


def is_merged(entry: Entry, engine: str) -> bool:
    """Whether that engine loads a file into which the finetuned weights are merged, and no adapter."""
    if engine != "llamacpp":
        return False
    has_own_weights = entry.base is not None and entry.weights_name == entry.name and entry.format == "safetensors"
    return has_peft_adapter(entry) or has_own_weights


def _adapter_manifest(entry: Entry) -> Manifest:
    """What an adapter's folder holds now.

    Raises:
        ModelNotFound, WeightsError: it is not there, or is no adapter.
    """
    path = Path(entry.adapter or "")
    require_adapter(entry.name, path)
    files = {
        name: PlacedFile(sha256_of(path / name), (path / name).stat().st_size) for name in (CONFIG_NAME, WEIGHTS_NAME)
    }
    return Manifest((PlacedSource(f"adapter:{path}"),), files, str(path))


def _gguf_of_base(entry: Entry, root: Path) -> tuple[Path, Manifest]:
    """The folder of the base's GGUF file, and its manifest.

    Raises:
        WeightsError: the base is not on this machine, or has no GGUF file.
    """
    name = entry.base or entry.weights_name
    manifest = read_manifest(root / name)
    if manifest is None:
        raise WeightsError(
            f"'{entry.name}' needs its base '{name}' for llama.cpp, and that is not on this machine.",
            hint=f"mmchat models pull {name}",
        )
    if not any(path.endswith(".gguf") for path in manifest.files):
        raise WeightsError(
            f"'{entry.name}' cannot be made into a file for llama.cpp: its base '{name}' is no GGUF file.",
            hint=f"Use {entry.name}@transformers.",
        )
    return root / name / manifest.source_dir, manifest


def _require_mergeable(entry: Entry) -> None:
    """Refuse, before anything is made, an adapter that no weight can take up.

    Raises:
        ModelNotFound, WeightsError: it is not there, is damaged, or changes the prompt.
    """
    if not has_peft_adapter(entry):
        return
    path = Path(entry.adapter or "")
    require_adapter(entry.name, path)
    kind = adapter_kind(path)
    if changes_prompt(kind):
        raise WeightsError(
            f"The adapter of '{entry.name}' is of the kind {kind}: it changes the prompt, not the weights, "
            "so there is nothing to merge.",
            hint=f"Use {entry.name}@transformers.",
        )


class MergedFiles:
    """The GGUF files of finetuned models, each in `<root>/<name>/llamacpp`."""

    def __init__(self, root: Path, locked: Locked) -> None:
        self._root = root
        self._locked = locked

    def recipe(self, entry: Entry, own: Manifest | None, transformers_dir: Path, format_name: str = _FORMAT) -> Recipe:
        """How a finetuned model becomes a GGUF file.

        Args:
            entry: of the finetuned model.
            own: manifest of its weights; None for an adapter.
            transformers_dir: what transformers loads: the base, or the finetuned weights.
            format_name: `q8_0`, `f16` or `bf16`.

        Raises:
            ModelNotFound, WeightsError: the adapter or the base's GGUF file is not here.
        """
        manifest = own or _adapter_manifest(entry)
        gguf_dir, base = _gguf_of_base(entry, self._root)
        digest = hashlib.sha256(f"{manifest.digest}\0{base.digest}".encode()).hexdigest()
        adapter = entry.adapter or "" if has_peft_adapter(entry) else ""
        return Recipe(TO_GGUF, transformers_dir, digest, (entry.name, str(gguf_dir), adapter, format_name))

    def require(self, entry: Entry) -> None:
        """Refuse what cannot be merged before the base is converted, which takes long.

        Raises:
            ModelNotFound, WeightsError: the adapter or the base's GGUF file is not here, or it changes the prompt.
        """
        _require_mergeable(entry)
        _gguf_of_base(entry, self._root)

    def is_made(self, entry: Entry, engine: str, recipe: Recipe) -> bool:
        """Whether the file is there, made of what is there now."""
        folder = self._root / entry.name
        manifest = read_manifest(folder)
        done = manifest.prepared.get(engine) if manifest else None
        return (
            done is not None
            and (done.preparer, done.source_digest) == (recipe.preparer.key, recipe.digest)
            and all((folder / engine / name).is_file() for name in done.files)
        )

    def is_current(self, entry: Entry, engine: str, own: Manifest | None) -> bool:
        """Whether `made` would return at once. False also where it would raise."""
        try:
            return self.is_made(entry, engine, self.recipe(entry, own, Path()))
        except (ModelNotFound, WeightsError):
            return False

    def made(
        self, entry: Entry, engine: str, recipe: Recipe, own: Manifest | None, meter: Meter, cancel: Event | None
    ) -> Path:
        """The folder that holds the file, written now where it is missing or out of date.

        Raises:
            WeightsError, PullCancelled: as `making.make`.
        """
        folder = self._root / entry.name
        if not self.is_made(entry, engine, recipe):
            with disk_watched(entry.name, self._root), self._locked(entry.name, meter, cancel):
                if not self.is_made(entry, engine, recipe):  # another process may have been faster
                    files = make(recipe, entry.name, folder / engine, meter, cancel)
                    done = Prepared(recipe.preparer.key, recipe.digest, files)
                    replace(own or _adapter_manifest(entry), prepared={engine: done}).save(folder)
        return folder / engine
