"""Every command explains itself and stands in the README; the packaged models file is in order."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from mmchat.cli.app import COMMANDS, command
from mmchat.cli.exits import main
from mmchat.config.models_file import load_models_file

ROOT = Path(__file__).parents[2]


def all_commands() -> list[tuple[str, Any]]:
    """Every command with its full name, groups included."""
    found: list[tuple[str, Any]] = []

    def walk(name: str, node: Any) -> None:
        found.append((name, node))
        for child in getattr(node, "list_commands", lambda _: [])(None):
            walk(f"{name} {child}", node.get_command(None, child))

    walk("mmchat", command())
    return found


COMMAND_LIST = all_commands()


@pytest.mark.parametrize(("name", "node"), COMMAND_LIST, ids=[name for name, _ in COMMAND_LIST])
def test_every_command_and_option_has_help(name: str, node: Any) -> None:
    assert node.help, f"{name} says nothing about itself"
    for parameter in node.params:
        is_option = parameter.param_type_name == "option"
        assert not is_option or parameter.help, f"{name}: {parameter.name} has no help"


def test_help_has_its_short_flag(capsys: pytest.CaptureFixture[str]) -> None:
    for args in (["-h"], ["ask", "-h"], ["sessions", "list", "-h"]):
        assert main(args) == 0
        usage = capsys.readouterr().out
        assert usage.startswith("Usage: mmchat")
        assert "[[" not in usage


@pytest.mark.parametrize(("name", "node"), COMMAND_LIST[1:], ids=[name for name, _ in COMMAND_LIST[1:]])
def test_no_list_of_commands_breaks_off_in_mid_sentence(name: str, node: Any) -> None:
    assert not node.get_short_help_str(62).endswith("...")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_examples(name: str) -> None:
    node = command().get_command(None, name)
    assert node.epilog
    assert f"mmchat {name}" in node.epilog


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name: str) -> None:
    assert f"mmchat {name}" in (ROOT / "README.md").read_text()


def test_the_readme_names_no_command_that_does_not_exist() -> None:
    named = re.findall(
        r"\bmmchat ([a-z]+)\b", " ".join(re.findall(r"`[^`]*`|```.*?```", (ROOT / "README.md").read_text(), re.DOTALL))
    )
    assert set(named) <= set(COMMANDS)


def test_the_readme_prints_the_test_command_that_ci_runs() -> None:
    test_command = "pip install -e '.[dev]' && pytest"
    assert test_command in (ROOT / "README.md").read_text()
    assert test_command in (ROOT / ".ci" / "run").read_text()


def test_the_packaged_models_file_has_no_problems() -> None:
    assert load_models_file().problems == ()


def test_the_wheel_carries_the_models_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert all((ROOT / source).is_file() for source in included)
    assert "models.toml" in included


def test_nothing_committed_names_a_package_index() -> None:
    pattern = r"pypi\.org/simple|--index-url|--extra-index-url|index-url *=|files\.pythonhosted\.org"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode != 0:
        pytest.skip("not a git checkout, so there is nothing committed to look at; clone the repository to run this")
    guilty = [
        name
        for name in tracked.stdout.split("\0")
        if name and name != Path(__file__).relative_to(ROOT).as_posix() and (ROOT / name).is_file()
        if re.search(pattern, (ROOT / name).read_text(errors="replace"))
    ]
    assert guilty == []


def test_modules_stay_short() -> None:
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for path in (ROOT / "mmchat").rglob("*.py")
        if (lines := len(path.read_text().splitlines()))
        > 450  # the alarm rings at 400, and going on takes a reason; this is the wall
    }
    assert long == {}


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def printed_commands() -> list[tuple[str, list[str]]]:
    """Every `mmchat …` line of the documents' shell blocks, with its file."""
    found = []
    for path in DOCUMENTS:
        for block in re.findall(r"```sh\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.splitlines():
                for part in re.split(r"\s*(?:&&|\|)\s*", line):
                    words = shlex.split(part, comments=True)
                    if "mmchat" in words:
                        arguments = words[words.index("mmchat") + 1 :]
                        found.append((path.name, list(takewhile(lambda word: word not in (">", "<"), arguments))))
    return found


@pytest.mark.parametrize(("document", "arguments"), printed_commands(), ids=lambda each: str(each)[:60])
def test_commands_in_the_documents_are_understood(document: str, arguments: list[str]) -> None:
    """The command, its subcommand and all its options exist, and take what they are given."""
    node, context = command(), None
    while True:
        context = node.make_context(node.name, arguments, parent=context)
        rest = [*getattr(context, "_protected_args", ()), *context.args]
        if not rest or not hasattr(node, "get_command"):
            return
        name, child, arguments = node.resolve_command(context, rest)
        assert child is not None, f"{document}: no command {name}"
        node = child
