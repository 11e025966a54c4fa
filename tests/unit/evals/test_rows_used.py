"""Which rows of a file an evaluation scores, and what is resampled of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmchat.errors import DataError
from mmchat.evals.base import LabelOutcome
from mmchat.evals.runs import RunStore
from mmchat.paths import evals_dir
from tests.eval_bench import run_here, run_settings, talks, write_all_kinds, write_lines, write_models


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


SILENT = {"messages": [{"role": "user", "content": "hello"}]}
EMPTY = {"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": " "}]}
FALSE_ENGLISH = {
    "messages": [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "今天天气很好"}],
    "lang": "en",
}


def test_rows_that_a_task_cannot_score_are_left_out_and_named(tmp_path: Path) -> None:
    good = talks(6)
    path = write_lines(tmp_path / "t.jsonl", [SILENT, *good, FALSE_ENGLISH])
    with pytest.raises(DataError) as caught:
        run_here(run_settings([path], metrics=("bleu",)))
    assert all(f"t.jsonl:{line}: " in caught.value.message for line in (1, 8))
    assert "--skip-bad" in caught.value.hint
    path = write_lines(tmp_path / "t.jsonl", [SILENT, *good[:3], EMPTY, FALSE_ENGLISH, *good[3:]])
    run = run_here(run_settings([path], metrics=("bleu",), should_skip_bad=True, limit=5))
    (facts,) = run.data
    assert (facts.rows, facts.used) == (6, 5)
    assert [text.partition(": ")[0].rpartition(":")[2] for text in facts.skipped] == ["1", "5", "6"]
    assert any("3 bad rows were left out" in warning for warning in run.warnings)
    assert {score.groups for score in run.scores} == {5}


def test_rows_of_which_none_can_be_scored(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "t.jsonl", [SILENT, EMPTY])
    with pytest.raises(DataError, match=r"No row of .*t.jsonl can be scored: .*t.jsonl:1: messages"):
        run_here(run_settings([path], metrics=("bleu",), should_skip_bad=True))
    assert RunStore(evals_dir()).list() == ()


def test_a_limit_leaves_all_classes_to_choose_from(tmp_path: Path) -> None:
    labels = write_all_kinds(tmp_path)[3]
    run = run_here(run_settings([labels], limit=1))
    (saved,) = RunStore(evals_dir()).outcomes(run.id)
    assert isinstance(saved.outcome, LabelOutcome)
    named = {saved.outcome.predicted, *(name for name, _ in saved.outcome.runners_up)}
    assert named == {"red", "green", "blue", "yellow"}


def test_a_limit_says_how_many_pictures_are_left_to_choose_from(tmp_path: Path) -> None:
    pictures = write_all_kinds(tmp_path)[2]
    run = run_here(run_settings([pictures], limit=3))
    (warning,) = [text for text in run.warnings if "--limit" in text]
    assert "3 pictures and 6 captions to choose from, of 4 pictures" in warning
    assert not any("--limit" in text for text in run_here(run_settings([pictures])).warnings)


def test_repeated_rows_are_said(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "t.jsonl", [*talks(6), *talks(2)])
    run = run_here(run_settings([path], metrics=("bleu",)))
    assert any(warning.startswith("t: 2 of 8 rows repeat an earlier one") for warning in run.warnings)
    path = write_lines(tmp_path / "u.jsonl", talks(6))
    assert not any("repeat" in warning for warning in run_here(run_settings([path], metrics=("bleu",))).warnings)


def test_what_two_tasks_find_wrong_is_said_once(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "t.jsonl", [SILENT, FALSE_ENGLISH])
    with pytest.raises(DataError) as caught:
        run_here(run_settings([path], metrics=("bleu", "perplexity")))
    assert len(caught.value.message.splitlines()) == 2
