"""The processes that share one piece of work: this one alone, or those that `torchrun` has started.

torch is imported only when there are several.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mmchat.engines.device import count_gpus, own_gpu
from mmchat.errors import EngineUnavailable, UsageError

if TYPE_CHECKING:
    from types import ModuleType

# A process that dies is noticed at once, because its connections close. This is for one that hangs: longer
# than the slowest batch takes while the others wait for it.
TIMEOUT = timedelta(hours=2)
_NEEDED_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class SoleProcess:
    """No others to share with."""

    rank = 0
    size = 1

    def share(self, note: str) -> tuple[str, ...]:
        """See `TorchProcessGroup.share`."""
        return (note,)

    def close(self) -> None:
        """Nothing to leave."""


class TorchProcessGroup:
    """Processes joined by torch.distributed over gloo: what they exchange is text, also where the models use GPUs.

    Args:
        rank: of this process, from 0.
        size: how many there are; all of them must call.

    Raises:
        EngineUnavailable: the others do not answer.
    """

    def __init__(self, rank: int, size: int) -> None:
        import torch.distributed as distributed

        self.rank = rank
        self.size = size
        self._distributed: ModuleType = distributed
        try:
            distributed.init_process_group("gloo", rank=rank, world_size=size, timeout=TIMEOUT)
        except (RuntimeError, ValueError) as error:
            raise EngineUnavailable(
                f"The {size} processes did not find each other: {_first_line(error)}",
                hint="Start them with torchrun; MASTER_ADDR and MASTER_PORT must name a machine that all can reach.",
            ) from error

    def share(self, note: str) -> tuple[str, ...]:
        """What each process says, by rank. Every process must call it equally often; it waits for all of them.

        Raises:
            EngineUnavailable: another one has died or hangs.
        """
        notes: list[Any] = [None] * self.size
        try:
            self._distributed.all_gather_object(notes, note)
        except RuntimeError as error:
            raise EngineUnavailable(
                f"Another of the {self.size} processes ended or hangs: {_first_line(error)}",
                hint="Its own message says why.",
            ) from error
        return tuple(str(each) for each in notes)

    def close(self) -> None:
        """Leave the group; calling it twice is harmless."""
        if self._distributed.is_initialized():
            self._distributed.destroy_process_group()


def open_process_group(environment: Mapping[str, str] | None = None) -> SoleProcess | TorchProcessGroup:
    """This process's group, by what torchrun has put into the environment.

    Args:
        environment: default: the process's own.

    Raises:
        UsageError: the variables contradict each other.
        EngineUnavailable: the others do not answer.
    """
    variables = os.environ if environment is None else environment
    if "RANK" not in variables or "WORLD_SIZE" not in variables:
        return SoleProcess()  # one of the two alone may be left over from another program
    try:
        rank, size = int(variables["RANK"]), int(variables["WORLD_SIZE"])
    except ValueError:
        rank, size = -1, 0
    if not 0 <= rank < size:
        raise UsageError(
            f"RANK={variables['RANK']} and WORLD_SIZE={variables['WORLD_SIZE']} do not name a process of a group.",
            hint="Start with torchrun, or unset both variables.",
        )
    if size == 1:
        return SoleProcess()
    missing = [name for name in _NEEDED_VARIABLES if name not in variables]
    if missing:
        raise UsageError(
            f"WORLD_SIZE says {size} processes, but {', '.join(missing)} is not set.",
            hint="Start with torchrun, or unset RANK and WORLD_SIZE.",
        )
    if size > 1 and (gpu := own_gpu(variables, count_gpus())) is not None:
        # Before anything has woken CUDA; torch, CTranslate2 and llama.cpp all follow it.
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    return TorchProcessGroup(rank, size)


def is_first_process(environment: Mapping[str, str] | None = None) -> bool:
    """Whether this process is the only one, or the first of those that torchrun has started.

    Args:
        environment: default: the process's own.
    """
    variables = os.environ if environment is None else environment
    return "WORLD_SIZE" not in variables or variables.get("RANK", "0") == "0"


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
