from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import cast

import pytest

from mmchat.errors import DataError
from mmchat.evals.base import RecallOutcome, TaskOptions
from mmchat.evals.tasks.memory import MemoryTask
from mmchat.rows.values import RowFile
from mmchat.wiring.eval_models import EvalModels

Rows = Callable[..., RowFile]
MakeModels = Callable[..., EvalModels]


def remembered(name: str, thing: str) -> dict[str, object]:
    turns = [
        {"id": "t1", "session": "s1", "role": "user", "text": f"I bought {thing} in Berlin", "speaker": "Ann"},
        {"id": "t2", "session": "s1", "role": "assistant", "text": "How nice!", "speaker": "Bob"},
        {"id": "t3", "session": "s2", "role": "user", "text": "My sister plays chess", "speaker": "Ann"},
    ]
    questions = [
        {"question": "Where was it bought, in Berlin?", "evidence": ["t1"]},
        {"question": "Who plays chess?", "evidence": ["t3"]},
        {"question": "What is the name of the dog?", "evidence": []},
    ]
    return {"id": name, "turns": turns, "questions": questions}


def run(
    file: RowFile, models: EvalModels, *, k: int = 10, cancel: Event | None = None
) -> tuple[list[RecallOutcome], int]:
    task, options = MemoryTask(), TaskOptions(recall_k=k)
    batches = task.batches(task.samples(file, options), "words", models, options)
    found = [each for batch in batches for each in task.run(batch, "words", models, options, cancel or Event())]
    return cast(list[RecallOutcome], found), len(batches)


def test_questions_find_the_turns_of_their_own_row(rows: Rows, models: MakeModels) -> None:
    found, batches = run(rows(remembered("a", "a piano"), remembered("b", "a boat")), models())
    assert batches == 2
    assert [(each.id, each.group, each.evidence) for each in found] == [
        ("rows.jsonl:1#0", "rows.jsonl:1#0", ("t1",)),
        ("rows.jsonl:1#1", "rows.jsonl:1#1", ("t3",)),
        ("rows.jsonl:2#0", "rows.jsonl:2#0", ("t1",)),
        ("rows.jsonl:2#1", "rows.jsonl:2#1", ("t3",)),
    ]
    # The ids of the file, the right turn first, and never more than the row's own three turns.
    assert [each.found[0] for each in found] == ["t1", "t3", "t1", "t3"]
    assert all(set(each.found) <= {"t1", "t2", "t3"} for each in found)
    assert all(each.elapsed_ms > 0 for each in found)


def test_no_more_turns_are_found_than_asked_for(rows: Rows, models: MakeModels) -> None:
    found, _ = run(rows(remembered("a", "a piano")), models(), k=1)
    assert [each.found for each in found] == [("t1",), ("t3",)]
    assert [each.tokens for each in found] == [6, 4]
    assert [each.asked for each in found] == [1, 1]


def test_questions_without_evidence_are_told_and_left_out(rows: Rows) -> None:
    file, task = rows(remembered("a", "a piano"), remembered("b", "a boat")), MemoryTask()
    assert len(task.samples(file, TaskOptions())) == 4
    (warning,) = task.warnings(file, TaskOptions())
    assert warning.startswith("2 of 6 questions name no turn that answers them")
    answered = remembered("c", "a kite")
    answered["questions"] = [{"question": "Who plays chess?", "evidence": ["t3"]}]
    assert task.warnings(rows(answered), TaskOptions()) == ()
    silent = remembered("d", "a kite") | {"questions": []}
    with pytest.raises(DataError, match="no row has a question with the ids of the turns that answer it"):
        task.samples(rows(silent), TaskOptions())


def test_nothing_is_left_behind(
    rows: Rows, models: MakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    file, opened, options = rows(remembered("a", "a piano")), models(), TaskOptions()
    task = MemoryTask()
    (batch,) = task.batches(task.samples(file, options), "words", opened, options)
    going = task.run(batch, "words", opened, options, Event())
    next(going)
    assert list(folder.iterdir())
    going.close()  # type: ignore[attr-defined]
    assert not list(folder.iterdir())
    cancel = Event()
    cancel.set()
    assert run(file, opened, cancel=cancel)[0] == []
