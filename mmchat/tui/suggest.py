"""What the completion list offers for a text."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mmchat.chat.attachments import kind_of
from mmchat.domain import AttachmentKind
from mmchat.tui.commands import matching
from mmchat.tui.keymap import STANDARD_KEYS, Keys
from mmchat.tui.widgets.completions import Completion

MAX_SHOWN = 8
_NAME = re.compile(r"/([A-Za-z?_-]*)")
_WITH_ARGUMENT = re.compile(r"/(\w+)\s+(.*)")
_KINDS: dict[str, tuple[AttachmentKind, ...]] = {"image": ("image",), "audio": ("audio",), "attach": ("image", "audio")}


def suggestions(
    text: str,
    cwd: Path,
    names: Mapping[str, Callable[[], Sequence[str]]],
    keys: Keys = STANDARD_KEYS,
) -> list[Completion]:
    """Completions for the text before the cursor; empty where it is no command.

    Args:
        text: the first line up to the cursor.
        cwd: where relative paths are looked up.
        names: what a command may be given, by the command; asked for only when it is being typed.
        keys: shown beside the commands.
    """
    if _NAME.fullmatch(text):
        found = [
            Completion(
                f"/{command.name}{' ' if command.argument else ''}",
                command.usage,
                f"{command.help}  {keys.label(command.name)}".rstrip(),
                should_run=not command.needs_argument,
            )
            for command in matching(text[1:])
        ]
        return found if text == "/" else found[:MAX_SHOWN]
    match = _WITH_ARGUMENT.fullmatch(text)
    if match is None:
        return []
    name, typed, start = match[1].lower(), match[2], match.start(2)
    if name in _KINDS:
        return complete_path(typed, cwd, _KINDS[name], start)
    given = names[name]() if name in names else ()
    fitting = [each for each in given if typed.lower() in each.lower() and each != typed]
    return [Completion(each, each, start=start, should_run=True) for each in fitting[:MAX_SHOWN]]


def complete_path(typed: str, cwd: Path, kinds: Sequence[AttachmentKind], start: int = 0) -> list[Completion]:
    """Folders, and files of those kinds, that begin with what was typed."""
    folder_text, _, beginning = typed.rpartition("/")
    folder_text += "/" if "/" in typed else ""
    folder = cwd / Path(folder_text).expanduser()
    try:
        with os.scandir(folder) as entries:
            names = sorted(
                entry.name + ("/" if entry.is_dir() else "")
                for entry in entries
                if entry.name.lower().startswith(beginning.lower())
                and (beginning.startswith(".") or not entry.name.startswith("."))
                and (entry.is_dir() or kind_of(entry.name) in kinds)
            )
    except OSError:
        # Half a path names no folder yet.
        return []
    found = [
        Completion(folder_text + name, name, start=start, should_run=not name.endswith("/"))
        for name in names[:MAX_SHOWN]
    ]
    return [] if [completion.insert for completion in found] == [typed] else found
