"""What a finetune leaves: an entry that models.toml takes, a card, and settings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mmchat.config.model_entries import LmEntry
from mmchat.config.models_file import load_models_file
from mmchat.config.user_models import register
from mmchat.rows.values import RowFile
from mmchat.train.base import Preparation, TrainResult, TrainSettings
from mmchat.train.results import Origin, entry_fields, write_card, write_settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "bot"
    (path / "adapter").mkdir(parents=True)
    (path / "adapter" / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    return path


def origin(base: str = "smollm2-135m") -> Origin:
    data = (RowFile(Path("/data/a|b.jsonl"), "ab" * 32, "dialogue", ()),)
    return Origin("bot", load_models_file()[base], "c0ffee", data)


def preparation() -> Preparation:
    settings = TrainSettings(("/data/a|b.jsonl",), "smollm2-135m", "bot", learning_rate=2e-4)
    return Preparation("dialogue", "lora", settings, rows=10, train_rows=9, validation_rows=1)


def result(folder: Path) -> TrainResult:
    return TrainResult(folder, "stopped early", 40, 30, 2.5, 2.25, (2.5, 2.0), 1_000, 100_000, 60.0, 1.5)


def test_an_adapter_takes_engines_and_limits_of_its_base(folder: Path, home: Path) -> None:
    register("bot", entry_fields(origin(), folder))
    entry = load_models_file()["bot"]
    assert (entry.base, entry.adapter, entry.license) == ("smollm2-135m", str(folder / "adapter"), "Apache-2.0")
    assert (entry.engine, entry.gpu_engine) == ("llamacpp", "transformers")


def test_an_adapter_of_the_prompt_runs_on_transformers(folder: Path, home: Path) -> None:
    (folder / "adapter" / "adapter_config.json").write_text('{"peft_type": "PREFIX_TUNING"}')
    register("bot", entry_fields(origin(), folder))
    entry = load_models_file()["bot"]
    assert (entry.engine, entry.gpu_engine) == ("transformers", "transformers")


def test_new_weights_are_a_folder_with_a_base(tmp_path: Path, home: Path) -> None:
    register("bot", entry_fields(origin(), tmp_path / "full"))
    entry = load_models_file()["bot"]
    assert (entry.base, entry.format, entry.weights_name) == ("smollm2-135m", "safetensors", "bot")
    assert [source.source for source in entry.sources] == [f"dir:{tmp_path}/full/weights"]


@pytest.mark.parametrize("has_adapter", [True, False])
def test_a_model_that_has_learnt_to_see_stays_on_its_base(folder: Path, home: Path, *, has_adapter: bool) -> None:
    if not has_adapter:
        (folder / "adapter" / "adapter_config.json").unlink()
    register("bot", entry_fields(origin(), folder, vision="lite2-minilm"))
    entry = load_models_file()["bot"]
    assert isinstance(entry, LmEntry)
    assert (entry.engine, entry.gpu_engine, entry.accepts_images) == ("transformers", "transformers", True)
    assert (entry.projector, entry.vision) == (str(folder / "projector"), "lite2-minilm")
    assert (entry.adapter is not None) is has_adapter
    assert (entry.base, entry.weights_name) == ("smollm2-135m", "smollm2-135m")
    write_card(folder, origin(), replace(preparation(), task="picture"), result(folder))
    card = (folder / "README.md").read_text()
    assert "mmchat talk -m bot -a PICTURE" in card
    assert "export" not in card


def test_a_picture_model_stands_for_itself(tmp_path: Path, home: Path) -> None:
    fields = entry_fields(origin("lite2-minilm"), tmp_path / "v", weights_format="open_clip")
    register("bot", fields)
    entry = load_models_file()["bot"]
    assert (entry.kind, entry.engine, entry.base, entry.format) == ("vision", "open_clip", None, "open_clip")


def test_the_card_says_what_it_is_and_how_it_did(folder: Path) -> None:
    table = (("metric", "base", "bot"), ("bleu", "1.0", "2.0"))
    write_card(folder, origin(), preparation(), result(folder), table, ("It helped.",))
    card = (folder / "README.md").read_text(encoding="utf-8")
    for words in (
        'base_model: "smollm2-135m"',
        'license: "apache-2.0"',
        "ab" * 32,
        "a\\|b.jsonl",
        "1,000 of 100,000 (1.00 %)",
        "2.5000 before, 2.2500 after",
        "| bleu | 1.0 | 2.0 |",
        "It helped.",
        "mmchat models remove bot",
    ):
        assert words in card
    write_card(folder, origin(), preparation(), result(folder))
    assert "They were not compared." in (folder / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_settings_are_whole(folder: Path) -> None:
    write_settings(folder, origin(), preparation(), result(folder))
    saved = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    assert (saved["base"], saved["base_revision"], saved["method"]) == ("smollm2-135m", "c0ffee", "lora")
    assert saved["settings"]["learning_rate"] == 2e-4
    assert saved["data"] == [{"path": "/data/a|b.jsonl", "sha256": "ab" * 32, "rows": 0}]
    assert {"mmchat", "torch", "peft"} <= set(saved["packages"])
