from __future__ import annotations

from pathlib import Path

import pytest

from mmchat.config.models_file import ModelsFile, load_models_file
from mmchat.errors import ConfigError, ModelNotFound
from mmchat.paths import user_models_path
from mmchat.weights.store import WeightsStore
from mmchat.wiring.eval_choice import Choice, Place, adapter_checksum, choose, weights_checksum

MODELS = """
[models.server]
kind = "lm"
engine = "openai"
base_url = "http://localhost:1/v1"
[models.half]
kind = "lm"
engine = "transformers"
format = "safetensors"
dtype = "bfloat16"
size_bytes = 1000
sources = [{ source = "dir:half" }]
"""
LAPTOP = Place(has_gpu=False, free_bytes=4_000_000_000)
GPU = Place(has_gpu=True, free_bytes=4_000_000_000)


@pytest.fixture
def models(home: Path) -> ModelsFile:
    user_models_path().parent.mkdir(parents=True)
    user_models_path().write_text(MODELS, encoding="utf-8")
    return load_models_file()


def chosen(choice: Choice) -> tuple[str, str, str]:
    return choice.name, choice.engine, choice.dtype


@pytest.mark.parametrize(
    ("name", "place", "expected"),
    [
        ("smollm2-135m", LAPTOP, ("smollm2-135m@transformers", "transformers", "float32")),
        ("smollm2", LAPTOP, ("smollm2@transformers", "transformers", "float32")),
        ("smollm2-135m", Place(False, 0), ("smollm2-135m@transformers", "transformers", "float32")),
        ("smollm2-135m", Place(False, 500_000_000), ("smollm2-135m@llamacpp", "llamacpp", "")),
        ("smollm2-135m@llamacpp", LAPTOP, ("smollm2-135m@llamacpp", "llamacpp", "")),
        ("smollm2-135m", GPU, ("smollm2-135m@transformers", "transformers", "")),
        ("qwen3-8b-gguf", LAPTOP, ("qwen3-8b-gguf@llamacpp", "llamacpp", "")),
        ("smollm2-360m", LAPTOP, ("smollm2-360m@transformers", "transformers", "float32")),
        ("qwen3-8b", LAPTOP, ("qwen3-8b@transformers", "transformers", "")),
        ("half", LAPTOP, ("half@transformers", "transformers", "")),
        ("server", LAPTOP, ("server@openai", "openai", "")),
        ("minilm", LAPTOP, ("minilm", "ctranslate2", "")),
        ("whisper-base", GPU, ("whisper-base", "openai-whisper", "")),
    ],
)
def test_engine_and_number_format(name: str, place: Place, expected: tuple[str, str, str], models: ModelsFile) -> None:
    assert chosen(choose(models, name, place)) == expected


def test_the_users_number_format_goes_before_all(models: ModelsFile) -> None:
    assert choose(models, "smollm2-135m", LAPTOP, dtype="bfloat16").dtype == "bfloat16"
    assert choose(models, "half", GPU, dtype="float32").dtype == "float32"


def test_unknown_models_and_engines_are_refused(models: ModelsFile) -> None:
    with pytest.raises(ModelNotFound, match="No model named 'smolm2'"):
        choose(models, "smolm2", LAPTOP)
    with pytest.raises(ConfigError, match="'whisper' is not an engine"):
        choose(models, "smollm2-135m@whisper", LAPTOP)


def test_checksums_follow_every_byte_that_is_loaded(models: ModelsFile, tmp_path: Path) -> None:
    folder = user_models_path().parent / "half"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    store = WeightsStore(tmp_path / "weights")
    first = weights_checksum(store, models["half"], "transformers")
    assert len(first) == 64
    assert weights_checksum(store, models["half"], "transformers") == first
    (folder / "model.safetensors").write_bytes(b"Weights")
    assert weights_checksum(store, models["half"], "transformers") != first
    assert weights_checksum(store, models["server"], "openai") == ""
    adapter = adapter_checksum(str(folder))
    assert len(adapter) == 64
    (folder / "config.json").write_text("{ }")
    assert adapter_checksum(str(folder)) != adapter
    assert adapter_checksum(None) == ""
