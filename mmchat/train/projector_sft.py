"""The `Trainer` of a projector: dialogue learning whose prompts hold places of pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import peft
import torch
from datasets import Dataset
from safetensors.torch import load_file
from torch import Tensor

from mmchat.adapter_files import WEIGHTS_NAME as ADAPTER_WEIGHTS
from mmchat.engines.projector import WEIGHTS_NAME, PictureEmbedding, Projector, save_projector
from mmchat.train.projector_rows import BranchedExample, branch_layout
from mmchat.train.samples import IGNORED, Example
from mmchat.train.sft_trainer import Batch, DialogueSft, padded_rows, supervised_nats

ADAPTER_RATE = 0.3
"""Of the projector's learning rate, what the language model's adapter learns at: it knows its trade already."""
COLUMNS = ("ids", "labels", "branches")
_SOFT = 0.1
"""Added to the deviation of each feature: those that hardly move are not blown up."""
_RIDGE = 2.0
"""Times the number of pictures: of 0.02 to 2 the best at foretelling held-out photos' words."""


def picture_dataset(examples: Sequence[Example]) -> Dataset:
    """Examples as the trainer takes them."""
    rows = [_plain(each) for each in examples]
    return Dataset.from_dict({key: [row[key] for row in rows] for key in COLUMNS})


def _plain(example: Example) -> dict[str, list[int]]:
    return {key: list(getattr(example, key, ())) for key in COLUMNS}


class PictureCollator:
    """Fills examples up on the right; where they have branches, with positions and a mask of who sees whom."""

    def __init__(self, pad_id: int, *, is_boolean: bool) -> None:
        """`is_boolean`: whether the model's attention takes a mask of booleans, else of numbers to add."""
        self._pad_id = pad_id
        self._is_boolean = is_boolean

    def __call__(self, given: Sequence[Mapping[str, Sequence[int]]]) -> Batch:
        """(B, T) ids, labels and positions, and (B, 1, T, T) `attention_mask`, of rows of `picture_dataset`."""
        rows = [BranchedExample(*(tuple(row[key]) for key in COLUMNS)) for row in given]
        width = max(len(row.ids) for row in rows)
        layouts = [branch_layout(row, width) for row in rows]
        sees = torch.stack([each for _, each in layouts])[:, None]
        if not self._is_boolean:
            sees = torch.zeros(sees.shape).masked_fill(~sees, torch.finfo(torch.float32).min)
        return {
            "input_ids": padded_rows([row.ids for row in rows], self._pad_id),
            "labels": padded_rows([row.labels for row in rows], IGNORED),
            "position_ids": torch.stack([each for each, _ in layouts]),
            "attention_mask": sees,
        }


class ProjectorSft(DialogueSft):
    """Learns from rows of `picture_dataset`."""

    optimizer: Any  # transformers' own, whose type is not found out through TRL

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """The mean loss of the supervised tokens of a whole step; TRL's own takes no mask of branches."""
        nats, tokens = supervised_nats(model, inputs)
        loss = nats / (tokens if num_items_in_batch is None else num_items_in_batch)
        return loss if num_items_in_batch is None else loss * self.accelerator.num_processes

    def create_optimizer(self, *_: Any, **__: Any) -> Any:
        """AdamW: the projector at the learning rate, an adapter slower and without decay."""
        if self.optimizer is None:
            learns = [(name, each) for name, each in self.model.named_parameters() if each.requires_grad]
            rate, decay = self.args.learning_rate, self.args.weight_decay
            groups = [
                {"params": [each for name, each in learns if ".projector." in name], "lr": rate, "weight_decay": decay},
                {
                    "params": [each for name, each in learns if ".projector." not in name],
                    "lr": rate * ADAPTER_RATE,
                    "weight_decay": 0.0,
                },
            ]
            self.optimizer = torch.optim.AdamW([group for group in groups if group["params"]], lr=rate)
        return self.optimizer

    def batch_of(self, examples: Sequence[Example]) -> Any:
        """Examples as the collator gives them."""
        return self.data_collator([_plain(each) for each in examples])

    # --- checkpoints: what learns, and nothing of the base ------------------------------------------

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        model = self.accelerator.unwrap_model(self.model)
        save_projector(projector_of(model), folder)
        if isinstance(model, peft.PeftModel):
            model.save_pretrained(str(folder), save_embedding_layers=False)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        model = self.model if model is None else model
        folder = Path(resume_from_checkpoint)
        projector_of(model).load_state_dict(load_file(folder / WEIGHTS_NAME))
        if isinstance(model, peft.PeftModel):
            peft.set_peft_model_state_dict(model, load_file(folder / ADAPTER_WEIGHTS))


def projector_of(model: Any) -> Projector:
    """The projector in a model's input embedding."""
    embedding = model.get_input_embeddings()
    assert isinstance(embedding, PictureEmbedding)
    return embedding.projector


@torch.no_grad()
def begin(projector: Projector, patches: Tensor, words: Sequence[dict[int, int]], embeddings: Tensor) -> None:
    """Set a projector to what can be known without a step: where the words about a picture lie.

    Ridge regression from a picture's mean patch to the mean embedding of the words that are said of it, rare words
    counting more. Its output is then stretched to the spread of words, so that pictures differ as words do.

    Args:
        projector: not trained yet.
        patches: (P, N, F) of pictures.
        words: for each picture, token → how often it is said of it; empty where nothing is.
        embeddings: (V, D) of the language model.
    """
    mean = patches.float().mean(1)
    projector.centre.copy_(mean.mean(0))
    projector.scale.copy_(patches.float().flatten(0, 1).std(0) + _SOFT)
    told = [at for at, each in enumerate(words) if each]
    if not told:
        return
    pictures_with: dict[int, int] = {}
    for at in told:
        for token in words[at]:
            pictures_with[token] = pictures_with.get(token, 0) + 1
    targets = torch.stack([_meaning(words[at], pictures_with, len(told), embeddings) for at in told])
    inputs = (mean[told] - projector.centre) / projector.scale
    offset = targets.mean(0)
    # λ = 2 P makes it the same problem however many pictures there are.
    square = inputs.T @ inputs + _RIDGE * len(told) * torch.eye(inputs.shape[1])
    weight = torch.linalg.solve(square, inputs.T @ (targets - offset))
    spread = (inputs @ weight).std()
    if spread > 0:
        projector.linear.weight.copy_((weight * (embeddings.float().std() / spread)).T)
    projector.linear.bias.copy_(offset)


def _meaning(counts: dict[int, int], pictures_with: dict[int, int], pictures: int, embeddings: Tensor) -> Tensor:
    """(D,) the mean embedding of words, by how few pictures they are said of."""
    tokens = list(counts)
    weights = torch.tensor([counts[token] * math.log((pictures + 1) / pictures_with[token]) for token in tokens])
    return (embeddings[tokens].float() * weights[:, None]).sum(0) / weights.sum()
