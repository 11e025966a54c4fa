"""The commands of the plain mode on what the user wants, and on handing over to a person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mmchat.chat.hand_over import write_summary
from mmchat.cli.output import print_text
from mmchat.errors import UsageError

if TYPE_CHECKING:
    from mmchat.cli.plain import PlainChat


def hand_over(chat: PlainChat, argument: str) -> None:
    """`/handover`."""
    handing_over = chat.conversation.hand_over
    if not argument:
        print_text(handing_over.prepare().text, end="")
        chat.say("/handover FILE writes it to a file, and keeps it with this conversation.")
        return
    path = handing_over.path_for(argument, Path.cwd())
    if path.exists() and not chat.confirm(f"{path} is there already. Replace it? [y/N] "):
        raise UsageError("Nothing was written.", hint="Give another name: /handover case.md")
    made, _ = handing_over.with_summary()
    write_summary(made.text, path)
    handing_over.keep(made)
    chat.say(f"The summary was written to {path}.")
