"""Threads and devices, as containers and drivers report them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mmchat.engines import device
from mmchat.errors import ConfigError


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    device.usable_threads.cache_clear()
    yield
    device.usable_threads.cache_clear()


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "groups", "quota"),
    [
        ({}, {}, None),
        ({"cpu.max": "max 100000\n"}, {"": "/"}, None),
        ({"cpu.max": "150000 100000\n"}, {"": "/"}, 1.5),
        ({"a/cpu.max": "400000 100000", "a/b/cpu.max": "max 100000"}, {"": "/a/b"}, 4.0),
        ({"a/cpu.max": "200000 100000", "a/b/cpu.max": "800000 100000"}, {"": "/a/b"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, {"cpu": "/"}, None),
        ({"cpu/x/cpu.cfs_quota_us": "300000", "cpu/x/cpu.cfs_period_us": "100000"}, {"cpu": "/x"}, 3.0),
        ({"cpu.max": "nonsense"}, {"": "/"}, None),
    ],
)
def test_the_tightest_quota_counts(
    tmp_path: Path, files: dict[str, str], groups: dict[str, str], quota: float | None
) -> None:
    assert device.cgroup_cpu_quota(write(tmp_path, files), groups) == quota


def test_there_is_at_least_one_thread() -> None:
    assert device.usable_threads() >= 1


def test_processes_of_torchrun_share_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "100000")
    assert device.usable_threads() == 1


def test_the_variable_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(device.THREADS_VARIABLE, "3")
    assert device.usable_threads() == 3


@pytest.mark.parametrize("value", ["0", "two", "-1", "1.5"])
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(device.THREADS_VARIABLE, value)
    with pytest.raises(ConfigError, match=device.THREADS_VARIABLE):
        device.usable_threads()


def test_devices() -> None:
    assert device.resolve_device("cpu") == "cpu"
    with pytest.raises(ConfigError):
        device.resolve_device("gpu")


@pytest.mark.parametrize(
    ("local_rank", "chosen", "gpus", "own"),
    [
        (None, None, 4, None),  # not under torchrun
        ("0", None, 4, "0"),
        ("3", None, 4, "3"),
        ("5", None, 4, "1"),  # more processes than GPUs share them
        ("1", None, 1, None),
        ("1", None, 0, None),
        ("1", "2,3", 4, "3"),  # the user's choice, in its order
        ("2", "2, 3", 4, "2"),
        ("1", "GPU-8f2a,GPU-91bc", 2, "GPU-91bc"),
        ("1", "2", 4, None),
        ("1", "", 4, None),  # no GPU is to be used
        ("1", "-1", 4, None),
        ("x", None, 4, None),
    ],
)
def test_each_process_of_a_machine_has_its_own_gpu(
    local_rank: str | None, chosen: str | None, gpus: int, own: str | None
) -> None:
    pairs = {"LOCAL_RANK": local_rank, "CUDA_VISIBLE_DEVICES": chosen}
    assert device.own_gpu({name: value for name, value in pairs.items() if value is not None}, gpus) == own


def test_gpus_are_counted_by_their_device_files(tmp_path: Path) -> None:
    assert device.count_gpus(tmp_path) == 0
    for name in ("nvidia0", "nvidia7", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert device.count_gpus(tmp_path) == 2
