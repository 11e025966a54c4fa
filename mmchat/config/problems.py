"""Says what is wrong with a TOML file, all of it at once, with the nearest right word."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from mmchat.errors import ConfigError


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        ConfigError: unreadable or not TOML, with the line the parser names.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}", hint="Mend that line, or move the file away.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text.", hint="Save the file as UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.", hint="Check the file's permissions.") from error


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest known word, or nothing."""
    matches = difflib.get_close_matches(word.lower(), {name.lower(): name for name in known}, n=1, cutoff=0.6)
    if not matches:
        return ""
    original = next(name for name in known if name.lower() == matches[0])
    return f" Did you mean '{original}'?"


def problem(path: Path | str, key: str, what: str) -> str:
    """One line of a report."""
    return f"{path}: {key}: {what}" if key else f"{path}: {what}"


def validation_problems(
    error: ValidationError, path: Path | str, prefix: str, model: type[BaseModel]
) -> tuple[str, ...]:
    """Every complaint of pydantic as `file: dotted.key: what. Did you mean 'x'?`, one for each place."""
    items = error.errors(include_url=False, include_context=False)
    places = [_place(model, item["loc"]) for item in items]
    entered = {place.union for place in places if place.union and not place.is_whole_branch}
    wanted: dict[tuple[str, ...], list[str]] = {}
    for item, place in zip(items, places, strict=True):
        if place.is_whole_branch and item["type"] in _WANTED:
            wanted.setdefault(place.union, []).append(_WANTED[item["type"]])
    lines: dict[str, None] = {}
    for item, place in zip(items, places, strict=True):
        if place.is_whole_branch and place.union in entered:
            continue  # it was meant as another kind of value, which has the mistake
        dotted = ".".join([prefix, *place.keys] if prefix else place.keys)
        kinds = wanted.get(place.union, []) if place.is_whole_branch else []
        what = f"should be {' or '.join(kinds)}, not {item['input']!r}." if kinds else _what(item, place)
        lines[problem(path, dotted, what)] = None
    return tuple(lines)


_WANTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}
"""pydantic's kinds of complaint → what a person would have written."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a complaint belongs in the file."""

    keys: tuple[str, ...]
    """As they stand in the file: pydantic also names the branch of a union that it tried."""
    beside: tuple[str, ...]
    """The keys allowed where the last one stands."""
    union: tuple[str, ...] = ()
    """The keys of the innermost value that may be of several kinds."""
    is_whole_branch: bool = False
    """The value is not of the kind that was tried at all."""


def _place(model: type[BaseModel], loc: tuple[int | str, ...]) -> _Place:
    keys: list[str] = []
    union: tuple[str, ...] = ()
    annotation: Any = model
    beside: tuple[str, ...] = ()
    is_whole_branch = False
    for part in map(str, loc):
        branches = _branches(annotation)
        is_whole_branch = len(branches) > 1
        if is_whole_branch:
            union = tuple(keys)
            annotation = next((each for each in branches if getattr(each, "__name__", "") == part), None)
        elif part != "[key]":
            keys.append(part)
            annotation, beside = _inside(branches[0], part)
    return _Place(tuple(keys), beside, union, is_whole_branch)


def _branches(annotation: Any) -> list[Any]:
    """The kinds of value that are possible, without None and what narrows them."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) not in (Union, UnionType):
        return [annotation]
    kinds = [kind for each in get_args(annotation) for kind in _branches(each) if kind is not NoneType]
    return kinds or [annotation]


def _inside(annotation: Any, key: str) -> tuple[Any, tuple[str, ...]]:
    """What is allowed under a key, and the keys allowed beside it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields
        return (fields[key].annotation if key in fields else None), tuple(fields)
    arguments = [each for each in get_args(annotation) if each is not Ellipsis]
    return (arguments[-1] if arguments else None), ()


def _what(item: Any, place: _Place) -> str:
    kind = item["type"]
    if kind == "extra_forbidden":
        return f"no such key.{did_you_mean(place.keys[-1], place.beside)}"
    if kind == "missing":
        return "is missing."
    if kind == "value_error":
        return str(item["msg"]).removeprefix("Value error, ").rstrip(".") + "."
    if kind == "literal_error":
        expected = str(item["msg"]).removeprefix("Input should be ")
        choices = [word.strip("' ") for word in expected.replace(" or ", ", ").split(",")]
        return f"{item['input']!r} is none of {expected}.{did_you_mean(str(item['input']), choices)}"
    if kind in _WANTED:
        return f"should be {_WANTED[kind]}, not {item['input']!r}."
    message = str(item["msg"])
    if kind in ("too_short", "too_long"):
        return message.partition(" after")[0].replace("Tuple", "the list") + "."
    return f"{message[:1].lower()}{message[1:]}, not {item['input']!r}."
