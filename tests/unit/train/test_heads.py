"""Classification heads: fitted on made-up vectors, saved, loaded, asked."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from PIL import Image

from mmchat.domain import EngineSpec
from mmchat.engines.head_files import HeadConfig, HeadShape, read_config
from mmchat.engines.head_fused import Features, save_head
from mmchat.engines.head_grams import Grams
from mmchat.engines.head_network import HeadNetwork
from mmchat.engines.registry import load_engine
from mmchat.engines.scripted import ScriptedEmbedder, ScriptedImageReader
from mmchat.errors import ModelNotFound, UsageError, WeightsError
from mmchat.train.base import TrainSettings
from mmchat.train.head_fit import Fitted, HeadData, fit_head, fit_temperature


def settings(**values: float) -> TrainSettings:
    return TrainSettings(data=(), model="m", name="n").suited(epochs=30, batch_size=32, patience=0, **values)


def riddle(count: int, *, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Text and picture are each one of two; the class is whether they agree, so neither alone tells anything."""
    generator = torch.Generator().manual_seed(seed)
    said, shown = torch.randint(0, 2, (2, count), generator=generator)
    text = torch.nn.functional.one_hot(said, 4).float() + 0.1 * torch.randn(count, 4, generator=generator)
    image = torch.nn.functional.one_hot(shown, 6).float() + 0.1 * torch.randn(count, 6, generator=generator)
    return text, image.unsqueeze(1).expand(-1, 5, -1).contiguous(), (said == shown).long()


def fit(shape: HeadShape, *, has_text: bool = True, has_image: bool = True) -> Fitted:
    def part(count: int, seed: int) -> tuple[Features, torch.Tensor]:
        text, image, labels = riddle(count, seed=seed)
        views = image[:, : shape.views]
        return Features(text if has_text else None, views if has_image else None, None), labels

    data = HeadData(*part(400, 1), *part(100, 2))
    fitted = fit_head(shape, data, settings(), lambda event: None, Event())
    assert fitted is not None
    return fitted


@pytest.mark.parametrize("fusion", ["concat", "attention"])
def test_fusion_solves_what_neither_sense_can(fusion: str) -> None:
    views = 5 if fusion == "attention" else 1
    both = fit(HeadShape(2, text_width=4, image_width=6, views=views, hidden=32, fusion=fusion))  # type: ignore[arg-type]
    assert both.accuracy > 0.95
    assert both.best_loss < 0.2
    assert fit(HeadShape(2, text_width=4), has_image=False).accuracy < 0.7
    assert fit(HeadShape(2, image_width=6), has_text=False).accuracy < 0.7


def test_same_seed_same_head() -> None:
    shape = HeadShape(2, text_width=4, image_width=6, hidden=8)
    assert fit(shape).losses == fit(shape).losses


def test_a_cancelled_fit_leaves_nothing() -> None:
    text, _, labels = riddle(50, seed=1)
    data = HeadData(Features(text, None, None), labels, Features(text, None, None), labels)
    cancel = Event()
    cancel.set()
    assert fit_head(HeadShape(2, text_width=4), data, settings(), lambda event: None, cancel) is None


def test_temperature_makes_confidence_honest() -> None:
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 3, (3000,), generator=generator)
    honest = torch.nn.functional.one_hot(labels, 3) * 1.0 + torch.randn(3000, 3, generator=generator)
    temperature, loss = fit_temperature(honest * 5, labels)
    alone, least = fit_temperature(honest, labels)
    assert temperature == pytest.approx(5 * alone, rel=0.05)
    assert loss == pytest.approx(least, abs=1e-3)


def test_grams_know_chinese_and_forget_the_unseen() -> None:
    texts = ["帮我找一家酒店", "这家酒店的地址", "推荐一个景点", "景点的门票"]
    grams = Grams.fit(texts)
    rows = grams([*texts, "xyz", ""])
    assert rows.shape == (6, len(grams.buckets))
    assert np.allclose(rows[:4].power(2).sum(axis=1), 1)
    assert rows[4:].nnz == 0
    likeness = (rows @ rows.T).toarray()
    assert likeness[0, 1] > likeness[0, 2]


@pytest.fixture
def head(tmp_path: Path) -> Path:
    embedder, reader = ScriptedEmbedder(name="words"), ScriptedImageReader(name="eyes")
    grams = Grams.fit(["ab", "ab", "bc"])
    shape = HeadShape(
        2, text_width=embedder.embedding_dim, image_width=reader.embedding_dim, columns=len(grams.buckets), hidden=8
    )
    config = HeadConfig(
        ("no", "yes"), shape, 1.5, {"embed": {"name": "words", "sha256": ""}, "vision": {"name": "eyes", "sha256": ""}}
    )
    save_head(tmp_path, config, HeadNetwork(shape).eval(), grams, {"embed": embedder, "vision": reader})
    return tmp_path


def spec(folder: Path) -> EngineSpec:
    encoders = {"embed": EngineSpec("words", "scripted"), "vision": EngineSpec("eyes", "scripted")}
    return EngineSpec("mine", "fused", folder, options={"encoders": encoders})


def test_a_saved_head_classifies(head: Path) -> None:
    loaded = load_engine("head", spec(head))
    pictures = [Image.new("RGB", (20, 30), colour) for colour in ("red", "blue", "red")]
    found = loaded.classify(["ab", "bc", "\udcff"], pictures)
    assert found.shape == (3, 2)
    assert found.dtype == np.float32
    assert np.allclose(found.sum(axis=1), 1, atol=1e-6)
    assert np.allclose(found[1], loaded.classify(["bc"], pictures[1:2])[0], atol=1e-6)
    assert loaded.classify([], []).shape == (0, 2)
    with pytest.raises(UsageError, match="picture"):
        loaded.classify(["ab"], [])


def test_other_encoders_are_refused(head: Path) -> None:
    config = read_config(head, "mine")
    from safetensors.torch import load_file, save_file

    tensors = load_file(head / "head.safetensors")
    tensors["probe.embed"] = -tensors["probe.embed"]
    save_file(tensors, head / "head.safetensors")
    with pytest.raises(WeightsError, match="words"):
        load_engine("head", spec(head))
    assert config.labels == ("no", "yes")


def test_damaged_heads_are_named(head: Path, tmp_path: Path) -> None:
    (head / "head.json").write_text('{"format": 1, "labels": ["a"]}')
    with pytest.raises(WeightsError, match=r"head\.json is damaged"):
        load_engine("head", spec(head))
    with pytest.raises(ModelNotFound, match="no classification head"):
        load_engine("head", spec(tmp_path / "nowhere"))
