"""Says what is wrong with a TOML file, all of it at once, with the nearest right word."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

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
    """Every complaint of pydantic as `file: dotted.key: what. Did you mean 'x'?`."""
    lines = []
    for item in error.errors(include_url=False, include_context=False):
        keys = [str(key) for key in item["loc"]]
        dotted = ".".join([prefix, *keys] if prefix else keys)
        lines.append(problem(path, dotted, _what(item, keys, model)))
    return tuple(lines)


def _what(item: Any, keys: list[str], model: type[BaseModel]) -> str:
    kind = item["type"]
    if kind == "extra_forbidden":
        return f"no such key.{did_you_mean(keys[-1], _field_names(model, keys[:-1]))}"
    if kind == "missing":
        return "is missing."
    if kind == "value_error":
        return str(item["msg"]).removeprefix("Value error, ").rstrip(".") + "."
    if kind == "literal_error":
        expected = str(item["msg"]).removeprefix("Input should be ")
        choices = [word.strip("' ") for word in expected.replace(" or ", ", ").split(",")]
        return f"{item['input']!r} is none of {expected}.{did_you_mean(str(item['input']), choices)}"
    message = str(item["msg"])
    return f"{message[:1].lower()}{message[1:]}, not {item['input']!r}."


def _field_names(model: type[BaseModel], keys: list[str]) -> list[str]:
    """The keys allowed where `keys` leads, following nested models."""
    current: type[BaseModel] | None = model
    for key in keys:
        if key.isdigit() or current is None:
            continue
        field = current.model_fields.get(key)
        current = _nested_model(field.annotation) if field else None
    return list(current.model_fields) if current else []


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if found := _nested_model(argument):
            return found
    return None
