"""Fits one classification head on cached vectors: steps, early stopping, a calibrated temperature."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmchat.engines.head_files import HeadShape
from mmchat.engines.head_fused import Features
from mmchat.engines.head_network import HeadNetwork
from mmchat.engines.intents_head import fit_scope
from mmchat.train.base import TrainSettings

DENSE_RATE = 2e-3
GRAM_RATE_FACTOR = 10.0
"""N-grams are unit rows of hundreds of small numbers, each seen seldom: their weights have far to go."""
TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True, slots=True)
class HeadData:
    """Rows with their classes."""

    train: Features
    train_labels: Tensor
    """(N,) int64."""
    validation: Features
    validation_labels: Tensor
    names: tuple[str, ...] = ()
    """Of the classes."""


@dataclass(frozen=True, slots=True)
class HeadStep:
    """A step was taken."""

    step: int
    steps: int
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float
    rows_per_s: float


@dataclass(frozen=True, slots=True)
class HeadScore:
    """The held-out rows were scored after so many steps."""

    step: int
    loss: float
    accuracy: float
    is_best: bool


@dataclass(slots=True)
class Fitted:
    """A head at its best, and how it came about."""

    network: HeadNetwork
    temperature: float = 1.0
    scope: tuple[float, float, float] = (1.0, 0.0, 0.0)
    """Of `intents_scope.Scale`: what tells that a row has none of the labels."""
    best_step: int = 0
    first_loss: float = math.nan
    best_loss: float = math.inf
    """Of the validation rows at that temperature, in nats; lower than what early stopping went by."""
    accuracy: float = 0.0
    losses: list[float] = field(default_factory=list)
    step_times_s: list[float] = field(default_factory=list)
    is_early: bool = False


OnHeadEvent = Callable[[HeadStep | HeadScore], None]


def fit_head(
    shape: HeadShape, data: HeadData, settings: TrainSettings, on_event: OnHeadEvent, cancel: Event
) -> Fitted | None:
    """Train a head. The same data and settings give the same head.

    Args:
        shape: its architecture.
        data: vectors and classes.
        settings: seed, epochs, batch size, rate, decay, dropout, patience; evaluated after each epoch unless
            `evaluate_every` says otherwise.
        on_event: told of each step and each validation.
        cancel: looked at before each step.

    Returns:
        The head with the least validation loss; None when cancelled.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = HeadNetwork(shape, settings.dropout)
        network.fit_scalers(data.train.take(torch.arange(len(data.train))))
        return _descend(network, data, settings, on_event, cancel)


def _descend(
    network: HeadNetwork, data: HeadData, settings: TrainSettings, on_event: OnHeadEvent, cancel: Event
) -> Fitted | None:
    rows, batch_size = len(data.train), min(settings.batch_size, len(data.train))
    per_epoch = math.ceil(rows / batch_size)
    steps = settings.steps_for(per_epoch, 1)
    every = settings.evaluate_every or per_epoch
    optimizer = _optimizer(network, settings)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, _warm_cosine(steps, settings.warmup_share))
    fitted = Fitted(network)
    fitted.first_loss = _score(network, data)[0]
    best = _copy(network)
    lowest, worse = math.inf, 0
    order = torch.randperm(rows)
    for step in range(1, steps + 1):
        if cancel.is_set():
            return None
        started = time.perf_counter()
        at = (step - 1) % per_epoch
        order = torch.randperm(rows) if at == 0 else order
        chosen = order[at * batch_size : (at + 1) * batch_size]
        loss = functional.cross_entropy(network(data.train.take(chosen)), data.train_labels[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(network.parameters(), settings.max_grad_norm or math.inf)
        optimizer.step()
        scheduler.step()
        took = max(time.perf_counter() - started, 1e-9)
        fitted.losses.append(float(loss.detach()))
        fitted.step_times_s.append(took)
        rate = float(scheduler.get_last_lr()[0])
        on_event(HeadStep(step, steps, step / per_epoch, fitted.losses[-1], rate, float(norm), len(chosen) / took))
        if step % every == 0 or step == steps:
            score, accuracy = _score(network, data)
            is_best = score < lowest
            on_event(HeadScore(step, score, accuracy, is_best))
            if is_best:
                lowest, worse, best, fitted.best_step, fitted.accuracy = score, 0, _copy(network), step, accuracy
            else:
                worse += 1
            if settings.patience and worse >= settings.patience:
                fitted.is_early = step < steps
                break
    network.load_state_dict(best)
    network.eval()
    logits = _logits(network, data.validation)
    fitted.temperature, fitted.best_loss = fit_temperature(logits, data.validation_labels)
    scores = (logits.double() / fitted.temperature).numpy()
    fitted.scope = fit_scope(scores, data.validation_labels.numpy(), data.names)
    return fitted


def _optimizer(network: HeadNetwork, settings: TrainSettings) -> torch.optim.AdamW:
    rate = settings.learning_rate or DENSE_RATE
    dense = [each for name, each in network.named_parameters() if not name.startswith("grams.")]
    groups = [{"params": dense, "lr": rate, "weight_decay": settings.weight_decay}]
    if network.shape.columns:
        # Decay would draw seldom n-grams to nothing between two sights of them.
        groups.append({"params": network.grams.parameters(), "lr": rate * GRAM_RATE_FACTOR, "weight_decay": 0.0})
    return torch.optim.AdamW(groups)


def _warm_cosine(steps: int, warmup_share: float) -> Callable[[int], float]:
    warmup = max(1, round(steps * warmup_share))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return factor


def fit_temperature(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """The number to divide logits by so that probabilities are honest, and the loss it gives.

    Least negative log-likelihood over a fine grid of 400 temperatures: one number needs no descent.
    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2.

    Args:
        logits: (N, L) of rows that were not trained on.
        labels: (N,) int64.
    """
    low, high = (math.log(bound) for bound in TEMPERATURES)
    grid = torch.linspace(low, high, 400, dtype=torch.float64).exp()
    losses = [float(functional.cross_entropy(logits.double() / each, labels)) for each in grid]
    best = min(range(len(losses)), key=losses.__getitem__)
    return float(grid[best]), losses[best]


def _score(network: HeadNetwork, data: HeadData) -> tuple[float, float]:
    logits = _logits(network, data.validation)
    hits = (logits.argmax(1) == data.validation_labels).double().mean()
    return float(functional.cross_entropy(logits, data.validation_labels)), float(hits)


def _logits(network: HeadNetwork, features: Features) -> Tensor:
    """(N, L) without dropout."""
    was_training = network.training
    network.eval()
    with torch.no_grad():
        pieces = [network(features.take(rows)) for rows in torch.split(torch.arange(len(features)), 512)]
    network.train(was_training)
    return torch.cat(pieces)


def _copy(network: HeadNetwork) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
