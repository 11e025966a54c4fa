"""The files of a GGUF model: which they are, and why llama.cpp would not load them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmchat.domain import EngineSpec
from mmchat.engines.llamacpp_library import xllamacpp
from mmchat.errors import DeviceError, MmchatError, ModelNotFound, WeightsError
from mmchat.gguf_names import is_model, is_projector


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """What llama.cpp is to load."""

    model: Path
    projector: Path | None = None
    """What turns pictures into the model's tokens ("mmproj"); None for models of words."""


def model_files(spec: EngineSpec) -> ModelFiles:
    """The files of an entry; `spec.path` is a GGUF file or a folder that holds one.

    Raises:
        ModelNotFound: there is no such file, or none for the pictures that the entry says the model takes.
        WeightsError: it is no GGUF file.
    """
    path = spec.path
    hint = f"mmchat models pull {spec.name}"
    if path is None or not path.exists():
        raise ModelNotFound(f"The weights of '{spec.name}' are not on this machine: {path}.", hint=hint)
    projector = None
    if path.is_dir():
        files = sorted(path.glob("*.gguf"))
        models = [file for file in files if is_model(file.name)]
        projector = next((file for file in files if is_projector(file.name)), None)
        if not models:
            raise ModelNotFound(f"The folder {path} of '{spec.name}' holds no GGUF file.", hint=hint)
        path = models[0]
    for file in (path, projector):
        if file is not None and not _is_gguf(file):
            raise WeightsError(f"{file} is not a GGUF file.", hint=hint)
    if projector is None and spec.options.get("accepts_images"):
        raise ModelNotFound(
            f"models.toml says that '{spec.name}' sees, but no file with 'mmproj' in its name lies beside {path.name}.",
            hint="Add it to the entry's sources, or set accepts_images = false.",
        )
    return ModelFiles(path, projector)


def why_not_loaded(name: str, files: ModelFiles) -> MmchatError:
    """llama.cpp only says that it failed, so look at the files to tell damage from want of memory."""
    architectures = []
    for file in (files.model, files.projector):
        if file is None:
            continue
        architecture = _architecture(file)
        if architecture is None:
            return WeightsError(
                f"The weights of '{name}' are damaged: {file.name} is not a whole GGUF file.",
                hint=f"mmchat models remove {name}, then mmchat models pull {name}",
            )
        architectures.append(architecture)
    needed = sum(file.stat().st_size for file in (files.model, files.projector) if file is not None)
    free = sum(int(each["memory_free"]) for each in xllamacpp.get_device_info())
    if needed > free:
        return DeviceError(
            f"'{name}' needs {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free.",
            hint="Choose a smaller model: mmchat models recommend",
        )
    if files.projector is not None:
        return WeightsError(
            f"llama.cpp cannot load '{name}' (architecture {architectures[0]}) with {files.projector.name}.",
            hint="The two must be of the same model. Without the second file it reads words only.",
        )
    return WeightsError(
        f"llama.cpp cannot load '{name}' (architecture {architectures[0]}).",
        hint='Lower its context_tokens in models.toml, or try engine = "transformers".',
    )


def _is_gguf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"GGUF"


def _architecture(path: Path) -> str | None:
    """What a file says that it holds; None for a damaged one."""
    # Deferred: only needed when loading has failed.
    from gguf import GGUFReader

    try:
        return str(GGUFReader(path).fields["general.architecture"].contents())
    except (ValueError, IndexError, KeyError, OSError, UnicodeDecodeError):
        return None
