"""What a trained classification head keeps in its folder, read without torch.

`head.json` describes it, `head.safetensors` holds its numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from mmchat.errors import ModelNotFound, WeightsError

CONFIG_NAME = "head.json"
WEIGHTS_NAME = "head.safetensors"
FORMAT = 1

Fusion = Literal["concat", "attention"]
Encoder = Literal["embed", "vision"]


@dataclass(frozen=True, slots=True)
class HeadShape:
    """The architecture of a head."""

    classes: int
    text_width: int = 0
    """Of the sentence vectors; 0: the head reads no sentence vectors."""
    image_width: int = 0
    """0: it sees no pictures."""
    views: int = 1
    """Vectors of one picture: 1 for the whole, 5 for the whole and its quarters."""
    columns: int = 0
    """Character n-grams that it knows; 0: it reads none."""
    hidden: int = 0
    """Width of the hidden layer; 0: the head is linear."""
    fusion: Fusion = "concat"

    @property
    def reads_text(self) -> bool:
        """As vectors, as n-grams, or both."""
        return self.text_width > 0 or self.columns > 0

    @property
    def sees_images(self) -> bool:
        """Whether every row needs a picture."""
        return self.image_width > 0


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """A head's folder in short."""

    labels: tuple[str, ...]
    shape: HeadShape
    temperature: float
    """Logits are divided by it before the softmax; fitted on held-out rows."""
    encoders: Mapping[Encoder, Mapping[str, str]] = field(default_factory=dict)
    """Kind of encoder → `name` and `sha256` of the one that it was trained on."""
    scope: tuple[float, float, float] | None = None
    """The numbers of the `intents_scope.Scale` that tells what is none of the labels; None: it was not learnt."""


def save_config(config: HeadConfig, folder: Path) -> None:
    """Write `head.json`."""
    text = json.dumps({"format": FORMAT, **asdict(config)}, indent=2, ensure_ascii=False)
    (folder / CONFIG_NAME).write_text(text + "\n", encoding="utf-8")


def read_config(folder: Path | None, name: str) -> HeadConfig:
    """Read `head.json`.

    Args:
        folder: of the head.
        name: the model's, for messages.

    Raises:
        ModelNotFound: there is no head in that folder.
        WeightsError: its description is damaged, or of a newer mmchat.
    """
    if folder is None or not (folder / CONFIG_NAME).is_file():
        raise ModelNotFound(
            f"There is no classification head at {folder} for '{name}'.",
            hint="Train it: mmchat finetune labels.jsonl --name " + name,
        )
    try:
        raw: dict[str, Any] = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
        if raw.pop("format") != FORMAT:
            raise WeightsError(f"{folder / CONFIG_NAME} was written by another mmchat.", hint="Upgrade mmchat.")
        shape = HeadShape(**raw.pop("shape"))
        scope = raw.pop("scope", None)
        scope = None if scope is None else (float(scope[0]), float(scope[1]), float(scope[2]))
        config = HeadConfig(labels=tuple(raw.pop("labels")), shape=shape, scope=scope, **raw)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise WeightsError(f"{folder / CONFIG_NAME} is damaged: {error}", hint="Train the head again.") from error
    if len(config.labels) != shape.classes:
        raise WeightsError(f"{folder / CONFIG_NAME} is damaged: its labels do not fit.", hint="Train the head again.")
    return config
