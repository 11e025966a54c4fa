"""Which key does what: one table for the app's bindings, its hints and help, and the check of `[keymap]`.

Nothing of Textual is imported, so the command line can check a user's settings before the app is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_KEYS: Mapping[str, str] = {
    "help": "f1",
    "new": "ctrl+n",
    "sessions": "ctrl+s",
    "attach": "ctrl+o",
    "paste": "alt+v",
    "pictures": "alt+p",
    "voice": "ctrl+t,f2",
    "regen": "ctrl+r",
    "good": "f3",
    "bad": "f4",
    "edit": "alt+e",
    "older": "alt+left,f8",
    "newer": "alt+right,f9",
    "restore": "alt+z",
    "latest": "ctrl+end",
    "palette": "ctrl+p",
    "quit": "ctrl+q",
}
"""What a key can be chosen for → its keys, the first being the one that is shown. The names of commands are theirs."""

_FIXED = """
    escape enter tab space ctrl+c ctrl+d ctrl+j ctrl+m ctrl+i ctrl+h shift+enter alt+enter ctrl+enter shift+tab
    up down left right home end pageup pagedown backspace delete
    ctrl+left ctrl+right ctrl+shift+left ctrl+shift+right
    shift+up shift+down shift+left shift+right shift+home shift+end
    ctrl+a ctrl+e ctrl+f ctrl+w ctrl+u ctrl+k ctrl+x ctrl+v ctrl+y ctrl+z ctrl+shift+z super+x super+c super+v
    super+z super+shift+z super+backspace ctrl+backspace alt+backspace alt+delete ctrl+shift+k super+y f6 f7
    ctrl+pageup ctrl+pagedown
"""
FIXED_KEYS = frozenset(_FIXED.split())
"""Taken by the input box and by stopping and leaving."""

_MODIFIERS = ("ctrl", "alt", "shift", "super", "meta", "hyper")
_NAMED = frozenset(
    [*(f"f{number}" for number in range(1, 25)), "up", "down", "left", "right", "home", "end", "pageup", "pagedown",
     "insert", "delete", "backspace", "enter", "tab", "escape", "space"]
)  # fmt: skip
_SHOWN = {"pageup": "PageUp", "pagedown": "PageDown", "escape": "Esc"}


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys in force."""

    chosen: Mapping[str, str] = field(default_factory=dict)
    """Only what differs from `DEFAULT_KEYS`; checked by `key_problems` before."""

    def label(self, name: str) -> str:
        """The key of a command as people write it, e.g. `Ctrl+T`; empty where it has none."""
        if name == "stop":
            return "Esc"
        keys = self.chosen.get(name) or DEFAULT_KEYS.get(name, "")
        return "+".join(_SHOWN.get(part, part.capitalize()) for part in keys.partition(",")[0].split("+"))


STANDARD_KEYS = Keys()
"""Nothing chosen."""


def normalised(keys: str) -> str:
    """`Ctrl+R, F5` as `ctrl+r,f5`: modifiers in one order."""
    return ",".join(_normalised_key(key) for key in keys.split(","))


def _normalised_key(key: str) -> str:
    *modifiers, last = [part.strip().lower() for part in key.split("+")]
    return "+".join([*sorted(modifiers, key=lambda each: (each != "ctrl", each)), last])


def key_problems(chosen: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with chosen keys, by the names they are for (which must be known and the keys `normalised`)."""
    problems: dict[str, str] = {}
    in_force = {**DEFAULT_KEYS, **chosen}
    for name, keys in chosen.items():
        for key in keys.split(","):
            others = [other for other, taken in in_force.items() if other != name and key in taken.split(",")]
            if what := _wrong_key(key):
                problems[name] = what
            elif others:
                problems[name] = f"'{key}' is the key for '{others[0]}' already."
    return problems


def _wrong_key(key: str) -> str:
    *modifiers, last = key.split("+")
    is_character = len(last) == 1 and last.isascii() and last.isalnum()
    if not all(modifier in _MODIFIERS for modifier in modifiers) or not (is_character or last in _NAMED):
        return f"'{key}' is no key. Write it as 'ctrl+g', 'alt+v' or 'f5'."
    if is_character and not set(modifiers) - {"shift"}:
        return f"'{key}' is typed into messages. Put ctrl+ or alt+ before it, or take a function key."
    return f"'{key}' is a key of the input box." if key in FIXED_KEYS else ""
