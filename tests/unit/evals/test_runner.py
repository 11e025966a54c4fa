from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from mmchat.errors import DataError, EvalError, MmchatError, ModelNotFound, UsageError
from mmchat.evals.compare import compare_runs
from mmchat.evals.results import Progress, Run, RunSettings
from mmchat.evals.runner import evaluate
from mmchat.evals.runs import RunStore
from mmchat.evals.scoring import rescore, scored
from mmchat.paths import evals_dir
from mmchat.wiring import open_eval_models
from tests.eval_bench import (
    ThreadGroup,
    chinese_talks,
    run_here,
    run_settings,
    talks,
    write_all_kinds,
    write_lines,
    write_models,
)


@pytest.fixture(autouse=True)
def scripted(home: Path) -> None:
    write_models(home)


@pytest.fixture
def runs() -> RunStore:
    return RunStore(evals_dir())


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "talks.jsonl", talks(40))


def stop_after(count: int, cancel: Event) -> Callable[[Progress], None]:
    def on_progress(progress: Progress) -> None:
        if progress.done >= count:
            cancel.set()

    return on_progress


def essence(run: Run) -> Run:
    """A run without what differs from one time to the next."""
    warnings = tuple(text for text in run.warnings if "milliseconds" not in text)
    return replace(run, id="", created_at="", elapsed_s=0, warnings=warnings)


# --- one run ------------------------------------------------------------------------------------


def test_every_kind_of_rows_is_scored_by_what_fits_it(tmp_path: Path, runs: RunStore) -> None:
    run = run_here(run_settings(write_all_kinds(tmp_path / "rows")))
    assert run.status == "complete"
    tasks = {(score.dataset, score.task, score.language, score.model) for score in run.scores}
    assert tasks == {
        ("talks", "dialogue", "en", "echo"),
        ("talks", "dialogue", "zh", "echo"),
        ("talks", "likelihood", "en", "echo"),
        ("talks", "likelihood", "zh", "echo"),
        ("sounds", "speech", "en", "ears"),
        ("pictures", "retrieval", "en", "eyes"),
        ("labels", "label", "en", "eyes"),
        ("memory", "memory", "en", "words"),
    }
    by_name = {(score.dataset, score.metric): score for score in run.scores}
    assert by_name["sounds", "wer"].score == 0
    assert by_name["pictures", "image-to-text-r@1"].score == 100
    assert by_name["labels", "accuracy"].score == 100
    assert {facts.name for facts in run.models} == {"echo", "ears", "eyes", "words"}
    assert run.exhibits
    assert "sacrebleu" in run.libraries
    assert runs.get(run.id) == run


def test_only_the_tasks_of_the_metrics_are_done(rows: Path, runs: RunStore) -> None:
    run = run_here(run_settings([rows], metrics=("perplexity",), limit=3))
    assert {saved.task for saved in runs.outcomes(run.id)} == {"likelihood"}
    assert {score.metric for score in run.scores} == {"perplexity"}
    words = run_here(run_settings([rows], metrics=("bleu,chrf++",), limit=3))
    assert {saved.task for saved in runs.outcomes(words.id)} == {"dialogue"}


def test_the_first_rows_are_taken_and_languages_are_kept_apart(tmp_path: Path) -> None:
    mixed = write_lines(tmp_path / "mixed.jsonl", [*talks(3), *chinese_talks(3)])
    run = run_here(run_settings([mixed], metrics=("bleu",), limit=5))
    assert [(score.language, score.samples) for score in run.scores] == [("en", 6), ("zh", 2)]
    assert run.data[0].rows == 6
    assert run.data[0].used == 5


def test_two_models_are_compared_on_the_same_samples(rows: Path) -> None:
    run = run_here(run_settings([rows], models=("yes", "echo"), metrics=("chrf++", "reply-length")))
    assert [(score.metric, score.model) for score in run.scores] == [
        ("chrf++", "yes"),
        ("chrf++", "echo"),
        ("reply-length", "yes"),
        ("reply-length", "echo"),
    ]
    chrf, length = run.comparisons
    assert (chrf.base, chrf.other, chrf.samples, chrf.groups) == ("yes", "echo", 80, 40)
    assert chrf.verdict == "better"
    assert chrf.difference == pytest.approx(run.scores[1].score - run.scores[0].score)
    assert length.verdict == "none"
    assert any(sentence.startswith("echo is better than yes on chrF++") for sentence in run.sentences)


def test_files_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    paths = [write_lines(tmp_path / name / "test.jsonl", talks(2 + n)) for n, name in enumerate("ab")]
    run = run_here(run_settings(paths, metrics=("bleu",)))
    assert [(score.dataset, score.samples) for score in run.scores] == [("a/test", 4), ("b/test", 6)]


def test_progress_counts_all_samples_and_knows_the_time_left_only_when_it_can(rows: Path) -> None:
    seen: list[Progress] = []
    run_here(run_settings([rows], models=("yes", "echo"), metrics=("bleu",), batch_size=10), on_progress=seen.append)
    assert {progress.total for progress in seen} == {160}
    assert [progress.done for progress in seen] == sorted(progress.done for progress in seen)
    assert seen[-1].done == 160
    assert all(progress.left_s is None for progress in seen if progress.done == 0)
    assert all(progress.left_s is not None for progress in seen if progress.done > 0)


def test_the_order_and_size_of_batches_change_no_score(rows: Path) -> None:
    one, many = (
        run_here(run_settings([rows], metrics=("bleu", "chrf++", "dist-1"), batch_size=size)) for size in (1, 7)
    )
    assert one.scores == many.scores


def test_what_a_reader_must_know_is_said(tmp_path: Path) -> None:
    silent = [{"messages": [{"role": "user", "content": "hm"}, {"role": "assistant", "content": "a b"}]}]
    rows = write_lines(tmp_path / "rows.jsonl", [*silent, "bad", *talks(3)])
    settings = run_settings([rows], metrics=("bleu",), max_new_tokens=4, should_skip_bad=True)
    said = "\n".join(run_here(settings).warnings)
    assert "1 bad row was left out" in said
    assert "replies (86%) were cut at 4 tokens" in said
    assert "fewer than 30" in said


# --- what is refused ----------------------------------------------------------------------------


def refused(kind: type[MmchatError], text: str, hint: str = "", **others: object) -> Callable[[list[Path]], None]:
    def check(paths: list[Path]) -> None:
        with pytest.raises(kind) as caught:
            run_here(run_settings(paths, **others))
        assert text in caught.value.message
        assert hint in caught.value.hint
        assert RunStore(evals_dir()).list() == ()

    return check


def test_what_fits_nothing_is_refused_in_words(rows: Path, tmp_path: Path) -> None:
    refused(UsageError, "wer fits none of the files", "talks (dialogue rows): bleu", metrics=("wer",))([rows])
    refused(UsageError, "There is no metric “blue”", metrics=("blue",))([rows])
    refused(UsageError, "'ears' is a speech model", models=("ears",))([rows])
    refused(ModelNotFound, "nobody", models=("nobody",))([rows])
    refused(UsageError, "--train is for rows with labels", train=str(rows))([rows])
    liked = [{"messages": [{"role": "user", "content": "hello"}], "chosen": "hi", "rejected": "no"}]
    refused(UsageError, "nothing to score in preference rows")([write_lines(tmp_path / "liked.jsonl", liked)])


def test_bad_rows_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    good = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    paths = [write_lines(tmp_path / f"{name}.jsonl", [good, {"messages": name}]) for name in "xy"]
    with pytest.raises(DataError) as caught:
        run_here(run_settings(paths))
    assert "x.jsonl:2" in caught.value.message
    assert "y.jsonl:2" in caught.value.message


# --- interrupted --------------------------------------------------------------------------------


def test_an_interrupted_run_has_scores_of_what_is_done_and_goes_on(rows: Path, runs: RunStore) -> None:
    settings = run_settings([rows], models=("yes", "echo"), metrics=("bleu", "chrf++"), batch_size=10)
    whole = run_here(settings)
    cancel = Event()
    first = run_here(settings, on_progress=stop_after(100, cancel), cancel=cancel)
    assert first.status == "interrupted"
    assert [score.samples for score in first.scores] == [80, 20, 80, 20]
    assert {comparison.samples for comparison in first.comparisons} == {20}
    assert (
        "talks · dialogue · echo: interrupted; scores are over 20 of 80 samples, the longest first." in first.warnings
    )
    asked: list[Progress] = []
    second = run_here(settings, resume=runs.get(first.id), on_progress=asked.append)
    assert asked[0].done == 100
    assert second.id == first.id
    assert essence(second) == essence(whole)
    assert len(list(runs.outcomes(second.id))) == 160


def test_ranking_needs_all_candidates(tmp_path: Path, runs: RunStore) -> None:
    pictures = write_all_kinds(tmp_path / "rows")[2]
    cancel = Event()
    cancel.set()
    run = run_here(run_settings([pictures]), cancel=cancel)
    assert run.status == "interrupted"
    assert run.scores == ()
    assert any("ranking needs all 4 candidates" in warning for warning in run.warnings)
    whole = run_here(run_settings([pictures]), resume=run)
    assert whole.status == "complete"
    assert {score.samples for score in whole.scores} == {4, 8}


def test_a_picture_of_which_some_ranks_were_lost_is_ranked_again(tmp_path: Path, runs: RunStore) -> None:
    pictures = write_all_kinds(tmp_path / "rows")[2]
    whole = run_here(run_settings([pictures]))
    path = runs.folder / whole.id / "outcomes.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 12
    for kept in range(12):
        path.write_bytes(b"".join(lines[:kept]) + lines[kept][:30])
        runs.save(replace(whole, status="interrupted"))
        again = run_here(run_settings([pictures]), resume=runs.get(whole.id))
        assert essence(again) == essence(whole)
        assert sorted(path.read_bytes().splitlines(keepends=True)) == sorted(lines)


def test_a_run_does_not_go_on_with_other_rows_or_when_it_is_complete(rows: Path, runs: RunStore) -> None:
    settings = run_settings([rows], metrics=("bleu",), batch_size=10)
    cancel = Event()
    run = run_here(settings, on_progress=stop_after(20, cancel), cancel=cancel)
    text = rows.read_text()
    rows.write_text(text.replace("number 39", "number 93"))
    with pytest.raises(EvalError, match="talks changed since it began"):
        run_here(settings, resume=run)
    rows.write_text(text)
    done = run_here(settings, resume=run)
    with pytest.raises(EvalError, match="is complete"):
        run_here(settings, resume=done)


def test_a_run_does_not_go_on_with_another_model(rows: Path, runs: RunStore) -> None:
    settings = run_settings([rows], metrics=("bleu",), batch_size=10)
    cancel = Event()
    run = run_here(settings, on_progress=stop_after(20, cancel), cancel=cancel)
    tampered = replace(run, models=(replace(run.models[0], weights_sha256="0" * 64),))
    with pytest.raises(EvalError, match="weights of 'echo' changed"):
        run_here(settings, resume=tampered)


def test_a_failing_model_leaves_what_is_done(rows: Path, tmp_path: Path, runs: RunStore, home: Path) -> None:
    models = home / "config" / "models.toml"
    short = '[models.short]\nkind = "lm"\nengine = "scripted"\ncontext_tokens = 6\n'
    models.write_text(models.read_text() + short)
    settings = run_settings([rows], models=("echo", "short"), metrics=("bleu",))
    with pytest.raises(UsageError) as caught:
        run_here(settings)
    (run,) = runs.list()
    assert f"80 of 160 samples are saved as run {run.id}" in caught.value.message
    assert f"--resume {run.id}" in caught.value.hint
    assert run.status == "interrupted"


# --- afterwards ---------------------------------------------------------------------------------


def test_scoring_again_equals_scoring_at_once(rows: Path, runs: RunStore) -> None:
    at_once = run_here(run_settings([rows], models=("yes", "echo"), metrics=("bleu", "chrf++", "embedding")))
    first = run_here(run_settings([rows], models=("yes", "echo"), metrics=("bleu",)))
    with_models = open_eval_models(first.settings)
    later = rescore(first.id, ("chrf++", "embedding"), runs=runs, models=with_models)
    with_models.close()
    assert set(later.scores) == set(at_once.scores)
    assert set(later.comparisons) == set(at_once.comparisons)
    assert set(later.sentences) == set(at_once.sentences)
    assert later.models == at_once.models
    assert runs.get(first.id) == later


def test_scoring_again_by_what_does_not_fit_is_refused(rows: Path, runs: RunStore) -> None:
    run = run_here(run_settings([rows], metrics=("bleu",), limit=2))
    models = open_eval_models(run.settings)
    with pytest.raises(EvalError, match="it did dialogue"):
        rescore(run.id, ("perplexity",), runs=runs, models=models)


def test_the_order_of_saved_outcomes_does_not_matter(rows: Path, runs: RunStore) -> None:
    metrics = ("bleu", "sentence-bleu", "chrf++", "ter", "rouge-l", "dist-2", "token-f1")
    run = run_here(run_settings([rows], models=("yes", "echo"), metrics=metrics))
    outcomes = list(runs.outcomes(run.id))
    shuffled = [*outcomes[1::2], *reversed(outcomes[::2]), outcomes[5]]
    assert scored(run, shuffled, metrics, None) == scored(run, outcomes, metrics, None)


def test_two_runs_are_compared_on_the_samples_of_both(rows: Path, runs: RunStore, tmp_path: Path) -> None:
    together = run_here(run_settings([rows], models=("yes", "echo"), metrics=("chrf++", "bleu")))
    yes = run_here(run_settings([rows], models=("yes",), metrics=("chrf++", "bleu")))
    moved = rows.rename(tmp_path / "moved.jsonl")
    echo = run_here(run_settings([moved], models=("echo",), metrics=("chrf++", "ter")))
    comparisons, sentences, warnings = compare_runs(runs, yes.id, echo.id, 50)
    assert comparisons == (next(each for each in together.comparisons if each.metric == "chrf++"),)
    assert sentences[0].startswith("echo is better than yes on chrF++")
    assert warnings == ()


def test_the_same_model_twice_is_told_apart_by_its_runs(rows: Path, runs: RunStore) -> None:
    long, short = (run_here(run_settings([rows], metrics=("chrf++",), max_new_tokens=n)) for n in (64, 4))
    fewer = run_here(run_settings([rows], metrics=("chrf++",), limit=35))
    comparisons, _, warnings = compare_runs(runs, long.id, short.id, 50)
    assert (comparisons[0].base, comparisons[0].other) == (f"echo ({long.id})", f"echo ({short.id})")
    assert comparisons[0].verdict == "worse"
    assert any("max new tokens 64 and 4" in warning for warning in warnings)
    (comparison,), _, warnings = compare_runs(runs, long.id, fewer.id, 50)
    assert (comparison.samples, comparison.difference) == (70, 0)
    assert any("10 samples are in only one of the runs" in warning for warning in warnings)


def test_runs_with_nothing_in_common_are_not_compared(rows: Path, runs: RunStore, tmp_path: Path) -> None:
    a = run_here(run_settings([rows], metrics=("bleu",), limit=2))
    b = run_here(run_settings([write_lines(tmp_path / "other.jsonl", talks(3))], metrics=("bleu",)))
    c = run_here(run_settings([rows], metrics=("ter",), limit=2))
    with pytest.raises(EvalError, match="different rows"):
        compare_runs(runs, a.id, b.id)
    with pytest.raises(EvalError, match="different metrics"):
        compare_runs(runs, a.id, c.id)
    with pytest.raises(EvalError, match="the same run"):
        compare_runs(runs, a.id, a.id)


def test_a_run_without_scores_is_not_compared_but_gone_on_with(rows: Path, runs: RunStore) -> None:
    cancel = Event()
    cancel.set()
    a, b = run_here(run_settings([rows], metrics=("bleu",))), run_here(run_settings([rows]), cancel=cancel)
    for pair in ((a, b), (b, a)):
        with pytest.raises(EvalError, match=f"Run {b.id} has no scores yet: it was interrupted") as caught:
            compare_runs(runs, pair[0].id, pair[1].id)
        assert f"mmchat eval --resume {b.id}" in caught.value.hint
    assert not runs.is_at_work(b.id)
    with runs.writing(b.id):
        assert runs.is_at_work(b.id)
        with pytest.raises(EvalError, match=f"Run {b.id} has no scores yet: it is still at work"):
            compare_runs(runs, a.id, b.id)
    assert not runs.is_at_work(b.id)


def test_a_cancel_before_the_first_sample_loads_no_encoder(rows: Path) -> None:
    cancel = Event()
    cancel.set()
    run = run_here(run_settings([rows], metrics=("embedding",)), cancel=cancel)
    assert (run.status, run.models, run.scores) == ("interrupted", (), ())


def test_too_few_is_said_once(rows: Path, runs: RunStore) -> None:
    alone, both = (
        run_here(run_settings([rows], models=models, metrics=("bleu",), limit=8))
        for models in (["yes"], ["yes", "echo"])
    )
    assert sum("too few" in text for text in (*alone.sentences, *alone.warnings)) == 1
    assert [text for text in both.warnings if "too few" in text] == []
    assert sum("too few" in text for text in both.sentences) == 1
    other = run_here(run_settings([rows], models=["echo"], metrics=("bleu",), limit=8))
    _, sentences, warnings = compare_runs(runs, alone.id, other.id, 50)
    assert sum("too few" in text for text in (*sentences, *warnings)) == 1


def run_in_group(group: ThreadGroup, settings: RunSettings, tmp_path: Path, cancel: Event) -> Run:
    with closing(open_eval_models(settings)) as models:
        return evaluate(
            settings,
            models=models,
            runs=RunStore(tmp_path / f"runs-{group.rank}"),
            group=group,
            on_progress=lambda progress: None,
            cancel=cancel,
        )


def test_several_processes_give_the_scores_of_one(rows: Path, tmp_path: Path) -> None:
    """Threads that share by a barrier stand in for processes; tests/distributed has real ones."""
    settings = run_settings([rows], models=("yes", "echo"), metrics=("bleu", "chrf++", "perplexity"), batch_size=7)
    alone = run_here(settings)
    with ThreadPoolExecutor(3) as pool:
        runs = pool.map(lambda group: run_in_group(group, settings, tmp_path, Event()), ThreadGroup.of(3))
        first, *others = runs
    assert essence(first) == essence(alone)
    assert all(other == first for other in others)
    assert not (tmp_path / "runs-1").exists()
    mine, theirs = (
        [saved.key for saved in RunStore(folder).outcomes(run.id)]
        for folder, run in ((tmp_path / "runs-0", first), (evals_dir(), alone))
    )
    assert mine == theirs, "saved in the same order, too"


def test_what_fails_in_one_process_is_told_in_all(rows: Path, tmp_path: Path) -> None:
    def one(group: ThreadGroup) -> str:
        # The second machine lacks the rows.
        data = rows if group.rank == 0 else tmp_path / "missing.jsonl"
        with pytest.raises(MmchatError) as caught:
            run_in_group(group, run_settings([data], metrics=("bleu",)), tmp_path, Event())
        return caught.value.message

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(one, ThreadGroup.of(2))
    assert first == f"Process 1 of 2: {second}"
    assert "missing.jsonl" in second
    assert not (tmp_path / "runs-0").exists()


def test_machines_with_different_rows_are_told(rows: Path, tmp_path: Path) -> None:
    other = write_lines(tmp_path / "other" / "talks.jsonl", talks(39))

    def one(group: ThreadGroup) -> None:
        settings = run_settings([rows, other][group.rank : group.rank + 1], metrics=("bleu",))
        with pytest.raises(EvalError, match="Processes 0 and 1 have different data"):
            run_in_group(group, settings, tmp_path, Event())

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, ThreadGroup.of(2)))


def test_one_cancelled_process_stops_all(rows: Path, tmp_path: Path) -> None:
    settings = run_settings([rows], metrics=("bleu",), batch_size=4)

    def one(group: ThreadGroup) -> Run:
        cancel = Event()
        if group.rank == 1:
            cancel.set()
        return run_in_group(group, settings, tmp_path, cancel)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(one, ThreadGroup.of(2))
    assert first == second
    assert first.status == "interrupted"
    whole = run_here(settings, runs=RunStore(tmp_path / "runs-0"), resume=first)
    assert essence(whole) == essence(run_here(settings))
