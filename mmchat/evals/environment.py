"""What a result was made with, beside models and rows: library versions and the machine."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

from mmchat.engines.device import usable_threads

_LIBRARIES = (
    "accelerate",
    "ctranslate2",
    "faster-whisper",
    "jiwer",
    "numpy",
    "open_clip_torch",
    "openai-whisper",
    "peft",
    "rouge-score",
    "sacrebleu",
    "scikit-learn",
    "tokenizers",
    "torch",
    "transformers",
    "xllamacpp",
)
"""Packages that may bear on a score."""
_MODULES = {
    "open_clip_torch": "open_clip",
    "openai-whisper": "whisper",
    "scikit-learn": "sklearn",
}
"""Where the module's name is not the package's."""


def loaded_libraries() -> dict[str, str]:
    """Versions of the libraries that took part: those that are loaded by now."""
    loaded = [name for name in _LIBRARIES if _MODULES.get(name, name.replace("-", "_")) in sys.modules]
    versions: dict[str, str] = {"python": platform.python_version()}
    for name in loaded:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "unknown"  # built from source without its metadata
    return versions


def machine_words() -> str:
    """System, processor and threads."""
    threads = usable_threads()
    return f"{platform.system()} {platform.machine()}, {threads} thread{'' if threads == 1 else 's'}"
