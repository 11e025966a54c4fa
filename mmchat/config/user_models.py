"""Writes single entries into the user's own models.toml; whatever else stands there stays as it is."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from filelock import FileLock
from tomlkit.exceptions import TOMLKitError

from mmchat import paths
from mmchat.config.model_entries import is_model_name
from mmchat.config.models_file import SCHEMA_VERSION, load_models_file, packaged_models_path
from mmchat.config.problems import read_toml
from mmchat.errors import ConfigError, UsageError

_HEADER = f"""\
# Your own models. `mmchat finetune` writes the models it makes here; write what you like beside them.
# `mmchat models check` says what is wrong with it.

schema_version = {SCHEMA_VERSION}
"""


def check_name(name: str) -> None:
    """Refuse what cannot name a new model, before any work is done for it.

    Raises:
        UsageError: not a model's name, or the name of a model that comes with mmchat.
        ConfigError: a models.toml that cannot be read.
    """
    if not is_model_name(name):
        raise UsageError(
            f"'{name}' cannot name a model.",
            hint="A name has letters, digits, '.', '_' and '-' only, and begins with one of the first two.",
        )
    if name in read_toml(packaged_models_path()).get("models", {}):
        raise UsageError(f"'{name}' is a model that comes with mmchat.", hint="Choose another name.")
    models = load_models_file()
    if name in models.aliases:
        raise UsageError(f"'{name}' is an alias of '{models.aliases[name]}'.", hint="Choose another name.")


def register(name: str, fields: Mapping[str, Any], path: Path | None = None) -> Path:
    """Write `[models.NAME]`, in the place of an entry of that name.

    Args:
        name: of the model.
        fields: its keys, as models.toml has them; None leaves a key out.
        path: the file; absent: the user's. It is made if it is not there.

    Returns:
        The file written.

    Raises:
        UsageError: not a name for a new model.
        ConfigError: the file as it is, or as it would become, cannot be used; it is left as it was.
    """
    check_name(name)
    target = path or paths.user_models_path()
    entry = {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}
    entry = {key: value for key, value in entry.items() if value is not None}
    with _locked(target):
        old = _read(target)
        wanted = tomllib.loads(old)
        is_new = name not in wanted.get("models", {})
        wanted.setdefault("models", {})[name] = entry
        # Appending disturbs least; only an entry that is there, or a file in an uncommon form, is edited inside.
        texts = [lambda: _appended(old, name, entry)] if is_new else []
        _write(target, _first_that_says(wanted, [*texts, lambda: _edited(old, name, entry)], target), name)
    return target


def unregister(name: str, path: Path | None = None) -> bool:
    """Take `[models.NAME]` out; whether it was there.

    Raises:
        ConfigError: the file cannot be read or written; it is left as it was.
    """
    target = path or paths.user_models_path()
    if not target.is_file():
        return False
    with _locked(target):
        old = _read(target)
        wanted = tomllib.loads(old)
        if wanted.get("models", {}).pop(name, None) is None:
            return False
        if not wanted["models"]:
            del wanted["models"]
        _write(target, _first_that_says(wanted, [lambda: _without(old, name)], target), "")
    return True


def own_names(path: Path | None = None) -> frozenset[str]:
    """The models that the user's file speaks of.

    Raises:
        ConfigError: it cannot be read.
    """
    target = path or paths.user_models_path()
    models = read_toml(target).get("models") if target.is_file() else None
    return frozenset(models) if isinstance(models, Mapping) else frozenset()


def _locked(target: Path) -> FileLock:
    paths.private_dir(target.parent)
    return FileLock(target.with_name(f".{target.name}.lock"))


def _read(target: Path) -> str:
    """The file's text; what a new one begins with where there is none."""
    if not target.is_file():
        return _HEADER
    read_toml(target)  # says what is wrong with it
    return target.read_bytes().decode("utf-8")


def _appended(text: str, name: str, entry: Mapping[str, Any]) -> str:
    table = tomlkit.table(is_super_table=True)
    table[name] = _table(entry)
    document = tomlkit.document()
    document["models"] = table
    gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
    return text + gap + tomlkit.dumps(document)


def _edited(text: str, name: str, entry: Mapping[str, Any]) -> str:
    document: Any = tomlkit.parse(text)
    document["models"][name] = {**entry} if isinstance(document["models"], tomlkit.items.InlineTable) else _table(entry)
    return tomlkit.dumps(document)


def _without(text: str, name: str) -> str:
    document: Any = tomlkit.parse(text)
    del document["models"][name]
    if not document["models"]:
        del document["models"]
    return tomlkit.dumps(document).rstrip("\n") + "\n"


def _first_that_says(wanted: Mapping[str, Any], texts: Sequence[Callable[[], str]], target: Path) -> str:
    """The first text that parses to `wanted`: nothing lost, nothing changed but what was meant to.

    Raises:
        ConfigError: none does.
    """
    for make in texts:
        try:
            text = make()
            if tomllib.loads(text) == wanted:
                return text
        except (TOMLKitError, tomllib.TOMLDecodeError, KeyError):
            continue
    raise ConfigError(
        f"{target}: its models are written in a form that cannot be edited from here; it was left as it is.",
        hint="Write each model as a table of its own, [models.NAME], and run the command again.",
    )


def _table(entry: Mapping[str, Any]) -> Any:
    table = tomlkit.table()
    for key, value in entry.items():
        if key == "sources":
            sources = tomlkit.array()
            for source in value:
                inline = tomlkit.inline_table()
                inline.update(source)
                sources.append(inline)
            table[key] = sources
        else:
            table[key] = value
    return table


def _write(target: Path, text: str, name: str) -> None:
    """Put the new text in place at once, if it says what it should."""
    resolved = target.resolve()  # a link to a file kept elsewhere stays a link
    partial = resolved.with_name(f".{resolved.name}.{os.getpid()}")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
        if name:
            _check(partial, target, name)
        os.replace(partial, resolved)
    except OSError as error:
        raise ConfigError(
            f"{target}: cannot be written: {error.strerror}.", hint="Check the folder's permissions."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _check(partial: Path, target: Path, name: str) -> None:
    """Refuse an entry that could not be used."""
    problems = load_models_file(partial).broken.get(name, ())
    if problems:
        raise ConfigError("\n".join(problems).replace(str(partial), str(target)), hint="Nothing was written.")
