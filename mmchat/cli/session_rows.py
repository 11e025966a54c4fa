"""Conversations, turns and hits as the lines and objects that `sessions` and `recall` print."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmchat.cli.memory_rows import told_object
from mmchat.cli.output import dim, has_colour, print_text
from mmchat.errors import MemoryStoreError, UsageError
from mmchat.moments import local_minute
from mmchat.paths import replace_text
from mmchat.sanitize import plain_line, plain_text

if TYPE_CHECKING:
    from mmchat.domain import Attachment, Recalled, Session, Turn, Understood
    from mmchat.memory.store import MemoryStore
    from mmchat.memory.turn_search import SearchHit

_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


def chosen(store: MemoryStore, session_id: str) -> Session:
    """The conversation the user named.

    Raises:
        UsageError: none, or several fit.
    """
    if session_id != "last":
        return store.get_session(session_id)
    latest = store.latest_session()
    if latest is None:
        raise UsageError("There are no conversations yet.", hint="Start one: mmchat talk")
    return latest


def session_object(session: Session) -> dict[str, Any]:
    """A conversation for JSON."""
    return asdict(session)


def turn_object(turn: Turn) -> dict[str, Any]:
    """A turn for JSON; what was recalled in the form of `recall --json`."""
    fields = asdict(turn)
    fields["attachments"] = [_attachment_object(each) for each in turn.attachments]
    said = [each for each in turn.recalled if not each.fact and each.passage is None]
    fields["recalled"] = [recalled_object(each) | partner_object(each) for each in said]
    fields["facts"] = [told_object(each) for each in turn.recalled if each.fact]
    fields["cited"] = cited_objects(turn)
    fields["understood"] = understood_object(turn.understood) if turn.understood is not None else None
    return fields


def understood_object(understood: Understood) -> dict[str, Any]:
    """What a message is taken to want, as `ask --json` and `sessions show --json` tell it."""
    return {
        "intents": [{"label": each.label, "probability": round(each.probability, 4)} for each in understood.intents],
        "topic": understood.topic,
        "mood": round(understood.mood, 4) if understood.mood is not None else None,
        "reader": understood.reader,
    }


def recalled_object(recalled: Recalled) -> dict[str, Any]:
    """One answer of `recall --json`."""
    file = recalled.attachment
    return {
        "session": recalled.session,
        "turn": recalled.turn,
        "role": recalled.role,
        "text": recalled.text,
        "created_at": recalled.created_at,
        "score": round(recalled.score, 6),
        "is_sure": recalled.is_sure,
        "attachment": str(file.path) if file is not None else None,
        "attachment_name": file.name if file is not None else None,
        "attachment_kind": file.kind if file is not None else None,
    }


def cited_objects(turn: Turn) -> list[dict[str, Any]]:
    """The passages of documents that a reply was told; without words where they are not there any more."""
    return [
        {
            "document": passage.document,
            "file": str(passage.path),
            "heading": passage.heading,
            "page": passage.page,
            "line": passage.line,
            "text": passage.text,
            "score": round(each.score, 4),
        }
        for each in turn.cited
        if (passage := each.passage) is not None
    ]


def partner_object(recalled: Recalled) -> dict[str, Any]:
    """What was told with a recalled turn: the answer to a question, or the question to an answer."""
    return {"partner": asdict(recalled.partner) if recalled.partner is not None else None}


def hit_object(hit: SearchHit) -> dict[str, Any]:
    """One answer of `sessions search --json`; `spans` are positions in the snippet."""
    turn = hit.turn
    return {
        "session": hit.session.id,
        "title": hit.session.title,
        "turn": turn.id if turn is not None else None,
        "role": turn.role if turn is not None else None,
        "created_at": turn.created_at if turn is not None else hit.session.created_at,
        "snippet": hit.snippet,
        "spans": [list(span) for span in hit.spans],
    }


LIST_COLUMNS = ("ID", "LAST TURN", ">TURNS", "TITLE", "TAGS")


def list_row(session: Session) -> list[str]:
    """One line of `sessions list`."""
    when, tags = local_minute(session.updated_at), ", ".join(session.tags)
    return [session.id, when, str(session.turn_count), session.title or "-", tags or "-"]


def print_hit(hit: SearchHit) -> None:
    """Where it was said, then what, with the words in bold where the screen can show it."""
    who = {"user": "you", "assistant": "reply", "system": "system"}[hit.turn.role] if hit.turn else "title"
    when = local_minute(hit.turn.created_at if hit.turn else hit.session.created_at)
    # Cleaned piece by piece, so that the only escapes on the screen are ours.
    head = plain_line(f"{hit.session.id}  {when}  {who}  {hit.session.title}")
    pieces: list[str] = []
    at = 0
    for start, end in hit.spans:
        marked = plain_text(hit.snippet[start:end])
        pieces += [plain_text(hit.snippet[at:start]), f"{_BOLD}{marked}{_PLAIN}" if has_colour(sys.stdout) else marked]
        at = end
    pieces.append(plain_text(hit.snippet[at:]))
    sys.stdout.write(f"{dim(head, sys.stdout)}\n    {''.join(pieces)}\n")


def print_recalled(recalled: Recalled) -> None:
    """One answer of `recall`, for people."""
    who = {"user": "you", "assistant": "reply", "system": "system"}[recalled.role]
    when = local_minute(recalled.created_at)
    sys.stdout.write(dim(plain_line(f"{recalled.session}  {when}  {who}"), sys.stdout) + "\n")
    text = plain_line(" ".join(recalled.text.split()))
    sys.stdout.write(f"    {text[:400]}{'…' if len(text) > 400 else ''}\n")
    if recalled.attachment is not None:
        sys.stdout.write(f"    [{plain_line(recalled.attachment.name)}] {plain_line(str(recalled.attachment.path))}\n")


def write_rows(rows: Sequence[Mapping[str, Any]], output: Path | None) -> None:
    """Write rows as JSON Lines to a file or stdout.

    Raises:
        MemoryStoreError: the file cannot be written.
    """
    from mmchat.cli.session_export import escaped
    from mmchat.memory.export_rows import row_line

    text = "".join(map(row_line, rows))
    _write(escaped(text) if output is None else text, output)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        print_text(text, end="")
        return
    try:
        if output.exists() and not output.is_file():  # a pipe or a terminal, which is written into
            output.write_text(text, encoding="utf-8")
        else:
            replace_text(output, text, is_private=True)
    except OSError as error:
        raise MemoryStoreError(
            f"{output} could not be written: {error.strerror or error}.", hint="Check the folder."
        ) from error


def _attachment_object(attachment: Attachment) -> dict[str, Any]:
    return {**asdict(attachment), "path": str(attachment.path)}
