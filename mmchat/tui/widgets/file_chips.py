"""Files and passages in the transcript, by name; a click opens the kept copy, or shows the passage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from textual.content import Content
from textual.events import Click
from textual.style import Style

from mmchat.domain import Attachment, Passage, Recalled, Turn
from mmchat.tui.text import elide_middle, one_line

NAME_CELLS = 32
SOURCE_CELLS = 60


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


def source_chips(turn: Turn) -> list[Content]:
    """`▤ returns.md › Refunds` for each place that a reply cites; a click shows the passage."""
    chips: dict[str, Content] = {}
    for at, note in enumerate(turn.cited):
        if note.passage is None or note.passage.source in chips:
            continue
        style = Style.from_meta({"@click": f"app.show_source('{turn.id}', {at})"})
        words = elide_middle(one_line(source_words(note.passage)), SOURCE_CELLS)
        chips[note.passage.source] = Content.assemble((f"▤\u00a0{words}", "$accent")).stylize(style)
    return list(chips.values())


def source_words(passage: Passage) -> str:
    """File and innermost heading, short enough for a chip."""
    heading = passage.heading.rpartition(" › ")[2]
    short = replace(passage, heading=heading) if heading else passage
    return short.source


def is_on_chip(event: Click) -> bool:
    """Whether a click opens a file, and means nothing else."""
    return "@click" in event.style.meta
