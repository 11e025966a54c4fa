"""`models.toml`: the packaged one, with the user's merged over it.

Every problem of both files is found in one pass. A broken entry blocks only what uses it: it stays
in the list, and asking for it raises all that is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mmchat import paths
from mmchat.config.model_entries import (
    DERIVED_FIELDS,
    ENGINE_NAMES,
    ENTRY_CLASSES,
    AsrEntry,
    EmbedEntry,
    LmEntry,
    ModelEntry,
    Source,
    VisionEntry,
    is_model_name,
    with_absolute_paths,
)
from mmchat.config.problems import did_you_mean, problem, read_toml, validation_problems
from mmchat.domain import ModelKind
from mmchat.errors import ConfigError, ModelNotFound
from mmchat.gguf_names import is_projector

__all__ = [
    "AsrEntry",
    "Defaults",
    "EmbedEntry",
    "LmEntry",
    "ModelEntry",
    "ModelsFile",
    "Source",
    "VisionEntry",
    "load_models_file",
    "packaged_models_path",
]

SCHEMA_VERSION = 1
KINDS: tuple[ModelKind, ...] = ("lm", "asr", "vision", "embed", "head")

_INHERITED_FROM_BASE = ("engine", "gpu_engine", "license", "languages", "format", "sources", "join", "unzip",
                        "is_gated", "context_tokens", "task", "accepts_images", "dtype", "options", "decoding",
                        "notes", "summaries")  # fmt: skip


@cache
def packaged_models_path() -> Path:
    """The models.toml that came with mmchat: beside this module in a wheel, at the top of a checkout."""
    beside = Path(__file__).with_name("models.toml")
    return beside if beside.is_file() else Path(__file__).parents[2] / "models.toml"


class Defaults:
    """Which model stands for its kind when the user names none."""

    def __init__(self, names: Mapping[str, str], problems: Mapping[str, str]) -> None:
        self._names = dict(names)
        self._problems = dict(problems)

    def for_kind(self, kind: ModelKind) -> str:
        """The default's name.

        Raises:
            ConfigError: the files name none, or one that does not exist or is of another kind.
        """
        if kind in self._problems:
            raise ConfigError(self._problems[kind], hint="mmchat models check")
        if kind not in self._names:
            raise ConfigError(
                f"No default model for {kind}.", hint=f'Set {kind} = "…" under [defaults] in models.toml.'
            )
        return self._names[kind]

    @property
    def lm(self) -> str:
        """The language model."""
        return self.for_kind("lm")

    @property
    def asr(self) -> str:
        """The speech recogniser."""
        return self.for_kind("asr")

    @property
    def vision(self) -> str:
        """The image reader."""
        return self.for_kind("vision")

    @property
    def embed(self) -> str:
        """The sentence encoder."""
        return self.for_kind("embed")


@dataclass(frozen=True)
class ModelsFile:
    """All models known here, by name; the user's aliases work as names."""

    entries: Mapping[str, ModelEntry]
    broken: Mapping[str, tuple[str, ...]]
    """Name → its problems."""
    defaults: Defaults
    problems: tuple[str, ...] = ()
    """Everything wrong in the files, the broken entries' problems included."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    stack: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> ModelEntry:
        """The entry of that name or alias.

        Raises:
            ModelNotFound: no such model; the nearest name is suggested.
            ConfigError: its entry is broken; everything wrong with it is said.
        """
        name = self.aliases.get(name, name)
        if name in self.entries:
            return self.entries[name]
        if name in self.broken:
            raise ConfigError("\n".join(self.broken[name]), hint="Mend the entry; then: mmchat models check")
        if _reads_like_path(name):
            raise ModelNotFound(f"There is no model file or folder '{name}'.", hint="Check the path.")
        known = [*self.entries, *self.broken, *self.aliases]
        raise ModelNotFound(f"No model named '{name}'.{did_you_mean(name, known)}", hint="mmchat models list")

    def __contains__(self, name: object) -> bool:
        return name in self.entries or name in self.aliases

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def values(self) -> tuple[ModelEntry, ...]:
        """All sound entries, in the order of the files."""
        return tuple(self.entries.values())

    def default_stack(self) -> tuple[str, ...]:
        """The models that a first start fetches."""
        return self.stack

    def resolve(self, name: str, *, has_gpu: bool = False) -> tuple[ModelEntry, str]:
        """An entry and its engine, from `NAME`, `NAME@ENGINE`, or the path of a folder or a .gguf file.

        Raises:
            ModelNotFound: no such model.
            ConfigError: a broken entry, or an engine that is not one for its kind.
        """
        base, at, engine = name.rpartition("@")
        if not at or "/" in engine or (not is_model_name(base) and not _is_path(base)):
            base, engine = name, ""
        known = base in self or base in self.broken
        entry = self._path_entry(Path(base).expanduser()) if not known and _is_path(base) else self[base]
        if not engine:
            return entry, entry.engine_for(has_gpu=has_gpu)
        if engine not in ENGINE_NAMES[entry.kind]:
            names = ENGINE_NAMES[entry.kind]
            raise ConfigError(
                f"'{engine}' is not an engine for {entry.kind}.{did_you_mean(engine, names)}",
                hint=f"Engines for {entry.kind}: {', '.join(names)}.",
            )
        return entry, engine

    @staticmethod
    def _path_entry(path: Path) -> ModelEntry:
        """An entry for weights named by their place."""
        if path.is_file():
            if path.suffix.lower() != ".gguf":
                raise ModelNotFound(f"'{path}' is not a .gguf file.", hint="Name a .gguf file or a model's folder.")
            files, model_format, engine = _with_projector(path.absolute()), "gguf", "llamacpp"
            sources = [{"source": f"file:{file}"} for file in files]
        else:
            sources, model_format, engine = [{"source": f"dir:{path.absolute()}"}], "safetensors", "transformers"
        name = path.absolute().stem if path.is_file() else path.absolute().name
        # two folders may have one name, and either may be called like a model of the files
        folder = f"{name}-{sha256(str(path.absolute()).encode()).hexdigest()[:8]}"
        return LmEntry.model_validate(
            {"name": name, "weights_name": folder, "kind": "lm", "engine": engine, "format": model_format,
             "description": str(path), "sources": sources, "accepts_images": len(sources) > 1}
        )  # fmt: skip


def _reads_like_path(text: str) -> bool:
    return "/" in text or "\\" in text or text.startswith("~") or text.lower().endswith(".gguf")


def _with_projector(path: Path) -> list[Path]:
    """A .gguf file, with the file beside it that lets it take pictures, where those two are the only ones there."""
    others = [file for file in path.parent.glob("*.gguf") if file.name != path.name]
    return [path, *others] if len(others) == 1 and is_projector(others[0].name) else [path]


def _is_path(text: str) -> bool:
    return _reads_like_path(text) and Path(text).expanduser().exists()


def load_models_file(user_path: Path | None = None, packaged_path: Path | None = None) -> ModelsFile:
    """Read the packaged models.toml and, where there is one, the user's.

    Raises:
        ConfigError: a file that is not TOML, or of a newer schema. Lesser problems are in `problems`.
    """
    packaged = packaged_path or packaged_models_path()
    user = user_path or paths.user_models_path()
    loader = _Loader()
    loader.add(packaged, read_toml(packaged))
    if user.is_file():
        loader.add(user, read_toml(user))
    return loader.finish()


class _Loader:
    """Collects tables from the files, then checks them together."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.broken: dict[str, list[str]] = {}
        self.raw: dict[str, dict[str, Any]] = {}
        self.origin: dict[str, Path] = {}
        self.defaults: dict[str, tuple[str, Path]] = {}
        self.stack: tuple[str, ...] = ()
        self.path = Path()

    def add(self, path: Path, data: dict[str, Any]) -> None:
        """Merge one file over what is there, key by key."""
        self.path = path
        version = data.pop("schema_version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise ConfigError(
                f"{path}: schema_version: this mmchat reads {SCHEMA_VERSION}, not {version!r}.",
                hint="Upgrade mmchat, or set schema_version = 1.",
            )
        models = self._table(data.pop("models", {}), "models")
        for kind, name in self._table(data.pop("defaults", {}), "defaults").items():
            self._add_default(kind, name)
        for key in data:
            self._say(key, f"no such key.{did_you_mean(key, ('schema_version', 'models', 'defaults'))}")
        for name, table in models.items():
            self._add_model(name, table)

    def _add_default(self, kind: str, name: Any) -> None:
        if kind == "stack":
            if isinstance(name, list) and all(isinstance(item, str) for item in name):
                self.stack = tuple(name)
            else:
                self._say("defaults.stack", "must be a list of model names.")
        elif kind not in KINDS:
            self._say(f"defaults.{kind}", f"no such kind.{did_you_mean(kind, KINDS)}")
        elif not isinstance(name, str):
            self._say(f"defaults.{kind}", f"must be a model's name, not {name!r}.")
        else:
            self.defaults[kind] = (name, self.path)

    def _add_model(self, name: str, table: Any) -> None:
        key = f"models.{name}"
        if not is_model_name(name):
            self._break(
                name, key, "a name has letters, digits, '.', '_' and '-' only, and begins with one of the first two."
            )
            return
        if not isinstance(table, dict):
            self._break(name, key, "must be a table.")
            return
        table = with_absolute_paths(table, self.path.parent)
        old = self.raw.get(name)
        is_same_kind = old is not None and table.get("kind", old.get("kind")) == old.get("kind")
        self.raw[name] = {**old, **table} if old and is_same_kind else table
        self.origin[name] = self.path

    def finish(self) -> ModelsFile:
        """Validate and cross-check everything."""
        entries: dict[str, ModelEntry] = {}
        for name in self.raw:
            if entry := self._entry(name):
                entries[name] = entry
        aliases = self._aliases(entries)
        names, default_problems = self._checked_defaults(entries)
        stack = tuple(name for name in self.stack if self._is_known(name, entries, "defaults.stack"))
        return ModelsFile(
            entries=entries,
            broken={name: tuple(lines) for name, lines in self.broken.items()},
            defaults=Defaults(names, default_problems),
            problems=tuple(self.problems),
            aliases=aliases,
            stack=stack or tuple(dict.fromkeys(names.values())),
        )

    def _entry(self, name: str) -> ModelEntry | None:
        key, path, raw = f"models.{name}", self.origin[name], dict(self.raw[name])
        kind = raw.get("kind")
        base = raw.get("base")
        if base is not None:
            if base not in self.raw or base == name or self.raw[base].get("base"):
                self._break(name, f"{key}.base", f"'{base}' is no other model with weights of its own."
                            f"{did_you_mean(str(base), [other for other in self.raw if other != name])}")  # fmt: skip
                return None
            inherited = {k: v for k, v in self.raw[base].items() if k in _INHERITED_FROM_BASE}
            raw = {**inherited, **raw}
            if "sources" not in self.raw[name]:
                raw.setdefault("size_bytes", self.raw[base].get("size_bytes", 0))
        if kind not in ENTRY_CLASSES:
            what = (
                "is missing."
                if kind is None
                else f"{kind!r} is none of {', '.join(KINDS)}.{did_you_mean(str(kind), KINDS)}"
            )
            self._break(name, f"{key}.kind", what)
            return None
        for derived in DERIVED_FIELDS:
            if derived in self.raw[name]:
                self._break(name, f"{key}.{derived}", "no such key.")
        model = ENTRY_CLASSES[kind]
        own_weights = base is None or "sources" in self.raw[name]
        try:
            entry = model.model_validate({**raw, "name": name, "weights_name": name if own_weights else base})
        except ValidationError as error:
            for line in validation_problems(error, path, key, model):
                self._break_line(name, line)
            return None
        for field_name in ("engine", "gpu_engine"):
            engine = getattr(entry, field_name)
            if engine is not None and engine not in ENGINE_NAMES[entry.kind]:
                known = ENGINE_NAMES[entry.kind]
                what = f"'{engine}' is not an engine for {kind} ({', '.join(known)}).{did_you_mean(engine, known)}"
                self._break(name, f"{key}.{field_name}", what)
        if entry.needs_weights and entry.format == "none":
            self._break(name, f"{key}.format", "is missing: weights have a format.")
        if not entry.needs_weights and entry.engine not in ("openai", "scripted"):
            self._break(name, f"{key}.sources", f"is missing: engine '{entry.engine}' needs weights.")
        return None if name in self.broken else entry

    def _aliases(self, entries: dict[str, ModelEntry]) -> dict[str, str]:
        aliases: dict[str, str] = {}
        for name, entry in entries.items():
            self.path = self.origin[name]
            for alias in entry.aliases:
                if alias in self.raw:
                    self._say(f"models.{name}.aliases", f"'{alias}' is another model's name.")
                elif aliases.setdefault(alias, name) != name:
                    self._say(f"models.{name}.aliases", f"'{alias}' is already an alias of '{aliases[alias]}'.")
        return aliases

    def _checked_defaults(self, entries: dict[str, ModelEntry]) -> tuple[dict[str, str], dict[str, str]]:
        names: dict[str, str] = {}
        problems: dict[str, str] = {}
        for kind, (name, path) in self.defaults.items():
            self.path = path
            entry = entries.get(name)
            what = ""
            if entry is None:
                state = "is broken" if name in self.broken else "is no model here"
                what = f"'{name}' {state}.{did_you_mean(name, entries) if name not in self.broken else ''}"
            elif entry.kind != kind:
                what = f"'{name}' is of kind {entry.kind}."
            if what:
                problems[kind] = problem(path, f"defaults.{kind}", what)
                self.problems.append(problems[kind])
            else:
                names[kind] = name
        return names, problems

    def _is_known(self, name: str, entries: dict[str, ModelEntry], key: str) -> bool:
        if name in entries:
            return True
        if name not in self.broken:
            self._say(key, f"'{name}' is no model here.{did_you_mean(name, entries)}")
        return False

    def _table(self, value: Any, key: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self._say(key, "must be a table.")
        return {}

    def _say(self, key: str, what: str) -> None:
        self.problems.append(problem(self.path, key, what))

    def _break(self, name: str, key: str, what: str) -> None:
        self._break_line(name, problem(self.origin.get(name, self.path), key, what))

    def _break_line(self, name: str, line: str) -> None:
        self.broken.setdefault(name, []).append(line)
        self.problems.append(line)
