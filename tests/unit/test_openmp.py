"""OpenMP's threads, and its library."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from mmchat.openmp import SPINS, bring_runtime, settle_waiting


@pytest.fixture
def untold(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    return monkeypatch


def test_threads_look_a_few_times_before_they_sleep(untold: pytest.MonkeyPatch) -> None:
    settle_waiting()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    assert os.environ["GOMP_SPINCOUNT"] == SPINS


def test_what_the_user_says_of_waiting_stands(untold: pytest.MonkeyPatch) -> None:
    untold.setenv("OMP_WAIT_POLICY", "ACTIVE")
    settle_waiting()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert "GOMP_SPINCOUNT" not in os.environ


def test_own_number_of_spins_stands(untold: pytest.MonkeyPatch) -> None:
    untold.setenv("GOMP_SPINCOUNT", "7")
    settle_waiting()
    assert os.environ["GOMP_SPINCOUNT"] == "7"


@pytest.mark.skipif(sys.platform != "linux", reason="only there it is looked for")
def test_torchs_runtime_stands_in_where_the_system_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be loaded by name is loaded from torch's folder, which is not imported for it."""
    import ctypes

    opened: list[str] = []

    def open_library(name: str, mode: int = 0) -> None:
        opened.append(name)
        if name == "libgomp.so.1":
            raise OSError("no such file")

    monkeypatch.setattr(ctypes, "CDLL", open_library)
    bring_runtime()
    spec = find_spec("torch")
    assert spec is not None
    assert opened[1:] == [str(Path(place) / "lib" / "libgomp.so.1") for place in spec.submodule_search_locations or ()]
    assert Path(opened[1]).is_file()


def test_start_does_not_load_ctypes_for_it() -> None:
    script = "import sys, mmchat.openmp; mmchat.openmp.settle_waiting(); print('ctypes' in sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
