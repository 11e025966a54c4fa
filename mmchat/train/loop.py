"""The training loop of everything that trains with a `Trainer` of transformers or TRL.

Steps become events, a cancel becomes a checkpoint, a checkpoint is gone on with exactly, and memory that runs out
is answered with smaller micro-batches at the same batch, once.
"""

from __future__ import annotations

import gc
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from threading import Event
from typing import Any, Literal, TypeVar, cast

import torch
import transformers
from torch.utils.data import Sampler

from mmchat.engines.device import resolve_device
from mmchat.engines.torch_memory import first_line, is_out_of_memory
from mmchat.errors import DeviceError, UsageError
from mmchat.train.base import OnEvent, Preparation, TrainNotice, TrainResult, TrainSettings
from mmchat.train.bases import precision_of
from mmchat.train.curves import LOGS, require_logger
from mmchat.train.order import Batching, row_order, spread
from mmchat.train.processes import process_count
from mmchat.train.progress import ProgressEvents, validation_losses
from mmchat.train.quiet import quiet
from mmchat.train.record import CHECKPOINTS

log = logging.getLogger(__name__)

_STATE = "trainer_state.json"

Arguments = TypeVar("Arguments", bound=transformers.TrainingArguments)


@dataclass(frozen=True, slots=True)
class LoopPlan:
    """What is trained, apart from the model."""

    folder: Path
    settings: TrainSettings
    """Resolved: with a learning rate and how often to validate."""
    steps: int
    order: tuple[int, ...]
    """Indices of training rows, those of a step together (`order.row_order`)."""
    sizes: Sequence[int]
    """Of each training row, what `TrainStepped.tokens_per_s` counts: its tokens, or 1."""
    batching: Batching
    has_validation: bool
    device: str
    precision: Literal["float32", "bfloat16", "float16"]
    """Of the arithmetic; the weights that are trained are float32."""

    def epoch(self, step: int) -> float:
        """How often all rows were read after a step."""
        return step * self.batching.rows / max(1, len(self.sizes))


@dataclass(frozen=True, slots=True)
class LoopOutcome:
    """How a training ended."""

    status: Literal["complete", "stopped early", "interrupted"]
    steps: int
    best_step: int
    """With the lowest validation loss; the last where there is no validation."""
    best_checkpoint: Path
    first_validation_loss: float | None
    best_validation_loss: float | None
    losses: tuple[float, ...]
    elapsed_s: float
    seconds_per_step: float

    def result(self, folder: Path, preparation: Preparation, *, elapsed_s: float | None = None) -> TrainResult:
        """What a trainer hands back; `elapsed_s` where it did more than the loop."""
        return TrainResult(
            folder=folder,
            status=self.status,
            steps=self.steps,
            best_step=self.best_step,
            first_validation_loss=self.first_validation_loss,
            best_validation_loss=self.best_validation_loss,
            losses=self.losses,
            trainable_parameters=preparation.trainable_parameters,
            all_parameters=preparation.all_parameters,
            elapsed_s=self.elapsed_s if elapsed_s is None else elapsed_s,
            seconds_per_step=self.seconds_per_step,
        )


def plan_for(folder: Path, settings: TrainSettings, lengths: Sequence[int], *, has_validation: bool) -> LoopPlan:
    """The plan of a training on rows of tokens, shared by all processes.

    Args:
        folder: of the result.
        settings: resolved.
        lengths: tokens of each training row.
        has_validation: whether rows are held out.
    """
    device = resolve_device("auto")
    return LoopPlan(
        folder=folder,
        settings=settings,
        steps=settings.max_steps,
        order=row_order(lengths, settings.batch_size, settings.max_steps, settings.seed),
        sizes=lengths,
        batching=spread(settings.batch_size, settings.micro_batch, process_count()),
        has_validation=has_validation,
        device=device,
        precision=cast(Any, precision_of(settings.dtype, device)),
    )


class FixedOrder:
    """Put before a `Trainer` class: it reads the rows in the order of a plan.

    The whole training is one "epoch" of the library's, so that its own shuffling and its cut last batch never happen.
    """

    row_order: Sequence[int] = ()

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return _Given(self.row_order)

    def create_model_card(self, *_args: Any, **_options: Any) -> None:
        """Written once, with the results, by whoever registers the model."""


class _Given(Sampler[int]):
    def __init__(self, rows: Sequence[int]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def training_arguments(kind: type[Arguments], plan: LoopPlan, batching: Batching, **more: Any) -> Arguments:
    """The arguments of a `Trainer` that `run_loop` can drive.

    Args:
        kind: such as `trl.SFTConfig`.
        plan: of the training.
        batching: of this attempt.
        more: what the class needs beside them, and what differs.
    """
    settings = plan.settings
    every = max(1, settings.evaluate_every)
    options: dict[str, Any] = {
        "output_dir": str(plan.folder / CHECKPOINTS),
        "max_steps": plan.steps,
        "per_device_train_batch_size": batching.micro_batch,
        "per_device_eval_batch_size": batching.micro_batch,
        "gradient_accumulation_steps": batching.accumulation,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": round(settings.warmup_share * plan.steps),
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "bf16": plan.precision == "bfloat16",
        "fp16": plan.precision == "float16",
        "use_cpu": plan.device == "cpu",
        "ddp_backend": "gloo" if plan.device == "cpu" and batching.processes > 1 else None,
        "ddp_find_unused_parameters": False,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "eval_strategy": "steps" if plan.has_validation else "no",
        "eval_steps": every,
        "save_strategy": "steps",
        "save_steps": every,
        "save_total_limit": 2,
        "metric_for_best_model": "eval_loss" if plan.has_validation else None,
        "greater_is_better": False if plan.has_validation else None,
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": plan.device == "cuda",
        "remove_unused_columns": False,
        "gradient_checkpointing": False,
    }
    with quiet():
        return kind(**{**options, **more})


def run_loop(
    build: Callable[[Batching], Any], plan: LoopPlan, on_event: OnEvent, cancel: Event, *, should_resume: bool
) -> LoopOutcome:
    """Train to the end, to an early stop, or until cancelled.

    Args:
        build: makes a `Trainer` (with `FixedOrder`) for a way to spread the rows; called again with a smaller
            micro-batch when memory ran out. The random numbers are seeded just before.
        plan: of the training.
        on_event: called for every step, validation and notice, in the main process only.
        cancel: looked at after every step.
        should_resume: go on from the last checkpoint.

    Raises:
        UsageError: there is nothing to go on with, or there is something that would be overwritten.
        DeviceError: memory ran out even with the smaller micro-batch.
        MmchatError: the loss became infinite or no number.
    """
    checkpoint = last_checkpoint(plan.folder)
    if should_resume and checkpoint is None:
        raise UsageError(
            f"There is no checkpoint to go on from in {plan.folder}.", hint="Start the training without --resume."
        )
    if not should_resume and checkpoint is not None:
        raise UsageError(
            f"{plan.folder} already holds a training, up to step {_step_of(checkpoint)}.",
            hint="Go on with --resume, or give the result another --name.",
        )
    started, batching = time.monotonic(), plan.batching
    outcome = _attempt(build, plan, batching, on_event, cancel, checkpoint)
    if outcome is None:
        smaller = batching.halved() if batching.processes == 1 else None
        if smaller is None:
            raise _no_memory(plan, batching)
        _free(plan.device)
        checkpoint = last_checkpoint(plan.folder)
        on_event(
            TrainNotice(
                f"Memory ran out with {batching.micro_batch} rows at once. Going on "
                f"{f'from step {_step_of(checkpoint)}' if checkpoint else 'from the beginning'} with "
                f"{smaller.micro_batch} rows at once and {smaller.accumulation} times as many micro-batches; "
                f"a step still learns from {smaller.rows} rows."
            )
        )
        outcome = _attempt(build, plan, smaller, on_event, cancel, checkpoint)
        if outcome is None:
            raise _no_memory(plan, smaller)
    return _with_elapsed(outcome, time.monotonic() - started)


def last_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint that was written to its end."""
    found = [path for path in (folder / CHECKPOINTS).glob("checkpoint-*") if path.name.partition("-")[2].isdecimal()]
    for path in sorted(found, key=_step_of, reverse=True):
        try:
            json.loads((path / _STATE).read_text(encoding="utf-8"))  # written last
        except (OSError, json.JSONDecodeError):
            log.warning("%s is not whole and is not used", path)
            continue
        return path
    return None


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.partition("-")[2])


def _attempt(
    build: Callable[[Batching], Any],
    plan: LoopPlan,
    batching: Batching,
    on_event: OnEvent,
    cancel: Event,
    checkpoint: Path | None,
) -> LoopOutcome | None:
    """One training with one micro-batch; None when memory ran out."""
    try:
        with quiet():
            transformers.set_seed(plan.settings.seed)
            trainer = build(batching)
            trainer.args.eval_on_start = plan.has_validation and checkpoint is None
            events = ProgressEvents(plan.steps, plan.settings.patience, _counts(plan), on_event, cancel)
            _prepare(trainer, plan, events)
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            return _outcome(trainer, plan, events)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise DeviceError(
                f"The training failed: {first_line(error)}",
                hint="The last checkpoint is kept; --resume goes on from it. `mmchat doctor` looks at this machine.",
            ) from error
        log.info("memory ran out: %s", first_line(error))
        return None


def _counts(plan: LoopPlan) -> Callable[[int], tuple[int, float]]:
    """What a step reads, and the epoch after it."""
    rows = plan.batching.rows

    def count(step: int) -> tuple[int, float]:
        return sum(plan.sizes[row] for row in plan.order[(step - 1) * rows : step * rows]), plan.epoch(step)

    return count


def _prepare(trainer: Any, plan: LoopPlan, events: ProgressEvents) -> None:
    trainer.row_order = plan.order
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.add_callback(events)
    if trainer.is_world_process_zero():
        for callback in log_callbacks(plan):
            trainer.add_callback(callback)


def log_callbacks(plan: LoopPlan) -> list[transformers.TrainerCallback]:
    """What writes the curves down.

    Raises:
        UsageError: the library is not installed.
    """
    log_to = plan.settings.log_to
    if log_to == "none":
        return []
    if log_to == "tensorboard":
        # Deferred: tensorboard takes a second to import.
        from torch.utils.tensorboard import SummaryWriter
        from transformers.integrations.integration_utils import TensorBoardCallback

        return [TensorBoardCallback(SummaryWriter(log_dir=str(plan.folder / LOGS)))]
    require_logger(log_to)
    from transformers.integrations.integration_utils import TrackioCallback, WandbCallback

    return [TrackioCallback() if log_to == "trackio" else WandbCallback()]


def _outcome(trainer: Any, plan: LoopPlan, events: ProgressEvents) -> LoopOutcome:
    state = trainer.state
    history = [each for each in state.log_history if "loss" in each]
    validations = validation_losses(state.log_history)
    trained = {step: loss for step, loss in validations.items() if step > 0}
    best_step = min(trained, key=lambda step: trained[step], default=state.global_step)
    best = plan.folder / CHECKPOINTS / f"checkpoint-{best_step}"
    if not best.is_dir():  # interrupted before the first validation, or nothing to validate on
        best = last_checkpoint(plan.folder) or best
    return LoopOutcome(
        status="interrupted" if events.was_cancelled else "stopped early" if events.has_stopped_early else "complete",
        steps=state.global_step,
        best_step=best_step,
        best_checkpoint=best,
        first_validation_loss=validations.get(0),
        best_validation_loss=trained.get(best_step),
        losses=tuple(float(each["loss"]) for each in history),
        elapsed_s=0.0,
        seconds_per_step=median(events.seconds) if events.seconds else 0.0,
    )


def _with_elapsed(outcome: LoopOutcome, elapsed_s: float) -> LoopOutcome:
    return replace(outcome, elapsed_s=elapsed_s)


def _free(device: str) -> None:
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def _no_memory(plan: LoopPlan, batching: Batching) -> DeviceError:
    return DeviceError(
        f"There is not enough memory to train with {batching.micro_batch} "
        f"{'row' if batching.micro_batch == 1 else 'rows'} at once.",
        hint="Give a smaller --max-length, a smaller base, or a method that trains less, such as lora.",
    )
