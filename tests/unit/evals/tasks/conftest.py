"""Rows made in the test, and scripted models behind the real `EvalModels`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mmchat.evals.results import RunSettings
from mmchat.paths import user_models_path
from mmchat.rows.reader import read_rows
from mmchat.rows.values import RowFile
from mmchat.wiring import open_eval_models
from mmchat.wiring.eval_models import EvalModels
from tests.eval_bench import write_lines

MODELS = """
schema_version = 1
[defaults]
lm = "echo"
asr = "ears"
vision = "eyes"
embed = "words"
[models.echo]
kind = "lm"
engine = "scripted"
decoding = { temperature = 0.7, top_p = 0.5, repetition_penalty = 1.2 }
[models.short]
kind = "lm"
engine = "scripted"
context_tokens = 64
[models.sees]
kind = "lm"
engine = "scripted"
options = { accepts_images = true }
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


@pytest.fixture
def rows(tmp_path: Path) -> Callable[..., RowFile]:
    """Read rows as a user would have written them."""

    def make(*values: dict[str, Any], name: str = "rows.jsonl") -> RowFile:
        return read_rows(write_lines(tmp_path / name, values))

    return make


@pytest.fixture
def models(home: Path) -> Iterator[Callable[..., EvalModels]]:
    """The models above, none loaded yet."""
    user_models_path().parent.mkdir(parents=True, exist_ok=True)
    user_models_path().write_text(MODELS, encoding="utf-8")
    with ExitStack() as stack:

        def make(**settings: Any) -> EvalModels:
            chosen: dict[str, Any] = {"data": (), "models": (), "metrics": (), **settings}
            opened = open_eval_models(RunSettings(**chosen))
            stack.callback(opened.close)
            return opened

        yield make
