"""Rows of the database to the values of `domain`, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

from mmchat.domain import (
    Attachment,
    Heard,
    Likely,
    Mark,
    Partner,
    Rating,
    Recalled,
    Seen,
    Segment,
    Session,
    Tag,
    Turn,
    Understood,
    Usage,
    Window,
    WindowPart,
    Word,
)
from mmchat.memory.citations import cited, passage_reference
from mmchat.memory.database import Row
from mmchat.picture_words import chinese_names

BlobPath = Callable[[str], Path]

_WINDOW_FIELDS = frozenset(each.name for each in fields_of(Window))
_MARKS: dict[int, Mark] = {1: "good", -1: "bad"}
"""The column `rating`; 0 where there is only a better text, in `note`."""


def to_json(value: Heard | Seen | Usage | Window | Understood | None) -> str | None:
    """A value as JSON text for its column."""
    return None if value is None else json.dumps(asdict(value), ensure_ascii=True)


def recalled_to_json(recalled: Sequence[Recalled]) -> str | None:
    """References only: what is deleted elsewhere must not live on in other conversations' rows."""
    if not recalled:
        return None
    return json.dumps([_reference(each) for each in recalled])


def _reference(note: Recalled) -> dict[str, object]:
    if note.passage is not None:
        return {"score": note.score} | passage_reference(note.passage)
    if note.fact:
        return {"fact": note.fact, "score": note.score}
    reference: dict[str, object] = {"turn": note.turn, "score": note.score}
    if note.partner is not None:
        reference |= {"partner": note.partner.turn, "is_first": note.partner.is_first}
    if note.attachment is not None:
        reference["file"] = note.attachment.id
    return reference if note.place is None else reference | {"place": note.place}


def recallable_by_file(found: Recalled, attachments: Sequence[Attachment]) -> dict[str, Recalled]:
    """What a reference may mean, by what it names: a turn, or one of its files."""
    each_first = {file.id: replace(found, attachment=file) for file in attachments}
    return {found.turn: found} | {_file_key(found.turn, file_id): note for file_id, note in each_first.items()}


def _file_key(turn: str, file: str) -> str:
    return f"{turn}/{file}"


def heard_from_json(text: str | None) -> Heard | None:
    """The inverse of `to_json`."""
    if text is None:
        return None
    fields = json.loads(text)
    return Heard(**{**fields, "segments": tuple(map(_segment_from, fields["segments"]))})


def _segment_from(fields: dict[str, Any]) -> Segment:
    return Segment(**{**fields, "words": tuple(Word(**word) for word in fields.get("words", ()))})


def seen_from_json(text: str | None) -> Seen | None:
    """The inverse of `to_json`."""
    if text is None:
        return None
    fields = json.loads(text)
    return Seen(**{**fields, "tags": tuple(Tag(**each) for each in fields["tags"])})


def understood_from_json(text: str | None) -> Understood | None:
    """The inverse of `to_json`."""
    if text is None:
        return None
    fields = json.loads(text)
    return Understood(**{**fields, "intents": tuple(Likely(**each) for each in fields["intents"])})


def window_from_json(text: str | None) -> Window | None:
    """The inverse of `to_json`, also for rows that were written before a window had parts."""
    if text is None:
        return None
    told = {key: value for key, value in json.loads(text).items() if key in _WINDOW_FIELDS}
    parts = tuple(WindowPart(**part) for part in told.get("parts", ()))
    return Window(**{**told, "parts": parts, "pins": tuple(told.get("pins", ()))})


def window_of_copy(text: str, copies: Mapping[str, str]) -> str:
    """A stored window as it reads where turns and summaries were copied. `copies`: their ids, each with its copy's."""
    told = json.loads(text)
    told["first_turn_id"] = copies.get(told["first_turn_id"])
    told["pins"] = [copies[turn_id] for turn_id in told.get("pins", ()) if turn_id in copies]
    told["summary_id"] = copies.get(told.get("summary_id", ""), "")
    return json.dumps(told, ensure_ascii=True)


def session_from_row(row: Row) -> Session:
    """Needs the columns of `sessions`, `tags` and `turn_count`."""
    return Session(
        id=row["id"],
        title=row["title"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        model=row["model"],
        persona=row["persona"],
        role=row["role"],
        turn_count=row["turn_count"],
        tags=tuple(sorted((row["tags"] or "").split("\n"))) if row["tags"] else (),
        archived_at=row["archived_at"],
        deleted_at=row["deleted_at"],
    )


def attachment_from_row(row: Row, blob_path: BlobPath) -> Attachment:
    """Needs the columns of `attachments` joined with `blobs`."""
    return Attachment(
        id=row["id"],
        turn_id=row["turn_id"],
        kind=row["kind"],
        name=row["name"],
        sha256=row["sha256"],
        media_type=row["media_type"],
        size_bytes=row["size_bytes"],
        path=blob_path(row["file"]),
        heard=heard_from_json(row["heard"]),
        seen=seen_from_json(row["seen"]),
    )


def turn_from_row(row: Row, attachments: Sequence[Attachment], recallable: Mapping[str, Recalled]) -> Turn:
    """Needs the columns of `turns` and `ratings`; `recallable` holds the turns its `recalled` may refer to."""
    return Turn(
        id=row["id"],
        session_id=row["session_id"],
        parent_id=row["parent_id"],
        role=row["role"],
        text=row["text"],
        status=row["status"],
        created_at=row["created_at"],
        model=row["model"],
        engine=row["engine"],
        attachments=tuple(attachments),
        usage=Usage(**json.loads(row["usage"])) if row["usage"] else None,
        window=window_from_json(row["context"]),
        recalled=_recalled_from_json(row["recalled"], recallable),
        notice=row["notice"],
        rating=rating_from_row(row),
        understood=understood_from_json(row["understood"]),
        prepared=row["prepared"],
    )


def rating_from_row(row: Row) -> Rating | None:
    """Needs the columns of `ratings`, all NULL where nothing was said of the turn."""
    return None if row["rating"] is None else Rating(_MARKS.get(row["rating"]), row["note"])


def rating_to_number(mark: Mark | None) -> int:
    """A mark as the column `rating` has it."""
    return next((number for number, each in _MARKS.items() if each == mark), 0)


def recalled_from_row(row: Row, attachments: Sequence[Attachment], score: float) -> Recalled:
    """Needs the columns of `turns`."""
    return Recalled(
        session=row["session_id"],
        turn=row["id"],
        role=row["role"],
        text=told_text(row["text"], attachments),
        created_at=row["created_at"],
        score=score,
        attachment=attachments[0] if attachments else None,
    )


def told_text(text: str, attachments: Sequence[Attachment]) -> str:
    """A turn in words: what was written; else what was heard; else what was seen."""
    if text.strip():
        return text
    return "\n".join(part for part in map(sensed_text, attachments) if part)


def sensed_text(attachment: Attachment) -> str:
    """What was heard and seen on an attachment, as text to search in and to show."""
    return sensed_words(attachment.heard, attachment.seen)


def sensed_words(heard: Heard | None, seen: Seen | None) -> str:
    """What was heard and seen, one kind a line."""
    parts: list[str] = []
    if heard is not None:
        parts.append(heard.text)
    if seen is not None:
        parts += [seen.caption, ", ".join(tag.label for tag in seen.tags), seen.text]
    return "\n".join(part for part in parts if part)


def chinese_words(seen: Seen | None) -> str:
    """The Chinese names of what was seen, so that Chinese finds it; empty where nothing was."""
    names = [name for tag in (seen.tags if seen is not None else ()) for name in chinese_names(tag.label)]
    return " ".join(dict.fromkeys(names))


def _recalled_from_json(text: str | None, recallable: Mapping[str, Recalled]) -> tuple[Recalled, ...]:
    if text is None:
        return ()
    found: list[Recalled] = []
    for reference in json.loads(text):
        if "passage" in reference:
            found.append(cited(recallable.get(reference["passage"]), reference))
            continue
        key = reference.get("fact") or reference["turn"]
        known = recallable.get(_file_key(key, reference.get("file", "")), recallable.get(key))
        if known is not None:
            other = recallable.get(reference.get("partner", ""))
            partner = Partner(other.turn, other.role, other.text, reference["is_first"]) if other is not None else None
            found.append(replace(known, score=reference["score"], partner=partner, place=reference.get("place")))
    return tuple(found)
