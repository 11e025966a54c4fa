from __future__ import annotations

import json
import math
import os
import shutil
import stat
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.errors import EvalError
from mmchat.evals.base import LabelOutcome, LikelihoodOutcome, Outcome, RankOutcome, RecallOutcome, ReplyOutcome
from mmchat.evals.plain import from_plain, to_plain
from mmchat.evals.results import DataFacts, Exhibit, ModelFacts, Run, RunSettings, Score
from mmchat.evals.runs import OUTCOME_TYPES, RunStore, SavedOutcome, outcome_from_plain

DRAFT = Run(
    id="",
    created_at="",
    status="interrupted",
    version="0.1.0",
    libraries={"torch": "2.6"},
    machine="Linux",
    settings=RunSettings(data=("/rows.jsonl",), models=(), metrics=("bleu",), temperature=0.5),
    data=(DataFacts("rows", "/rows.jsonl", "ab" * 32, rows=3, used=2, skipped=("rows:3: no",)),),
    models=(ModelFacts("m", "lm", "transformers", decoding={"temperature": 0.0, "stop": ["a"], "top_k": None}),),
    scores=(Score("rows", "dialogue", "en", "m", "bleu", 12.5, None, 13, 2, 1, "higher", "sig"),),
    exhibits=(Exhibit("rows", "label", "en", "m", "confusion", ("", "a"), (("a", "1"),)),),
)


@pytest.fixture
def runs(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "evals")


def reply(sample_id: str, text: str = "hello") -> SavedOutcome:
    return SavedOutcome("m", "rows", "dialogue", ReplyOutcome(sample_id, "g", "en", "q", ("r",), text))


def lines_of(runs: RunStore, run: Run) -> Path:
    return runs.folder / run.id / "outcomes.jsonl"


# --- runs ---------------------------------------------------------------------------------------


def test_a_new_run_counts_as_interrupted_until_it_is_finished(runs: RunStore) -> None:
    run = runs.create(replace(DRAFT, status="complete"))
    assert runs.get(run.id) == run
    assert run.status == "interrupted"
    done = replace(run, status="complete", elapsed_s=3.5)
    runs.finish(done)
    assert runs.get(run.id) == done


def test_runs_are_listed_newest_first_and_found_by_their_beginning(runs: RunStore) -> None:
    assert runs.list() == ()
    made = [runs.create(DRAFT) for _ in range(12)]
    assert runs.list() == tuple(reversed(made))
    assert runs.get("last") == made[-1]
    assert len({run.id for run in made}) == 12
    for run in made:
        assert runs.get(run.id) == run
    with pytest.raises(EvalError, match="may be any of"):
        runs.get(made[0].id[:4])
    with pytest.raises(EvalError, match="no run 'x'"):
        runs.get("x")


def test_names_never_lead_out_of_the_folder(runs: RunStore) -> None:
    run = runs.create(DRAFT)
    for name in ("../evals/" + run.id, "", ".", "*"):
        with pytest.raises(EvalError):
            runs.get(name)
        with pytest.raises(EvalError):
            runs.delete(name)


def test_without_runs_the_next_step_is_named(runs: RunStore) -> None:
    with pytest.raises(EvalError) as caught:
        runs.get("last")
    assert caught.value.hint == "`mmchat eval` makes one."


def test_a_deleted_run_is_gone(runs: RunStore) -> None:
    kept, run = runs.create(DRAFT), runs.create(DRAFT)
    runs.append(run.id, [reply("a")])
    runs.delete(run.id)
    assert runs.list() == (kept,)
    assert not (runs.folder / run.id).exists()


def test_a_copied_folder_is_a_run_of_its_own(runs: RunStore) -> None:
    """Else removing or scoring the copy would change the run it was copied from."""
    run = runs.create(DRAFT)
    shutil.copytree(runs.folder / run.id, runs.folder / "copy")
    assert runs.get("copy") == replace(run, id="copy")
    assert {each.id for each in runs.list()} == {run.id, "copy"}
    runs.delete(runs.get("copy").id)
    assert runs.list() == (run,)


def test_a_run_that_is_being_written_is_left_alone(runs: RunStore) -> None:
    run = runs.create(DRAFT)
    with runs.writing(run.id):
        with pytest.raises(EvalError, match="Another mmchat is working"), runs.writing(run.id):
            pass
        with pytest.raises(EvalError, match="Another mmchat is working"):
            runs.delete(run.id)
    runs.delete(run.id)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_runs_are_readable_by_their_user_alone(runs: RunStore) -> None:
    before = os.umask(0)
    try:
        run = runs.create(DRAFT)
        runs.append(run.id, [reply("a")])
    finally:
        os.umask(before)
    for path in (runs.folder, runs.folder / run.id):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (runs.folder / run.id).glob("*.json*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_older_program_reads_what_it_knows_and_refuses_a_newer_format(runs: RunStore) -> None:
    run = runs.create(DRAFT)
    path = runs.folder / run.id / "run.json"
    plain = json.loads(path.read_text())
    plain["later"] = {"key": 1}
    plain["settings"]["later"] = [1]
    del plain["warnings"]
    path.write_text(json.dumps(plain))
    assert runs.get(run.id) == run
    path.write_text(json.dumps({**plain, "format": 2, "version": "9.0", "scores": "elsewhere"}))
    with pytest.raises(EvalError, match=r"saved by a newer mmchat \(9\.0\)"):
        runs.get(run.id)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', '{"format": "x"}', "\xff", "[" * 100_000])
def test_a_damaged_run_is_named_and_hides_no_other(runs: RunStore, text: str) -> None:
    good, bad = runs.create(DRAFT), runs.create(DRAFT)
    (runs.folder / bad.id / "run.json").write_bytes(text.encode("latin-1"))
    assert runs.list() == (good,)
    (error,) = runs.unreadable()
    assert bad.id in error.message
    assert "damaged" in error.message
    with pytest.raises(EvalError):
        runs.get("last")
    runs.delete(bad.id)
    assert runs.get("last") == good


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "evals").write_text("a file")
    with pytest.raises(EvalError, match="cannot be written"):
        RunStore(tmp_path / "evals").create(DRAFT)


# --- outcomes -----------------------------------------------------------------------------------


def test_a_torn_last_line_is_left_out_and_written_over(runs: RunStore) -> None:
    run = runs.create(DRAFT)
    runs.append(run.id, [reply("a"), reply("b", "你好\u2028\n\ud83d")])
    path = lines_of(runs, run)
    whole = path.read_bytes()
    second = whole.index(b"\n") + 1
    for cut in range(second, len(whole)):
        path.write_bytes(whole[:cut])
        assert [saved.outcome.id for saved in runs.outcomes(run.id)] == ["a"]
    path.write_bytes(whole[:-1])
    runs.append(run.id, [reply("c")])
    assert [saved.outcome.id for saved in runs.outcomes(run.id)] == ["a", "c"]


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b'{"task": "cooking"}\n', b'{"task": "dialogue", "outcome": 1}\n'])
def test_any_other_damage_names_the_line(runs: RunStore, line: bytes) -> None:
    run = runs.create(DRAFT)
    runs.append(run.id, [reply("a")])
    with lines_of(runs, run).open("ab") as file:
        file.write(line)
    runs.append(run.id, [reply("b")])
    with pytest.raises(EvalError, match=r"outcomes.jsonl:2 is damaged"):
        list(runs.outcomes(run.id))


def test_a_run_without_outcomes_has_none(runs: RunStore) -> None:
    run = runs.create(DRAFT)
    runs.append(run.id, [])
    assert list(runs.outcomes(run.id)) == []


texts = st.text(st.characters(exclude_categories=()), max_size=8)
numbers = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 2**40)
REPLIES = st.builds(
    ReplyOutcome,
    texts,
    texts,
    texts,
    texts,
    st.lists(texts, max_size=3).map(tuple),
    texts,
    st.sampled_from(["stop", "length", "repetition"]),
    counts,
    counts,
    numbers,
    numbers,
)
LABELS = st.builds(
    LabelOutcome, texts, texts, texts, texts, texts, texts, numbers, st.lists(st.tuples(texts, numbers)).map(tuple)
)
OUTCOMES = st.one_of(
    REPLIES.map(lambda outcome: SavedOutcome("m", "d", "dialogue", outcome)),
    LABELS.map(lambda outcome: SavedOutcome("m", "d", "label", outcome)),
    st.builds(LikelihoodOutcome, texts, texts, texts, texts, texts, numbers, counts, counts).map(
        lambda outcome: SavedOutcome("m", "d", "likelihood", outcome)
    ),
    st.builds(
        RankOutcome, texts, texts, texts, texts, st.sampled_from(["image-to-text", "text-to-image"]), counts, counts
    ).map(lambda outcome: SavedOutcome("m", "d", "retrieval", outcome)),
    st.builds(
        RecallOutcome,
        texts,
        texts,
        texts,
        texts,
        st.lists(texts, max_size=3).map(tuple),
        st.lists(texts, max_size=3).map(tuple),
        counts,
        numbers,
    ).map(lambda outcome: SavedOutcome("m", "d", "memory", outcome)),
)


@given(st.lists(OUTCOMES, max_size=4))
def test_outcomes_come_back_as_they_were_saved(
    tmp_path_factory: pytest.TempPathFactory, outcomes: list[SavedOutcome]
) -> None:
    runs = RunStore(tmp_path_factory.mktemp("evals"))
    run = runs.create(DRAFT)
    runs.append(run.id, outcomes)
    assert list(runs.outcomes(run.id)) == outcomes


def test_each_task_has_its_kind_of_outcome() -> None:
    assert set(OUTCOME_TYPES.values()) == set(Outcome.__args__)


def test_a_score_that_is_no_number_is_null_in_the_file_and_none_again_after() -> None:
    score = replace(DRAFT.scores[0], score=math.nan)
    plain = json.loads(json.dumps(to_plain(score), allow_nan=False))
    assert plain["score"] is None
    assert math.isnan(from_plain(Score, plain).score)


def test_older_outcomes_lack_what_was_added_since() -> None:
    plain = to_plain(reply("a"))
    needed = {"id", "group", "language", "question", "references", "reply"}
    plain["outcome"] = {key: value for key, value in plain["outcome"].items() if key in needed}
    assert outcome_from_plain(plain) == reply("a")
    assert {field.name for field in fields(ReplyOutcome)} > needed
