"""`mmchat models` on what finetune leaves: shown with its base, removed whole, exported or refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmchat import paths
from mmchat.config.user_models import register
from tests.cli.conftest import Run


@pytest.fixture
def bot(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `bot`, an adapter on the default model, as finetune leaves it."""
    monkeypatch.delenv("MMCHAT_WEIGHTS", raising=False)
    folder = paths.data_dir() / "models" / "bot"
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(bytes(1000))
    (folder / "README.md").write_text("# bot\n")
    fields = {"kind": "lm", "base": "smollm2-135m", "adapter": str(folder / "adapter"), "license": "Apache-2.0"}
    register("bot", fields)
    return folder


def test_list_and_info_name_base_adapter_and_size(bot: Path, run: Run) -> None:
    rows = {line.split("\t")[0]: line.split("\t") for line in run("models", "list", "-k", "lm").out.splitlines()}
    assert rows["bot"][3] == "1.0 kB"
    assert "on smollm2-135m" in rows["bot"][5]
    info = dict(line.split("\t") for line in run("models", "info", "bot").out.splitlines())
    assert (info["base"], info["adapter"]) == ("smollm2-135m", str(bot / "adapter"))
    assert json.loads(run("models", "info", "bot", "--json").out)["size_on_disk_bytes"] == 1000 + 21


def test_remove_takes_folder_merged_file_and_entry(bot: Path, run: Run) -> None:
    merged = paths.weights_dir() / "bot" / "llamacpp"
    merged.mkdir(parents=True)
    (merged / "bot.Q8_0.gguf").write_bytes(bytes(500))
    asked = run("models", "remove", "bot")
    assert (asked.code, bot.is_dir()) == (2, True)
    assert "--yes" in asked.err
    assert run("models", "remove", "bot", "--yes").code == 0
    assert not bot.exists()
    assert not merged.parent.exists()
    assert run("models", "info", "bot").code == 3


def test_an_adapter_of_the_users_own_stays(home: Path, tmp_path: Path, run: Run) -> None:
    adapter = tmp_path / "mine"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    register("mine", {"kind": "lm", "base": "smollm2-135m", "adapter": str(adapter)})
    done = run("models", "remove", "mine", "--yes")
    assert (done.code, adapter.is_dir()) == (3, True)
    assert run("models", "info", "mine").code == 0


def test_the_adapter_is_exported_and_never_written_over_unasked(bot: Path, tmp_path: Path, run: Run) -> None:
    target = tmp_path / "out"
    first = run("models", "export", "bot", "--to", "adapter", "-o", str(target))
    assert (first.code, first.out) == (0, f"{target}\n")
    names = {"adapter_config.json", "adapter_model.safetensors"}
    assert {path.name for path in target.iterdir()} == names
    (target / "adapter_config.json").write_text("older")
    again = run("models", "export", "bot", "--to", "adapter", "-o", str(target))
    assert (again.code, (target / "adapter_config.json").read_text()) == (2, "older")
    assert "--yes" in again.err
    assert run("models", "export", "bot", "--to", "adapter", "-o", str(target), "--yes").code == 0
    assert (target / "adapter_config.json").read_text() == '{"peft_type": "LORA"}'
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".out")] == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["bot", "--to", "onnx"], 2, "safetensors, gguf, adapter"),
        (["bot", "--to", "gguf", "--quant", "q4"], 2, "q8_0, f16, bf16"),
        (["bot", "--to", "safetensors", "--quant", "q8_0"], 2, "no format of safetensors"),
        (["smollm2-135m", "--to", "adapter"], 2, "has no adapter"),
        (["smollm2-135m", "--to", "gguf", "--quant", "f16"], 2, "copied"),
        (["whisper-base", "--to", "gguf"], 2, "mmchat models path whisper-base"),
        (["bot", "--to", "gguf"], 3, "mmchat models pull smollm2-135m"),
    ],
)
def test_what_cannot_be_exported(arguments: list[str], code: int, words: str, bot: Path, run: Run) -> None:
    done = run("models", "export", *arguments)
    assert done.code == code
    assert words in done.err
    assert done.out == ""


def test_a_folder_that_is_no_model_is_never_replaced(bot: Path, tmp_path: Path, run: Run) -> None:
    precious = tmp_path / "photos"
    precious.mkdir()
    (precious / "holiday.jpg").touch()
    done = run("models", "export", "bot", "--to", "adapter", "-o", str(precious), "--yes")
    assert done.code == 2
    assert [path.name for path in precious.iterdir()] == ["holiday.jpg"]


def test_an_adapter_of_the_prompt_names_what_works(bot: Path, run: Run) -> None:
    (bot / "adapter" / "adapter_config.json").write_text('{"peft_type": "PREFIX_TUNING"}')
    done = run("models", "export", "bot", "--to", "gguf")
    assert (done.code, "PREFIX_TUNING" in done.err, "--to adapter" in done.err) == (2, True, True)
