"""`mmchat eval` under torchrun: two processes share the batches, and the result is that of one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mmchat.evals.results import Run
from mmchat.evals.runs import RunStore
from mmchat.paths import evals_dir
from tests.eval_bench import talks, write_all_kinds, write_lines, write_models

WAIT_S = 240.0
SHARED_DIALOGUES = 3

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="torchrun is not for Windows")


def eval_command(args: Sequence[str], *, processes: int) -> list[str]:
    """`mmchat eval`, alone or under torchrun."""
    if processes == 1:
        return [sys.executable, "-m", "mmchat", "eval", *args]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return [*torchrun, "-m", "mmchat", "eval", *args]


def start(args: Sequence[str], *, processes: int, home: Path) -> subprocess.Popen[str]:
    # Sums come out the same to the last bit only with as many threads: two processes would have half as many each.
    environment = {**os.environ, "MMCHAT_HOME": str(home), "MMCHAT_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        eval_command(args, processes=processes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def evaluated(args: Sequence[str], *, processes: int, home: Path) -> tuple[Run, str]:
    """The saved run, and what was printed."""
    process = start(args, processes=processes, home=home)
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    (run,) = RunStore(home / "data" / "evals").list()
    return run, out


def essence(run: Run) -> Run:
    """Without times and library versions: torch is loaded only where there are several processes."""
    scores = tuple(score for score in run.scores if score.metric != "milliseconds")
    return replace(run, id="", created_at="", elapsed_s=0, libraries={}, scores=scores)


def test_two_processes_give_the_scores_of_one(home: Path, tmp_path: Path) -> None:
    paths = [*write_all_kinds(tmp_path / "rows"), write_lines(tmp_path / "more.jsonl", talks(31))]
    arguments = [*(f"--data={path}" for path in paths), "-m", "echo", "-m", "yes", "--batch-size", "4"]
    runs: list[Run] = []
    for processes in (1, 2):
        own_home = home / str(processes)
        write_models(own_home)
        run, out = evaluated([*arguments, "--resamples", "100", "--json"], processes=processes, home=own_home)
        assert json.loads(out)["run"] == run.id, "the first process alone prints"
        runs.append(run)
    alone, together = runs
    assert together.status == "complete"
    assert essence(together) == essence(alone)
    keys = [
        [saved.key for saved in RunStore(home / str(n) / "data" / "evals").outcomes(run.id)]
        for n, run in ((1, alone), (2, together))
    ]
    assert keys[0] == keys[1]


def test_a_killed_process_does_not_leave_the_other_waiting(home: Path, tmp_path: Path) -> None:
    """Without torchrun, which would end the other by itself."""
    write_models(home)
    rows = write_lines(tmp_path / "talks.jsonl", talks(40))
    port = str(free_port())
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "MMCHAT_HOME": str(home)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "mmchat", "eval", "--data", str(rows), "-m", "slow", "--metric", "bleu"]
            + ["--batch-size", "2"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **group, "RANK": str(rank)},
        )
        for rank in (0, 1)
    ]
    runs = RunStore(evals_dir())
    deadline = time.monotonic() + WAIT_S
    while not any(path.stat().st_size for path in runs.folder.glob("*/outcomes.jsonl")):
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), [p.communicate() for p in processes]
        time.sleep(0.01)
    processes[1].send_signal(signal.SIGKILL)
    _, err = processes[0].communicate(timeout=WAIT_S)
    processes[1].communicate()
    assert processes[0].returncode == 3, err
    assert "Another of the 2 processes ended" in err
    (run,) = runs.list()
    assert f"--resume {run.id}" in err
    assert list(runs.outcomes(run.id))


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.weights
@pytest.mark.slow
def test_the_default_model_says_the_same_in_two_processes(home: Path, weights_dir: Path, tmp_path: Path) -> None:
    rows = write_lines(tmp_path / "talks.jsonl", talks(SHARED_DIALOGUES))
    arguments = ["--data", str(rows), "--metric", "chrf++,perplexity", "--max-tokens", "12", "--batch-size", "2"]
    runs: list[Run] = []
    replies: list[dict[str, object]] = []
    for processes in (1, 2):
        own_home = home / str(processes)
        run, _ = evaluated(arguments, processes=processes, home=own_home)
        runs.append(run)
        saved = RunStore(own_home / "data" / "evals").outcomes(run.id)
        replies.append({each.outcome.id: getattr(each.outcome, "reply", None) for each in saved})
    assert replies[0] == replies[1]
    assert [score.score for score in runs[0].scores] == [score.score for score in runs[1].scores]
