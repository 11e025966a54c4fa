"""Contrastive finetuning: its loss, what it leaves alone, and a tiny model trained, cut off and gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from open_clip.loss import ClipLoss
from PIL import Image
from safetensors.numpy import load, save

from mmchat.domain import EngineSpec
from mmchat.engines.registry import load_engine
from mmchat.errors import DataError
from mmchat.image_tower import TOWER_NAME
from mmchat.rows.reader import read_rows
from mmchat.rows.values import RowFile
from mmchat.train.base import BaseModel, MethodName, TrainEvent, TrainSettings, TrainStepped
from mmchat.train.contrastive import CaptionTrainer
from mmchat.train.contrastive_trainer import recall, symmetric_loss
from mmchat.train.towers import SOFTENING, Projection, carry_classifier, open_towers, text_layers
from tests.contract.test_vision import write_tiny_clip


def unit(*shape: int, seed: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_loss_is_clips_where_no_photo_comes_twice() -> None:
    images, texts, scale = unit(6, 8, seed=1), unit(6, 8, seed=2), torch.tensor(20.0)
    expected = ClipLoss()(images, texts, scale)
    assert torch.allclose(symmetric_loss(images, texts, scale, torch.arange(6)), expected)
    twins = torch.tensor([0, 1, 2, 3, 4, 0])
    assert symmetric_loss(images, texts, scale, twins) < expected


def test_recall_counts_ties_against() -> None:
    images = unit(30, 16, seed=1)
    assert recall(images, images, torch.arange(30), at=1) == 100
    same = torch.ones(30, 16) / 4
    assert recall(same, same, torch.arange(30)) == 0


def test_projection_folds_into_a_plain_map() -> None:
    features = torch.rand(50, 12, generator=torch.Generator().manual_seed(1)) * 6
    projection = Projection(torch.eye(12), torch.randn(12), features, 0.5).eval()
    weight, bias = projection.fold()
    assert torch.allclose(projection(features), features @ weight.T + bias, atol=1e-4)


def test_tags_survive_a_new_map_exactly() -> None:
    generator = np.random.default_rng(4)
    rows, biases = generator.normal(size=(9, 12)).astype(np.float32), generator.normal(size=9).astype(np.float32)
    old = (np.eye(12), generator.normal(size=12))
    new = (generator.normal(size=(12, 12)) + 3 * np.eye(12), generator.normal(size=12))
    features = generator.normal(size=(20, 12))
    carried, shifts = carry_classifier(rows, biases, old, new)
    before = (features @ old[0].T + old[1]) @ rows.T + biases
    after = (features @ new[0].T + new[1]) @ carried.T + shifts
    assert np.allclose(before, after, atol=1e-4)
    assert np.array_equal(load(save({"rows": carried}))["rows"], carried)


@pytest.mark.parametrize("last_layers", [0, 1])
def test_what_is_frozen_has_no_dropout_and_a_softer_scale(tmp_path: Path, last_layers: int) -> None:
    base = BaseModel(name="tiny", kind="vision", path=write_tiny_clip(tmp_path / "base"))
    towers = open_towers(base, 0.5, "cpu")
    scale = float(towers.reader.network.logit_scale.detach().exp())
    towers.choose("last-layers", last_layers)
    towers.soften()
    towers.set_mode(is_training=True)
    assert float(towers.reader.network.logit_scale.detach().exp()) == pytest.approx(SOFTENING * scale)
    assert not towers.reader.network.logit_scale.requires_grad
    layers = text_layers(towers.reader.network, 99)
    assert [layer.training for layer in layers] == [False] * (len(layers) - last_layers) + [True] * last_layers


COLOURS = ("red", "green", "blue", "yellow", "white", "black", "orange", "purple", "pink", "gray", "cyan", "brown")


@pytest.fixture
def photos(tmp_path: Path) -> RowFile:
    lines = []
    for index in range(24):
        colour = COLOURS[index % len(COLOURS)]
        picture = Image.new("RGB", (48, 48), colour)
        picture.putpixel((0, 0), (index, 0, 0))
        picture.save(tmp_path / f"{index}.png")
        lines.append(json.dumps({"image": f"{index}.png", "captions": [f"all {colour} {index}", f"{colour} {index}"]}))
    (tmp_path / "photos.jsonl").write_text("\n".join(lines))
    return read_rows(tmp_path / "photos.jsonl")


def run(photos: RowFile, base: BaseModel, folder: Path, *, method: MethodName, cut_at: int = 0) -> list[float]:
    settings = TrainSettings(
        data=(),
        model="tiny",
        name="t",
        method=method,
        max_steps=6,
        batch_size=8,
        patience=0,
        log_to="none",
    )
    trainer, cancel, losses = CaptionTrainer(), Event(), []

    def on_event(event: TrainEvent) -> None:
        if isinstance(event, TrainStepped):
            losses.append(event.loss)
            if event.step == cut_at:
                cancel.set()

    preparation = trainer.prepare([photos], settings, base)
    assert preparation.train_rows + preparation.validation_rows == 24
    result = trainer.train(preparation, [photos], base, folder, on_event, cancel, should_resume=False)
    if cut_at:
        assert result.status == "interrupted"
        cancel.clear()
        result = trainer.train(preparation, [photos], base, folder, on_event, cancel, should_resume=True)
    assert result.status == "complete"
    return losses


@pytest.mark.parametrize("method", ["last-layers", "full"])
def test_a_tiny_model_is_trained_and_gone_on_with(photos: RowFile, tmp_path: Path, method: MethodName) -> None:
    base = BaseModel(name="tiny", kind="vision", path=write_tiny_clip(tmp_path / "base"))
    (base.path / TOWER_NAME).touch()
    whole = run(photos, base, tmp_path / "whole", method=method)
    parts = run(photos, base, tmp_path / "parts", method=method, cut_at=3)
    assert len(whole) == 6
    assert parts == pytest.approx(whole, abs=1e-6)
    reader = load_engine("vision", EngineSpec("tuned", "open_clip", tmp_path / "whole" / "weights", device="cpu"))
    assert not (tmp_path / "whole" / "weights" / TOWER_NAME).exists()  # it is the base's, not the trained model's
    (base.path / TOWER_NAME).unlink()
    before = load_engine("vision", EngineSpec("tiny", "open_clip", base.path, device="cpu"))
    assert not np.allclose(reader.embed_texts(["all red"]), before.embed_texts(["all red"]))
    reader.close()
    before.close()


def test_too_few_pictures_are_refused(photos: RowFile, tmp_path: Path) -> None:
    base = BaseModel(name="tiny", kind="vision", path=write_tiny_clip(tmp_path / "base"))
    few = RowFile(photos.path, photos.sha256, photos.kind, photos.rows[:5])
    settings = TrainSettings(data=(), model="tiny", name="t")
    with pytest.raises(DataError, match="4 pictures to learn from"):
        CaptionTrainer().prepare([few], settings, base)
