"""TRL's supervised trainer for examples whose tokens and labels are ready-made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from datasets import Dataset
from trl import SFTTrainer

from mmchat.engines.lm_likelihoods import wanted_only
from mmchat.train.adalora import whole_adalora
from mmchat.train.loop import FixedOrder
from mmchat.train.samples import IGNORED, Example

Batch = dict[str, torch.Tensor]


class Collator:
    """Fills rows up on the right, where no token that counts looks."""

    def __init__(self, pad_id: int) -> None:
        self._pad_id = pad_id

    def __call__(self, rows: Sequence[Mapping[str, Sequence[int]]]) -> Batch:
        """Rows of `input_ids` and `labels` → (B, T) int64 each, with an `attention_mask`."""
        ids = [row["input_ids"] for row in rows]
        return {
            "input_ids": padded_rows(ids, self._pad_id),
            "attention_mask": padded_rows([[1] * len(row) for row in ids], 0),
            "labels": padded_rows([row["labels"] for row in rows], IGNORED),
        }


def padded_rows(rows: Sequence[Sequence[int]], filler: int) -> torch.Tensor:
    """(B, T) int64 of rows, filled up on the right."""
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows])


def dataset_of(examples: Sequence[Example]) -> Dataset:
    """Examples as the trainer takes them."""
    return Dataset.from_dict(
        {"input_ids": [list(each.ids) for each in examples], "labels": [list(each.labels) for each in examples]}
    )


class DialogueSft(FixedOrder, SFTTrainer):  # type: ignore[misc]
    """Learns dialogue. Validation loss is in nats per supervised token, however the batches are spread."""

    control: Any  # transformers' own, whose type is not found out through TRL

    held_out: Mapping[str, Sequence[Example]]
    """Name of the loss → examples; "loss" is what early stopping looks at."""

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """The mean loss of the supervised tokens of a whole step.

        On a CPU, TRL projects every token to the vocabulary: a fifth of SmolLM2's work, most of it for labels that are
        ignored. Here only supervised positions are. On a GPU, TRL's own fused kernel does as much.
        """
        if self.args.device.type != "cpu" and not self.model.config.is_encoder_decoder:
            loss: torch.Tensor = super().compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
            return loss + self._adalora_penalty()
        nats, tokens = supervised_nats(model, inputs)
        loss = nats / (tokens if num_items_in_batch is None else num_items_in_batch)
        if num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # whose gradients are averaged, not summed
        return loss + self._adalora_penalty()

    def _adalora_penalty(self) -> torch.Tensor | float:
        """AdaLoRA's orthogonality, which PEFT only adds to a loss that the model itself computes. Source: its paper."""
        config = getattr(self.model, "peft_config", {}).get("default")
        if not self.model.training or config is None or config.peft_type != "ADALORA":
            return 0.0
        penalties = []
        for name, weight in self.model.named_parameters():
            if "lora_A." in name or "lora_B." in name:
                squared = weight @ weight.T if "lora_A." in name else weight.T @ weight
                penalties.append(torch.linalg.norm(squared - torch.eye(len(squared), device=weight.device)))
        penalty = config.orth_reg_weight * torch.stack(penalties).mean() / self.current_gradient_accumulation_steps
        assert isinstance(penalty, torch.Tensor)
        return penalty

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        with whole_adalora(self.model):
            super()._save(output_dir, state_dict)

    def batch_of(self, examples: Sequence[Example]) -> Any:
        """Examples as the collator gives them."""
        return self.data_collator([{"input_ids": each.ids, "labels": each.labels} for each in examples])

    def evaluate(self, *_args: Any, **_options: Any) -> dict[str, float]:
        """Score all that is held out."""
        metrics = {f"eval_{name}": self._mean_nats(examples) for name, examples in self.held_out.items()}
        self.model.eval()
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    @torch.no_grad()
    def _mean_nats(self, examples: Sequence[Example]) -> float:
        own = sorted(examples, key=lambda each: -each.tokens)[self.args.process_index :: self.args.world_size]
        sums = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        self.model.eval()
        size = self.args.per_device_eval_batch_size
        for start in range(0, len(own), size):
            batch = self._prepare_inputs(self.batch_of(own[start : start + size]))
            with self.compute_loss_context_manager():
                nats, tokens = supervised_nats(self.model, batch)
            sums += torch.tensor([float(nats), float(tokens)], dtype=torch.float64, device=sums.device)
        nats, tokens = self.accelerator.reduce(sums, "sum").tolist()
        return float(nats / tokens)


def supervised_nats(model: Any, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """The summed negative log-likelihood of the supervised tokens of a batch, and how many they are.

    Rows are filled up on the right, where no token of a decoder looks, so that a mask of padding is not given to one:
    attention that knows itself causal leaves half of the work out.
    """
    labels = inputs["labels"]
    core = getattr(model, "module", model)  # inside DistributedDataParallel
    more: dict[str, torch.Tensor] = {}
    mask: torch.Tensor | None = inputs["attention_mask"]
    if core.config.is_encoder_decoder:
        start = torch.full_like(labels[:, :1], core.generation_config.decoder_start_token_id)
        # What is fed behind the end of a reply is never scored; it need only be a token.
        more["decoder_input_ids"] = torch.cat([start, labels[:, :-1].clamp(min=0)], dim=1)
        is_wanted = labels != IGNORED
        targets = labels[is_wanted]
    else:
        # What is said at a position shows in the logits of the one before it.
        is_wanted = torch.cat([labels[:, 1:] != IGNORED, torch.zeros_like(labels[:, :1], dtype=torch.bool)], dim=1)
        targets = labels[:, 1:][labels[:, 1:] != IGNORED]
        if inputs["attention_mask"].dim() == 2:
            mask = None
    if "position_ids" in inputs:
        more["position_ids"] = inputs["position_ids"]
    with wanted_only(core.get_output_embeddings(), is_wanted):
        logits = model(input_ids=inputs["input_ids"], attention_mask=mask, use_cache=False, **more).logits
    nats = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum")
    return nats, is_wanted.sum()
