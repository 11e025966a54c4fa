"""A model for words learns to see from the command line: trained, compared, shown, asked, refused, removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Run
from tests.contract import tiny_models
from tests.contract.test_vision import write_tiny_clip

MODELS = """
schema_version = 1
[defaults]
lm = "tiny"
vision = "eyes"
[models.tiny]
kind = "lm"
engine = "transformers"
format = "safetensors"
license = "Apache-2.0"
context_tokens = 512
sources = [{{ source = "dir:{lm}" }}]
[models.eyes]
kind = "vision"
engine = "open_clip"
format = "open_clip"
sources = [{{ source = "dir:{vision}" }}]
"""
SMALL = ("--batch-size", "4", "--lr", "1e-2", "--dtype", "float32", "--log-to", "none", "--max-steps", "4")
COLOURS = ("red", "blue", "green")


@pytest.fixture
def seeing_home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a tiny language model and a tiny vision model."""
    lm, vision = tiny_models.decoder(tmp_path / "lm", "llama"), write_tiny_clip(tmp_path / "vision")
    (home / "config").mkdir(parents=True)
    (home / "config" / "models.toml").write_text(MODELS.format(lm=lm, vision=vision))
    monkeypatch.setenv("MMCHAT_WEIGHTS", str(home / "weights"))
    return home


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    lines = []
    for index in range(12):
        colour = COLOURS[index % 3]
        Image.new("RGB", (40 + index, 40), colour).save(tmp_path / f"{index}.png")
        lines.append({"image": f"{index}.png", "captions": [f"all {colour}", f"a {colour} wall"]})
    path = tmp_path / "photos.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_from_captions_to_a_model_that_is_asked(run: Run, seeing_home: Path, photos: Path, tmp_path: Path) -> None:
    shared = ("--method", "projector-lora", "--name", "mine", "--validation-share", "0.25", "--json")
    done = run("finetune", str(photos), *shared, *SMALL)
    assert done.code == 0, done.err
    assert json.loads(done.out)["preparation"]["task"] == "picture"
    folder = seeing_home / "data" / "models" / "mine"
    assert {each.name for each in folder.iterdir()} >= {"projector", "adapter", "README.md", "settings.json"}
    assert not (folder / "checkpoints").exists()
    assert not (folder / "features").exists()
    compared = json.loads(done.out)["before_after"]
    assert {"cider", "bleu-4", "perplexity"} <= {each["metric"] for each in compared["scores"]}

    info = json.loads(run("models", "info", "mine", "--json").out)
    assert (info["base"], info["engine"], info["vision"]) == ("tiny", "transformers", "eyes")
    assert info["accepts_images"]
    assert info["projector"] == str(folder / "projector")
    assert info["size_on_disk_bytes"] > 1000
    words = dict(line.split("\t")[:2] for line in run("models", "info", "mine").out.splitlines())
    assert words["sees through"] == "eyes"

    asked = run("ask", "What is this?", "-m", "mine", "-a", str(tmp_path / "0.png"), "--json", "--max-tokens", "4")
    assert asked.code == 0, asked.err
    reply = json.loads(asked.out)
    bare = run("ask", "What is this?", "-m", "mine", "--json", "--max-tokens", "4", "--no-log")
    assert reply["usage"]["prompt_tokens"] == json.loads(bare.out)["usage"]["prompt_tokens"] + 9

    refused = run("finetune", str(photos), "--method", "projector", "-m", "mine", *SMALL)
    assert refused.code == 2
    assert "'mine' has learnt to see already" in refused.err
    refused = run("models", "export", "mine", "--to", "gguf", "-o", str(tmp_path / "out"))
    assert refused.code == 2
    assert "sees through a projector" in refused.err
    refused = run("ask", "What is this?", "-m", "mine@llamacpp")
    assert refused.code == 2
    assert "sees through a projector, which llamacpp cannot use" in refused.err

    assert run("models", "remove", "mine", "--yes").code == 0
    assert not folder.exists()


def test_a_dry_run_shows_the_places_of_the_picture(run: Run, seeing_home: Path, photos: Path) -> None:
    done = run("finetune", str(photos), "--method", "projector", "--dry-run", *SMALL)
    assert done.code == 0, done.err
    assert "picture · projector on tiny" in done.out
    assert "[9 places of a picture]" in done.out
    assert "each takes 9 places of the prompt" in done.out
    assert not (seeing_home / "data" / "models").exists()


def test_a_missing_or_damaged_vision_model_is_named(run: Run, seeing_home: Path, photos: Path, tmp_path: Path) -> None:
    weights = tmp_path / "vision" / "open_clip_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:300])
    done = run("finetune", str(photos), "--method", "projector", *SMALL)
    assert done.code == 3
    assert "'eyes'" in done.err
    assert "Traceback" not in done.err
    weights.unlink()
    done = run("finetune", str(photos), "--method", "projector", *SMALL)
    assert done.code == 3
    assert "'eyes'" in done.err


def test_captions_and_talks_go_together_only_to_learn_to_see(
    run: Run, seeing_home: Path, photos: Path, tmp_path: Path
) -> None:
    talks = tmp_path / "talks.jsonl"
    picture = {"type": "image", "image": "0.png"}
    turns = [
        {"role": "user", "content": [picture, {"type": "text", "text": "which colour"}]},
        {"role": "assistant", "content": "red"},
    ]
    talks.write_text("".join(json.dumps({"messages": turns, "title": str(at)}) + "\n" for at in range(4)))
    both = (str(photos), str(talks))
    done = run("finetune", *both, "--method", "projector", "--dry-run", "--json", *SMALL)
    assert done.code == 0, done.err
    assert json.loads(done.out)["rows"] == 16
    done = run("finetune", *both, "--method", "lora", "--dry-run", *SMALL)
    assert done.code == 4
    assert "One finetune takes one kind" in done.err
    done = run("finetune", str(photos), "--method", "projector", "--replay", "0.1", *SMALL)
    assert done.code == 2
    assert "--replay is not for the method 'projector'" in done.err
