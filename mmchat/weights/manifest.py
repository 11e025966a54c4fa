"""What was placed for a model: which files, from where, with which checksums."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

MANIFEST_NAME = "manifest.json"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class PlacedFile:
    """One file of a model."""

    sha256: str
    size_bytes: int
    origin: str = ""
    """Which bytes of which pinned source these are; equal origins mean equal files."""


@dataclass(frozen=True)
class PlacedSource:
    """One source, as it was fetched."""

    source: str
    revision: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Prepared:
    """What a preparer made of the files for one engine."""

    preparer: str
    source_digest: str
    files: dict[str, PlacedFile] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """`manifest.json` in a model's folder. Its presence says that the files beside it are whole."""

    sources: tuple[PlacedSource, ...]
    files: dict[str, PlacedFile]
    """Path below `source_dir`, with `/`, → file."""
    source_dir: str
    """Relative to the model's folder, or absolute for weights that are used in place."""
    prepared: dict[str, Prepared] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Changes whenever a source file does."""
        text = "".join(
            f"{path}\0{file.sha256}\0{file.size_bytes}\0{file.origin}\n" for path, file in sorted(self.files.items())
        )
        return hashlib.sha256(text.encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """Write it beside the files, atomically."""
        partial = folder / f".{MANIFEST_NAME}.{os.getpid()}"
        partial.write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(partial, folder / MANIFEST_NAME)


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a model's folder; None where there is none that can be read."""
    try:
        data = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
        return Manifest(
            sources=tuple(PlacedSource(**source) for source in data["sources"]),
            files=_files(data["files"]),
            source_dir=data["source_dir"],
            prepared={
                engine: Prepared(item["preparer"], item["source_digest"], _files(item["files"]))
                for engine, item in data["prepared"].items()
            },
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # cut short or written by something else: the model counts as not installed


def _files(data: dict[str, dict[str, str | int]]) -> dict[str, PlacedFile]:
    return {
        path: PlacedFile(str(item["sha256"]), int(item["size_bytes"]), str(item["origin"]))
        for path, item in data.items()
    }


def sha256_of(path: Path, on_chunk: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file; `on_chunk` is told how many bytes were read and may raise to stop."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            if on_chunk:
                on_chunk(len(chunk))
    return digest.hexdigest()


def hash_tree(
    folder: Path, origins: dict[str, str] | None = None, on_chunk: Callable[[int], None] | None = None
) -> dict[str, PlacedFile]:
    """Every file below `folder`, hashed, hidden files left out."""
    files = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            key = relative.as_posix()
            origin = (origins or {}).get(key, "")
            files[key] = PlacedFile(sha256_of(path, on_chunk), path.stat().st_size, origin)
    return files


def tree_bytes(folder: Path) -> int:
    """Bytes of all files below a folder that may change meanwhile; links are not followed."""
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(directory, name)).st_size
            except FileNotFoundError:
                continue
    return total
