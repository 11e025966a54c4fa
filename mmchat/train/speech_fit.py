"""Whisper under a `Trainer`: what learns, its loss, and how it is read and written.

openai-whisper's own model is trained, so that what is learnt fits both engines by name and number.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
import whisper
from safetensors.torch import load_file

from mmchat.engines.torch_memory import is_out_of_memory, out_of_memory
from mmchat.train.base import BaseModel, MethodName, TrainSettings
from mmchat.train.dropout import quickened
from mmchat.train.loop import FixedOrder
from mmchat.train.quiet import quiet
from mmchat.train.speech_rows import IGNORED, Sounds
from mmchat.weights.prepare_whisper import as_checkpoint, write_ctranslate2

LEARNING_RATES: dict[MethodName, float] = {"lora": 1e-3, "last-layers": 1e-4, "full": 1e-5}
"""LoRA's as in PEFT's example for Whisper, full as in Whisper's own finetuning (Radford et al. 2022, appendix F)."""
_ATTENTION = r".*\.(attn|cross_attn)\.(query|key|value|out)"

Batch = dict[str, torch.Tensor]


def load_whisper(base: BaseModel) -> whisper.Whisper:
    """The base's weights, in float32 on the CPU.

    Raises:
        WeightsError: no Whisper folder, or a quantised one.
        DeviceError: it does not fit into memory.
    """
    checkpoint = as_checkpoint(base.path)
    try:
        model = whisper.Whisper(whisper.ModelDimensions(**checkpoint["dims"]))
        model.load_state_dict(checkpoint["model_state_dict"])
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(base.name) from error
        raise
    # Its decoder marks a place for the times of words, sparse, which no optimiser or copy of a model takes.
    model.register_buffer("alignment_heads", model.alignment_heads.to_dense(), persistent=False)
    return model.float()


def with_method(model: whisper.Whisper, settings: TrainSettings) -> Any:
    """The model with what learns."""
    if settings.method == "full":
        return model
    if settings.method == "last-layers":
        model.requires_grad_(False)
        model.decoder.blocks[-settings.last_layers :].requires_grad_(True)
        model.decoder.ln.requires_grad_(True)
        return model
    config = peft.LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules=_ATTENTION
    )
    with quiet():
        return quickened(peft.get_peft_model(model, config))


def nats(model: Any, inputs: Mapping[str, torch.Tensor], time_begin: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The summed negative log-likelihood of what is to be written, and of how many tokens.

    Where a time is to be written, any time counts as right.

    Args:
        model: Whisper.
        inputs: `mel` (B, M, F) float32, `tokens` and `labels` (B, T) int64.
        time_begin: the first token that is a time; all behind it are.
    """
    labels = inputs["labels"]
    is_wanted = labels != IGNORED
    chances = model(inputs["mel"], inputs["tokens"])[is_wanted].float().log_softmax(-1)  # (N, V)
    targets = labels[is_wanted]
    is_time = targets >= time_begin
    words = chances[~is_time].gather(-1, targets[~is_time].unsqueeze(-1)).sum()
    times = chances[is_time][:, time_begin:].logsumexp(-1).sum()
    return -(words + times), is_wanted.sum()


class SpeechFit(FixedOrder, transformers.Trainer):
    """Learns transcripts. All losses are in nats per token, however the batches are spread."""

    time_begin: int
    held_out: Sounds | None

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.model_accepts_loss_kwargs = True  # so that the tokens of a whole step are counted

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """The mean loss of the tokens of a whole step."""
        total, tokens = nats(model, inputs, self.time_begin)
        loss = total / (tokens if num_items_in_batch is None else num_items_in_batch)
        return loss if num_items_in_batch is None else loss * self.accelerator.num_processes

    @torch.no_grad()
    def evaluate(self, *_args: Any, **_options: Any) -> dict[str, float]:
        """Score what is held out."""
        assert self.held_out is not None
        assert self.model is not None
        self.model.eval()
        own = range(self.args.process_index, len(self.held_out), self.args.world_size)
        sums = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        size = self.args.per_device_eval_batch_size
        for start in range(0, len(own), size):
            batch = self._prepare_inputs(self.data_collator([self.held_out[row] for row in own[start : start + size]]))
            with self.compute_loss_context_manager():
                total, tokens = nats(self.model, batch, self.time_begin)
            sums += torch.tensor([float(total), float(tokens)], dtype=torch.float64, device=sums.device)
        total, tokens = self.accelerator.reduce(sums, "sum").tolist()
        metrics = {"eval_loss": total / tokens}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def write_result(checkpoint: Path, base: BaseModel, settings: TrainSettings, target: Path) -> None:
    """Write what was learnt as a folder like the base's, an adapter merged.

    Args:
        checkpoint: of the `Trainer`.
        base: that was trained.
        settings: of the training.
        target: a CTranslate2 folder, which both Whisper engines are fed from.

    Raises:
        WeightsError: it cannot be written.
    """
    model: Any = load_whisper(base)
    with quiet():
        if settings.method == "lora":
            model = peft.PeftModel.from_pretrained(model, str(checkpoint)).merge_and_unload()
        else:
            model.load_state_dict(load_file(checkpoint / "model.safetensors"))
    write_ctranslate2(model.state_dict(), base.path, target)
