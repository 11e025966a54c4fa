"""Small wheels in a folder that pip takes for its only index; entries made in the test."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmchat.config.model_entries import AsrEntry
from mmchat.weights.store import WeightsStore


@dataclass(frozen=True)
class Wheel:
    """A wheel on the shelf."""

    requirement: str
    sha256: str
    size_bytes: int
    path: Path


MakeWheel = Callable[..., Wheel]


@pytest.fixture
def make_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeWheel:
    """Puts a wheel where pip finds it, and nothing else: pip never leaves the machine."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))

    def make(name: str, files: dict[str, bytes], version: str = "1.0") -> Wheel:
        stem = f"{name.replace('-', '_')}-{version}"
        path = shelf / f"{stem}-py3-none-any.whl"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
            for member, data in files.items():
                wheel.writestr(member, data)
            wheel.writestr(f"{stem}.dist-info/METADATA", metadata)
            wheel.writestr(f"{stem}.dist-info/WHEEL", tags)
            wheel.writestr(f"{stem}.dist-info/RECORD", "")
        data = path.read_bytes()
        return Wheel(f"pypi:{name}=={version}", hashlib.sha256(data).hexdigest(), len(data), path)

    return make


def zipped(files: dict[str, bytes]) -> bytes:
    """An archive in memory."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def make_entry(name: str = "tiny", **fields: object) -> AsrEntry:
    """An entry whose engine takes the files as they are, unless told otherwise."""
    base: dict[str, object] = {
        "name": name,
        "weights_name": name,
        "kind": "asr",
        "engine": "faster-whisper",
        "format": "ctranslate2",
    }
    return AsrEntry.model_validate({**base, **fields})


def from_wheel(wheel: Wheel, files: dict[str, str]) -> dict[str, object]:
    """A source as models.toml writes it."""
    return {"source": wheel.requirement, "sha256": wheel.sha256, "size_bytes": wheel.size_bytes, "files": files}


@pytest.fixture
def store(tmp_path: Path) -> WeightsStore:
    return WeightsStore(tmp_path / "weights")
