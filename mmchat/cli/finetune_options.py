"""What was typed after `mmchat finetune`, checked before a row is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from mmchat.config.problems import did_you_mean
from mmchat.errors import UsageError
from mmchat.rows.reader import find_row_files
from mmchat.train.base import METHODS, TrainSettings
from mmchat.train.results import results_dir
from mmchat.wiring.finetune import Request, interrupted_names, load_request

_FLAGS = {
    "learning_rate": "--lr",
    "replay_share": "--replay",
    "should_skip_bad": "--skip-bad",
    "is_unevaluated": "--no-eval",
    "is_forced": "--force",
    "is_dry": "--dry-run",
    "should_resume": "--resume",
    "is_sure": "--yes",
    "as_json": "--json",
    "is_list": "--list-methods",
    "data": "DATA",
}
"""Options that are not called as their parameter."""
_SETTINGS = {field.name for field in fields(TrainSettings)}
_RESUMABLE = {"data", "name", "should_resume", "as_json", "is_sure", "is_unevaluated"}
"""What may be typed beside --resume and need not be as it was."""


@dataclass(frozen=True, slots=True)
class FinetuneChoice:
    """What to do, and how to show it."""

    request: Request
    should_resume: bool = False
    is_forced: bool = False
    is_dry: bool = False
    is_sure: bool = False
    as_json: bool = False
    is_list: bool = False


def read(typed: Mapping[str, Any]) -> FinetuneChoice:
    """Check the options.

    Args:
        typed: by parameter, as Typer parsed them; None, False or empty where nothing was typed.

    Raises:
        UsageError: no rows, options that exclude each other, or a value that cannot be.
    """
    given = {name: value for name, value in typed.items() if value not in (None, False, [], ())}
    flags = {name: bool(given.get(name)) for name in ("should_resume", "is_forced", "is_dry", "is_sure", "as_json")}
    if given.get("is_list"):
        _exclude(given, "is_list", {"as_json"}, "it only lists methods")
        return FinetuneChoice(Request(TrainSettings((), "", "")), as_json=flags["as_json"], is_list=True)
    _check_values(given)
    if flags["should_resume"]:
        return FinetuneChoice(_resumed(given), **flags)
    if not given.get("data"):
        raise UsageError("Which rows?", hint="For example: mmchat finetune talks.jsonl --dry-run")
    return FinetuneChoice(_request(given), **flags)


def _request(given: Mapping[str, Any]) -> Request:
    values = {name: value for name, value in given.items() if name in _SETTINGS}
    values["data"] = tuple(str(Path(path).expanduser().absolute()) for path in given["data"])
    values["chosen"] = tuple(sorted(values))
    for name in ("model", "name"):
        values.setdefault(name, "")
    if "validation" in values:
        values["validation"] = str(values["validation"].absolute())
    values["chosen"] = tuple(sorted(name for name in given if name in _SETTINGS))
    return Request(
        TrainSettings(**values),
        tuple(str(path.absolute()) for path in given.get("eval_data", ())),
        should_evaluate=not given.get("is_unevaluated", False),
    )


# --- going on -------------------------------------------------------------------------------------


def _resumed(given: Mapping[str, Any]) -> Request:
    """The request of the finetune that is meant; what is typed beside must say the same."""
    for mode, why in (("is_forced", "one goes on, the other begins anew"), ("is_dry", "its rows were checked")):
        if given.get(mode):
            raise UsageError(f"--resume and {_flag(mode)} exclude each other: {why}.", hint="Leave one of them out.")
    names, data = _names_and_paths(given)
    name = names[0] if names else _found(data)
    saved = load_request(results_dir() / name)
    now = _request({**given, "data": data})
    for field in sorted(given.keys() - _RESUMABLE):
        before, after = (_value(request, field) for request in (saved, now))
        if before != after:
            raise UsageError(
                f"'{name}' was begun with {_flag(field)} {_shown(before)}, not {_shown(after)}.",
                hint="Leave the option out to go on, or begin anew with --force.",
            )
    if data and set(data) != set(saved.settings.data):
        raise UsageError(
            f"'{name}' was begun with {_shown(saved.settings.data)}, not {_shown(data)}.",
            hint=f"Go on with: mmchat finetune --resume {name}",
        )
    return replace(saved, should_evaluate=saved.should_evaluate and not given.get("is_unevaluated", False))


def _names_and_paths(given: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What of the arguments names a finetune, and the files of rows among them.

    Raises:
        UsageError: several names.
        DataError: a folder without rows.
    """
    typed = given.get("data", ())
    names = [given["name"]] if "name" in given else []
    names += [each for each in typed if not Path(each).exists()]
    if len(names) > 1:
        raise UsageError(
            f"{' and '.join(names)}: one finetune goes on at a time.", hint=f"mmchat finetune --resume {names[0]}"
        )
    found = [Path(each) for each in typed if Path(each).exists()]
    return tuple(names), tuple(str(path.absolute()) for path in find_row_files(found))


def _found(data: Sequence[str]) -> str:
    """The only interrupted finetune, or the only one that was begun with these rows."""
    names = interrupted_names()
    if data:
        names = tuple(name for name in names if set(data) == set(load_request(results_dir() / name).settings.data))
    if not names:
        raise UsageError("There is no interrupted finetune to go on with.", hint="Leave out --resume to begin.")
    if len(names) > 1:
        raise UsageError(
            f"{len(names)} finetunes were interrupted: {', '.join(names)}.",
            hint=f"Say which: mmchat finetune --resume {names[0]}",
        )
    return names[0]


def _value(request: Request, field: str) -> object:
    return request.eval_data if field == "eval_data" else getattr(request.asked or request.settings, field)


# --- values ---------------------------------------------------------------------------------------


def _check_values(given: Mapping[str, Any]) -> None:
    if "method" in given:
        _check_one_of("method", given["method"], METHODS, "mmchat finetune --list-methods explains them.")
    hints = get_type_hints(TrainSettings)
    for name, what in (("fusion", "way to join"), ("dtype", "number format"), ("log_to", "place for curves")):
        if name in given:
            allowed = get_args(hints[name])
            _check_one_of(what, given[name], allowed, f"One of: {', '.join(allowed)}.")
    if "validation" in given and "validation_share" in given:
        raise UsageError("--validation and --validation-share exclude each other.", hint="Leave one of them out.")
    if "eval_data" in given and given.get("is_unevaluated"):
        raise UsageError("--eval-data and --no-eval exclude each other.", hint="Leave one of them out.")


def _check_one_of(what: str, value: str, allowed: Sequence[str], hint: str) -> None:
    if value not in allowed:
        raise UsageError(f"There is no {what} '{value}'.{did_you_mean(value, allowed)}", hint=hint)


def _exclude(given: Mapping[str, Any], mode: str, allowed: set[str], why: str) -> None:
    others = [_flag(name) for name in given if name != mode and name not in allowed]
    if others:
        raise UsageError(f"{_flag(mode)} and {', '.join(others)} exclude each other: {why}.", hint="Leave one out.")


def _flag(name: str) -> str:
    return _FLAGS.get(name, f"--{name.replace('_', '-')}")


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
