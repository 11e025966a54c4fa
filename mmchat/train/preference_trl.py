"""TRL's trainers of preferences, for rows whose tokens are ready-made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_trainer import KTOTrainer

from mmchat.train.loop import FixedOrder

Batch = dict[str, torch.Tensor]


class Prepared(FixedOrder):
    """Put before one of TRL's trainers.

    Rows are trained on as they are. The reference is the model without its adapter, or a model that is
    given. The measures of a validation are means over its rows: TRL's are means over batches, of which the last may be
    a small one.
    """

    model: Any
    accelerator: Any
    _metrics: dict[str, dict[str, list[float]]]

    def __init__(self, *given: Any, **options: Any) -> None:
        self._batches: list[tuple[int, int]] = []
        super().__init__(*given, **options)
        if "ref" in getattr(self.model, "peft_config", {}):
            # TRL keeps a copy of an adapter that was there before as the reference. Ours has learnt nothing yet.
            self.model.delete_adapter("ref")

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def _compute_loss(self, model: Any, inputs: Batch, return_outputs: bool) -> Any:
        if not self.model.training:
            counts = torch.tensor(_good_and_bad(inputs), device=self.accelerator.device)
            good, bad = self.accelerator.reduce(counts, "sum").tolist()
            self._batches.append((good, bad))
        return super()._compute_loss(model, inputs, return_outputs)  # type: ignore[misc]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Send losses and measures to whoever listens."""
        if not self.model.training:
            found = means(self._metrics["eval"], self._batches)
            self._metrics["eval"].clear()
            self._metrics["eval"].update({name: [value] for name, value in found.items()})
            self._batches.clear()
        super().log(logs, start_time)  # type: ignore[misc]


def _good_and_bad(inputs: Batch) -> tuple[int, int]:
    """How many better and worse replies a batch holds."""
    if "label" in inputs:
        good = int(inputs["label"].sum())
        return good, len(inputs["label"]) - good
    pairs = len(inputs["input_ids"]) // 2
    return pairs, pairs


def means(metrics: Mapping[str, list[float]], batches: list[tuple[int, int]]) -> dict[str, float]:
    """What users are told of a validation, as means over rows.

    Args:
        metrics: name → means of each batch that holds such rows, as TRL collects them.
        batches: better and worse replies of each batch.

    Returns:
        `reward_good` and `reward_bad` (how much likelier the model makes such replies than its base did, in nats
        times beta), `reward_margin` (their difference) and, for pairs, `reward_accuracy` (the share of pairs whose
        better reply gained more).
    """
    found: dict[str, float] = {}
    for name, key, side in (
        ("reward_good", "rewards/chosen", 0),
        ("reward_bad", "rewards/rejected", 1),
        ("reward_accuracy", "rewards/accuracies", 0),
    ):
        weights = [batch[side] for batch in batches if batch[side]]
        values = metrics.get(key, [])
        if values and len(values) == len(weights):
            found[name] = sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)
    if "reward_good" in found and "reward_bad" in found:
        found["reward_margin"] = found["reward_good"] - found["reward_bad"]
    return found


class Pairs(Prepared, DPOTrainer):  # type: ignore[misc]
    """Direct preference optimisation. Source: Rafailov et al. 2023, arXiv 2305.18290."""


class Thumbs(Prepared, KTOTrainer):  # type: ignore[misc]
    """Kahneman–Tversky optimisation. Source: Ethayarajh et al. 2024, arXiv 2402.01306."""
