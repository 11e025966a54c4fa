"""All roles at hand: those that come with mmchat, and the user's own, which go before them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mmchat import paths
from mmchat.config.model_entries import is_model_name
from mmchat.config.problems import did_you_mean
from mmchat.config.role_file import ROLE_FILE, read_role
from mmchat.errors import ConfigError, UsageError
from mmchat.role_values import Persona, Role
from mmchat.terminal_language import terminal_language

SHIPPED_DIR = Path(__file__).parents[1] / "roles"


@dataclass(frozen=True, slots=True)
class BrokenRole:
    """A file that should be a role and is none."""

    name: str
    path: Path
    error: ConfigError


def role_paths() -> dict[str, Path]:
    """Where each role is, by name, in the order of names."""
    found = {name: path for folder in (SHIPPED_DIR, paths.roles_dir()) for name, path in _in(folder).items()}
    return dict(sorted(found.items()))


def all_roles() -> tuple[list[Role], list[BrokenRole]]:
    """Every role, and every file that cannot be used as one."""
    roles, broken = [], []
    for name, path in role_paths().items():
        try:
            roles.append(_read(path))
        except ConfigError as error:
            broken.append(BrokenRole(name, path, error))
    return roles, broken


def find_role(name: str) -> Role:
    """One role by its name, or by the path of its file or folder.

    Raises:
        UsageError: there is none.
        ConfigError: its file cannot be used.
    """
    known = role_paths()
    if name in known:
        return _read(known[name])
    path = Path(name).expanduser()
    if os.sep in name or path.suffix == ".toml":
        return read_role(path)
    raise UsageError(f"There is no role '{name}'.{did_you_mean(name, known)}", hint="mmchat roles list")


def find_persona(key: str) -> Persona:
    """A role and its language: `tutor`, or `tutor:zh`. Without one, the role speaks the terminal's if it can.

    Raises:
        UsageError: there is no such role, or it does not speak that language.
        ConfigError: its file cannot be used.
    """
    name, _, language = key.rpartition(":") if _has_language(key) else (key, "", "")
    role = find_role(name)
    if language and language not in role.languages:
        raise UsageError(
            f"The role '{name}' does not speak '{language}'.", hint=f"It speaks: {', '.join(role.languages)}."
        )
    if not language:
        own = terminal_language()
        language = own if own in role.languages else role.languages[0]
    return Persona(role, language)


def new_role_path(name: str) -> Path:
    """Where a new role of that name goes.

    Raises:
        UsageError: it cannot be a name, or there is one already.
    """
    if not is_model_name(name):
        raise UsageError(
            f"'{name}' cannot name a role.", hint="Use letters, digits, '.', '_' and '-', such as travel-guide."
        )
    if known := _in(paths.roles_dir()).get(name):
        raise UsageError(f"There is a role '{name}' already: {known}", hint="Choose another name.")
    return paths.roles_dir() / f"{name}.toml"


def write_role(path: Path, text: str) -> None:
    """Put a role's file in place, whole or not at all.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        paths.private_dir(path.parent)
        paths.replace_text(path, text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}.") from error


def _read(path: Path) -> Role:
    return read_role(path, is_shipped=path.parent == SHIPPED_DIR)


def _has_language(key: str) -> bool:
    end = key.rpartition(":")[2]
    return ":" in key and end.isalpha() and end.islower() and len(end) in (2, 3)


def _in(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    files = {path.stem: path for path in sorted(folder.glob("*.toml")) if not path.name.startswith(".")}
    return files | {path.parent.name: path.parent for path in sorted(folder.glob(f"*/{ROLE_FILE}"))}
