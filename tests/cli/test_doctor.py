"""`mmchat doctor` finds what is wrong, says what to do, and changes nothing."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from mmchat import paths
from mmchat.cli import checks, terminal_probe
from mmchat.cli.doctor import render
from mmchat.cli.findings import Finding
from tests.cli.conftest import Done, Run

pytestmark = pytest.mark.usefixtures("scripted_home")


def findings(done: Done) -> dict[str, list[dict[str, str]]]:
    rows: dict[str, list[dict[str, str]]] = {}
    for row in json.loads(done.out):
        assert set(row) == {"name", "status", "detail", "fix"}
        assert row["status"] in {"ok", "warn", "fail"}
        rows.setdefault(row["name"], []).append(row)
    return rows


def test_a_fresh_home_is_in_order_and_stays_untouched(run: Run, scripted_home: Path) -> None:
    before = sorted(scripted_home.rglob("*"))
    done = run("doctor", "--json", "--no-listen")
    rows = findings(done)
    assert done.code == 0
    assert {"mmchat", "libraries", "settings", "models.toml", "weights", "GPU", "memory", "disk", "database"} <= set(
        rows
    )
    assert all(row["status"] == "ok" for name in ("libraries", "settings", "database") for row in rows[name])
    made = {path.name for path in set(scripted_home.rglob("*")) - set(before)}
    assert made <= {"log", "native.log"}


def test_the_text_has_every_finding_of_the_json(run: Run) -> None:
    text = run("doctor", "--no-listen").out
    for rows in findings(run("doctor", "--json", "--no-listen")).values():
        assert all(f"{row['status']:4}  {row['name']}" in text for row in rows)
    assert "\x1b" not in text


def test_models_that_are_not_here_are_a_warning_with_the_command(
    run: Run, scripted_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scripted_home / "config" / "models.toml").unlink()
    monkeypatch.setenv("MMCHAT_WEIGHTS", str(scripted_home / "nothing"))
    done = run("doctor", "--json", "--no-listen")
    weights = findings(done)["weights"]
    assert done.code == 0
    assert len(weights) == 4
    assert all(row["status"] == "warn" and row["fix"].startswith("mmchat models pull ") for row in weights)


@pytest.mark.weights
def test_the_default_stack_is_found(run: Run, scripted_home: Path, weights_dir: Path) -> None:
    (scripted_home / "config" / "models.toml").unlink()
    weights = findings(run("doctor", "--json", "--no-listen"))["weights"]
    assert [row["status"] for row in weights] == ["ok"] * 4


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        ("settings.toml", "temprature = 1", "settings"),
        ("models.toml", "schema_version = 1\n[models.x]\nkind = 1", "models.toml"),
    ],
)
def test_a_broken_file_is_a_failure_that_names_the_key(
    run: Run, scripted_home: Path, file: str, text: str, name: str
) -> None:
    (scripted_home / "config" / file).write_text(text)
    done = run("doctor", "--json", "--no-listen")
    (row,) = findings(done)[name]
    assert done.code == 1
    assert row["status"] == "fail"
    assert "temprature" in row["detail"] or "models.x" in row["detail"]


def test_a_damaged_database_is_a_failure(run: Run) -> None:
    run("ask", "remember this")
    path = paths.database_path()
    data = bytearray(path.read_bytes())
    data[4096 * 2 : 4096 * 6] = os.urandom(4096 * 4)
    path.write_bytes(data)
    done = run("doctor", "--json", "--no-listen")
    assert done.code == 1
    assert [row["status"] for row in findings(done)["database"]] == ["fail"]


def test_a_sound_database_passes(run: Run) -> None:
    run("ask", "remember this")
    (row,) = findings(run("doctor", "--json", "--no-listen"))["database"]
    assert row["status"] == "ok"
    assert str(paths.database_path()) in row["detail"]


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
def test_conversations_that_others_can_read_are_a_warning(run: Run) -> None:
    run("ask", "a secret")
    paths.data_dir().chmod(0o755)
    (row,) = findings(run("doctor", "--json", "--no-listen"))["permissions"]
    assert row["status"] == "warn"
    assert "chmod" in row["fix"]
    paths.data_dir().chmod(0o700)
    (row,) = findings(run("doctor", "--json", "--no-listen"))["permissions"]
    assert row["status"] == "ok"


def test_memory_is_plausible() -> None:
    total, available = checks.memory_bytes()
    assert 0 <= available <= total
    assert total == 0 or total > 100_000_000


def test_a_finding_cannot_act_on_the_terminal() -> None:
    line = render(Finding("disk", "warn", "\x1b[2Jx\ny", "\x1b]0;t\x07do"))
    assert "\x1b" not in line
    assert line.splitlines()[0].endswith("x y")


# --- the terminal -------------------------------------------------------------------------------

PROBE = (
    "from mmchat.cli.terminal_probe import check_terminal\nfor f in check_terminal(): print(f.name, f.status, f.detail)"
)


def probe(answer: bytes, **environment: str) -> str:
    """What the probe says in a terminal that answers its questions with `answer`."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROBE],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        env={**kept, "PYTHONUTF8": "1", "TERM": "xterm-256color", **environment},
        start_new_session=True,
    )
    os.close(theirs)
    printed = b""
    is_answered = False
    while select.select([ours], [], [], 30)[0]:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # Linux says so at the end
            break
        printed += piece
        if not piece:
            break
        if not is_answered and b"\x1b[c" in printed:
            os.write(ours, answer)
            is_answered = True
    os.close(ours)
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=30) == 0, errors
    return printed.decode()


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
def test_a_modern_terminal_is_recognised_by_its_answers() -> None:
    said = probe(b"\x1b[?1u\x1b[?62;4;52c", COLORTERM="truecolor")
    assert "keys ok the kitty protocol" in said
    assert "clipboard ok the terminal takes copied text" in said
    assert "colours ok 16 million" in said
    assert "letters ok Unicode" in said


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
def test_an_old_terminal_is_told_what_to_do_instead() -> None:
    said = probe(b"\x1b[?6c", TERM="vt100", TERM_PROGRAM="Apple_Terminal")
    assert "keys ok the usual ones" in said
    assert "clipboard warn Apple_Terminal" in said
    assert "colours warn" in said


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
def test_a_terminal_that_never_answers_does_not_hang_it() -> None:
    assert "size" in probe(b"")


def test_no_terminal_is_no_problem() -> None:
    assert [finding.status for finding in terminal_probe.check_terminal()] == ["ok"]


def test_pictures_that_wait_are_counted(run: Run, tmp_path: Path) -> None:
    from PIL import Image

    from mmchat.memory.store import NewAttachment
    from mmchat.wiring import open_store

    assert "pictures" not in findings(run("doctor", "--json", "--no-listen"))
    store = open_store()
    session = store.create_session()
    for name in ("red", "blue", "blue"):
        path = tmp_path / f"{name}.png"
        Image.new("RGB", (8, 8), name).save(path)
        store.add_user_turn(session.id, "", [NewAttachment(path, "image", "image/png", path.name)])
    store.close()
    (row,) = findings(run("doctor", "--json", "--no-listen"))["pictures"]
    assert row["status"] == "ok"
    assert row["detail"].startswith("2 wait to be looked at by eyes")


def test_turns_that_wait_are_counted(run: Run) -> None:
    from mmchat.wiring import open_recall, open_store

    assert "turns" not in findings(run("doctor", "--json", "--no-listen"))
    store = open_store()
    session = store.create_session()
    for text in ("a pear", "", "a plum"):
        store.add_user_turn(session.id, text)
    (row,) = findings(run("doctor", "--json", "--no-listen"))["turns"]
    assert (row["status"], row["detail"][:27]) == ("ok", "2 are found by words only, ")
    open_recall(store).backfill()
    store.close()
    (row,) = findings(run("doctor", "--json", "--no-listen"))["turns"]
    assert row["detail"] == "all are found by their meaning"
