"""The processes that train together: this one alone, or those that `torchrun` has started."""

from __future__ import annotations

import os


def process_count() -> int:
    """How many there are."""
    return max(1, int(os.environ.get("WORLD_SIZE", "1")))


def is_main_process() -> bool:
    """Whether this is the one that writes and tells."""
    return int(os.environ.get("RANK", "0")) == 0


def smallest(number: int) -> int:
    """The smallest of all processes' numbers, which they agree on.

    Args:
        number: this process's.
    """
    if process_count() == 1:
        return number
    # Deferred: only several processes need them, and accelerate then makes the group that trains.
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available(), backend=None if torch.cuda.is_available() else "gloo")
    tensor = torch.tensor(number, device=state.device)
    torch.distributed.all_reduce(tensor, torch.distributed.ReduceOp.MIN)
    return int(tensor.item())
