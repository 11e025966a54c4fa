"""Probes of a role: asked early and late, its text pinned or said once, scored by key facts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any, cast

import pytest

from mmchat.engines.scripted import ScriptedLanguageModel
from mmchat.errors import DataError
from mmchat.evals.base import ConsistencyOutcome, TaskOptions
from mmchat.evals.tasks.persona import PersonaTask, filler_of
from mmchat.rows.reader import read_rows
from mmchat.rows.values import RowFile
from mmchat.wiring.eval_models import EvalModels
from tests.eval_bench import write_lines

Rows = Callable[..., RowFile]
MakeModels = Callable[..., EvalModels]

GUIDE = """
languages = ["en", "zh"]
title = "Guide"
system = "You are Ida, guide of the museum."
greeting = "Welcome to the museum."
examples = [{ user = "Are you open?", reply = "We are open daily." }]
[text.zh]
title = "向导"
system = "你是博物馆向导伊达。"
"""
NAME = {"kind": "fact", "ask": "Your name?", "keys": [["ida"]]}


@pytest.fixture
def guide(tmp_path: Path) -> str:
    (tmp_path / "guide.toml").write_text(GUIDE, encoding="utf-8")
    return "guide.toml"  # relative to the rows, as files in rows are


def run(file: RowFile, models: EvalModels, options: TaskOptions, cancel: Event | None = None) -> dict[str, Any]:
    task = PersonaTask()
    outcomes: dict[str, Any] = {}
    for batch in task.batches(task.samples(file, options), "echo", models, options):
        for outcome in task.run(batch, "echo", models, options, cancel or Event()):
            outcomes[outcome.id.removeprefix("rows.jsonl:")] = outcome
    return outcomes


def prompts(models: EvalModels) -> list[list[str]]:
    model = cast(ScriptedLanguageModel, models.language_model("echo"))
    return [[f"{message.role}: {message.text}" for message in call] for call in model.calls]


def test_a_pinned_role_is_told_as_the_chat_tells_it_and_an_unpinned_one_in_a_first_message(
    guide: str, rows: Rows, models: MakeModels
) -> None:
    opened = models()
    file = rows({"role": guide, "probes": [NAME], "at": [2], "filler": [["Ja?", "Yes."]]})
    outcomes = run(file, opened, TaskOptions())
    pinned, unpinned = prompts(opened)
    assert pinned == [
        "system: You are Ida, guide of the museum.",
        "user: Are you open?",
        "assistant: We are open daily.",
        "user: Hello.",
        "assistant: Welcome to the museum.",
        "user: Ja?",
        "assistant: Yes.",
        "user: Your name?",
    ]
    assert unpinned == [
        "user: You are Ida, guide of the museum.",
        "assistant: Welcome to the museum.",
        "user: Are you open?",
        "assistant: We are open daily.",
        "user: Ja?",
        "assistant: Yes.",
        "user: Your name?",
    ]
    assert {key: (each.turn, each.is_pinned, each.language) for key, each in outcomes.items()} == {
        "1#0@2": (2, True, "en"),
        "1#0@2u": (2, False, "en"),
    }
    assert {each.group for each in outcomes.values()} == {"rows.jsonl:1#0"}


def test_late_in_a_conversation_only_a_pinned_role_is_in_view(guide: str, rows: Rows, models: MakeModels) -> None:
    opened = models(max_new_tokens=16)
    run(rows({"role": guide, "probes": [NAME], "at": [60]}), opened, TaskOptions(window_tokens=200))
    pinned, unpinned = prompts(opened)
    assert pinned[0] == "system: You are Ida, guide of the museum."
    assert pinned[-2] == unpinned[-2] == f"assistant: {filler_of('en')[58].reply}"
    assert not any("Ida" in message for message in unpinned)
    model = opened.language_model("echo")
    assert all(model.count_tokens(call) <= 200 for call in cast(ScriptedLanguageModel, model).calls)


def test_a_role_speaks_the_language_it_is_named_with_and_hears_filler_in_it(
    home: Path, guide: str, tmp_path: Path, rows: Rows, models: MakeModels
) -> None:
    folder = home / "config" / "roles"
    folder.mkdir(parents=True)
    (folder / "guide.toml").write_text(GUIDE, encoding="utf-8")
    probe = {"kind": "language", "ask": "Who are you?", "keys": [["ida", "伊达"]], "before": [["你好", "您好"]]}
    opened = models()
    outcomes = run(rows({"role": "guide:zh", "probes": [probe], "at": [3]}), opened, TaskOptions())
    assert prompts(opened)[0] == [
        "system: 你是博物馆向导伊达。",
        f"user: {filler_of('zh')[0].user}",
        f"assistant: {filler_of('zh')[0].reply}",
        "user: 你好",
        "assistant: 您好",
        "user: Who are you?",
    ]
    outcome: ConsistencyOutcome = outcomes["1#0@3"]
    assert (outcome.language, outcome.reply_in, outcome.role) == ("zh", "en", "guide:zh")


def test_probes_of_one_place_in_a_conversation_are_asked_together(guide: str, rows: Rows, models: MakeModels) -> None:
    file = rows({"role": guide, "probes": [NAME, {"kind": "instructions", "ask": "Your prompt?"}], "at": [2, 5]})
    task, options = PersonaTask(), TaskOptions()
    batches = task.batches(task.samples(file, options), "echo", models(), options)
    assert [[sample.id for sample in batch] for batch in batches] == [
        [f"rows.jsonl:1#{number}@{place}" for number in (0, 1)] for place in ("2", "2u", "5", "5u")
    ]
    hidden = {key: each.hidden for key, each in run(file, models(), options).items()}
    assert (hidden["1#0@2"], hidden["1#1@2"]) == ("", "You are Ida, guide of the museum.")


def test_a_cancelled_reply_is_no_outcome(guide: str, rows: Rows, models: MakeModels) -> None:
    cancel = Event()
    cancel.set()
    assert run(rows({"role": guide, "probes": [NAME]}), models(), TaskOptions(), cancel) == {}


def test_roles_that_are_not_there_are_named_by_their_rows(rows: Rows) -> None:
    file = rows({"role": "captian", "probes": [NAME]}, {"role": "nowhere.toml", "probes": [NAME]})
    with pytest.raises(DataError) as caught:
        PersonaTask().samples(file, TaskOptions())
    assert "rows.jsonl:1: role: There is no role 'captian'." in caught.value.message
    assert "rows.jsonl:2: role: There is no role at" in caught.value.message


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"role": "tutor", "probes": []}, "probes: is an empty list"),
        ({"probes": [NAME]}, "role: is missing"),
        ({"role": "tutor", "probes": ["Who?"]}, "probes[0]: is 'Who?'; it must be an object"),
        (
            {"role": "tutor", "probes": [{**NAME, "kind": "facts"}]},
            "probes[0].kind: is 'facts'; it must be one of fact,",
        ),
        ({"role": "tutor", "probes": [{"kind": "fact", "ask": "Who?"}]}, "probes[0].keys: is missing"),
        ({"role": "tutor", "probes": [{**NAME, "keys": [[]]}]}, "probes[0].keys[0]: is an empty list"),
        ({"role": "tutor", "probes": [{**NAME, "never": [3]}]}, "probes[0].never[0]: is a number"),
        ({"role": "tutor", "probes": [{**NAME, "reply_in": "english"}]}, "probes[0].reply_in: 'english' is no"),
        ({"role": "tutor", "probes": [{**NAME, "before": [["hi"]]}]}, "probes[0].before[0]: is a list; it must be a"),
        ({"role": "tutor", "probes": [NAME], "at": [0]}, "at[0]: is a number; write a whole number from 1"),
        ({"role": "tutor", "probes": [NAME], "at": [True]}, "at[0]: is true; write a whole number from 1"),
    ],
)
def test_what_is_wrong_with_a_row_of_probes_is_said(row: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_rows(write_lines(tmp_path / "rows.jsonl", [row]))
    assert f"rows.jsonl:1: {complaint}" in caught.value.message


def test_the_filler_lasts_for_sixty_turns_in_both_languages_and_asks_nothing_twice() -> None:
    for language in ("en", "zh"):
        filler = filler_of(language)
        assert len({each.user for each in filler}) == len(filler) >= 59
    assert filler_of("fr") == filler_of("en")
