"""Step time of a finetune against plain TRL with the same rows, labels, batches and settings, in one process.

    python benchmarks/finetune.py ROWS.jsonl FOLDER_OF_BASE [STEPS] [BATCH_SIZE]

Both train a LoRA on the same tokens in the same order; they take turns, a step each, so that a busy machine is equally
busy for both. Processor time is told too: on a shared machine it says more than the clock.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, cast

import torch
import transformers
from trl import SFTConfig, SFTTrainer

from mmchat.rows.reader import read_rows
from mmchat.train.base import BaseModel, MethodName, TrainSettings
from mmchat.train.bases import TextBase, load_weights, open_base
from mmchat.train.loop import LoopPlan, training_arguments
from mmchat.train.methods import apply_method
from mmchat.train.order import row_order, spread
from mmchat.train.quiet import quiet
from mmchat.train.samples import DialogueEncoder
from mmchat.train.sft_trainer import Collator, DialogueSft, dataset_of

ROWS = 200


def main(rows: Path, base: Path, steps: int, batch_size: int) -> None:
    """Time both."""
    torch.set_num_threads(2)
    text = open_base(BaseModel("base", "lm", base))
    examples = DialogueEncoder(text.prompt_format, 1024).rows(list(read_rows(rows).rows[:ROWS])).examples  # type: ignore[arg-type]
    lengths = [each.tokens for each in examples]
    settings = replace(
        TrainSettings((), "base", "bench"), method="lora", learning_rate=2e-4, evaluate_every=steps, dropout=0.0
    )
    order = row_order(lengths, batch_size, steps, 0)
    trainers: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, quiet():
        for name, kind in (("mmchat", DialogueSft), ("TRL", SFTTrainer)):
            plan = LoopPlan(
                Path(folder), settings, steps, order, lengths, spread(batch_size, batch_size), False, "cpu", "bfloat16"
            )
            trainers[name] = stepped_trainer(kind, text, plan, examples)
        _compare(trainers, [examples[row] for row in order], batch_size, Collator(text.pad_id))


def stepped_trainer(kind: Any, text: TextBase, plan: LoopPlan, examples: list[Any]) -> Any:
    """A trainer of the plan's method, ready for `timed_step`."""
    settings, method = plan.settings, cast(MethodName, plan.settings.method)
    transformers.set_seed(0)
    arguments = training_arguments(
        SFTConfig, plan, plan.batching, dataset_kwargs={"skip_prepare_dataset": True}, max_length=None
    )
    # Where ranks move, some steps are needed to make a schedule of; no more are taken for it.
    steps = max(10, plan.steps)
    trainer = kind(
        model=apply_method(load_weights(text, method, "bfloat16"), method, settings, steps, opening=text.opening),
        args=arguments,
        data_collator=Collator(text.pad_id),
        train_dataset=dataset_of(examples),
        processing_class=text.tokenizer,
    )
    trainer.current_gradient_accumulation_steps = 1  # set by `train`, read where a base takes no count of tokens
    trainer.create_optimizer_and_scheduler(plan.steps)
    trainer.model, trainer.optimizer = trainer.accelerator.prepare(trainer.model, trainer.optimizer)
    return trainer


class Clock(NamedTuple):
    """What a step took."""

    seconds: float
    processor_s: float
    loss: float


def timed_step(trainer: Any, chosen: list[Any], collator: Collator) -> Clock:
    """A step of the optimiser on encoded rows."""
    batch = collator([{"input_ids": each.ids, "labels": each.labels} for each in chosen])
    supervised = sum(each.supervised for each in chosen)
    wall, processor = time.perf_counter(), time.process_time()
    loss = trainer.training_step(trainer.model, batch, torch.tensor(supervised))
    torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)
    trainer.optimizer.step()
    trainer.optimizer.zero_grad()
    return Clock(time.perf_counter() - wall, time.process_time() - processor, float(loss))


def _compare(trainers: dict[str, Any], rows: list[Any], batch_size: int, collator: Collator) -> None:
    clocks: dict[str, list[Clock]] = {name: [] for name in trainers}
    for start in range(0, len(rows), batch_size):
        for name, trainer in trainers.items():
            clocks[name].append(timed_step(trainer, rows[start : start + batch_size], collator))
    for name, steps in clocks.items():
        print(
            f"{name}: median step {median(step.seconds for step in steps):.2f} s, "
            f"{median(step.processor_s for step in steps):.2f} s of processor time; "
            f"losses {' '.join(f'{step.loss:.4f}' for step in steps)}"
        )


if __name__ == "__main__":
    more = [int(each) for each in sys.argv[3:]]
    main(Path(sys.argv[1]), Path(sys.argv[2]), *([*more, *(6, 4)[len(more) :]]))
