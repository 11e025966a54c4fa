"""What a training tells while it runs, and when it ends before its last step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from threading import Event
from typing import Any

import psutil
import torch
import transformers

from mmchat.errors import MmchatError
from mmchat.train.base import OnEvent, TrainNotice, TrainStepped, TrainValidated

_RECENT_STEPS = 20
_LOSS = "eval_loss"


class ProgressEvents(transformers.TrainerCallback):
    """Turns what a `Trainer` reports into events, stops it early, and stops it when cancelled.

    Args:
        steps: of the whole training.
        patience: validations without a better loss before it stops; 0: never.
        count: what a step reads (tokens or rows), and the epoch after it.
        on_event: called in the main process only.
        cancel: looked at after every step.
    """

    def __init__(
        self,
        steps: int,
        patience: int,
        count: Callable[[int], tuple[int, float]],
        on_event: OnEvent,
        cancel: Event,
    ) -> None:
        self.seconds: list[float] = []
        """Of each step, without validation."""
        self.was_cancelled = False
        self.has_stopped_early = False
        self._steps = steps
        self._patience = patience
        self._count = count
        self._on_event = on_event
        self._cancel = cancel
        self._began = 0.0
        self._validation_began = 0.0
        self._validation_s = 0.0
        self._process = psutil.Process()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.seconds.append(time.perf_counter() - self._began)
        is_last = state.global_step >= state.max_steps
        if is_last:
            control.should_evaluate = args.eval_strategy != "no"
            control.should_save = True
        elif self._is_cancelled():
            self.was_cancelled = True
            control.should_save = control.should_training_stop = True
        self._validation_began = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, float] | None = None, **_: Any) -> None:
        if logs is None or "loss" not in logs or "learning_rate" not in logs:
            return
        step, loss = state.global_step, float(logs["loss"])
        if not math.isfinite(loss):
            raise MmchatError(
                f"The loss became {loss} at step {step}; the training was stopped.",
                hint="Give a lower --lr, or --dtype float32. Checkpoints before this step are kept.",
            )
        if state.is_world_process_zero:
            amount, epoch = self._count(step)
            grad_norm = logs.get("grad_norm")
            self._on_event(
                TrainStepped(
                    step=step,
                    steps=self._steps,
                    epoch=epoch,
                    loss=loss,
                    learning_rate=float(logs["learning_rate"]),
                    grad_norm=None if grad_norm is None else float(grad_norm),
                    tokens_per_s=amount / self.seconds[-1],
                    left_s=self._left_s(step, args),
                    memory_bytes=self._memory_bytes(args),
                )
            )

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Mapping[str, float] | None = None, **_: Any
    ) -> None:
        if metrics is None or _LOSS not in metrics:
            return
        if state.global_step > 0:
            self._validation_s = time.perf_counter() - self._validation_began
        losses = validation_losses(state.log_history)
        before = [loss for step, loss in losses.items() if step < state.global_step]
        loss = float(metrics[_LOSS])
        if state.is_world_process_zero:
            more = {
                name.removeprefix("eval_"): float(value)
                for name, value in metrics.items()
                if name != _LOSS and name.startswith("eval_")
            }
            self._on_event(TrainValidated(state.global_step, loss, loss < min(before, default=math.inf), more))
        self._stop_early([*before, loss], state, control)

    def _stop_early(self, losses: Sequence[float], state: Any, control: Any) -> None:
        since_best = len(losses) - 1 - min(range(len(losses)), key=lambda index: losses[index])
        if not self._patience or since_best < self._patience or state.global_step >= state.max_steps:
            return
        self.has_stopped_early = True
        control.should_training_stop = control.should_save = True
        if state.is_world_process_zero:
            self._on_event(
                TrainNotice(
                    f"Stopped early at step {state.global_step}: {since_best} validations in a row brought "
                    "no better loss."
                )
            )

    def _is_cancelled(self) -> bool:
        """Whether any process was cancelled: all must stop at the same step."""
        if not torch.distributed.is_available() or not torch.distributed.is_initialized():
            return self._cancel.is_set()
        device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
        flag = torch.tensor(int(self._cancel.is_set()), device=device)
        torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
        return bool(flag.item())

    def _left_s(self, step: int, args: Any) -> float:
        left = self._steps - step
        validations = left / args.eval_steps if args.eval_strategy != "no" else 0.0
        return left * median(self.seconds[-_RECENT_STEPS:]) + validations * self._validation_s

    def _memory_bytes(self, args: Any) -> int:
        if args.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated())
        return int(self._process.memory_info().rss)


def validation_losses(history: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Step → validation loss, of what a `Trainer` has logged."""
    return {int(each["step"]): float(each[_LOSS]) for each in history if _LOSS in each}
