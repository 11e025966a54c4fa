"""What this machine can compute with, found without importing a heavy library."""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from mmchat.errors import ConfigError, DeviceError

log = logging.getLogger(__name__)

DeviceName = Literal["cpu", "cuda", "mps"]

THREADS_VARIABLE = "MMCHAT_THREADS"
_CUDA_LIBRARIES = {"linux": "libcuda.so.1", "win32": "nvcuda.dll"}


@cache
def usable_threads() -> int:
    """Threads worth starting: the smaller of CPU affinity and the container's quota, at least 1.

    Processes that torchrun has started on this machine share them.

    Libraries count the machine's processors instead, and with more threads than a quota allows they run
    tens of times slower. `MMCHAT_THREADS` overrides it.

    Raises:
        ConfigError: `MMCHAT_THREADS` is not a whole number above 0.
    """
    override = os.environ.get(THREADS_VARIABLE)
    if override:
        if not override.isdecimal() or int(override) < 1:
            raise ConfigError(
                f"{THREADS_VARIABLE} is '{override}', not a number of threads.", hint=f"Set {THREADS_VARIABLE}=2 or so."
            )
        log.info("threads: %s, from %s", override, THREADS_VARIABLE)
        return int(override)
    affinity = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = cgroup_cpu_quota(Path("/sys/fs/cgroup"), _own_cgroups(Path("/proc/self/cgroup")))
    threads = affinity if quota is None else max(1, min(affinity, int(quota)))
    processes = os.environ.get("LOCAL_WORLD_SIZE", "1")
    if processes.isdecimal() and int(processes) > 1:
        threads = max(1, threads // int(processes))
    log.info("threads: %d (affinity %d, quota %s)", threads, affinity, "none" if quota is None else f"{quota:g}")
    return threads


def cgroup_cpu_quota(root: Path, groups: Mapping[str, str]) -> float | None:
    """The tightest processor quota on the way from a control group up to the root, in processors.

    Args:
        root: where control groups are mounted.
        groups: controller → path of the own group; "" is the one hierarchy of version 2.

    Returns:
        None without a quota, or where there are no control groups.
    """
    quotas: list[float] = []
    for folder in _upwards(root, groups.get("", "/")):
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        if quota.isdecimal() and period.isdecimal() and int(period) > 0:
            quotas.append(int(quota) / int(period))
    for controller in ("cpu", "cpu,cpuacct"):
        for folder in _upwards(root / controller, groups.get(controller, groups.get("cpu", "/"))):
            quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
            if quota.isdecimal() and period.isdecimal() and int(period) > 0:  # no quota is written as -1
                quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


@cache
def gpu() -> Literal["cuda", "mps"] | None:
    """The kind of GPU that torch could use here, as the driver says; torch itself is not imported."""
    if sys.platform == "darwin":
        return "mps" if platform.machine() == "arm64" else None
    library = _CUDA_LIBRARIES.get(sys.platform)
    if library is None or os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return None
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return None
    count = ctypes.c_int(0)
    is_found = cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    log.info("CUDA devices: %d", count.value)
    return "cuda" if is_found else None


def count_gpus(devices: Path = Path("/dev")) -> int:
    """Nvidia GPUs that this process may open, counted without waking the driver; 0 where that cannot be told."""
    return sum(path.name.removeprefix("nvidia").isdecimal() for path in devices.glob("nvidia[0-9]*"))


def own_gpu(environment: Mapping[str, str], gpus: int) -> str | None:
    """What `CUDA_VISIBLE_DEVICES` should say in one of several processes on a machine, so that each has its own GPU.

    Args:
        environment: `LOCAL_RANK` from torchrun, and `CUDA_VISIBLE_DEVICES` where the user has chosen some.
        gpus: how many there are.

    Returns:
        None where there is nothing to choose.
    """
    rank = environment.get("LOCAL_RANK", "")
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    names = [str(index) for index in range(gpus)] if chosen is None else chosen.split(",")
    if not rank.isdecimal() or len(names) < 2:
        return None
    return names[int(rank) % len(names)].strip()


def has_gpu() -> bool:
    """Whether there is a GPU that torch could use."""
    return gpu() is not None


def resolve_device(wanted: str) -> DeviceName:
    """The device to use for `auto | cpu | cuda | mps`.

    Raises:
        DeviceError: the wanted GPU is not there.
        ConfigError: no such device.
    """
    if wanted == "auto":
        return gpu() or "cpu"
    if wanted == "cpu":
        return "cpu"
    if wanted in ("cuda", "mps"):
        if gpu() != wanted:
            raise DeviceError(f"No {wanted} device was found on this machine.", hint="Use the device 'auto' or 'cpu'.")
        return "cuda" if wanted == "cuda" else "mps"
    raise ConfigError(f"'{wanted}' is not a device.", hint="One of: auto, cpu, cuda, mps.")


def _own_cgroups(path: Path) -> dict[str, str]:
    groups: dict[str, str] = {}
    for line in _read(path).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        groups[controllers] = group
        groups.update({controller: group for controller in controllers.split(",") if controller})
    return groups


def _upwards(root: Path, group: str) -> list[Path]:
    """The group's folder and those above it, down to `root`; inside a container only `root` may exist."""
    parts = [part for part in group.split("/") if part not in ("", "..")]
    return [root.joinpath(*parts[:count]) for count in range(len(parts), -1, -1)]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
