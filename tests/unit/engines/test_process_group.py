from __future__ import annotations

import subprocess
import sys

import pytest

from mmchat.engines.process_group import SoleProcess, is_first_process, open_process_group
from mmchat.errors import UsageError

ALL = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}


@pytest.mark.parametrize("variables", [{}, {"RANK": "3"}, {"WORLD_SIZE": "4"}, {"RANK": "0", "WORLD_SIZE": "1"}])
def test_one_process_is_alone(variables: dict[str, str]) -> None:
    group = open_process_group(variables)
    assert isinstance(group, SoleProcess)
    assert (group.rank, group.size) == (0, 1)
    assert group.share("hello") == ("hello",)
    group.close()


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("-1", "2"), ("x", "2"), ("0", ""), ("0", "0")])
def test_variables_that_contradict_each_other_are_named(rank: str, size: str) -> None:
    with pytest.raises(UsageError, match=f"RANK={rank} and WORLD_SIZE={size} do not name a process"):
        open_process_group({**ALL, "RANK": rank, "WORLD_SIZE": size})


@pytest.mark.parametrize("name", ["MASTER_ADDR", "MASTER_PORT"])
def test_variables_that_are_missing_are_named(name: str) -> None:
    with pytest.raises(UsageError, match=f"but {name} is not set"):
        open_process_group({key: value for key, value in ALL.items() if key != name})


def test_one_process_needs_no_torch() -> None:
    code = "import sys, mmchat.engines.process_group as p; p.open_process_group({}); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("variables", "is_first"),
    [
        ({}, True),
        ({"RANK": "3"}, True),
        ({"WORLD_SIZE": "4"}, True),
        ({"RANK": "0", "WORLD_SIZE": "2"}, True),
        ({"RANK": "1", "WORLD_SIZE": "2"}, False),
    ],
)
def test_which_process_speaks(variables: dict[str, str], is_first: bool) -> None:
    assert is_first_process(variables) is is_first


LEAVING = """
import os, socket, sys
from mmchat.engines.process_group import TorchProcessGroup
def threads():
    names = [open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task")]
    return sorted(name.strip() for name in names if "gloo" in name or "store" in name)
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
group = TorchProcessGroup(0, 1)
import torch.distributed.nn.functional, torch.distributed.fsdp  # these take torch's default group for themselves
said = group.share("a note: 便条 \\udcff"), group.share("")
before = threads()
group.close()
group.close()
print(said == (("a note: 便条 \\udcff",), ("",)), len(before) > 0, threads())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads are told by /proc")
def test_no_thread_of_the_group_is_left_when_it_is_closed() -> None:
    """One that is still at work when the interpreter ends may abort it."""
    told = subprocess.run([sys.executable, "-c", LEAVING], capture_output=True, text=True, check=True)
    assert told.stdout == "True True []\n", told.stderr
