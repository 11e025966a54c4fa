"""A cancel is heard between the layers of a model."""

from __future__ import annotations

from threading import Event

import pytest
import torch

from mmchat.engines.torch_cancel import Cancelled, cancellable


class Stack(torch.nn.Module):
    """Three layers, of which the second pulls a string."""

    def __init__(self, cancel: Event) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(3))
        self.cancel = cancel
        self.passed = 0

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        for index, layer in enumerate(self.layers):
            value = layer(value)
            self.passed += 1
            if index == 1:
                self.cancel.set()
        return value


def test_the_next_layer_is_not_begun() -> None:
    cancel = Event()
    stack = Stack(cancel)
    with pytest.raises(Cancelled), cancellable(stack, cancel):
        stack(torch.ones(1, 2))
    assert stack.passed == 2
    stack(torch.ones(1, 2))  # nothing is left on the model
    assert stack.passed == 5
