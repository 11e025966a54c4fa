"""`mmchat eval` in one of several processes: who shows something, and who needs what."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from mmchat.cli import eval_run
from mmchat.cli.eval_job import SilentView, View
from mmchat.cli.eval_options import EvalChoice
from mmchat.engines.process_group import SoleProcess
from mmchat.evals.results import Run
from mmchat.evals.runs import RunStore
from mmchat.paths import evals_dir
from tests.cli.conftest import Run as Command
from tests.eval_bench import ThreadGroup, run_here, run_settings, talks, write_lines


@pytest.fixture
def interrupted(scripted_home: Path, tmp_path: Path) -> Run:
    path = write_lines(tmp_path / "talks.jsonl", talks(6))
    cancel = Event()
    cancel.set()
    return run_here(run_settings([path], metrics=("bleu",)), cancel=cancel)


def test_only_the_first_process_needs_the_run_and_shows_progress(
    interrupted: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    views = []

    @contextmanager
    def progress_view() -> Iterator[View]:
        views.append("first")
        yield SilentView()

    monkeypatch.setattr(eval_run, "progress_view", progress_view)
    monkeypatch.setattr(eval_run, "native_noise_to", lambda *_, **__: nullcontext())
    stores = RunStore(evals_dir()), RunStore(tmp_path / "elsewhere")
    choice = EvalChoice(replace(interrupted.settings, data=()), resume="last")
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda pair: eval_run._ask(choice, *pair), zip(stores, ThreadGroup.of(2), strict=True)))
    assert [run.status for run in runs] == ["complete", "complete"]
    assert runs[0] == runs[1]
    assert runs[0].id == interrupted.id
    assert views == ["first"]
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("Going on with") == 1


def test_the_group_is_left_at_the_end(interrupted: Run, run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    class Group(SoleProcess):
        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr("mmchat.wiring.open_process_group", Group)
    assert run("eval", "--resume", "last").code == 0
    assert closed == [True]
    assert run("eval", "--resume", "last").code == 4  # it is complete
    assert closed == [True, True]


@pytest.mark.parametrize("command", [["--list"], ["runs"], ["show", "last"], ["--rescore", "last"], ["remove", "last"]])
def test_what_asks_no_model_is_for_the_first_process(
    interrupted: Run, run: Command, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = run("eval", *command)
    assert (done.code, done.out, done.err) == (0, "", "")
    monkeypatch.setenv("RANK", "0")
    if command[0] != "--rescore":  # nothing was done that could be scored
        done = run("eval", *command, *(["--yes"] if command[0] == "remove" else []))
        assert done.code == 0
        assert bool(done.out + done.err) is (command[0] != "remove")
