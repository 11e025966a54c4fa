from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression

from mmchat.engines.scripted import ScriptedEmbedder
from mmchat.errors import DataError
from mmchat.evals.base import LabelOutcome, Models, TaskOptions
from mmchat.evals.probe import PENALTY_C, LinearProbe
from mmchat.evals.tasks.label import TEXT_SCALE, LabelTask, readable_names
from mmchat.rows.values import RowFile
from mmchat.wiring.eval_models import EvalModels

Rows = Callable[..., RowFile]
MakeModels = Callable[..., EvalModels]

DRINKS = (
    {"text": "is my card arrival late", "label": "card_arrival"},
    {"text": "top up by cheque please", "label": "top_up"},
)


@pytest.fixture
def colours(tmp_path: Path) -> None:
    for colour in ("red", "green", "blue"):
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{colour}.png")


def run(
    file: RowFile, models: Models, *, train: RowFile | None = None, cancel: Event | None = None, size: int = 0
) -> dict[str, LabelOutcome]:
    task, options = LabelTask(), TaskOptions(train=train, batch_size=size)
    model = models.default(task.model_kind_for(file))
    batches = task.batches(task.samples(file, options), model, models, options)
    found = [each for batch in batches for each in task.run(batch, model, models, options, cancel or Event())]
    return {each.id: cast(LabelOutcome, each) for each in found}


# --- untrained ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1])
def test_texts_go_to_the_nearest_label_name(size: int, rows: Rows, models: MakeModels) -> None:
    found = run(rows(*DRINKS), models(), size=size)
    assert [found[f"rows.jsonl:{line}"].predicted for line in (1, 2)] == ["card_arrival", "top_up"]
    first = found["rows.jsonl:1"]
    assert (first.label, first.question, first.group) == ("card_arrival", "is my card arrival late", "rows.jsonl:1")
    embedder = ScriptedEmbedder()
    cosines = embedder.embed(["card arrival", "top up"]) @ embedder.embed(["is my card arrival late"])[0]
    odds = np.exp(TEXT_SCALE * cosines.astype(float))
    assert first.confidence == pytest.approx(odds[0] / odds.sum(), rel=1e-5)
    ((second, share),) = first.runners_up
    assert second == "top_up"
    assert share == pytest.approx(odds[1] / odds.sum(), rel=1e-4)


@pytest.mark.usefixtures("colours")
def test_pictures_go_by_the_vision_models_tags(rows: Rows, models: MakeModels) -> None:
    file = rows(*({"image": f"{colour}.png", "label": colour} for colour in ("red", "green", "blue")))
    assert LabelTask().model_kind_for(file) == "vision"
    found = run(file, models())
    assert [each.predicted for each in found.values()] == [each.label for each in found.values()]
    assert {each.question for each in found.values()} == {"[red.png]", "[green.png]", "[blue.png]"}


@pytest.mark.usefixtures("colours")
def test_rows_with_both_take_the_product_of_both_distributions(rows: Rows, models: MakeModels) -> None:
    file = rows(
        {"image": "red.png", "text": "this is blue", "label": "red"},
        {"image": "blue.png", "label": "blue"},
        {"text": "this is blue", "label": "blue"},
    )
    found = run(file, models())
    both, picture, words = (found[f"rows.jsonl:{line}"] for line in (1, 2, 3))
    red_only = run(rows({"image": "red.png", "label": "red"}, {"image": "blue.png", "label": "blue"}), models())
    from_picture = _share(red_only["rows.jsonl:1"], "red")
    from_text = _share(words, "red")
    product = from_picture * from_text
    expected = product / (product + (1 - from_picture) * (1 - from_text))
    assert _share(both, "red") == pytest.approx(expected, rel=1e-4)
    assert (picture.predicted, words.predicted) == ("blue", "blue")


class OneVector:
    """An embedder that knows no difference, as MiniLM's for Chinese words it never saw."""

    name = "flat"
    engine = "scripted"
    embedding_dim = 2

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.tile(np.array([1, 0], np.float32), (len(texts), 1))


class FlatModels:
    """`evals.base.Models` as far as it is needed here."""

    def default(self, kind: str) -> str:
        return "flat"

    def kind(self, name: str) -> str:
        return "embed"

    def embedder(self, name: str = "") -> Any:
        return OneVector()


def test_a_model_that_cannot_tell_labels_apart_is_never_right(rows: Rows) -> None:
    file = rows({"text": "去哪", "label": "景点"}, {"text": "住哪", "label": "酒店"}, {"text": "吃啥", "label": "餐馆"})
    found = run(file, cast(Models, FlatModels()))
    assert all(each.predicted != each.label for each in found.values())
    assert all(each.confidence == pytest.approx(1 / 3) for each in found.values())
    assert all(len(each.runners_up) == 2 for each in found.values())


def test_labels_are_read_as_words() -> None:
    labels = ["card_arrival", "topUp", "re-order", "酒店", "Refund_not_showing_up"]
    assert readable_names(labels) == ["card arrival", "top Up", "re order", "酒店", "Refund not showing up"]
    assert readable_names(["a_b", "a b"]) == ["a_b", "a b"]
    assert readable_names(["_", "x"]) == ["_", "x"]


# --- trained ------------------------------------------------------------------------------------


def test_a_linear_head_learns_what_names_do_not_say(rows: Rows, models: MakeModels) -> None:
    train = rows(
        *({"text": f"sweet {each} cake", "label": "A"} for each in ("apple", "pear", "plum")),
        *({"text": f"salty {each} soup", "label": "B"} for each in ("bean", "leek", "pea")),
        name="train.jsonl",
    )
    file = rows({"text": "sweet cherry cake", "label": "A"}, {"text": "salty cabbage soup", "label": "B"})
    found = run(file, models(), train=train)
    assert [each.predicted for each in found.values()] == [each.label for each in found.values()]
    assert all(0.5 < each.confidence <= 1 for each in found.values())


@pytest.mark.usefixtures("colours")
def test_a_linear_head_looks_at_pictures_and_texts_side_by_side(rows: Rows, models: MakeModels) -> None:
    train = rows(
        *({"image": f"{c}.png", "text": t, "label": f"{c} {t}"} for c in ("red", "blue") for t in ("car", "boat")),
        name="train.jsonl",
    )
    found = run(train, models(), train=train)
    assert [each.predicted for each in found.values()] == [each.label for each in found.values()]
    with pytest.raises(DataError, match=r"rows\.jsonl:2: has not the same parts"):
        run(rows(*({**row, "label": "x"} for row in ({"text": "car", "image": "red.png"}, {"text": "car"}))), models(),
            train=train)  # fmt: skip


def test_labels_never_seen_in_training_are_told(rows: Rows, models: MakeModels) -> None:
    train = rows(*DRINKS, name="train.jsonl")
    file = rows(*DRINKS, {"text": "my balance", "label": "balance"}, {"text": "my fees", "label": "fees"})
    task = LabelTask()
    *_, warning = task.warnings(file, TaskOptions(train=train))
    assert warning == "2 rows have labels that were never seen in training and cannot be chosen: balance, fees."
    assert task.warnings(file, TaskOptions()) == ()
    assert len(task.warnings(train, TaskOptions(train=train))) == 1  # that they are the training rows
    found = run(file, models(), train=train)
    assert {each.predicted for each in found.values()} <= {"card_arrival", "top_up"}


def test_what_cannot_be_chosen_among_or_trained_on_is_said(rows: Rows) -> None:
    one = rows(DRINKS[0], name="one.jsonl")
    with pytest.raises(DataError, match="holds one class only: card_arrival"):
        LabelTask().samples(one, TaskOptions())
    plain = rows({"text": "nothing but text"}, name="plain.jsonl")
    with pytest.raises(DataError, match=r"plain\.jsonl holds text rows"):
        LabelTask().samples(rows(*DRINKS), TaskOptions(train=plain))
    with pytest.raises(DataError, match="one class only: a"):
        LinearProbe(np.eye(2, dtype=np.float32), ["a", "a"])


def test_cancelling_yields_only_what_is_whole(rows: Rows, models: MakeModels) -> None:
    cancel = Event()
    cancel.set()
    assert run(rows(*DRINKS), models(), cancel=cancel) == {}
    assert run(rows(*DRINKS), models(), train=rows(*DRINKS, name="train.jsonl"), cancel=cancel) == {}


@pytest.mark.parametrize("classes", [2, 5])
def test_the_head_is_scikit_learns(classes: int) -> None:
    rng = np.random.default_rng(classes)
    features = rng.standard_normal((6 * classes, 5)).astype(np.float32)
    labels = [f"class {index % classes}" for index in range(len(features))]
    probe = LinearProbe(features, labels)
    reference = LogisticRegression(C=PENALTY_C, max_iter=1000).fit(features, labels)
    assert probe.classes == tuple(reference.classes_)
    probabilities = probe.probabilities(features)
    np.testing.assert_allclose(probabilities, reference.predict_proba(features))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def _share(outcome: LabelOutcome, label: str) -> float:
    return dict([(outcome.predicted, outcome.confidence), *outcome.runners_up])[label]


def test_rows_that_were_trained_on_are_said(rows: Rows) -> None:
    file = rows({"text": "a", "label": "good"}, {"text": "b", "label": "bad"})
    (warning,) = LabelTask().warnings(file, TaskOptions(train=file))
    assert warning.startswith("2 of 2 rows are training rows too")
