"""A cancel that is heard between the layers of a torch model: a batch of long prompts takes a minute to read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

import torch


class Cancelled(Exception):
    """The model was stopped on its way through its layers."""


@contextmanager
def cancellable(model: torch.nn.Module, cancel: Event) -> Iterator[None]:
    """Make `model` stop before its next layer, or part of one, once `cancel` is set.

    Changes no number: each part is only preceded by a look at the event.

    Raises:
        Cancelled: from within a call of the model. What it was computing is lost.
    """

    def look(*_: Any) -> None:
        if cancel.is_set():
            raise Cancelled

    stacks = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    layers = [layer for stack in stacks for layer in stack]
    parts = dict.fromkeys(part for layer in layers for part in (layer, *layer.children()))
    handles = [part.register_forward_pre_hook(look) for part in parts]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
