"""A model as files for other programs: safetensors for transformers, GGUF for llama.cpp, or the adapter alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmchat.adapter_files import CONFIG_NAME, adapter_kind, changes_prompt, require_adapter
from mmchat.config.model_entries import ModelEntry
from mmchat.errors import UsageError, WeightsError
from mmchat.gguf_names import is_model
from mmchat.weights.finetuned import has_peft_adapter, is_merged
from mmchat.weights.making import Recipe, disk_watched, make
from mmchat.weights.preparers import Preparer
from mmchat.weights.progress import Meter, OnProgress
from mmchat.weights.store import WeightsStore
from mmchat.weights.unpack import replace_folder

Form = Literal["safetensors", "gguf", "adapter"]
FORMS: tuple[Form, ...] = ("safetensors", "gguf", "adapter")
QUANTS = ("q8_0", "f16", "bf16")

TO_SAFETENSORS = Preparer("mmchat.weights.prepare_merged:to_safetensors")


@dataclass(frozen=True, slots=True)
class Export:
    """What is wanted."""

    entry: ModelEntry
    form: Form
    quant: str = ""
    """One of `QUANTS`; empty: q8_0 for GGUF, bf16 for safetensors, or as the files are."""

    def __post_init__(self) -> None:
        """Refuse what cannot be, before any work.

        Raises:
            UsageError: this model has no such form; says which it has.
            ModelNotFound, WeightsError: its adapter is not there.
        """
        name, is_adapted = self.entry.name, has_peft_adapter(self.entry)
        if self.entry.kind != "lm" or not self.entry.needs_weights:
            raise UsageError(
                f"'{name}' is exported as nothing but what it is: only language models with weights change their form.",
                hint=f"Its files: mmchat models path {name}",
            )
        if self.form != "adapter" and getattr(self.entry, "projector", None):
            raise UsageError(
                f"'{name}' sees through a projector, which is not a part of any weights: it would go blind.",
                hint=f"Copy its folder as it is, or export {self.entry.base}.",
            )
        if self.form == "adapter" and not is_adapted:
            raise UsageError(f"'{name}' has no adapter.", hint="Use --to safetensors, or --to gguf.")
        if is_adapted:
            path = Path(self.entry.adapter or "")
            require_adapter(name, path)
            if self.form != "adapter" and changes_prompt(kind := adapter_kind(path)):
                raise UsageError(
                    f"The adapter of '{name}' is of the kind {kind}, which cannot be merged into weights.",
                    hint="Use --to adapter.",
                )
        self._check_quant(is_adapted=is_adapted)

    def _check_quant(self, *, is_adapted: bool) -> None:
        if not self.quant:
            return
        if self.form == "gguf" and is_merged(self.entry, "llamacpp"):
            return
        if self.form == "safetensors" and is_adapted and self.quant != "q8_0":
            return
        what = "q8_0 is no format of safetensors" if is_adapted and self.form == "safetensors" else "it is copied"
        raise UsageError(
            f"--quant does not go with --to {self.form} of '{self.entry.name}': {what}.", hint="Leave it out."
        )

    @property
    def default_name(self) -> str:
        """Of the file or folder, where the user names none."""
        if self.form == "gguf":
            return f"{self.entry.name}.{self.quant.upper()}.gguf" if self.quant else f"{self.entry.name}.gguf"
        return f"{self.entry.name}-{self.form}"

    def target(self, output: Path | None) -> Path:
        """Where it goes: a file for GGUF, else a folder."""
        if output is None:
            return Path.cwd() / self.default_name
        path = output.expanduser().absolute()
        return path / self.default_name if self.form == "gguf" and (path.is_dir() or not path.suffix) else path


def require_replaceable(target: Path) -> None:
    """Refuse to write over what was never an exported model, whatever the user says.

    Raises:
        UsageError: there is something else.
    """
    if not target.exists() or (target.is_file() and target.suffix == ".gguf"):
        return
    inside = list(target.iterdir()) if target.is_dir() else []
    names = {path.name for path in inside}
    is_export = bool(names & {CONFIG_NAME, "config.json"}) and all(path.is_file() for path in inside)
    if not target.is_dir() or (inside and not is_export):
        raise UsageError(f"{target} is there already and is no exported model.", hint="Name another place with -o.")


def export_model(store: WeightsStore, wanted: Export, target: Path, on_progress: OnProgress | None = None) -> None:
    """Write a model's files to `target`, whole or not at all; what was there is replaced.

    Raises:
        ModelNotFound: the weights are not on this machine.
        WeightsError: they cannot be made into this form, or the disk refuses.
    """
    entry = wanted.entry
    with disk_watched(entry.name, target.parent), _beside(target) as partial:
        meter = Meter(entry.name, on_progress)
        if wanted.form == "adapter":
            partial.mkdir()
            for path in sorted(Path(entry.adapter or "").iterdir()):
                if path.is_file() and not path.name.startswith("."):
                    shutil.copyfile(path, partial / path.name)
        elif wanted.form == "gguf":
            _write_gguf(store, wanted, partial, meter, on_progress)
        elif has_peft_adapter(entry):
            base_dir = store.prepared(entry, "transformers", on_progress)
            arguments = (entry.name, entry.adapter or "", wanted.quant or "bf16")
            make(Recipe(TO_SAFETENSORS, base_dir, "", arguments), entry.name, partial, meter, phrase="merging")
        else:
            meter.report("unpacking", detail="copying")
            shutil.copytree(store.prepared(entry, "transformers", on_progress), partial)
        if target.is_dir() or partial.is_dir():
            replace_folder(partial, target)
        else:
            os.replace(partial, target)


def _write_gguf(
    store: WeightsStore, wanted: Export, partial: Path, meter: Meter, on_progress: OnProgress | None
) -> None:
    entry = wanted.entry
    if wanted.quant in ("", "q8_0"):
        folder = store.prepared(entry, "llamacpp", on_progress)
        meter.report("unpacking", detail="copying")
        shutil.copyfile(_only_gguf(folder), partial)
        return
    folder = partial.with_name(f"{partial.name}-made")
    try:
        make(store.merging(entry, on_progress, format_name=wanted.quant), entry.name, folder, meter, phrase="merging")
        os.replace(_only_gguf(folder), partial)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _only_gguf(folder: Path) -> Path:
    files = [path for path in sorted(folder.rglob("*.gguf")) if is_model(path.name)]
    if len(files) != 1:
        raise WeightsError(f"Expected one GGUF file in {folder}, found {len(files)}.", hint="mmchat models check")
    return files[0]


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A place on the same disk for what is not finished yet; gone afterwards, however it ends."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.part-{os.getpid()}")
    try:
        yield partial
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
