"""A learned map from a picture's patch features to places in a language model's prompt, and its folder.

The picture is cut into a grid of patches, and each becomes one vector where the model expects a word's. The map is
linear, with a small network on top of it. Sources: Mokady et al. 2021, "ClipCap"; Liu et al. 2023, "Visual Instruction
Tuning" (LLaVA).

```
<folder>/
    projector.json          sizes, and which vision model the features come from
    projector.safetensors   the map
```
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from mmchat.errors import ModelNotFound, WeightsError

CONFIG_NAME = "projector.json"
WEIGHTS_NAME = "projector.safetensors"


@dataclass(frozen=True, slots=True)
class ProjectorSizes:
    """What a projector is made of."""

    features: int
    """Numbers of one patch, as the image tower gives them."""
    grid: int
    """Patches along a side; a picture takes grid × grid places of the prompt."""
    width: int
    """Of the language model's embeddings."""
    hidden: int
    """Of the network on top of the linear map."""
    vision: str = ""
    """The vision model, as models.toml names it."""

    @property
    def places(self) -> int:
        """Of the prompt, that a picture takes."""
        return self.grid * self.grid


class Projector(nn.Module):
    """Patch features → vectors in a language model's space of embeddings."""

    centre: Tensor
    scale: Tensor

    def __init__(self, sizes: ProjectorSizes, dropout: float = 0.0) -> None:
        super().__init__()
        self.sizes = sizes
        self.register_buffer("centre", torch.zeros(sizes.features))
        self.register_buffer("scale", torch.ones(sizes.features))
        self.linear = nn.Linear(sizes.features, sizes.width)
        self.up = nn.Linear(sizes.features, sizes.hidden)
        self.down = nn.Linear(sizes.hidden, sizes.width)
        self.place = nn.Parameter(torch.zeros(sizes.places, sizes.width))
        self.dropout = nn.Dropout(dropout)
        # It begins as the linear map alone, which the trainer finds without a step.
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, patches: Tensor) -> Tensor:
        """(P, N, D) float32 of (P, N, F), N places of each of P pictures."""
        with torch.autocast(patches.device.type, enabled=False):
            inputs = self.dropout((patches.float() - self.centre) / self.scale)
            bent: Tensor = self.down(functional.gelu(self.up(inputs)))
            found: Tensor = self.linear(inputs) + bent + self.place
            return found


class PictureEmbedding(nn.Module):
    """A language model's input embedding that knows places of pictures beside the words.

    Ids from `first` on are such places: place k of picture s is `first + s * places + k`. So a prompt with pictures is
    a row of ids like any other: it can be cached, compared, padded and batched.
    """

    def __init__(self, words: nn.Module, projector: Projector, patches: Callable[[int], Tensor], first: int) -> None:
        """`patches`: from a picture's number to its features, (N, F) float32; asked whenever the picture is read."""
        super().__init__()
        self.words = words
        self.projector = projector
        self._patches = patches
        self.first = first

    @property
    def weight(self) -> Tensor:
        """Of the words; some of transformers' and peft's code looks for it."""
        weight = self.words.weight
        assert isinstance(weight, Tensor)
        return weight

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T, D) of (B, T)."""
        is_place = ids >= self.first
        embedded: Tensor = self.words(ids.masked_fill(is_place, 0))
        if not bool(is_place.any()):
            return embedded + self._nothing() if self.training else embedded
        places = ids[is_place] - self.first
        count = self.projector.sizes.places
        numbers, rows = torch.unique(places // count, return_inverse=True)
        patches = torch.stack([self._patches(int(number)) for number in numbers]).to(embedded.device)
        seen = self.projector(patches)[rows, places % count].to(embedded.dtype)
        return embedded.masked_scatter(is_place[..., None], seen)

    def _nothing(self) -> Tensor:
        """Zero, by way of every parameter: several processes must agree on which ones have a gradient."""
        return torch.stack([each.sum() for each in self.projector.parameters()]).sum() * 0


# --- the folder ---------------------------------------------------------------------------------------


def save_projector(projector: Projector, folder: Path) -> None:
    """Write both files."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in projector.state_dict().items()}, folder / WEIGHTS_NAME)
    (folder / CONFIG_NAME).write_text(json.dumps(asdict(projector.sizes), indent=1) + "\n", encoding="utf-8")


def load_projector(folder: Path, name: str) -> Projector:
    """Read both files, ready to answer.

    Args:
        folder: that holds them.
        name: of the model, for messages.

    Raises:
        ModelNotFound: the folder or a file is missing.
        WeightsError: they cannot be used.
    """
    for file in (CONFIG_NAME, WEIGHTS_NAME):
        if not (folder / file).is_file():
            raise ModelNotFound(
                f"The projector of '{name}' is not there: {folder / file}.",
                hint=f"Correct 'projector' of '{name}' in models.toml, or train it again.",
            )
    try:
        raw: dict[str, Any] = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
        projector = Projector(ProjectorSizes(**raw))
        projector.load_state_dict(load_file(folder / WEIGHTS_NAME))
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise WeightsError(
            f"The projector of '{name}' in {folder} is damaged: {str(error).splitlines()[0]}",
            hint="Copy it again, or train it again.",
        ) from error
    return projector.eval().requires_grad_(False)
