"""Models as rows and as JSON, for `mmchat models`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmchat.errors import ConfigError, ModelNotFound, WeightsError
from mmchat.weights.manifest import tree_bytes
from mmchat.weights.progress import format_bytes

if TYPE_CHECKING:
    from mmchat.config.model_entries import ModelEntry
    from mmchat.config.models_file import ModelsFile
    from mmchat.weights.recommend import Advice, Machine
    from mmchat.weights.store import WeightsStore


def _default_of(entry: ModelEntry, models: ModelsFile) -> bool:
    try:
        return models.defaults.for_kind(entry.kind) == entry.name
    except ConfigError:
        return False  # a wrong default is `models check`'s to report


def projector_of(entry: ModelEntry) -> str | None:
    """The folder of the projector that an entry sees through."""
    projector: str | None = getattr(entry, "projector", None)
    return projector


def _notes(entry: ModelEntry, models: ModelsFile) -> list[str]:
    notes = ["default"] if _default_of(entry, models) else []
    notes += ["unpinned"] if not entry.is_pinned else []
    notes += ["gated"] if entry.is_gated else []
    notes += [f"on {entry.base}"] if entry.base else []
    notes += ["adapter"] if entry.adapter else []
    notes += ["learnt to see"] if projector_of(entry) else []
    return notes


def _own_bytes(entry: ModelEntry, store: WeightsStore) -> int:
    """What this model adds to the disk: an adapter, or a folder of weights beside mmchat's."""
    on_top = [Path(folder) for folder in (entry.adapter, projector_of(entry)) if folder]
    places = on_top or [Path(source.target) for source in entry.sources if source.scheme == "dir"]
    return store.size_on_disk(entry) + sum(tree_bytes(path) for path in places)


def _here(entry: ModelEntry, store: WeightsStore) -> str:
    if not entry.needs_weights:
        return "served"
    if entry.adapter and not Path(entry.adapter).exists():
        return "no adapter"
    if (projector := projector_of(entry)) and not Path(projector).exists():
        return "no projector"
    return "yes" if store.is_installed(entry) else "-"


def list_row(entry: ModelEntry, models: ModelsFile, store: WeightsStore) -> tuple[str, ...]:
    """A line of `models list`."""
    is_on_top = bool(entry.adapter or projector_of(entry))
    own_bytes = _own_bytes(entry, store) if is_on_top or not entry.download_bytes else entry.download_bytes
    size = format_bytes(own_bytes) if own_bytes else "-"
    notes = ", ".join(_notes(entry, models)) or "-"
    return (entry.name, entry.kind, _here(entry, store), size, entry.license, notes, entry.description)


def model_object(
    entry: ModelEntry, models: ModelsFile, store: WeightsStore, *, engine: str = "", in_full: bool = False
) -> dict[str, Any]:
    """A model as JSON; `in_full` adds what takes a look at the disk."""
    result: dict[str, Any] = {
        "name": entry.name,
        "kind": entry.kind,
        "engine": engine or entry.engine,
        "license": entry.license,
        "size_bytes": entry.download_bytes,
        "is_installed": store.is_installed(entry),
        "is_default": _default_of(entry, models),
        "is_pinned": entry.is_pinned,
        "is_gated": entry.is_gated,
        "sources": [source.source for source in entry.sources],
        "format": entry.format,
        "languages": list(entry.languages),
        "context_tokens": getattr(entry, "context_tokens", 0),
        "accepts_images": getattr(entry, "accepts_images", False),
        "description": entry.description,
    }
    if in_full:
        is_placed = entry.needs_weights and store.is_installed(entry)
        result |= {
            "gpu_engine": entry.gpu_engine,
            "aliases": list(entry.aliases),
            "base": entry.base,
            "adapter": entry.adapter,
            "projector": projector_of(entry),
            "vision": getattr(entry, "vision", "") or None,
            "revisions": [source.revision for source in entry.sources],
            "installed_revision": store.revision(entry),
            "path": str(store.path(entry)) if is_placed else None,
            "prepared_for": list(store.prepared_engines(entry)) if is_placed else [],
            "size_on_disk_bytes": _own_bytes(entry, store),
        }
    return result


def info_lines(entry: ModelEntry, models: ModelsFile, store: WeightsStore, engine: str) -> list[tuple[str, str]]:
    """`models info` as (what, value) rows, empty values left out."""
    item = model_object(entry, models, store, engine=engine, in_full=True)
    sources = [
        source.source + (f" @ {source.revision}" if source.revision else "" if source.is_pinned else " (unpinned)")
        for source in entry.sources
    ]
    rows: list[tuple[str, str]] = [
        ("name", entry.name + (f"  (also {', '.join(entry.aliases)})" if entry.aliases else "")),
        ("about", entry.description),
        ("kind", entry.kind),
        ("engine", engine + (f"  (with a GPU: {entry.gpu_engine})" if entry.gpu_engine else "")),
        ("notes", ", ".join(_notes(entry, models))),
        ("licence", entry.license),
        ("languages", ", ".join(entry.languages)),
        ("context", f"{item['context_tokens']} tokens" if item["context_tokens"] else ""),
        ("pictures", "takes the pixels" if item["accepts_images"] else ""),
        ("format", entry.format if entry.needs_weights else ""),
        ("server", getattr(entry, "base_url", None) or ""),
        ("base", entry.base or ""),
        ("adapter", entry.adapter or ""),
        ("projector", projector_of(entry) or ""),
        ("sees through", getattr(entry, "vision", "")),
        *(("source", source) for source in sources),
        ("download", format_bytes(entry.download_bytes) if entry.download_bytes else ""),
        ("here", _here(entry, store)),
        ("path", item["path"] or ""),
        ("revision", item["installed_revision"] or ""),
        ("prepared", ", ".join(item["prepared_for"])),
        ("on disk", format_bytes(item["size_on_disk_bytes"]) if item["size_on_disk_bytes"] else ""),
    ]
    return [(key, value) for key, value in rows if value]


# --- check --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CheckReport:
    """What `models check` found."""

    file_problems: tuple[str, ...]
    models: tuple[tuple[str, str, tuple[str, ...]], ...]
    """(name, ok | missing | damaged | unpinned, problems)."""

    @property
    def exit_code(self) -> int:
        """0, or that of the worse kind of finding."""
        if self.file_problems:
            return ConfigError.exit_code
        return WeightsError.exit_code if any(state in ("damaged", "missing") for _, state, _ in self.models) else 0

    def lines(self) -> list[str]:
        """For people."""
        lines = list(self.file_problems)
        for name, state, problems in self.models:
            lines += [f"{name}: {problem}" for problem in problems] or [f"{name}: {state}"]
            if state == "damaged":
                lines.append(f"  mend it with: mmchat models remove {name} && mmchat models pull {name}")
        return lines or ["models.toml is sound; no weights are on this machine yet."]

    def as_object(self) -> dict[str, Any]:
        """For programs."""
        models = [{"name": name, "state": state, "problems": list(lines)} for name, state, lines in self.models]
        return {"problems": list(self.file_problems), "models": models}


def check_report(
    entries: Sequence[ModelEntry], models: ModelsFile, store: WeightsStore, *, is_named: bool
) -> CheckReport:
    """Check the files, and the weights of `entries` that are here; those named must be here."""
    found: list[tuple[str, str, tuple[str, ...]]] = []
    for entry in entries:
        if not entry.needs_weights:
            continue
        if entry.weights_name != entry.name and not is_named:
            continue  # checked with its base
        try:
            problems = tuple(store.check(entry))
        except ModelNotFound as error:
            if is_named:
                found.append((entry.name, "missing", (error.message,)))
            elif not entry.is_pinned:
                found.append((entry.name, "unpinned (the commit is looked up when it is pulled)", ()))
            continue
        found.append((entry.name, "damaged" if problems else "ok", problems))
    return CheckReport(models.problems, tuple(found))


# --- recommend ----------------------------------------------------------------------------------


def machine_line(machine: Machine) -> str:
    """The machine in a line."""
    gpu = f"{machine.gpu} with {format_bytes(machine.gpu_memory_bytes)}" if machine.gpu else "no GPU"
    return (
        f"{gpu}, {format_bytes(machine.memory_bytes)} of memory free, {format_bytes(machine.disk_bytes)} of disk free"
    )


def advice_rows(advice: Sequence[Advice], installed: Sequence[str]) -> list[tuple[str, ...]]:
    """A row for each model; the best of its kind is marked."""
    rows: list[tuple[str, ...]] = []
    for each in advice:
        notes = [word for word, is_so in (("best", each.is_best), ("here", each.entry.name in installed)) if is_so]
        notes += [each.reason] if each.reason else []
        fits = "yes" if each.fits else "no"
        row = (each.entry.name, each.entry.kind, fits, format_bytes(each.needs_bytes), each.entry.license)
        rows.append((*row, ", ".join(notes) or "-"))
    return rows


def advice_object(machine: Machine, advice: Sequence[Advice]) -> dict[str, Any]:
    """The same as JSON."""
    return {
        "machine": {
            "gpu": machine.gpu or None,
            "gpu_memory_bytes": machine.gpu_memory_bytes,
            "memory_bytes": machine.memory_bytes,
            "disk_bytes": machine.disk_bytes,
        },
        "models": [
            {
                "name": each.entry.name,
                "kind": each.entry.kind,
                "fits": each.fits,
                "reason": each.reason,
                "needs_bytes": each.needs_bytes,
                "is_best": each.is_best,
            }
            for each in advice
        ],
    }
