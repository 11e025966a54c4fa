"""A head learns labels over real sentence vectors; its curves are written, and a cancelled training is gone on with."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec
from mmchat.engines.registry import load_engine
from mmchat.rows.reader import read_rows
from mmchat.rows.values import LabelRow, Place
from mmchat.train.base import BaseModel, TrainEvent, TrainNotice, TrainResult, TrainSettings, TrainStepped
from mmchat.train.curves import LOGS
from mmchat.train.heads import LabelTrainer, _distinct
from mmchat.train.record import FEATURES, WEIGHTS
from mmchat.weights.store import WeightsStore
from mmchat.wiring.finetune import REQUEST_NAME, folder_state

pytestmark = [pytest.mark.weights]

WAYS = {
    "parcel": ("Where is {}?", "{} has not come", "When will {} be delivered?", "I still wait for {}"),
    "refund": ("I want my money back for {}", "Please refund {}", "Give me a refund for {}", "{} is to be paid back"),
}
THINGS = ("my book", "the lamp", "my order", "the red coat", "a kettle", "my new shoes")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "labels.jsonl"
    lines = [
        json.dumps({"text": way.format(thing), "label": label})
        for label, ways in WAYS.items()
        for way, thing in itertools.product(ways, THINGS)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def base(weights_dir: Path) -> BaseModel:
    return BaseModel("minilm", "embed", WeightsStore(weights_dir).prepared(load_models_file()["minilm"], "ctranslate2"))


def train(
    rows: Path, base: BaseModel, folder: Path, *, on_event: Callable[[TrainEvent], None] = lambda event: None,
    cancel: Event | None = None, should_resume: bool = False,
) -> TrainResult:  # fmt: skip
    settings = TrainSettings((str(rows),), "minilm", "mail").suited(epochs=8, batch_size=8, patience=0)
    trainer, files = LabelTrainer(), (read_rows(rows),)
    preparation = trainer.prepare(files, settings, base)
    return trainer.train(
        preparation, files, base, folder, on_event, cancel or Event(), should_resume=should_resume
    )  # fmt: skip


def test_labels_are_learnt_and_the_curves_written(rows: Path, base: BaseModel, tmp_path: Path) -> None:
    folder, events = tmp_path / "mail", list[TrainEvent]()
    result = train(rows, base, folder, on_event=events.append)
    assert result.status == "complete"
    assert result.best_validation_loss is not None
    assert result.first_validation_loss is not None
    assert result.best_validation_loss < result.first_validation_loss / 2
    curves = EventAccumulator(str(folder / LOGS))
    curves.Reload()
    stepped = [each for each in events if isinstance(each, TrainStepped)]
    written = curves.Scalars("train/loss")
    assert [each.step for each in written] == list(range(1, len(stepped) + 1))
    assert [each.value for each in written] == pytest.approx([each.loss for each in stepped])
    assert len(curves.Scalars("eval/accuracy")) == len(
        [each for each in events if not isinstance(each, TrainStepped | TrainNotice)]
    )
    encoders = {"embed": EngineSpec("minilm", "ctranslate2", base.path)}
    head = load_engine("head", EngineSpec("mail", "fused", folder / WEIGHTS, options={"encoders": encoders}))
    (found,) = head.classify(["When does my umbrella arrive?"], [])
    head.close()
    assert head.labels[found.argmax()] == "parcel"


def test_a_picture_is_looked_at_once_however_often_it_is_asked_about(tmp_path: Path) -> None:
    paths = [tmp_path / f"{line % 2}.png" for line in range(4)]
    rows = [LabelRow(Place(tmp_path, line), "x", "abcd"[line], path) for line, path in enumerate(paths)]
    assert _distinct("vision", rows) == (rows[:2], [0, 1, 0, 1])
    assert _distinct("embed", rows) == (rows, [0, 1, 2, 3])


def test_a_cancelled_training_is_gone_on_with(rows: Path, base: BaseModel, tmp_path: Path) -> None:
    unbroken = train(rows, base, tmp_path / "whole")
    folder, cancel = tmp_path / "mail", Event()

    def stop(event: TrainEvent) -> None:
        if isinstance(event, TrainStepped) and event.step == 3:
            cancel.set()

    assert train(rows, base, folder, on_event=stop, cancel=cancel).status == "interrupted"
    assert any((folder / FEATURES).glob("*.npy"))
    (folder / REQUEST_NAME).write_text("{}")
    assert folder_state(folder) == "interrupted"
    assert train(rows, base, folder, should_resume=True).losses == unbroken.losses
