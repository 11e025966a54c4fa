"""A home whose default models are scripted, and a way to run commands in it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmchat.cli.exits import main

SCRIPTED_MODELS = """
schema_version = 1
[defaults]
lm = "echo"
asr = "ears"
vision = "eyes"
embed = "words"
[models.echo]
kind = "lm"
engine = "scripted"
[models.slow]
kind = "lm"
engine = "scripted"
options = { delay_s = 0.05 }
[models.ears]
kind = "asr"
engine = "scripted"
options = { text = "what a fine day" }
[models.eyes]
kind = "vision"
engine = "scripted"
[models.words]
kind = "embed"
engine = "scripted"
"""


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def scripted_home(home: Path) -> Path:
    """A home whose default models need no weights: `echo` repeats what it was told, `slow` takes its time."""
    (home / "config").mkdir(parents=True)
    (home / "config" / "models.toml").write_text(SCRIPTED_MODELS)
    return home


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command as a user would, `stdin` piped in: `run("ask", "hello", stdin="…")`."""

    def run_command(*args: str, stdin: str | bytes = "") -> Done:
        data = stdin if isinstance(stdin, bytes) else stdin.encode()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        capsys.readouterr()
        code = main(list(args))
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run_command
