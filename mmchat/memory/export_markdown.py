"""A conversation as Markdown: to read, and, with marks, to be imported again."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from mmchat.domain import Attachment, Session, Turn
from mmchat.memory.export_marks import guarded, mark
from mmchat.memory.export_rows import PathOf, place_in_tree, without_nothing
from mmchat.memory.export_turns import ExportedConversation, ExportedTurn
from mmchat.moments import local_day, local_minute

SPEAKERS = {"user": "You", "assistant": "Assistant", "system": "System"}
UNTITLED = "Untitled conversation"
FOLD_BEGINS, FOLD_ENDS = "<details><summary>Another variant", "</details>"


def markdown(session: Session, turns: Sequence[Turn], path_of: PathOf) -> str:
    """A conversation to read."""
    lines = [*_head(session)]
    for turn in turns:
        lines += ["", _heading(turn), "", *_files(turn, path_of), turn.text, *_notes(turn)]
    return "\n".join(lines).rstrip() + "\n"


def marked_markdown(conversation: ExportedConversation, path_of: PathOf) -> str:
    """A conversation to read, which can be imported again. Put empty lines between several of them.

    Other variants are folded away where they were said.
    """
    session = conversation.session
    about = {
        "conversation": session.id,
        "title": session.title if session.title in ("", UNTITLED) or not _is_plain(session.title) else "",
        "source": conversation.source,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
        "model": session.model,
        "persona": session.persona,
        "archived_at": session.archived_at,
        "tags": list(session.tags),
    }
    lines = [mark(without_nothing(about)), *_head(session), ""]
    has_variants = any(each.is_retired or each.retired_order for each in conversation.turns)
    standing = ""
    for each in conversation.turns:
        files, notes = _files(each.turn, path_of), _notes(each.turn)
        if each.is_retired:
            notes += ["", FOLD_ENDS]
        lines += [mark(_of_turn(each) | (place_in_tree(each, standing) if has_variants else {}))]
        lines += [_fold(each.turn) if each.is_retired else _heading(each.turn), ""]
        if files:
            lines += [*map(guarded, files), mark("text")]
        lines += [guarded(each.turn.text)]
        if notes:
            lines += [mark("end"), *map(guarded, notes)]
        lines += [""]
        standing = standing if each.is_retired else each.turn.id
    return "\n".join(lines)


def _fold(turn: Turn) -> str:
    """The beginning of what a reader unfolds; a browser that knows no folds shows all of it."""
    return f"{FOLD_BEGINS}: {html.escape(_heading(turn).removeprefix('## '))}</summary>"


def _is_plain(title: str) -> bool:
    """Whether a heading keeps it as it is."""
    return " ".join(title.split()) == title


def _of_turn(each: ExportedTurn) -> dict[str, Any]:
    turn, rating = each.turn, each.turn.rating
    return without_nothing(
        {
            "turn": turn.role,
            "created_at": turn.created_at,
            "speaker": each.speaker,
            "model": turn.model,
            "engine": turn.engine,
            "status": turn.status if turn.status != "complete" else "",
            "notice": turn.notice,
            "rating": without_nothing({"mark": rating.mark, "better": rating.better}) if rating is not None else None,
            "pinned": each.is_pinned,
        }
    )


def _head(session: Session) -> list[str]:
    title = " ".join(session.title.split()) or UNTITLED
    return [f"# {title}", "", f"Conversation `{session.id}`, {local_day(session.created_at)}"]


def _heading(turn: Turn) -> str:
    speaker = " ".join(turn.model.split()) if turn.role == "assistant" else ""
    return f"## {speaker or SPEAKERS[turn.role]}, {local_minute(turn.created_at)}"


def _files(turn: Turn, path_of: PathOf) -> list[str]:
    lines: list[str] = []
    for each in turn.attachments:
        lines.append(f"{'!' if each.kind == 'image' else ''}[{_escaped(each.name)}](<{path_of(each)}>)")
        lines += [*told(each), ""]
    return lines


def told(file: Attachment) -> list[str]:
    """What was heard and seen on a file, a line for each sense."""
    lines = []
    if file.heard is not None:
        lines.append(f"Heard: {file.heard.text or '(no speech)'}")
    if file.seen is not None:
        words = [file.seen.caption, ", ".join(tag.label for tag in file.seen.tags), file.seen.text]
        lines.append(f"Seen: {'; '.join(part for part in words if part) or '(nothing)'}")
    return lines


def _notes(turn: Turn) -> list[str]:
    lines: list[str] = []
    if turn.sources:
        lines += ["", f"*(from: {_escaped('; '.join(turn.sources))})*"]
    if turn.status != "complete":
        lines += ["", f"*({turn.notice or turn.status})*"]
    if turn.rating is not None and turn.rating.mark:
        lines += ["", f"*(rated {turn.rating.mark})*"]
    if turn.rating is not None and turn.rating.better:
        lines += ["", "*(better:)*", "", *(f"> {line}".rstrip() for line in turn.rating.better.splitlines())]
    return lines


def _escaped(name: str) -> str:
    return " ".join(name.split()).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
