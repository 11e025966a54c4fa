"""The processes that share one piece of work: this one alone, or those that `torchrun` has started.

torch is imported only when there are several.
"""

from __future__ import annotations

import os
import sys
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
_LENGTH_BYTES = 8
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

    It is not torch's default group. Modules of torch that are first imported beside one keep it for good, as what
    their functions take where no group is named (`torch.distributed.nn.functional`, which transformers imports):
    `destroy_process_group` then ends nothing, and gloo's threads go on while the interpreter ends, which may abort.

    Args:
        rank: of this process, from 0.
        size: how many there are; all of them must call.

    Raises:
        EngineUnavailable: the others do not answer.
    """

    def __init__(self, rank: int, size: int) -> None:
        import torch

        distributed: Any = torch.distributed  # torch has no types for all that is used of it
        self.rank = rank
        self.size = size
        self._torch: ModuleType = torch
        self._group: Any | None = None
        try:
            store, _, _ = next(distributed.rendezvous("env://", rank, size, timeout=TIMEOUT))
            store.set_timeout(TIMEOUT)
            self._group = distributed.ProcessGroupGloo(distributed.PrefixStore("mmchat", store), rank, size, TIMEOUT)
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
        own = note.encode("utf-8", "surrogatepass")
        try:
            lengths = [int(each[0]) for each in self._gather(len(own).to_bytes(_LENGTH_BYTES, sys.byteorder), "int64")]
            texts = self._gather(own.ljust(max(1, *lengths), b"\0"), "uint8")
        except RuntimeError as error:
            raise EngineUnavailable(
                f"Another of the {self.size} processes ended or hangs: {_first_line(error)}",
                hint="Its own message says why.",
            ) from error
        padded = zip(texts, lengths, strict=True)
        return tuple(bytes(text[:length].tolist()).decode("utf-8", "surrogatepass") for text, length in padded)

    def _gather(self, content: bytes, dtype: str) -> list[Any]:
        """Each process's numbers, by rank. All have equally many.

        Args:
            content: this one's.
            dtype: what torch calls such numbers.
        """
        if self._group is None:
            raise RuntimeError("this process has left the group")
        own = self._torch.frombuffer(bytearray(content), dtype=getattr(self._torch, dtype))
        all_of_them = [self._torch.empty_like(own) for _ in range(self.size)]
        self._group.allgather([all_of_them], [own]).wait()
        return all_of_them

    def close(self) -> None:
        """Leave the group; calling it twice is harmless."""
        self._group = None  # the only reference: gloo ends its threads, and waits for them


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
