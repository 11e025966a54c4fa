"""What a run writes down beside the scores: who helped, how long it took."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from mmchat.cli.eval_rows import model_names
from mmchat.errors import EvalError
from mmchat.evals import runner
from mmchat.evals.compare import compare_runs
from mmchat.evals.layout import model_words
from mmchat.evals.models_met import with_facts
from mmchat.evals.report import write_report
from mmchat.evals.results import ModelFacts, Progress
from mmchat.evals.runs import RunStore
from mmchat.paths import evals_dir
from mmchat.wiring import open_eval_models
from tests.eval_bench import run_here, run_settings, talks, write_all_kinds, write_lines, write_models


@pytest.fixture(autouse=True)
def scripted(home: Path) -> None:
    write_models(home)


def shown_files(folder: Path) -> Path:
    write_all_kinds(folder)
    rows = []
    for number in range(3):
        files = [
            {"type": "image_url", "image_url": {"url": f"{number}.png"}},
            {"type": "audio", "audio": f"{number}.wav"},
        ]
        asked = {"role": "user", "content": [*files, {"type": "text", "text": "what is it?"}]}
        rows.append({"messages": [asked, {"role": "assistant", "content": "a wall"}]})
    return write_lines(folder / "shown.jsonl", rows)


def roles(models: tuple[ModelFacts, ...]) -> list[tuple[str, str]]:
    return [(facts.name, facts.role) for facts in models]


def test_models_that_tell_pictures_and_sounds_are_written_down(tmp_path: Path) -> None:
    run = run_here(run_settings([shown_files(tmp_path)], metrics=("bleu",)))
    assert roles(run.models) == [("echo", ""), ("eyes", "tells pictures"), ("ears", "tells sounds")]
    assert model_words(run.models[1]).startswith("tells pictures, scripted")
    assert model_names(run) == ["echo"]
    write_report(tmp_path / "page.html", run, RunStore(evals_dir()).outcomes(run.id))
    assert "eyes, tells pictures" in (tmp_path / "page.html").read_text(encoding="utf-8")
    without = run_here(run_settings([write_lines(tmp_path / "t.jsonl", talks(3))], metrics=("bleu",)))
    assert roles(without.models) == [("echo", "")]


def test_a_model_that_is_scored_too_is_no_helper(tmp_path: Path) -> None:
    shown = shown_files(tmp_path)
    run = run_here(run_settings([shown, tmp_path / "pictures.jsonl"], metrics=("bleu", "image-to-text-r@1")))
    assert roles(run.models) == [("echo", ""), ("eyes", ""), ("ears", "tells sounds")]


def test_helpers_never_stand_before_the_models_under_test() -> None:
    eyes, other = ModelFacts("eyes", "vision", "x"), ModelFacts("other", "vision", "x")
    helper = replace(eyes, role="tells pictures")
    met = with_facts(with_facts(with_facts((), helper), other), eyes)
    assert roles(met) == [("other", ""), ("eyes", "")]
    assert with_facts(met, helper) == met


def test_a_run_does_not_go_on_when_pictures_are_told_by_another_model(tmp_path: Path, home: Path) -> None:
    settings = run_settings([shown_files(tmp_path)], metrics=("bleu",), batch_size=1)
    cancel = Event()
    run = run_here(settings, on_progress=lambda progress: cancel.set() if progress.done else None, cancel=cancel)
    assert run.status == "interrupted"
    models = home / "config" / "models.toml"
    text = models.read_text()
    other = '[models.eyes2]\nkind = "vision"\nengine = "scripted"\n'
    models.write_text(text.replace('vision = "eyes"', 'vision = "eyes2"') + other)
    with pytest.raises(EvalError, match="tells pictures was 'eyes' and is now 'eyes2'"):
        run_here(settings, resume=run)
    models.write_text(text)
    assert run_here(settings, resume=run).status == "complete"


def test_a_killed_run_knows_how_long_it_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "SAVE_RUN_EVERY_S", 0.0)
    runs = RunStore(evals_dir())
    saved: list[float] = []

    def look(progress: Progress) -> None:
        saved.extend(run.elapsed_s for run in runs.list())

    path = write_lines(tmp_path / "t.jsonl", talks(10))
    done = run_here(run_settings([path], metrics=("bleu",), batch_size=4), on_progress=look)
    assert len(set(saved)) >= 5  # five batches, each saved with a time of its own
    assert saved == sorted(saved)
    assert done.elapsed_s > saved[-1] > 0
    killed = replace(done, status="interrupted", elapsed_s=1000.0)
    runs.save(killed)
    assert 1000 < run_here(killed.settings, resume=killed).elapsed_s < 2000


def test_meanings_are_compared_between_runs_where_there_is_an_encoder(tmp_path: Path, home: Path) -> None:
    path = write_lines(tmp_path / "t.jsonl", talks(40))
    runs = RunStore(evals_dir())
    both = run_here(run_settings([path], metrics=("embedding",), models=("yes", "echo")))
    yes, echo = (run_here(run_settings([path], metrics=("embedding", "bleu"), models=(m,))) for m in ("yes", "echo"))
    with closing(open_eval_models(echo.settings)) as models:
        comparisons, _, warnings = compare_runs(runs, yes.id, echo.id, 50, models=models)
    assert next(each for each in comparisons if each.metric == "embedding") == both.comparisons[0]
    assert not any("left out" in text for text in warnings)
    # An encoder that is no longer there is named, and the rest is compared.
    file = home / "config" / "models.toml"
    file.write_text(
        file.read_text().replace('embed = "words"', 'embed = "terms"').replace("models.words", "models.terms")
    )
    with closing(open_eval_models(echo.settings)) as models:
        comparisons, _, warnings = compare_runs(runs, yes.id, echo.id, 50, models=models)
    assert [each.metric for each in comparisons] == ["bleu"]
    (told,) = [text for text in warnings if "left out" in text]
    assert told.startswith("embedding similarity is left out: ")
    assert "words" in told
