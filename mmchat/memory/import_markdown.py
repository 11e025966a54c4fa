"""Conversations from Markdown that mmchat wrote: by its marks, or, where they are gone, by its headings."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from mmchat.domain import AttachmentKind, Mark, Rating, Role, TurnStatus
from mmchat.errors import DataError
from mmchat.memory.export_markdown import FOLD_BEGINS, FOLD_ENDS, UNTITLED
from mmchat.memory.export_marks import read_mark, unguarded
from mmchat.memory.incoming import NewConversation, NewFile, NewTurn, known_tags
from mmchat.moments import utc_text

_CONVERSATION = re.compile(r"Conversation `([0-9a-z]{26})`, \d{4}-\d\d-\d\d")
_TURN = re.compile(r"## (.+), (\d{4}-\d\d-\d\d \d\d:\d\d)")
_FILE = re.compile(r"!?\[((?:[^\]\\]|\\.)*)\]\(<(.+)>\)")
_ROLES: dict[str, Role] = {"You": "user", "System": "system"}

Fields = dict[str, Any]


def is_own_markdown(text: str) -> bool:
    """Whether mmchat wrote it."""
    return any(isinstance(read_mark(line), dict) or _CONVERSATION.match(line) for line in text.split("\n"))


def read_markdown(path: Path) -> Iterator[NewConversation]:
    """The conversations of a file.

    Raises:
        DataError: it cannot be read, or mmchat did not write it.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.", hint="Check the path.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8.", hint="Save the file as UTF-8.") from error
    if not is_own_markdown(text):
        raise DataError(
            f"{path} is no Markdown of `mmchat sessions export`.",
            hint="Only such Markdown tells who said what; give JSON Lines otherwise.",
        )
    for block in _conversations(text.split("\n")):
        yield _conversation(block, path)


def _conversations(lines: list[str]) -> Iterator[list[str]]:
    begins = [
        at for at, line in enumerate(lines) if isinstance(about := read_mark(line), dict) and "conversation" in about
    ]
    if not begins:
        # Two lines above stands the title.
        begins = [max(at - 2, 0) for at, line in enumerate(lines) if _CONVERSATION.match(line)]
    for start, end in pairwise([*begins, len(lines)]):
        yield lines[start:end]


def _conversation(lines: list[str], path: Path) -> NewConversation:
    about = read_mark(lines[0])
    fields: Fields = about if isinstance(about, dict) else {}
    heading = next((line[2:].strip() for line in lines[:3] if line.startswith("# ")), "")
    name = next((match[1] for line in lines[:6] if (match := _CONVERSATION.match(line))), "")
    turns = tuple(_turns(lines, path, has_marks=bool(fields)))
    tags = fields.get("tags")
    return NewConversation(
        _text(fields, "title") or ("" if heading == UNTITLED else heading),
        turns,
        _text(fields, "persona"),
        source=_text(fields, "source") or f"mmchat:{name}" if name else _hashed(lines),
        model=_text(fields, "model"),
        created_at=_moment(_text(fields, "created_at")),
        updated_at=_moment(_text(fields, "updated_at")),
        archived_at=_moment(_text(fields, "archived_at")),
        tags=known_tags(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
    )


def _turns(lines: list[str], path: Path, *, has_marks: bool) -> Iterator[NewTurn]:
    if has_marks:
        begins = [at for at, line in enumerate(lines) if isinstance(of := read_mark(line), dict) and "turn" in of]
    else:
        lines = list(_unfolded(lines))
        begins = [at for at, line in enumerate(lines) if _TURN.fullmatch(line.rstrip("\r"))]
    for start, end in pairwise([*begins, len(lines)]):
        of = read_mark(lines[start]) if has_marks else None
        heading = lines[start + 1] if has_marks and start + 1 < end else lines[start]
        body = lines[start + (3 if has_marks else 2) : end]
        yield _turn(of if isinstance(of, dict) else {}, heading, body, path)


def _turn(of: Fields, heading: str, body: list[str], path: Path) -> NewTurn:
    match = _TURN.fullmatch(heading.rstrip("\r"))
    speaker, minute = (match[1], match[2]) if match else ("", "")
    role = of.get("turn") if of.get("turn") in ("user", "assistant", "system") else _ROLES.get(speaker, "assistant")
    above: list[str] = []
    marks = {value: at for at, line in enumerate(body) if isinstance(value := read_mark(line), str)}
    if of:
        if "text" in marks:
            above, body = body[: marks["text"]], body[marks["text"] + 1 :]
            marks = {value: at - len(above) - 1 for value, at in marks.items()}
        # The last line break and the empty line before what follows are ours.
        body = body[: marks["end"]] if "end" in marks else body[:-1] if body and not body[-1].strip() else body
        text = unguarded("\n".join(body))
    else:
        above, body = _split_files(body)
        text = "\n".join(body).strip("\n")
    files, missing = _files(above, path)
    notes = "".join(f"\n[{name} is not there]" for name in missing)
    status, rating = of.get("status"), of.get("rating")
    return NewTurn(
        cast(Role, role),
        (text + notes).lstrip("\n") if notes else text,
        _moment(_text(of, "created_at")) or _local_moment(minute),
        speaker=_text(of, "speaker"),
        files=files,
        model=_text(of, "model") or (speaker if not of and role == "assistant" and speaker != "Assistant" else ""),
        engine=_text(of, "engine"),
        status=cast(TurnStatus, status) if status in ("stopped", "failed") else "complete",
        notice=_text(of, "notice"),
        rating=_rating(rating) if isinstance(rating, dict) else None,
        is_pinned=of.get("pinned") is True,
        row_id=_text(of, "id"),
        parent=_text(of, "parent"),
        is_retired=of.get("retired") is True,
        retired_order=order if isinstance(order := of.get("retired_order"), int) and order > 0 else 0,
    )


def _unfolded(lines: list[str]) -> Iterator[str]:
    """The lines without other variants, which no heading tells apart from what is in view."""
    is_folded = False
    for line in lines:
        is_folded = is_folded or line.startswith(FOLD_BEGINS)
        if not is_folded:
            yield line
        is_folded = is_folded and line.rstrip("\r") != FOLD_ENDS


def _split_files(body: list[str]) -> tuple[list[str], list[str]]:
    """The lines about files at the beginning of a turn without marks, and the rest."""
    at = 0
    while at < len(body) and _FILE.fullmatch(body[at].rstrip("\r")):
        at += 1
        while at < len(body) and body[at].startswith(("Heard: ", "Seen: ")):
            at += 1
        at += at < len(body) and not body[at].strip()
    return body[:at], body[at:]


def _files(lines: list[str], path: Path) -> tuple[tuple[NewFile, ...], list[str]]:
    """The files that are linked and there, and the names of those that are not."""
    found: list[NewFile] = []
    missing: list[str] = []
    for line in lines:
        match = _FILE.fullmatch(line.rstrip("\r"))
        if match is None:
            continue
        name = re.sub(r"\\(.)", r"\1", match[1]) or "file"
        kind: AttachmentKind = "image" if line.startswith("!") else "audio"
        try:
            there = (path.parent / match[2]).absolute()
            is_there = there.is_file()
        except (OSError, ValueError):
            is_there = False
        if is_there:
            media_type = mimetypes.guess_type(there.name)[0] or f"{kind}/{there.suffix.lstrip('.').lower()}"
            found.append(NewFile(kind, media_type, name, there))
        else:
            missing.append(name)
    return tuple(found), missing


# --- single values ------------------------------------------------------------------------------


def _text(fields: Fields, key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""


def _rating(fields: Fields) -> Rating | None:
    given = fields.get("mark")
    rating = Rating(cast(Mark, given) if given in ("good", "bad") else None, _text(fields, "better"))
    return rating if rating != Rating() else None


def _moment(iso: str) -> str:
    try:
        moment = datetime.fromisoformat(iso)
        return utc_text(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return ""


def _local_moment(minute: str) -> str:
    """A minute of this machine's clock, as headings tell it."""
    try:
        return utc_text(datetime.fromisoformat(minute).astimezone())
    except (ValueError, OverflowError, OSError):
        return ""


def _hashed(lines: list[str]) -> str:
    return f"markdown:{hashlib.sha256(chr(10).join(lines).encode('utf-8', 'replace')).hexdigest()[:32]}"
