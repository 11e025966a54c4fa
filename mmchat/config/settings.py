"""`settings.toml`: the user's preferences.

Precedence, strongest first: a flag, the environment (`MMCHAT_TEMPERATURE=0.2`), settings.toml,
models.toml, the defaults here. Flags are laid over by `wiring`; a model's name is None here where
models.toml decides.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmchat import paths
from mmchat.config.problems import read_toml, validation_problems
from mmchat.errors import ConfigError
from mmchat.role_values import MaskKind

ENVIRONMENT_PREFIX = "MMCHAT_"
_TABLES = frozenset({"keymap", "voices"})
_LISTS = frozenset({"mask"})


class Settings(BaseModel):
    """What a user may set once for all. Every key but the tables has a variable `MMCHAT_<KEY>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = None
    """Language model: a name of models.toml, NAME@ENGINE, or the path of a folder or .gguf file."""
    asr: str | None = None
    """Speech recogniser."""
    vision: str | None = None
    """Image reader."""
    embed: str | None = None
    """Sentence encoder for recall."""

    system: str = ""
    """Said to the model before every conversation that has no role."""
    persona: str = ""
    """Role of new conversations, such as tutor or tutor:zh; empty: nobody's."""
    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$")
    """Language of speech, ISO 639-1; absent: detected."""
    chinese: Literal["simplified", "traditional", "any"] | None = None
    """Characters that Chinese speech is written in; absent: as the speech model says, which is simplified."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Longest reply. Absent, like the two below: what suits the model, as models.toml says."""
    temperature: float | None = Field(default=None, ge=0, le=5)
    """0 always takes the likeliest word."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = Field(default=None, ge=0)
    """Fixed, the same question gets the same answer."""
    window_tokens: int = Field(default=0, ge=0)
    """How much of the conversation the model is shown at most; 0: all that its context holds."""
    recall: bool = True
    """Bring back older turns that bear on the present one."""
    read_ahead: bool = True
    """Have the model read a message while it is typed, so that its reply begins sooner; costs processor time."""
    read_text: bool = True
    """Read the text that stands in pictures."""
    intent_model: str = ""
    """A trained head that tells what messages want in conversations without a role; empty: none."""
    mood: bool = False
    """Read how messages sound, in every conversation."""
    mask: tuple[MaskKind, ...] = ()
    """Personal data that is masked before anything is stored: card, phone, mail, identity, account; in the environment
    with commas between them."""
    facts: bool = True
    """Remember facts about the user from what they say, and tell the model those that bear on the message."""

    threads: int = Field(default=0, ge=0)
    """0: as many as this process may use."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    microphone: str = ""
    """The device's name, or part of it, as /mic lists it; empty: the system's default."""
    auto_stop_s: float = Field(default=0.0, ge=0, le=10)
    """A recording ends by itself after so many seconds of silence; 0: only when you end it."""
    recording_limit_s: int = Field(default=300, ge=10, le=3600)
    """The longest recording; it is kept and turned into words when it is reached."""
    keep_recording: bool = True
    """Keep the last recording, one file, for /retranscribe."""
    live_text: bool = True
    """Show words while you speak, where the machine is quick enough."""
    speak: bool = False
    """Speak replies aloud."""
    speak_command: str = ""
    """The program that speaks, such as espeak-ng, or a command in which {voice} stands for the voice, which reads the
    words from its standard input; empty: the first that is found."""
    voices: dict[str, str] = Field(default_factory=dict)
    """Language → the voice that speaks it, as the program calls it."""

    theme: str = ""
    """Colours of the app; empty: its own choice."""
    previews: Literal["auto", "blocks", "off"] = "auto"
    """Pictures in the conversation: as well as the terminal can show them, with half blocks, or not at all."""
    keymap: dict[str, str] = Field(default_factory=dict)
    """What a key does → the key, e.g. `voice = "f5"`. The names and the keys are checked before the app starts."""


def load_settings(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read settings.toml, lay the environment over it, and check both.

    Args:
        path: default: `paths.settings_path()`; it need not exist.
        environment: default: the process's own.

    Raises:
        ConfigError: every wrong key and value of both at once.
    """
    path = path or paths.settings_path()
    values = read_toml(path) if path.is_file() else {}
    from_environment = _from_environment(os.environ if environment is None else environment)
    try:
        return Settings.model_validate({**values, **from_environment})
    except ValidationError:
        # Checked apart only now, so that each complaint names the place to mend.
        raise _settings_error(path, values, from_environment) from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """The variables that name a setting. Empty ones count as not set; others of the prefix are not ours."""
    found: dict[str, Any] = {}
    for key in Settings.model_fields:
        if key not in _TABLES and (value := environment.get(ENVIRONMENT_PREFIX + key.upper(), "")):
            found[key] = [each.strip() for each in value.split(",")] if key in _LISTS else value
    return found


def _settings_error(path: Path, values: dict[str, Any], from_environment: dict[str, Any]) -> ConfigError:
    problems: list[str] = []
    try:
        Settings.model_validate(values)
    except ValidationError as error:
        problems += validation_problems(error, path, "", Settings)
    try:
        Settings.model_validate(from_environment)
    except ValidationError as error:
        for line in validation_problems(error, "environment", "", Settings):
            place, key, rest = line.split(": ", 2)
            problems.append(f"{place}: {ENVIRONMENT_PREFIX}{key.upper()}: {rest}")
    return ConfigError("\n".join(problems), hint="Mend what is named, or take it out.")


def save_setting(key: str, value: str | bool | int | float, path: Path | None = None) -> None:
    """Write one top-level setting, leaving the rest of the file, comments included, as it is.

    Raises:
        ConfigError: no such setting or value, or the file cannot be written.
    """
    path = path or paths.settings_path()
    try:
        Settings.model_validate({key: value})
    except ValidationError as error:
        raise ConfigError("\n".join(validation_problems(error, path, "", Settings))) from error
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        text = _with_setting(text, f"{key} = {_toml_value(value)}", key)
        tomllib.loads(text)  # never leave behind what we could not read again
        paths.private_dir(path.parent)
        paths.replace_text(path, text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}", hint="Mend that line, or move the file away.") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}.") from error


def _toml_value(value: str | bool | int | float) -> str:
    """As JSON writes it, which TOML reads too but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _with_setting(text: str, line: str, key: str) -> str:
    """`text` with `line` in place of the key's old one, or before the first table."""
    first_table = re.search(r"^[ \t]*\[", text, re.MULTILINE)
    end = first_table.start() if first_table else len(text)
    top, rest = text[:end], text[end:]
    old = re.search(rf"^[ \t]*{re.escape(key)}[ \t]*=.*$", top, re.MULTILINE)
    if old:
        return top[: old.start()] + line + top[old.end() :] + rest
    gap = "" if not top or top.endswith("\n") else "\n"
    return f"{top}{gap}{line}\n{rest}"
