"""Where curves are written; accelerate's trackers write those of trainings that run no `transformers.Trainer`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from mmchat.errors import UsageError
from mmchat.train.base import OnEvent, TrainEvent, TrainNotice, TrainStepped

if TYPE_CHECKING:
    from pathlib import Path

LOGS = "logs"
"""TensorBoard's files, in the folder of a result."""


def require_logger(log_to: str) -> None:
    """Raise UsageError where curves are to go to a library that is not installed."""
    if log_to in ("trackio", "wandb") and find_spec(log_to) is None:
        raise UsageError(
            f"The curves cannot go to {log_to}: it is not installed.",
            hint=f"pip install {log_to}, or leave them with tensorboard.",
        )


@contextmanager
def curves(log_to: str, name: str, folder: Path, on_event: OnEvent) -> Iterator[OnEvent]:
    """Events passed on, and their numbers written down under the names that `transformers.Trainer` gives them.

    Args:
        log_to: tensorboard, trackio, wandb or none.
        name: of the result.
        folder: of the result; TensorBoard's files lie in its `logs/`.
        on_event: told of everything.

    Raises:
        UsageError: the library is not installed.
    """
    if log_to == "none":
        yield on_event
        return
    require_logger(log_to)
    tracker = _tracker(log_to, name, folder)
    tracker.start()
    step = 0

    def both(event: TrainEvent) -> None:
        nonlocal step
        if not isinstance(event, TrainNotice):
            # One head after the other is tried, each from its first step; a curve knows no way back.
            step += isinstance(event, TrainStepped)
            tracker.log(_numbers(event), step=step)
        on_event(event)

    try:
        yield both
    finally:
        tracker.finish()


def _tracker(log_to: str, name: str, folder: Path) -> Any:
    from accelerate import tracking

    if log_to == "tensorboard":
        return tracking.TensorBoardTracker("", str(folder / LOGS))
    return (tracking.TrackioTracker if log_to == "trackio" else tracking.WandBTracker)(name)


def _numbers(event: TrainEvent) -> dict[str, float]:
    if isinstance(event, TrainStepped):
        return {"train/loss": event.loss, "train/learning_rate": event.learning_rate, "train/epoch": event.epoch}
    assert not isinstance(event, TrainNotice)
    return {"eval/loss": event.loss, **{f"eval/{name}": value for name, value in event.metrics.items()}}
