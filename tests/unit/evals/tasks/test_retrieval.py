from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from mmchat.errors import DataError, ImageError
from mmchat.evals.base import MetricContext, RankOutcome, TaskOptions
from mmchat.evals.registry import load_metric
from mmchat.evals.scoring import counted
from mmchat.evals.tasks.retrieval import COMPARED_AT_ONCE, RetrievalTask, caption_ranks, image_ranks
from mmchat.rows.values import RowFile
from mmchat.wiring.eval_models import EvalModels

Rows = Callable[..., RowFile]
MakeModels = Callable[..., EvalModels]


@pytest.fixture
def colours(tmp_path: Path) -> None:
    for colour in ("red", "green", "blue"):
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{colour}.png")


def run(file: RowFile, models: EvalModels, cancel: Event | None = None) -> list[RankOutcome]:
    task, options = RetrievalTask(), TaskOptions()
    batches = task.batches(task.samples(file, options), "eyes", models, options)
    found = [each for batch in batches for each in task.run(batch, "eyes", models, options, cancel or Event())]
    return cast(list[RankOutcome], found)


@pytest.mark.usefixtures("colours")
def test_pictures_and_captions_find_each_other(rows: Rows, models: MakeModels) -> None:
    file = rows(*({"image": f"{c}.png", "captions": [f"a {c} wall", f"all {c}"]} for c in ("red", "green", "blue")))
    found = run(file, models())
    assert [(each.id, each.group, each.rank, each.candidates) for each in found[:3]] == [
        ("rows.jsonl:1#image", "rows.jsonl:1", 1, 6),
        ("rows.jsonl:1#0", "rows.jsonl:1", 1, 3),
        ("rows.jsonl:1#1", "rows.jsonl:1", 1, 3),
    ]
    assert [each.question for each in found[:2]] == ["red.png", "a red wall"]
    assert {each.rank for each in found} == {1}
    images = [each for each in found if each.direction == "image-to-text"]  # what scores of that direction are given
    metric, context = load_metric("image-to-text-r@1"), MetricContext("en")
    assert "chance:33.3%" in metric.scorer(counted(metric, images), context).signature
    assert len({each.id for each in found}) == len(found) == 9


@pytest.mark.usefixtures("colours")
def test_a_caption_that_fits_two_pictures_counts_against_the_model(rows: Rows, models: MakeModels) -> None:
    file = rows({"image": "red.png", "captions": ["a red wall"]}, {"image": "blue.png", "captions": ["a red wall"]})
    ranks = {each.id: each.rank for each in run(file, models())}
    assert ranks == {"rows.jsonl:1#image": 2, "rows.jsonl:1#0": 1, "rows.jsonl:2#image": 2, "rows.jsonl:2#0": 2}
    same = rows({"image": "red.png", "captions": ["all red"]}, {"image": "red.png", "captions": ["a red wall"]})
    assert {each.rank for each in run(same, models())} == {2}


@pytest.mark.usefixtures("colours")
def test_languages_are_ranked_apart(rows: Rows, models: MakeModels) -> None:
    file = rows(
        {"image": "red.png", "captions": ["a red wall", "all red"]},
        {"image": "red.png", "captions": ["一面墙"]},
        {"image": "blue.png", "captions": ["a blue wall"]},
    )
    sizes = {(each.language, each.direction): each.candidates for each in run(file, models())}
    assert sizes == {
        ("en", "image-to-text"): 3,
        ("en", "text-to-image"): 2,
        ("zh", "image-to-text"): 1,
        ("zh", "text-to-image"): 1,
    }


@pytest.mark.usefixtures("colours")
def test_a_cancelled_ranking_yields_nothing(rows: Rows, models: MakeModels) -> None:
    cancel = Event()
    cancel.set()
    assert run(rows({"image": "red.png", "captions": ["a red wall"]}), models(), cancel) == []


@pytest.mark.usefixtures("colours")
def test_chinese_captions_declared_english_are_refused(rows: Rows) -> None:
    file = rows({"image": "red.png", "captions": ["一面红色的墙"], "lang": "en"})
    with pytest.raises(DataError, match=r"rows\.jsonl:1: lang"):
        RetrievalTask().samples(file, TaskOptions())


@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_ranks_are_those_of_sorting_everything(pictures: int, most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(pictures), rng.integers(1, most + 1, pictures))
    # Few different vectors, so that ties abound.
    images, captions = vectors(rng, pictures), vectors(rng, len(owners))
    table = images.astype(np.float64) @ captions.astype(np.float64).T
    for index, rank in enumerate(image_ranks(images, captions, owners)):
        best = max(value for value, owner in zip(table[index], owners, strict=True) if owner == index)
        others = [value for value, owner in zip(table[index], owners, strict=True) if owner != index]
        assert rank == 1 + sum(value >= best - 1e-6 for value in others)
    for index, rank in enumerate(caption_ranks(images, captions, owners)):
        own = table[owners[index], index]
        assert rank == sum(value >= own - 1e-6 for value in table[:, index])


def test_more_than_are_compared_at_once_get_the_same_ranks() -> None:
    rng = np.random.default_rng(3)
    count = 2 * COMPARED_AT_ONCE + 7
    images = rng.standard_normal((count, 8)).astype(np.float32)
    captions = images + 0.5 * rng.standard_normal((count, 8)).astype(np.float32)
    owners = np.arange(count)
    table = images @ captions.T
    own = np.diag(table)
    assert image_ranks(images, captions, owners).tolist() == (table >= own[:, None]).sum(axis=1).tolist()
    assert caption_ranks(images, captions, owners).tolist() == (table >= own[None, :]).sum(axis=0).tolist()


def vectors(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    few = rng.standard_normal((3, 4))
    few /= np.linalg.norm(few, axis=1, keepdims=True)
    return few[rng.integers(0, 3, count)].astype(np.float32)


@pytest.mark.usefixtures("colours")
def test_fewer_candidates_than_ranks_are_told(rows: Rows) -> None:
    file = rows(*({"image": f"{c}.png", "captions": [f"a {c} wall", f"all {c}"]} for c in ("red", "green", "blue")))
    assert RetrievalTask().warnings(file, TaskOptions()) == (
        "image→text R@10, en: there are only 6 captions to choose from, so any model has 100%.",
        "text→image R@5 and R@10, en: there are only 3 pictures to choose from, so any model has 100%.",
    )
    many = rows(*({"image": "red.png", "captions": [f"wall {n}"]} for n in range(11)), name="many.jsonl")
    assert RetrievalTask().warnings(many, TaskOptions()) == ()


@pytest.mark.usefixtures("colours")
def test_a_broken_picture_is_named_with_its_row(rows: Rows, models: MakeModels, tmp_path: Path) -> None:
    file = rows(*({"image": f"{c}.png", "captions": [f"a {c} wall"]} for c in ("red", "green")))
    (tmp_path / "green.png").write_bytes((tmp_path / "green.png").read_bytes()[:40])
    with pytest.raises(ImageError, match=r"^rows\.jsonl:2: image: 'green\.png'"):
        run(file, models())
