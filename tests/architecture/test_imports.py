"""The layers hold, in the source and at run time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = (
    *("torch", "transformers", "whisper", "open_clip", "faster_whisper", "xllamacpp", "ctranslate2", "timm", "av"),
    *("pandas", "pyarrow"),  # come with TRL; sqlite-utils imports them wherever they are, unless it is stopped
)

SCORING = ("sacrebleu", "rouge_score", "jiwer", "sklearn", "scipy", "matplotlib", "jinja2")

LIGHT_COMMANDS = [
    ["--help"],
    ["--version"],
    ["ask", "--help"],
    ["talk", "--help"],
    ["finetune", "--help"],
    ["finetune", "--list-methods"],
    ["finetune", "nothing.jsonl"],
    ["doctor", "--no-listen", "--json"],
    ["models", "list"],
    ["models", "recommend"],
    ["eval", "--help"],
    ["eval", "--list"],
    ["eval", "runs"],
]
LIGHT_PACKAGES = [f"mmchat.{name}" for name in ("config", "memory", "rows", "chat", "evals", "tui", "wiring", "cli")]

IMPORT_ALL = """
import importlib, json, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
RUN_COMMAND = """
import contextlib, io, json, sys
from mmchat.cli.exits import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    main(sys.argv[1:])
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""

OPEN_CONVERSATION = """
import json, sys
import mmchat.cli.talk, mmchat.tui.app
from mmchat.wiring import open_desk
open_desk().close()
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def modules_after(script: str, *args: str) -> set[str]:
    """Top-level modules in a fresh interpreter after it ran `script`."""
    done = subprocess.run(
        [sys.executable, "-c", script, *args], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_layers_of_pyproject_hold() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--config", str(ROOT / "pyproject.toml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", LIGHT_COMMANDS, ids=" ".join)
def test_quick_commands_load_nothing_heavy(command: list[str]) -> None:
    loaded = modules_after(RUN_COMMAND, *command)
    assert not loaded & {*HEAVY, *SCORING, "textual"}


def test_help_loads_neither_the_database_nor_arrays() -> None:
    assert not modules_after(RUN_COMMAND, "--help") & {"sqlite3", "sqlite_utils", "numpy", "pydantic", "textual"}


def test_the_box_of_a_conversation_waits_for_no_arrays() -> None:
    loaded = modules_after(OPEN_CONVERSATION)
    assert {"textual", "sqlite_utils", "mmchat"} <= loaded
    assert not loaded & {*HEAVY, "numpy", "PIL", "tomlkit"}


@pytest.mark.parametrize("package", LIGHT_PACKAGES)
def test_importing_all_of_a_light_package_loads_nothing_heavy(package: str) -> None:
    loaded = modules_after(IMPORT_ALL, package)
    assert "mmchat" in loaded
    assert not loaded & set(HEAVY)
