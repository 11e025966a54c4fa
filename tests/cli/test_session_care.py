"""`mmchat sessions recover` and `mmchat sessions gc`, and what other commands say of a store that is not well."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from mmchat import paths
from mmchat.wiring import open_store
from tests.cli.conftest import Run
from tests.crash.damage_bench import fill


@pytest.fixture
def texts(scripted_home: Path) -> dict[str, str]:
    """The turns of a small store in the home."""
    return fill(paths.data_dir(), sessions=2, turns=5)


def damage() -> bytes:
    with paths.database_path().open("r+b") as file:
        file.write(os.urandom(100))
    return paths.database_path().read_bytes()


def test_a_damaged_store_is_told_with_the_way_out_and_recovered(run: Run, texts: dict[str, str]) -> None:
    damaged = damage()
    for command in (["ask", "hello"], ["sessions", "list"], ["recall", "harbour"], ["talk", "--no-tui"]):
        done = run(*command)
        assert (done.code, done.out) == (1, "")
        assert "mmchat sessions recover" in done.err
        assert "Traceback" not in done.err
        assert paths.database_path().read_bytes() == damaged
    assert "mmchat sessions recover" in run("doctor", "--no-listen").out
    done = run("sessions", "recover")
    assert done.code == 0
    assert f"Recovered {len(texts)} turns in 2 conversations." in done.out
    (kept,) = paths.data_dir().glob("mmchat.db.damaged-*")
    assert str(kept) in done.out
    assert kept.read_bytes() == damaged
    assert kept.name in run("doctor", "--no-listen").out
    assert "Nothing is wrong" in run("sessions", "recover").out


def test_a_recovery_as_json(run: Run, texts: dict[str, str]) -> None:
    damage()
    told = json.loads(run("sessions", "recover", "--json").out)
    assert told["rows"]["turns"] == len(texts)
    assert Path(told["kept"]).is_file()
    assert (told["lost_turns"], told["cut_turns"]) == (0, 0)
    assert json.loads(run("sessions", "recover", "--json").out)["problems"] == []


def test_an_emptied_store_is_not_begun_anew(run: Run, texts: dict[str, str]) -> None:
    paths.database_path().write_bytes(b"")
    done = run("ask", "hello")
    assert done.code == 1
    assert "is empty (0 bytes)" in done.err
    assert "mmchat sessions recover" in done.err
    paths.database_path().unlink()
    assert "is missing" in run("doctor", "--no-listen").out
    assert not paths.database_path().exists()


def test_gc_asks_before_it_removes_what_a_person_made(run: Run, texts: dict[str, str]) -> None:
    stray = paths.blobs_dir() / "aa" / ("a" * 64)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"1234")
    os.utime(stray, (0, 0))
    dry = run("sessions", "gc", "--dry-run")
    assert dry.code == 0
    assert "1 kept files that no turn uses" in dry.out
    asked = run("sessions", "gc")
    assert asked.code == 2
    assert "--yes" in asked.err
    assert stray.exists()
    told = json.loads(run("sessions", "gc", "--yes", "--compact", "--json").out)
    assert told["files"] == [str(stray)]
    assert told["is_dry_run"] is False
    assert not stray.exists()
    assert run("sessions", "gc").out == "There is nothing to remove.\n"
    with closing(open_store()) as store:
        assert store.check_integrity() == []


def test_a_log_that_cannot_be_written_stops_nothing(run: Run, scripted_home: Path) -> None:
    (scripted_home / "log").write_text("a file where the folder should be")
    done = run("ask", "hello")
    assert (done.code, done.out) == (0, "You said: hello\n")


def test_a_temporary_folder_that_cannot_be_made_is_told(
    run: Run, scripted_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(scripted_home / "none"))
    done = run("ask", "--no-log", "hello")
    assert done.code == 1
    assert "No temporary folder could be made" in done.err
    assert "TMPDIR" in done.err
