"""The commands of the plain mode that look for what was said and shown before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmchat.chat.attachments import kind_of
from mmchat.chat.citing import last_citing, source_index
from mmchat.cli.output import print_text
from mmchat.cli.session_rows import print_recalled
from mmchat.domain import Attachment
from mmchat.errors import EngineUnavailable, UsageError
from mmchat.sanitize import plain_line

if TYPE_CHECKING:
    from mmchat.cli.plain import PlainChat

FOUND = 10


def recall(chat: PlainChat, words: str) -> None:
    """`/recall`: in words, or with the picture that is attached (which stays attached)."""
    picture = next((path for path in chat.files if kind_of(path) == "image"), None)
    if not words and picture is None:
        raise UsageError("What do you look for?", hint="For example: /recall the red bike")
    finder = chat.desk.finder
    found = finder.by_words(words, k=FOUND) if words or picture is None else finder.by_picture(picture, k=FOUND)
    if found and not found[0].turn.is_sure:
        chat.say("Nothing surely bears on that. What comes nearest:")
    for each in found:
        print_recalled(each.turn)
    if not found:
        chat.say("Nothing bears on that." if words else "No picture is like that.")


def sources(chat: PlainChat, number: str) -> None:
    """`/sources`: the passages that the last reply with any cites, in full."""
    citing = last_citing(chat.conversation.turns())
    cited = citing.turn.cited
    chosen = [cited[source_index(citing.turn, number)]] if number else cited
    if citing.note:
        chat.say(citing.note)
    for note in chosen:
        if (passage := note.passage) is not None:
            place = ", ".join(part for part in (str(passage.path), passage.position) if part)
            print_text(f"{passage.source} [{place}]")
            if passage.text:
                print_text(passage.text)


def view(chat: PlainChat, name: str) -> None:
    """`/view`: where the kept copy is, and in the system's viewer where there is one."""
    files: list[Attachment] = []
    for turn in chat.conversation.turns():
        files += [note.attachment for note in turn.recalled if note.attachment is not None]
        files += turn.attachments
    fitting = [each for each in files if name.casefold() in each.name.casefold()]
    if not fitting:
        raise UsageError(
            f"No file here is called '{plain_line(name)}'." if files and name else "No file came up here.",
            hint="/recall finds files of all conversations.",
        )
    try:
        chat.desk.finder.open_file(fitting[-1])
        chat.say(f"Opened {plain_line(fitting[-1].name)}.")
    except EngineUnavailable as error:  # no viewer here: the path is the answer
        chat.say(f"{error.message} {error.hint}")
