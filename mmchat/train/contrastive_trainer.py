"""The `Trainer` of transformers for pictures and captions: the symmetric loss of CLIP over whole batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mmchat.engines.image_io import open_image
from mmchat.train.loop import FixedOrder
from mmchat.train.towers import Towers

LAYER_RATE_FACTOR = 0.1
"""Layers that know much already learn slower than the maps on top of them."""
RECALL_AT = 10

Batch = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Photos with their captions, the photos seen through a frozen trunk where there is one."""

    paths: tuple[Path, ...]
    captions: tuple[tuple[str, ...], ...]
    features: NDArray[np.float32] | None
    """(V, N, F): as they are and, for V = 2, mirrored; None where the trunk learns too."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One example: which photo, which of its captions, mirrored or not."""

    row: int
    caption: int
    is_mirrored: bool


def symmetric_loss(images: Tensor, texts: Tensor, scale: Tensor, owners: Tensor) -> Tensor:
    """The loss of CLIP: each photo picks its caption, each caption its photo (Radford et al. 2021, figure 3).

    Another caption of the same photo, which `open_clip.ClipLoss` would count as wrong, is left out.

    Args:
        images: (B, D) unit vectors.
        texts: (B, D) unit vectors, the caption of each.
        scale: of the cosines.
        owners: (B,) which photo.
    """
    logits = scale * images @ texts.T
    is_twin = (owners[:, None] == owners[None, :]) & ~torch.eye(len(owners), dtype=torch.bool, device=owners.device)
    logits = logits.masked_fill(is_twin, float("-inf"))
    wanted = torch.arange(len(owners), device=owners.device)
    return (functional.cross_entropy(logits, wanted) + functional.cross_entropy(logits.T, wanted)) / 2


def recall(images: Tensor, texts: Tensor, owners: Tensor, at: int = RECALL_AT) -> float:
    """Share of captions, in percent, whose photo is among the `at` nearest; ties count against it.

    Args:
        images: (N, D) unit vectors.
        texts: (M, D) unit vectors.
        owners: (M,) the photo of each text.
        at: how many are looked at.
    """
    similarities = texts @ images.T
    own = similarities.gather(1, owners[:, None])
    better = (similarities >= own).sum(dim=1) - 1
    return 100 * float((better < at).double().mean())


class PictureCollator:
    """Draws → tensors."""

    def __init__(self, towers: Towers, pictures: Pictures) -> None:
        self._towers = towers
        self._pictures = pictures

    def __call__(self, draws: Sequence[Draw]) -> Batch:
        """`tokens` (B, T), `owners` (B,), and `features` (B, F) or `pixels` (B, 3, H, W)."""
        pictures = self._pictures
        captions = [pictures.captions[draw.row][draw.caption] for draw in draws]
        batch: Batch = {
            "tokens": self._towers.reader.tokens(captions),
            "owners": torch.tensor([draw.row for draw in draws]),
        }
        if pictures.features is not None:
            views = [int(draw.is_mirrored) for draw in draws]
            batch["features"] = torch.from_numpy(pictures.features[views, [draw.row for draw in draws]])
        else:
            pixels = self._towers.reader.pixels([open_image(pictures.paths[draw.row]) for draw in draws])
            is_mirrored = torch.tensor([draw.is_mirrored for draw in draws])
            batch["pixels"] = torch.where(is_mirrored[:, None, None, None], pixels.flip(3), pixels)
        return batch


class ContrastiveTrainer(FixedOrder, transformers.Trainer):
    """Learns from `Draw`s. The negatives of an example are the others of its micro-batch."""

    pictures: Pictures
    """Held out; what validation looks at."""
    text_rate: float = 1.0
    """Factor of the learning rate of a Hugging Face text tower's last map (`Towers.settle_text`)."""

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """Of one micro-batch."""
        core = getattr(model, "module", model)
        core.set_mode(is_training=True)
        images, texts, scale = model(inputs["tokens"], inputs.get("features"), inputs.get("pixels"))
        with torch.autocast(texts.device.type, enabled=False):
            return symmetric_loss(images, texts, scale, inputs["owners"]) / self.current_gradient_accumulation_steps

    def create_optimizer(self, *_: Any, **__: Any) -> Any:
        """AdamW: maps at the learning rate, layers slower, the scale without decay."""
        if self.optimizer is None:
            groups = parameter_groups(self.model, self.args.learning_rate, self.args.weight_decay, self.text_rate)
            self.optimizer = torch.optim.AdamW(groups, lr=self.args.learning_rate)
        return self.optimizer

    def evaluate(self, *_args: Any, **_options: Any) -> dict[str, float]:
        """Loss over all held-out photos at once, averaged over their captions, and how many captions find theirs."""
        towers: Any = getattr(self.model, "module", self.model)
        towers.set_mode(is_training=False)
        with self.compute_loss_context_manager():
            scores = held_out_scores(towers, self.pictures, self._prepare_inputs)
        metrics = {f"eval_{name}": score for name, score in scores.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def parameter_groups(towers: Any, rate: float, decay: float, text_rate: float) -> list[dict[str, Any]]:
    """What learns, by how fast."""
    groups: dict[str, dict[str, Any]] = {
        "maps": {"params": [], "lr": rate, "weight_decay": decay},
        "text": {"params": [], "lr": rate * text_rate, "weight_decay": decay},
        "scale": {"params": [], "lr": rate, "weight_decay": 0.0},
        "layers": {"params": [], "lr": rate * LAYER_RATE_FACTOR, "weight_decay": 0.01},
    }
    for name, parameter in towers.named_parameters():
        if not parameter.requires_grad or name.startswith("model.visual.head.proj") and towers.projection is not None:
            continue
        key = "layers"
        if name.endswith(("logit_scale", "logit_bias")):
            key = "scale"
        elif ".text.proj." in f".{name}":
            key = "text"
        elif name.startswith("projection.") or name.endswith(("text_projection", "visual.proj", "head.proj.weight")):
            key = "maps"
        groups[key]["params"].append(parameter)
    return [group for group in groups.values() if group["params"]]


@torch.no_grad()
def held_out_scores(
    towers: Towers, pictures: Pictures, move: Callable[[Batch], Mapping[str, Tensor]], batch: int = 128
) -> dict[str, float]:
    """`loss` and `recall_at_10` of photos that were not learnt from; as many captions of each as all have."""
    collator = PictureCollator(towers, pictures)
    fewest = min(len(captions) for captions in pictures.captions)
    images: list[Tensor] = []
    texts: list[list[Tensor]] = [[] for _ in range(fewest)]
    scale = torch.ones(())
    for start in range(0, len(pictures.paths), batch):
        rows = range(start, min(len(pictures.paths), start + batch))
        for caption in range(fewest):
            inputs = move(collator([Draw(row, caption, False) for row in rows]))
            # The picture's side is cheap on features, and asked once on pixels.
            seen, read, scale = towers(inputs["tokens"], inputs.get("features"), inputs.get("pixels"))
            texts[caption].append(read.float())
            if caption == 0:
                images.append(seen.float())
    found = torch.cat(images)
    owners = torch.arange(len(found), device=found.device)
    columns = [torch.cat(each) for each in texts]
    loss = torch.stack([symmetric_loss(found, column, scale.float(), owners) for column in columns]).mean()
    return {
        "loss": float(loss),
        f"recall_at_{RECALL_AT}": recall(found, torch.cat(columns), owners.repeat(len(columns))),
    }
