"""What `sessions export` writes of a conversation beside its words, so that `sessions import` brings it back.

A dialogue row with the key `mmchat` holds it: times, models, ratings and the like stand in further keys of the row,
of its messages and of their files. Everybody else who reads dialogue rows passes over these keys.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from mmchat.domain import (
    HandOver,
    Heard,
    Likely,
    Mark,
    Passage,
    PreparedKind,
    Rating,
    Recalled,
    Role,
    Seen,
    Segment,
    Tag,
    TurnStatus,
    Understood,
    Usage,
    Word,
)
from mmchat.rows.fields import Fields, RowFields, described, quoted
from mmchat.rows.messages import is_file_part, read_files
from mmchat.rows.values import RowMessage, RowPart

KEPT_VERSION = 1
"""What `mmchat` says in rows that this program writes."""

_STATUSES = get_args(TurnStatus)
_MARKS = get_args(Mark)
_PREPARED = get_args(PreparedKind)


@dataclass(frozen=True, slots=True)
class KeptFile:
    """What is known of a picture or a sound."""

    name: str = ""
    media_type: str = ""
    heard: Heard | None = None
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class KeptTurn:
    """What is known of a turn beside its words."""

    id: str = ""
    parent: str = ""
    """The id of the turn that it answers; empty for the one before it."""
    position: int = 0
    """Where it stands among all turns of its conversation; 0 where the order of the row says it."""
    created_at: str = ""
    speaker: str = ""
    model: str = ""
    engine: str = ""
    status: TurnStatus = "complete"
    notice: str = ""
    rating: Rating | None = None
    usage: Usage | None = None
    understood: Understood | None = None
    prepared: PreparedKind = ""
    cited: tuple[Recalled, ...] = ()
    """Passages of documents, without their words."""
    is_pinned: bool = False
    is_retired: bool = False
    retired_order: int = 0
    files: tuple[KeptFile, ...] = ()
    """One for each file of the message."""


@dataclass(frozen=True, slots=True)
class ApartTurn:
    """A turn that is no message of the dialogue: another variant, or one without words."""

    role: Role
    text: str
    files: tuple[RowPart, ...]
    kept: KeptTurn


@dataclass(frozen=True, slots=True)
class KeptDialogue:
    """What is known of a conversation beside its words."""

    id: str
    source: str
    created_at: str
    updated_at: str
    model: str
    archived_at: str
    tags: tuple[str, ...]
    turns: tuple[KeptTurn, ...]
    """One for each message."""
    apart: tuple[ApartTurn, ...]
    hand_overs: tuple[HandOver, ...] = ()
    """Without ids."""


def read_kept(fields: RowFields, messages: Sequence[RowMessage]) -> KeptDialogue | None:
    """What a dialogue row keeps beside its words; None for rows of other programs, and after a complaint."""
    row = fields.row
    if "mmchat" not in row or fields.problems:
        return None
    if row["mmchat"] != KEPT_VERSION:
        fields.wrong(
            "mmchat", f"is {described(row['mmchat'])}, not {KEPT_VERSION}; a newer mmchat wrote it: update yours"
        )
        return None
    given = row.get("messages")
    if not isinstance(given, list) or len(given) != len(messages):
        fields.wrong(
            "messages", "holds empty messages, which mmchat writes elsewhere; take them out, or the key 'mmchat'"
        )
        return None
    turns = tuple(_turn(fields, message, f"messages[{at}]") for at, message in enumerate(given))
    apart_given = row.get("apart", [])
    if not isinstance(apart_given, list):
        fields.wrong("apart", f"is {described(apart_given)}; it must be a list of turns")
        return None
    apart = [_apart(fields, value, f"apart[{at}]") for at, value in enumerate(apart_given)]
    tags = row.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag.strip() for tag in tags):
        fields.wrong("tags", 'is not a list of texts; write them as ["one", "two"]')
        tags = []
    kept = KeptDialogue(
        id=fields.optional_text("id"),
        source=fields.optional_text("source"),
        created_at=fields.moment("created_at", row, "created_at"),
        updated_at=fields.moment("updated_at", row, "updated_at"),
        model=fields.optional_text("model"),
        archived_at=fields.moment("archived_at", row, "archived_at"),
        tags=tuple(tags),
        turns=turns,
        apart=tuple(turn for turn in apart if turn is not None),
        hand_overs=tuple(
            HandOver(
                "",
                "",
                fields.optional_text("reason", of=each, where="hand_overs.reason"),
                fields.optional_text("text", of=each, where="hand_overs.text"),
                fields.moment("created_at", each, "hand_overs.created_at"),
            )
            for each in _objects(fields, row.get("hand_overs"), "hand_overs")
        ),
    )
    return None if fields.problems else kept


def _apart(fields: RowFields, value: object, where: str) -> ApartTurn | None:
    if not isinstance(value, dict):
        fields.wrong(where, f"is {described(value)}; it must be an object")
        return None
    role = fields.role(value.get("role"), f"{where}.role")
    text = ""
    files: tuple[RowPart, ...] = ()
    content = value.get("content")
    if isinstance(content, str):
        text = content
    elif isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict) and not is_file_part(part)]
        if not all(isinstance(each, str) for each in texts):
            fields.wrong(
                f"{where}.content", 'holds a part without text; each is {"type": "text" | "image" | "audio", …}'
            )
        text = "\n".join(each for each in texts if isinstance(each, str))
        files = read_files(fields, content, f"{where}.content")
    else:
        fields.wrong(f"{where}.content", f"is {described(content)}; it must be a text or a list of parts")
    kept = _turn(fields, value, where)
    return ApartTurn(role, text, files, kept) if role is not None else None


def _turn(fields: RowFields, message: Fields, where: str) -> KeptTurn:
    def text(key: str) -> str:
        return fields.optional_text(key, of=message, where=f"{where}.{key}")

    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return KeptTurn(
        id=text("id"),
        parent=text("parent"),
        position=_count(fields, message, "position", where),
        created_at=fields.moment("created_at", message, f"{where}.created_at"),
        speaker=text("speaker"),
        model=text("model"),
        engine=text("engine"),
        status=cast(TurnStatus, _choice(fields, message, "status", _STATUSES, where) or "complete"),
        notice=text("notice"),
        rating=_rating(fields, message.get("rating"), f"{where}.rating"),
        usage=_usage(fields, message.get("usage"), f"{where}.usage"),
        understood=_understood(fields, message.get("understood"), f"{where}.understood"),
        prepared=cast(PreparedKind, _choice(fields, message, "prepared", _PREPARED, where)),
        cited=_cited(fields, message.get("cited"), f"{where}.cited"),
        is_pinned=_flag(fields, message, "pinned", where),
        is_retired=_flag(fields, message, "retired", where),
        retired_order=_count(fields, message, "retired_order", where),
        files=tuple(
            _file(fields, part, f"{where}.content[{at}]") for at, part in enumerate(parts) if is_file_part(part)
        ),
    )


def _file(fields: RowFields, part: Fields, where: str) -> KeptFile:
    return KeptFile(
        name=fields.optional_text("name", of=part, where=f"{where}.name"),
        media_type=fields.optional_text("media_type", of=part, where=f"{where}.media_type"),
        heard=_heard(fields, part.get("heard"), f"{where}.heard"),
        seen=_seen(fields, part.get("seen"), f"{where}.seen"),
    )


def _rating(fields: RowFields, value: object, where: str) -> Rating | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        fields.wrong(where, f'is {described(value)}; it must be {{"mark": "good" | "bad", "better": …}}')
        return None
    mark = _choice(fields, value, "mark", _MARKS, where)
    return Rating(cast("Mark | None", mark or None), fields.optional_text("better", of=value, where=f"{where}.better"))


def _usage(fields: RowFields, value: object, where: str) -> Usage | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        fields.wrong(where, f"is {described(value)}; it must be an object")
        return None
    return Usage(
        prompt_tokens=_count(fields, value, "prompt_tokens", where),
        cached_tokens=_count(fields, value, "cached_tokens", where),
        reply_tokens=_count(fields, value, "reply_tokens", where),
        first_token_s=_number(fields, value, "first_token_s", where),
        tokens_per_s=_number(fields, value, "tokens_per_s", where),
    )


def _understood(fields: RowFields, value: object, where: str) -> Understood | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        fields.wrong(where, f"is {described(value)}; it must be an object")
        return None
    intents = [
        Likely(
            fields.optional_text("label", of=each, where=f"{where}.intents"),
            _number(fields, each, "probability", f"{where}.intents"),
        )
        for each in _objects(fields, value.get("intents"), f"{where}.intents")
    ]
    words = {key: fields.optional_text(key, of=value, where=f"{where}.{key}") for key in ("topic", "reader")}
    mood = None if value.get("mood") is None else _number(fields, value, "mood", where)
    return Understood(tuple(intents), mood=mood, **words)


def _cited(fields: RowFields, value: object, where: str) -> tuple[Recalled, ...]:
    def passage(each: Fields) -> Passage:
        def text(key: str) -> str:
            return fields.optional_text(key, of=each, where=f"{where}.{key}")

        def count(key: str) -> int | None:
            return None if each.get(key) is None else _count(fields, each, key, where)

        path = Path(text("path"))
        return Passage(
            id=text("passage"),
            document=text("document"),
            shelf=text("shelf"),
            path=path,
            name=path.name,
            heading=text("heading"),
            text="",
            page=count("page"),
            line=count("line"),
        )

    return tuple(
        Recalled("", "", "user", "", "", _number(fields, each, "score", where), passage=passage(each))
        for each in _objects(fields, value, where)
    )


def _heard(fields: RowFields, value: object, where: str) -> Heard | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        fields.wrong(where, f"is {described(value)}; it must be an object")
        return None
    segments = [
        Segment(
            _number(fields, each, "start_s", f"{where}.segments"),
            _number(fields, each, "end_s", f"{where}.segments"),
            fields.optional_text("text", of=each, where=f"{where}.segments"),
            _number(fields, each, "avg_logprob", f"{where}.segments"),
            _number(fields, each, "no_speech_prob", f"{where}.segments"),
            tuple(
                Word(
                    fields.optional_text("text", of=word, where=f"{where}.segments.words"),
                    _number(fields, word, "start_s", f"{where}.segments.words"),
                    _number(fields, word, "end_s", f"{where}.segments.words"),
                    _number(fields, word, "probability", f"{where}.segments.words"),
                )
                for word in _objects(fields, each.get("words"), f"{where}.segments.words")
            ),
        )
        for each in _objects(fields, value.get("segments"), f"{where}.segments")
    ]
    return Heard(
        text=fields.optional_text("text", of=value, where=f"{where}.text"),
        language=fields.optional_text("language", of=value, where=f"{where}.language"),
        duration_s=_number(fields, value, "duration_s", where),
        segments=tuple(segments),
        model=fields.optional_text("model", of=value, where=f"{where}.model"),
        elapsed_s=_number(fields, value, "elapsed_s", where),
    )


def _seen(fields: RowFields, value: object, where: str) -> Seen | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        fields.wrong(where, f"is {described(value)}; it must be an object")
        return None
    tags = [
        Tag(
            fields.optional_text("label", of=each, where=f"{where}.tags"),
            _number(fields, each, "score", f"{where}.tags"),
        )
        for each in _objects(fields, value.get("tags"), f"{where}.tags")
    ]
    words = {
        key: fields.optional_text(key, of=value, where=f"{where}.{key}") for key in ("text", "caption", "model", "part")
    }
    return Seen(tuple(tags), **words, elapsed_s=_number(fields, value, "elapsed_s", where))


# --- single values ------------------------------------------------------------------------------


def _objects(fields: RowFields, value: object, where: str) -> list[dict[str, Any]]:
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return value
    fields.wrong(where, f"is {described(value)}; it must be a list of objects")
    return []


def _number(fields: RowFields, of: Fields, key: str, where: str) -> float:
    value = of.get(key, 0.0)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    fields.wrong(f"{where}.{key}", f"is {described(value)}; it must be a number")
    return 0.0


def _count(fields: RowFields, of: Fields, key: str, where: str) -> int:
    value = of.get(key, 0)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53:
        return value
    fields.wrong(f"{where}.{key}", f"is {described(value)}; it must be a whole number")
    return 0


def _flag(fields: RowFields, of: Fields, key: str, where: str) -> bool:
    value = of.get(key, False)
    if not isinstance(value, bool):
        fields.wrong(f"{where}.{key}", f"is {described(value)}; it must be true or false")
    return value is True


def _choice(fields: RowFields, of: Fields, key: str, choices: tuple[str, ...], where: str) -> str:
    value = of.get(key)
    if value is None:
        return ""
    if isinstance(value, str) and value in choices:
        return value
    said = quoted(value) if isinstance(value, str) else described(value)
    fields.wrong(f"{where}.{key}", f"is {said}; it must be one of {', '.join(choices)}")
    return ""
