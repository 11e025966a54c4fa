"""What every part of the comparison of replies works with: folders, files, questions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.speakers import ROOT

QUESTIONS = (
    "Tell me a long story about a lighthouse.",
    "How are lighthouses built? Tell me every step.",
    "Who works there? Describe a whole day.",
    "What did they burn before electricity, and why?",
    "Describe a storm as the keeper sees it.",
)
WORDS = "the keeper of the lighthouse walked up the stairs and looked out over the grey sea while wind was blowing"


@dataclass(slots=True)
class Place:
    """What the run works with."""

    home: Path
    """A temporary folder."""
    weights: Path
    tokens: int
    llm: Path | None = None
    """The python of its environment."""
    left_out: list[str] = field(default_factory=list)

    @property
    def ours(self) -> Path:
        """The file that mmchat runs: requantised."""
        return next((self.weights / "smollm2-135m/llamacpp").glob("*.gguf"))

    @property
    def published(self) -> Path:
        """The file as it was published."""
        return next((self.weights / "smollm2-135m/source").glob("*.gguf"))

    def variables(self, home: Path | None = None) -> dict[str, str]:
        """For our own programs."""
        own = {"MMCHAT_HOME": str(home or self.home / "mmchat"), "MMCHAT_WEIGHTS": str(self.weights)}
        return own | {"PYTHONPATH": str(ROOT), "MMCHAT_OFFLINE": "1"}
