"""The sentence embedder on the real weights: the same vectors as transformers, without torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec
from mmchat.engines.base import TextEmbedder
from mmchat.engines.registry import load_engine
from mmchat.errors import EngineUnavailable, ModelNotFound, WeightsError
from mmchat.weights.store import WeightsStore

SENTENCES = (
    "a",
    "",
    "A dog runs on the beach.",
    "Which bread recipe did I ask about last week?",
    "今天天气很好。",
    "word " * 400,
)
TOLERANCE = 5e-3
"""Largest difference of a coordinate. The weights are stored as float16 (relative error 5e-4); measured 1e-4."""


@pytest.fixture(scope="module")
def folder(weights_dir: Path) -> Path:
    return WeightsStore(weights_dir).prepared(load_models_file()["minilm"], "ctranslate2")


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Iterator[TextEmbedder]:
    loaded: TextEmbedder = load_engine("embed", EngineSpec("minilm", "ctranslate2", folder))
    yield loaded
    loaded.close()


def reference(source: Path) -> NDArray[np.float32]:
    """transformers' own BERT, mean-pooled."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(source).eval(), AutoTokenizer.from_pretrained(source)
    rows = []
    for sentence in SENTENCES:
        tokens = tokenizer(sentence, truncation=True, max_length=256, return_tensors="pt", padding=False)
        with torch.inference_mode():
            pooled = model(**tokens).last_hidden_state[0].mean(0).numpy()
        rows.append(pooled / np.linalg.norm(pooled))
    return np.stack(rows)


@pytest.mark.weights
def test_vectors_equal_those_of_transformers(embedder: TextEmbedder, weights_dir: Path) -> None:
    source = next((weights_dir / "minilm").rglob("model.safetensors")).parent
    assert np.abs(embedder.embed(SENTENCES) - reference(source)).max() < TOLERANCE


@pytest.mark.weights
def test_rows_are_unit_in_order_and_independent_of_the_batch(embedder: TextEmbedder) -> None:
    together = embedder.embed(SENTENCES * 8)
    assert together.shape == (len(SENTENCES) * 8, embedder.embedding_dim)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.concatenate([embedder.embed([sentence]) for sentence in SENTENCES])
    np.testing.assert_allclose(together[: len(SENTENCES)], alone, atol=1e-4)
    assert embedder.embed([]).shape == (0, embedder.embedding_dim)


@pytest.mark.weights
def test_near_in_meaning_is_near(embedder: TextEmbedder) -> None:
    bread, loaf, rocket = embedder.embed(["How do I bake bread?", "a recipe for a loaf", "launching a rocket"])
    assert bread @ loaf > bread @ rocket + 0.2


@pytest.mark.weights
def test_lone_surrogates_do_no_harm(embedder: TextEmbedder) -> None:
    assert np.isfinite(embedder.embed(["file \udcff name"])).all()


@pytest.mark.weights
def test_neither_torch_nor_transformers_is_imported(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mmchat.domain import EngineSpec\n"
        "from mmchat.engines.registry import load_engine\n"
        f"load_engine('embed', EngineSpec('minilm', 'ctranslate2', Path({str(folder)!r}))).embed(['hello'])\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


@pytest.mark.weights
def test_a_closed_embedder_says_so(folder: Path) -> None:
    embedder = load_engine("embed", EngineSpec("minilm", "ctranslate2", folder))
    embedder.close()
    embedder.close()
    with pytest.raises(EngineUnavailable, match="closed"):
        embedder.embed(["hello"])


def test_missing_and_damaged_folders_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="minilm"):
        load_engine("embed", EngineSpec("minilm", "ctranslate2", tmp_path))
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"not this")
    (tmp_path / "pooling.json").write_text('{"max_tokens": 256}')
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_engine("embed", EngineSpec("minilm", "ctranslate2", tmp_path))
