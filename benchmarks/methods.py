"""Step time of each method of finetuning against LoRA, on the same batches, a step each in turns.

    python -m benchmarks.methods ROWS.jsonl FOLDER_OF_BASE [STEPS] [BATCH_SIZE]

A busy machine is equally busy for both, so that the ratios hold; processor time says more than the clock.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.finetune import ROWS, Clock, stepped_trainer, timed_step
from mmchat.rows.reader import read_rows
from mmchat.train.base import METHODS, BaseModel, MethodName, TrainSettings
from mmchat.train.bases import TextBase, open_base
from mmchat.train.loop import LoopPlan
from mmchat.train.methods import METHODS as DETAILS
from mmchat.train.methods import count_parameters
from mmchat.train.order import row_order, spread
from mmchat.train.quiet import quiet
from mmchat.train.samples import DialogueEncoder
from mmchat.train.sft_trainer import Collator, DialogueSft


def main(rows: Path, base: Path, steps: int, batch_size: int) -> None:
    """Time all that run on a CPU."""
    torch.set_num_threads(2)
    text = open_base(BaseModel("base", "lm", base))
    examples = DialogueEncoder(text.prompt_format, 1024).rows(list(read_rows(rows).rows[:ROWS])).examples  # type: ignore[arg-type]
    order = row_order([each.tokens for each in examples], batch_size, steps, 0)
    print("method\tparameters\tseconds of processor time a step\tof LoRA's")
    for method in METHODS:
        if method == "qlora":  # needs an NVIDIA GPU
            continue
        with tempfile.TemporaryDirectory() as folder, quiet():
            plan = LoopPlan(
                Path(folder), replace(TrainSettings((), "base", "bench"), evaluate_every=steps), steps, order,
                [each.tokens for each in examples], spread(batch_size, batch_size), False, "cpu", "bfloat16",
            )  # fmt: skip
            trainers = {name: _trainer(text, plan, name, examples) for name in dict.fromkeys((method, "lora"))}
            clocks: dict[str, list[Clock]] = {name: [] for name in trainers}
            for start in range(0, len(order), batch_size):
                chosen = [examples[row] for row in order[start : start + batch_size]]
                for name, trainer in trainers.items():
                    clocks[name].append(timed_step(trainer, chosen, Collator(text.pad_id)))
        own, lora = (median(clock.processor_s for clock in clocks[name]) for name in (method, "lora"))
        learns, _ = count_parameters(trainers[method].model)
        print(f"{method}\t{learns:,}\t{own:.2f}\t{own / lora:.2f}", flush=True)


def _trainer(text: TextBase, plan: LoopPlan, method: MethodName, examples: list[Any]) -> Any:
    settings = replace(plan.settings, method=method, learning_rate=DETAILS[method].learning_rate)
    return stepped_trainer(DialogueSft, text, replace(plan, settings=settings), examples)


if __name__ == "__main__":
    more = [int(each) for each in sys.argv[3:]]
    main(Path(sys.argv[1]), Path(sys.argv[2]), *([*more, *(6, 4)[len(more) :]]))
