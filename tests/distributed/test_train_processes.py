"""The same training in one process and in two over gloo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contract import tiny_models

SCRIPT = Path(__file__).with_name("train_script.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.decoder(tmp_path_factory.mktemp("llama"), "llama")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven rows to learn from, which neither two processes nor a batch of four divide; replies of unlike length."""
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    lines = []
    for index in range(9):
        turns = [
            {"role": "user", "content": f"what did {index} do"},
            {"role": "assistant", "content": "the cat sat on the mat " * (1 + index % 4)},
        ]
        lines.append(json.dumps({"messages": turns}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(rows: Path, base: Path, folder: Path, *, processes: int, micro_batch: int, batch_size: int = 4) -> Any:
    folder.mkdir()
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    finished = subprocess.run(
        [
            sys.executable,
            *launcher,
            str(SCRIPT),
            str(rows),
            str(base),
            str(folder),
            str(micro_batch),
            str(batch_size),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MMCHAT_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if finished.returncode:
        return finished.stderr
    return [json.loads((folder / f"outcome-{rank}.json").read_text(encoding="utf-8")) for rank in range(processes)]


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one_with_twice_the_batch(llama: Path, rows: Path, tmp_path: Path) -> None:
    """Same rows in the same steps; only the order of float32 sums differs."""
    [one] = run(rows, llama, tmp_path / "one", processes=1, micro_batch=4)
    first, second = run(rows, llama, tmp_path / "two", processes=2, micro_batch=2)
    assert len(one["losses"]) == 6
    assert first["losses"] == pytest.approx(one["losses"], abs=1e-5)
    assert second["losses"] == pytest.approx(one["losses"], abs=1e-5)
    assert first["validation"] == pytest.approx(one["validation"], abs=1e-5)
    assert first["events"] == one["events"]
    assert second["events"] == 0
    accumulated, _ = run(rows, llama, tmp_path / "accumulated", processes=2, micro_batch=1)
    assert accumulated["losses"] == pytest.approx(one["losses"], abs=1e-5)
