from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import cast

import pytest
from PIL import Image

from mmchat.errors import DataError, ImageError
from mmchat.evals.base import ReplyOutcome, TaskOptions
from mmchat.evals.plan import make_plan
from mmchat.evals.results import RunSettings
from mmchat.evals.tasks.caption import CaptionTask
from mmchat.rows.picture_questions import picture_questions
from mmchat.rows.values import CaptionRow, RowFile
from mmchat.wiring.eval_models import EvalModels

Rows = Callable[..., RowFile]
MakeModels = Callable[..., EvalModels]


@pytest.fixture
def file(rows: Rows, tmp_path: Path) -> RowFile:
    lines = []
    for colour in ("red", "green", "blue"):
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{colour}.png")
        lines.append({"image": f"{colour}.png", "captions": [f"a {colour} wall", f"all {colour}"]})
    return rows(*lines)


def run(file: RowFile, model: str, models: EvalModels, cancel: Event | None = None) -> list[ReplyOutcome]:
    task, options = CaptionTask(), TaskOptions()
    batches = task.batches(task.samples(file, options), model, models, options)
    found = [each for batch in batches for each in task.run(batch, model, models, options, cancel or Event())]
    return cast(list[ReplyOutcome], found)


def test_a_vision_model_says_what_it_sees(file: RowFile, models: MakeModels) -> None:
    found = run(file, "eyes", models())
    assert [(each.id, each.question, each.references) for each in found[:1]] == [
        ("rows.jsonl:1", "red.png", ("a red wall", "all red"))
    ]
    assert len({each.reply for each in found}) == 3


def test_a_language_model_is_shown_the_picture_or_told_of_it(file: RowFile, models: MakeModels) -> None:
    """The scripted model answers with what it was asked."""
    question = picture_questions("en")[0]
    told = run(file, "echo", models())
    assert all(question in each.reply and "photo of" in each.reply for each in told)
    shown = run(file, "sees", models())
    assert all(question in each.reply and "photo of" not in each.reply for each in shown)
    assert all(each.reply_tokens > 0 for each in shown)


def test_a_cancel_ends_it(file: RowFile, models: MakeModels) -> None:
    cancel = Event()
    cancel.set()
    assert run(file, "eyes", models(), cancel) == []
    assert run(file, "echo", models(), cancel) == []


def test_a_picture_that_cannot_be_read_is_named_by_its_row(file: RowFile, models: MakeModels, tmp_path: Path) -> None:
    (tmp_path / "green.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"rows\.jsonl:2: image: .*green\.png"):
        run(file, "eyes", models())


def test_empty_captions_are_refused(file: RowFile) -> None:
    bad = replace(file, rows=tuple(replace(cast(CaptionRow, row), captions=("",)) for row in file.rows))
    with pytest.raises(DataError, match="needs at least one caption"):
        CaptionTask().samples(bad, TaskOptions())


@pytest.mark.parametrize(
    ("chosen", "metrics", "asked"),
    [
        ((), (), [("retrieval", "eyes")]),
        ((), ("cider",), [("caption", "eyes")]),
        (("sees",), ("cider",), [("caption", "sees")]),
        (("eyes", "sees"), ("cider", "bleu-4"), [("caption", "eyes"), ("caption", "sees")]),
        (("sees",), (), [("retrieval", "eyes"), ("caption", "sees"), ("caption", "eyes")]),
    ],
)
def test_who_is_asked_for_captions(
    chosen: tuple[str, ...], metrics: tuple[str, ...], asked: list[tuple[str, str]], file: RowFile, models: MakeModels
) -> None:
    """A language model only where it is named; it would take long unasked."""
    settings = RunSettings(data=(str(file.path),), models=chosen, metrics=metrics)
    plan = make_plan(settings, models())
    assert sorted((work.task.name, work.model) for work in plan.works) == sorted(asked)
