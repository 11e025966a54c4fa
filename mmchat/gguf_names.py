"""What the names of GGUF files say."""

from __future__ import annotations


def is_projector(name: str) -> bool:
    """Whether a file turns pictures into a model's tokens, going by its name, as llama.cpp itself does."""
    return "mmproj" in name.lower() and name.lower().endswith(".gguf")


def is_model(name: str) -> bool:
    """Whether a file holds a language model."""
    return name.lower().endswith(".gguf") and not is_projector(name)
