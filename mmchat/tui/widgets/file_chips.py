"""Files in the transcript, by name; a click opens the kept copy."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.events import Click
from textual.style import Style

from mmchat.domain import Attachment, Recalled
from mmchat.tui.text import elide_middle, one_line

NAME_CELLS = 32


def click_to_open(attachment: Attachment) -> Style:
    """What makes a stretch of text open a file; it names the file by its id, so nothing but kept files is opened."""
    return Style.from_meta({"@click": f"app.open_file('{attachment.id}')"})


def recalled_chips(recalled: Sequence[Recalled]) -> list[Content]:
    """`▪ bike.jpg` for each picture and sound that was recalled; the same file once."""
    files = {note.attachment.id: note.attachment for note in recalled if note.attachment is not None}
    return [
        Content.assemble((f"▪\u00a0{elide_middle(one_line(each.name), NAME_CELLS)}", "$accent")).stylize(
            click_to_open(each)
        )
        for each in files.values()
    ]


def is_on_chip(event: Click) -> bool:
    """Whether a click opens a file, and means nothing else."""
    return "@click" in event.style.meta
