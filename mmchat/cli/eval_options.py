"""What was typed after `mmchat eval`, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mmchat.config.problems import did_you_mean
from mmchat.errors import UsageError
from mmchat.evals.registry import expand_metrics
from mmchat.evals.results import RunSettings
from mmchat.rows.fields import language_code

DTYPES = ("auto", "float32", "bfloat16", "float16")
REPORT_ENDINGS = (".html", ".htm")
_FLAGS = {
    "metrics": "--metric",
    "models": "--model",
    "max_new_tokens": "--max-tokens",
    "should_skip_bad": "--skip-bad",
    "as_json": "--json",
    "is_list": "--list",
}
"""Options that are not called as their parameter."""
_OUTPUT = {"as_json", "report"}


@dataclass(frozen=True, slots=True)
class EvalChoice:
    """What to do, and how to show it."""

    settings: RunSettings
    resume: str = ""
    rescore: str = ""
    report: Path | None = None
    as_json: bool = False


def read(typed: Mapping[str, Any], *, command: str | None = None) -> EvalChoice:
    """Check the options.

    Args:
        typed: by parameter, as Typer parsed them; None, False or empty where nothing was typed.
        command: the subcommand that follows them.

    Raises:
        UsageError: options that exclude each other, or a value that cannot be.
    """
    given = {name: value for name, value in typed.items() if value not in (None, False, [], ())}
    if command is not None and given:
        flags = _flags(given)
        raise UsageError(
            f"{flags} before '{command}' has no effect.",
            hint=f"Options of {command} follow it: mmchat eval {command} …",
        )
    _check_modes(given)
    check_report(typed.get("report"))
    names = {field.name for field in fields(RunSettings)}
    values = {name: value for name, value in given.items() if name in names}
    for name in ("data", "train"):
        if name in values:
            paths = values[name] if name == "data" else [values[name]]
            absolute = tuple(str(path.absolute()) for path in paths)
            values[name] = absolute if name == "data" else absolute[0]
    values["models"] = tuple(values.get("models", ()))
    values["metrics"] = tuple(part for each in values.get("metrics", ()) for part in each.split(",") if part.strip())
    expand_metrics(values["metrics"])  # a name that no metric has is said now, not after the rows were read
    _check_dtype(values.get("dtype", "auto"))
    _check_language(values.get("language", ""))
    return EvalChoice(
        RunSettings(**{"data": (), **values}),
        given.get("resume", ""),
        given.get("rescore", ""),
        given.get("report"),
        bool(given.get("as_json")),
    )


def check_report(path: Path | None) -> None:
    """Refuse a name that can hold no report, before hours are spent on what it should hold.

    Raises:
        UsageError: not an HTML file's name, a folder, or no folder to write it to.
    """
    if path is None:
        return
    if path.suffix.lower() not in REPORT_ENDINGS:
        raise UsageError(f"A report is an HTML file, and '{path}' is not named like one.", hint=f"--report {path}.html")
    if path.is_dir():
        raise UsageError(f"'{path}' is a folder.", hint=f"--report {path / 'report.html'}")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"There is no folder '{path.parent}' for the report.", hint="Make it, or choose another.")


def _check_modes(given: Mapping[str, Any]) -> None:
    for mode, allowed in (("is_list", {"as_json"}), ("resume", _OUTPUT), ("rescore", {"metrics", *_OUTPUT})):
        others = {name: value for name, value in given.items() if name != mode and name not in allowed}
        if mode in given and others:
            why = "the run keeps its own settings" if mode != "is_list" else "it only lists metrics"
            raise UsageError(
                f"{_flags({mode: given[mode]})} and {_flags(others)} exclude each other: {why}.",
                hint="Leave one of them out.",
            )


def _check_dtype(dtype: str) -> None:
    if dtype not in DTYPES:
        raise UsageError(
            f"'{dtype}' is no number format.{did_you_mean(dtype, DTYPES)}", hint=f"One of: {', '.join(DTYPES)}."
        )


def _check_language(language: str) -> None:
    """A name such as "english" would choose no tokeniser and no normaliser, and say nothing of it."""
    if language and not language_code(language):
        raise UsageError(f"'{language}' is no language code.", hint="Two letters, such as en or zh.")


def _flags(given: Mapping[str, Any]) -> str:
    return ", ".join(_FLAGS.get(name, f"--{name.replace('_', '-')}") for name in given)
