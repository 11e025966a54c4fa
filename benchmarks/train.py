"""A finetune beside a plain TRL script: time of a step, tokens a second, memory, losses.

    python -m benchmarks.train [--data ROWS] [--steps N] [--json FILE]
    python -m benchmarks.train --methods            each method of mmchat beside LoRA; twenty minutes

Each trains in a process of its own, on the same rows with the same base, LoRA, batches, rates and seed; they take a
step each in turns. `mmchat` is the trainer of `mmchat finetune`. A plain script is TRL's `SFTTrainer` with PEFT's
`LoraConfig`, given the same tokens and labels; once in the same order, once in its own, which is shuffled. Without
--data, mmchat's own English dialogues are learnt.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from benchmarks.figures import Cell, Report, Spread, Table, ratio_of
from benchmarks.turns import in_turns, tell
from mmchat import paths
from mmchat.config.models_file import load_models_file
from mmchat.rows.reader import read_rows
from mmchat.rows.values import DialogueRow, RowFile
from mmchat.train.base import METHODS, PICTURE_METHODS, BaseModel, MethodName, TrainSettings, TrainStepped
from mmchat.weights.store import WeightsStore

OWN_ROWS = Path(__file__).parents[1] / "mmchat/evals/data/talk-en.jsonl"
RATE, SEED = 2e-4, 0
NEEDS_A_GPU = "qlora"
TRL = "plain TRL, the same batches"


@dataclass(frozen=True, slots=True)
class Job:
    """What one worker trains."""

    kind: str
    """mmchat, trl, or trl-shuffled."""
    base: str
    data: str
    steps: int
    batch: int
    micro: int
    dropout: float
    method: MethodName = "lora"

    @property
    def settings(self) -> TrainSettings:
        """As `mmchat finetune` has them where nothing else is typed, without validation."""
        return TrainSettings(
            data=(self.data,),
            model="base",
            name="benchmark",
            method=self.method,
            max_steps=self.steps,
            batch_size=self.batch,
            micro_batch=self.micro,
            dropout=self.dropout,
            validation_share=0.0,
            seed=SEED,
            log_to="none",
        )

    @property
    def command(self) -> tuple[str, ...]:
        """As `benchmarks.turns` takes it."""
        return ("benchmarks.train", "--worker", json.dumps(asdict(self)))


# --- workers ------------------------------------------------------------------------------------


def work(job: Job) -> None:
    """Train as the job says, a step each turn."""
    file = _words_only(Path(job.data))
    with tempfile.TemporaryDirectory() as folder:
        if job.kind == "mmchat":
            _train_here(job, file, Path(folder))
        else:
            _train_plainly(job, file, Path(folder))


def _words_only(path: Path) -> RowFile:
    file = read_rows(path)
    rows = [row for row in file.rows if isinstance(row, DialogueRow) and not any(each.files for each in row.messages)]
    return replace(file, rows=tuple(rows))


def _told(tokens: int, seconds: float, loss: float) -> dict[str, float]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    return {"seconds": seconds, "tokens": tokens, "loss": loss, "peak_bytes": peak}


def _train_here(job: Job, file: RowFile, folder: Path) -> None:
    from mmchat.train.sft import DialogueTrainer

    base, trainer = BaseModel("base", "lm", Path(job.base)), DialogueTrainer()
    preparation = trainer.prepare([file], job.settings, base)
    tell(micro=preparation.settings.micro_batch)

    lengths = _step_tokens(job, file)

    def on_event(event: object) -> None:
        if isinstance(event, TrainStepped):
            tokens = lengths[event.step - 1]
            tell(**_told(tokens, tokens / event.tokens_per_s, event.loss))

    trainer.train(preparation, [file], base, folder, on_event, Event(), should_resume=False)


def _step_tokens(job: Job, file: RowFile) -> list[int]:
    """Tokens of each step, in the order of mmchat."""
    sizes = [each.tokens for each in _ordered(job, file)]
    return [sum(sizes[at : at + job.batch]) for at in range(0, len(sizes), job.batch)]


def _ordered(job: Job, file: RowFile) -> list[Any]:
    """The examples of all steps as `mmchat finetune` orders them."""
    from mmchat.train.bases import open_base
    from mmchat.train.order import row_order
    from mmchat.train.samples import DialogueEncoder

    text = open_base(BaseModel("base", "lm", Path(job.base)))
    examples = DialogueEncoder(text.prompt_format, job.settings.max_length).rows(list(file.rows)).examples  # type: ignore[arg-type]
    return [examples[at] for at in row_order([each.tokens for each in examples], job.batch, job.steps, SEED)]


def _train_plainly(job: Job, file: RowFile, folder: Path) -> None:
    """As TRL's documentation has it; TRL would recompute activations by default, which is slower and left out."""
    import torch
    import transformers
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    from mmchat.train.bases import precision_of

    examples, precision = _ordered(job, file), precision_of("auto", "cpu")
    tokenizer = transformers.AutoTokenizer.from_pretrained(job.base)
    batches = Batches(DataCollatorForLanguageModeling(pad_token_id=tokenizer.pad_token_id))
    model = transformers.AutoModelForCausalLM.from_pretrained(job.base, dtype=getattr(torch, precision))
    transformers.set_seed(SEED)  # the adapter's random half is drawn before the library does it
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder),
            max_steps=job.steps,
            per_device_train_batch_size=job.micro,
            gradient_accumulation_steps=job.batch // job.micro,
            learning_rate=RATE,
            lr_scheduler_type="cosine",
            warmup_steps=round(job.settings.warmup_share * job.steps),
            weight_decay=job.settings.weight_decay,
            bf16=precision == "bfloat16",
            use_cpu=True,
            gradient_checkpointing=False,
            train_sampling_strategy="sequential" if job.kind == "trl" else "random",
            dataset_kwargs={"skip_prepare_dataset": True},
            max_length=None,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=SEED,
        ),
        data_collator=batches,
        train_dataset=Dataset.from_dict(
            {"input_ids": [list(each.ids) for each in examples], "labels": [list(each.labels) for each in examples]}
        ),
        peft_config=LoraConfig(
            task_type="CAUSAL_LM",
            r=job.settings.rank,
            lora_alpha=job.settings.alpha,
            lora_dropout=job.dropout,
            target_modules="all-linear",
        ),
        processing_class=tokenizer,
    )
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.add_callback(turn_taker(batches))
    tell(micro=job.micro)
    trainer.train()


class Batches:
    """A collator that counts what it is given."""

    def __init__(self, collator: Any) -> None:
        self.tokens: list[int] = []
        """Of each micro-batch, without padding."""
        self._collator = collator

    def __call__(self, rows: Sequence[dict[str, Any]]) -> Any:
        """A micro-batch."""
        self.tokens.append(sum(len(row["input_ids"]) for row in rows))
        return self._collator(rows)


def turn_taker(batches: Batches) -> Any:
    """A callback of transformers that tells each step and waits for the next turn."""
    import transformers

    class Taker(transformers.TrainerCallback):
        began, taken, seen = 0.0, 0.0, 0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.taken = time.perf_counter() - self.began

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in (logs or {}):
                count = args.gradient_accumulation_steps
                tokens = sum(batches.tokens[self.seen : self.seen + count])
                self.seen += count
                tell(**_told(tokens, self.taken, float(logs["loss"])))

    return Taker()


# --- the report ---------------------------------------------------------------------------------


def compare(job: Job) -> Report:
    """Mmchat beside plain TRL, with dropout as it comes and without."""
    kinds = {"mmchat": "mmchat", TRL: "trl", "plain TRL, its own order": "trl-shuffled"}
    report = Report("Finetuning", about=_about(job), samples={})
    rows: list[list[Cell]] = []
    for dropout in (job.dropout, 0.0):
        chosen = kinds if dropout else {name: kinds[name] for name in ("mmchat", TRL)}
        told = in_turns(
            {name: replace(job, kind=each, dropout=dropout).command for name, each in chosen.items()}, job.steps
        )
        counted = {name: steps[1:] for name, steps in told.items()}  # the first makes room and warms up
        rows += [_row(name, dropout, steps) for name, steps in counted.items()]
        report.samples[f"dropout {dropout}"] = told
        ours, theirs = counted["mmchat"], counted[TRL]
        what = f"step of a finetune, dropout {dropout}"
        report.ratios.append(ratio_of(what, TRL, _each(ours, "seconds"), _each(theirs, "seconds"), "s"))
        if dropout:
            shuffled = counted["plain TRL, its own order"]
            rates = [[each["tokens"] / each["seconds"] for each in steps] for steps in (ours, shuffled)]
            report.ratios.append(
                ratio_of("tokens a second of a finetune", "plain TRL", *rates, "tokens/s", is_more_better=True)
            )
            peaks = [[each["peak_bytes"] / 1e9 for each in steps[-1:]] for steps in (ours, theirs)]
            report.ratios.append(ratio_of("peak memory of a finetune", TRL, *peaks, "GB"))
        else:
            apart = max(abs(a["loss"] - b["loss"]) for a, b in zip(told["mmchat"], told[TRL], strict=True))
            report.notes.append(f"Without dropout the losses of {job.steps} steps agree to {apart:.4f}.")
    columns = ("", "dropout", "seconds a step", "tokens a second", "peak memory, GB", "mean loss")
    report.tables.append(Table("LoRA", columns, rows))
    return report


def _about(job: Job) -> str:
    from_where = "mmchat's own English dialogues" if Path(job.data) == OWN_ROWS else f"`{Path(job.data).name}`"
    return (
        f"{from_where}, {job.batch} rows a step, {job.micro} at once, {job.steps} steps each in turns, the first not "
        "counted; medians, and from what to what. Tokens without padding."
    )


def _each(steps: Sequence[dict[str, Any]], name: str) -> list[float]:
    return [step[name] for step in steps]


def _row(name: str, dropout: float, steps: Sequence[dict[str, Any]]) -> list[Cell]:
    rates = [step["tokens"] / step["seconds"] for step in steps]
    return [
        name,
        f"{dropout:g}",
        Spread.of(_each(steps, "seconds")).cell(),
        Spread.of(rates).cell(0),
        steps[-1]["peak_bytes"] / 1e9,
        statistics.mean(_each(steps, "loss")),
    ]


def compare_methods(job: Job) -> Report:
    """Each method beside LoRA."""
    report = Report("Methods of finetuning", about=_about(job), samples={})
    rows: list[list[Cell]] = []
    for method in METHODS:
        if method in (*PICTURE_METHODS, NEEDS_A_GPU, "lora"):
            continue
        pair = {name: replace(job, kind="mmchat", method=name) for name in (method, "lora")}
        told = in_turns({name: each.command for name, each in pair.items()}, job.steps)
        report.samples[method] = told
        own, lora = (_each(told[name][1:], "seconds") for name in pair)
        peak = told[method][-1]["peak_bytes"] / 1e9
        rows.append([f"`{method}`", Spread.of(own).cell(), statistics.median(own) / statistics.median(lora), peak])
    report.tables.append(Table("Methods", ("", "seconds a step", "of LoRA's", "peak memory, GB"), rows))
    return report


def main() -> None:
    """Run it, or be a worker of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=OWN_ROWS, help="rows of dialogue")
    parser.add_argument("-m", "--model", default="smollm2-135m", help="the base")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=4, help="rows of a step")
    parser.add_argument("--micro-batch", type=int, default=4, help="rows at once")
    parser.add_argument("--dropout", type=float, default=0.05)
    parser.add_argument("--methods", action="store_true", help="the methods beside LoRA instead")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        warnings.simplefilter("ignore")  # what the libraries tell their developers
        work(Job(**json.loads(arguments.worker)))
        return
    weights = WeightsStore(paths.weights_dir())
    entry, _ = load_models_file().resolve(arguments.model)
    base = weights.prepared(entry, "transformers", on_progress=lambda progress: None, cancel=Event())
    job = Job(
        "mmchat",
        str(base),
        str(arguments.data.absolute()),
        max(arguments.steps, 10) if arguments.methods else arguments.steps,  # AdaLoRA needs ten
        arguments.batch_size,
        arguments.micro_batch,
        arguments.dropout,
    )
    (compare_methods(job) if arguments.methods else compare(job)).finish(arguments.json)


if __name__ == "__main__":
    main()
