"""The real program, killed or interrupted while it evaluates: what was done is kept, and the rest is done later."""

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
from tests.eval_bench import run_here, run_settings, talks, write_lines, write_models

KILLS = 3
WAIT_S = 60.0

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and SIGINT are POSIX signals")


@pytest.fixture
def rows(home: Path, tmp_path: Path) -> Path:
    write_models(home)
    return write_lines(tmp_path / "talks.jsonl", talks(32))


def start(args: Sequence[str]) -> subprocess.Popen[str]:
    """`mmchat eval` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "mmchat", "eval", *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ.copy(),
    )


def wait_for_lines(runs: RunStore, process: subprocess.Popen[str], more_than: int) -> None:
    """Until more outcomes than that are saved."""
    deadline = time.monotonic() + WAIT_S
    while sum(path.read_bytes().count(b"\n") for path in runs.folder.glob("*/outcomes.jsonl")) <= more_than:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no outcome was saved in a minute"
        time.sleep(0.005)


def essence(run: Run) -> Run:
    return replace(run, id="", created_at="", elapsed_s=0, libraries={})


def test_killed_three_times_it_has_the_scores_of_an_unbroken_run(rows: Path) -> None:
    arguments = ["--data", str(rows), "-m", "slow", "-m", "yes", "--metric", "bleu,chrf++", "--resamples", "100"]
    runs = RunStore(evals_dir())
    seen = 0
    for kill in range(KILLS):
        process = start([*arguments, "--batch-size", "4"] if kill == 0 else ["--resume", "last"])
        wait_for_lines(runs, process, seen)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.communicate()
        (run,) = runs.list()
        assert run.status == "interrupted"
        before, seen = seen, len(list(runs.outcomes(run.id)))
        assert before < seen < 128
    process = start(["--resume", "last", "--json"])
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    assert json.loads(out)["status"] == "complete"
    (run,) = runs.list()
    saved = [outcome.key for outcome in runs.outcomes(run.id)]
    assert len(saved) == len(set(saved)) == 128, "nothing was asked twice"
    whole = run_here(
        run_settings([rows], models=("slow", "yes"), metrics=("bleu", "chrf++"), resamples=100, batch_size=4)
    )
    unbroken = replace(whole, settings=run.settings)
    assert essence(run) == essence(unbroken)


def test_ctrl_c_scores_what_is_done_and_the_rest_is_done_later(rows: Path) -> None:
    runs = RunStore(evals_dir())
    process = start(["--data", str(rows), "-m", "slow", "--metric", "chrf++", "--batch-size", "4"])
    wait_for_lines(runs, process, 0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130, err
    (run,) = runs.list()
    assert run.status == "interrupted"
    (score,) = run.scores
    assert 0 < score.samples < 64
    assert f"scores are over {score.samples} of 64 samples" in err
    assert "chrf++" in out
    assert f"mmchat eval --resume {run.id}" in err
    process = start(["--resume", run.id])
    _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    assert runs.get(run.id).scores[0].samples == 64
