"""Which rows of a file an evaluation scores, and what is resampled of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmchat.evals.runs import RunStore
from mmchat.paths import evals_dir
from tests.eval_bench import run_here, run_settings, write_lines, write_models


@pytest.fixture(autouse=True)
def scripted(home: Path) -> None:
    write_models(home)


def memories(questions: int) -> dict[str, Any]:
    turns = [{"id": f"t{n}", "session": "s", "role": "user", "text": f"I bought thing number {n}"} for n in range(4)]
    asked = [{"question": f"Who bought thing number {n % 7}?", "evidence": [f"t{n % 4}"]} for n in range(questions)]
    return {"id": "m", "turns": turns, "questions": asked}


def test_questions_about_one_conversation_have_an_interval(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "m.jsonl", [memories(40)])
    run = run_here(run_settings([path], metrics=("recall@1", "recall@10")))
    score = next(each for each in run.scores if each.metric == "recall@1")
    assert (score.samples, score.groups) == (40, 40)
    assert score.low is not None
    assert score.high is not None
    assert 0 < score.low < score.score < score.high < 100
    assert "resampled:questions" in score.signature
    # Only four turns to find: recall@10 is scored all the same, because ten were asked for.
    assert any(each.metric == "recall@10" for each in run.scores)
    assert not any("recall@10" in warning for warning in run.warnings)
    saved = list(RunStore(evals_dir()).outcomes(run.id))
    assert {getattr(each.outcome, "asked", None) for each in saved} == {10}
