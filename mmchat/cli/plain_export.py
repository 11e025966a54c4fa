"""The command of the plain mode that writes the conversation to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mmchat.errors import UsageError

if TYPE_CHECKING:
    from mmchat.cli.plain import PlainChat


def export(chat: PlainChat, argument: str) -> None:
    """`/export`."""
    path = chat.conversation.export.path_for(argument, Path.cwd())
    if path.exists() and not chat.confirm(f"{path} is there already. Replace it? [y/N] "):
        raise UsageError("Nothing was written.", hint="Give another name: /export talk.md")
    chat.say(f"{chat.conversation.export.write(path)}.")
