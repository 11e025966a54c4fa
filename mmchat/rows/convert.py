"""Objects of JSON made into rows, one function for each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmchat.rows.fields import RowFields, described, quoted
from mmchat.rows.kept import read_kept
from mmchat.rows.messages import prompt_messages, read_messages, text_message, with_files
from mmchat.rows.probes import read_probes
from mmchat.rows.values import (
    CaptionRow,
    DialogueRow,
    LabelRow,
    MemoryQuestion,
    MemoryRow,
    MemoryTurn,
    PreferenceRow,
    Row,
    RowKind,
    RowMessage,
    SpeechRow,
    TextRow,
)


def to_row(fields: RowFields, kind: RowKind) -> Row | None:
    """The row, or None where `fields` now has problems."""
    row = _CONVERTERS[kind](fields)
    return None if fields.problems else row


def _dialogue(fields: RowFields) -> Row:
    row = fields.row
    if "messages" in row:
        messages = read_messages(fields, row["messages"], "messages")
    elif "conversations" in row:
        messages = _system(fields) + read_messages(fields, row["conversations"], "conversations")
    elif "instruction" in row:
        messages = _instruction(fields)
        messages += (text_message("assistant", fields.text("output")),)
    else:
        messages = _system(fields) + prompt_messages(fields, row["prompt"], "prompt")
        completion = row.get("completion")
        if isinstance(completion, list):
            messages += read_messages(fields, completion, "completion")
        else:
            messages += (text_message("assistant", fields.text("completion")),)
    if not messages and not fields.problems:
        fields.wrong("messages", "holds no words; give it what was said, or leave the row out")
    return DialogueRow(
        fields.place,
        with_files(fields, messages),
        persona=fields.optional_text("persona"),
        title=fields.optional_text("title"),
        language=fields.language(),
        kept=read_kept(fields, messages),
    )


def _system(fields: RowFields) -> tuple[RowMessage, ...]:
    """The system text that stands beside the messages."""
    text = fields.optional_text("system")
    return (text_message("system", text),) if text.strip() else ()


def _instruction(fields: RowFields) -> tuple[RowMessage, ...]:
    """All of an Alpaca row up to what the user says last."""
    messages = list(_system(fields))
    history = fields.row.get("history")
    for position, pair in enumerate(fields.items(history, "history", "pair") if history else ()):
        where = f"history[{position}]"
        if not isinstance(pair, list) or len(pair) != 2:
            fields.wrong(where, f"is {described(pair)}; it must be a pair: what the user said, and the reply")
            continue
        messages.append(text_message("user", fields.checked_text(pair[0], f"{where}[0]")))
        messages.append(text_message("assistant", fields.checked_text(pair[1], f"{where}[1]")))
    instruction, more = fields.text("instruction"), fields.optional_text("input")
    messages.append(text_message("user", f"{instruction}\n{more}" if more.strip() else instruction))
    return tuple(messages)


def _speech(fields: RowFields) -> Row | None:
    path = fields.file(fields.row["audio"], "audio")
    text, language = fields.text("text"), fields.language()
    return SpeechRow(fields.place, path, text, language) if path is not None else None


def _caption(fields: RowFields) -> Row | None:
    path = fields.file(fields.row.get("image"), "image")
    key = "captions" if "captions" in fields.row else "caption"
    given = fields.row[key]
    if isinstance(given, str):
        captions: tuple[str, ...] = (fields.checked_text(given, key),)
    else:
        captions = tuple(
            fields.checked_text(each, f"{key}[{position}]")
            for position, each in enumerate(fields.items(given, key, "caption"))
        )
    language = fields.language()
    return CaptionRow(fields.place, path, captions, language) if path is not None else None


def _label(fields: RowFields) -> Row:
    row = fields.row
    label = fields.scalar_text(row["label"], "label")
    text = fields.text("text") if row.get("text") is not None or row.get("image") is None else ""
    path = fields.file(row["image"], "image") if row.get("image") is not None else None
    return LabelRow(fields.place, label, text, path, fields.language())


def _text(fields: RowFields) -> Row:
    return TextRow(fields.place, fields.text("text"), fields.language())


# --- memory -------------------------------------------------------------------------------------


def _memory(fields: RowFields) -> Row:
    row = fields.row
    turns = [
        turn
        for position, value in enumerate(fields.items(row["turns"], "turns", "turn"))
        if (turn := _turn(fields, value, f"turns[{position}]")) is not None
    ]
    seen: set[str] = set()
    for position, turn in enumerate(turns):
        if turn.id in seen and len(turns) == len(row["turns"]):
            fields.wrong(f"turns[{position}].id", f"is {quoted(turn.id)} again; give each turn an id of its own")
        seen.update([turn.id] if turn.id else [])
    given = row.get("questions")
    questions = given if isinstance(given, list) else []
    if given is not None and not isinstance(given, list):
        fields.wrong("questions", f"is {described(given)}; it must be a list")
    # Evidence is looked up only among turns that could all be read: one complaint for one mistake.
    known = seen if not fields.problems else None
    asked = [
        question
        for position, value in enumerate(questions)
        if (question := _question(fields, value, f"questions[{position}]", known)) is not None
    ]
    name = fields.scalar_text(row["id"], "id") if row.get("id") not in (None, "") else ""
    return MemoryRow(fields.place, name, tuple(turns), tuple(asked), fields.language())


def _turn(fields: RowFields, value: object, where: str) -> MemoryTurn | None:
    if not isinstance(value, dict):
        fields.wrong(where, f"is {described(value)}; it must be an object")
        return None
    role = fields.role(value.get("role"), f"{where}.role")
    caption = fields.optional_text("caption", of=value, where=f"{where}.caption")
    image = value.get("image")
    path = fields.file(image, f"{where}.image") if image not in (None, "") else None
    # A turn may be no more than a picture.
    can_be_silent = isinstance(value.get("text"), str) and (image or caption)
    text = value["text"] if can_be_silent else fields.text("text", of=value, where=f"{where}.text")
    created_at = fields.moment("created_at", value, f"{where}.created_at")
    turn_id, session = (_name(fields, value, key, where) for key in ("id", "session"))
    speaker = fields.optional_text("speaker", of=value, where=f"{where}.speaker")
    return MemoryTurn(turn_id, session, role, text, created_at, speaker, path, caption) if role is not None else None


def _name(fields: RowFields, value: dict[str, Any], key: str, where: str) -> str:
    """An id, which may be a number or missing."""
    return fields.scalar_text(value[key], f"{where}.{key}") if value.get(key) not in (None, "") else ""


def _question(fields: RowFields, value: object, where: str, known: set[str] | None) -> MemoryQuestion | None:
    if not isinstance(value, dict):
        fields.wrong(where, f"is {described(value)}; it must be an object")
        return None
    question = fields.text("question", of=value, where=f"{where}.question")
    answer = _name(fields, value, "answer", where)
    given = value.get("evidence")
    if not isinstance(given, list):
        fields.wrong(f"{where}.evidence", f"is {described(given)}; it must be a list of the ids of turns")
        return None
    evidence = [fields.scalar_text(each, f"{where}.evidence[{position}]") for position, each in enumerate(given)]
    for position, turn_id in enumerate(evidence):
        if turn_id and known is not None and turn_id not in known:
            fields.wrong(
                f"{where}.evidence[{position}]", f"{quoted(turn_id)} is the id of no turn; name one of 'turns'"
            )
    return MemoryQuestion(question, tuple(dict.fromkeys(evidence)), answer)


# --- preferences --------------------------------------------------------------------------------


def _preference(fields: RowFields) -> Row:
    row = fields.row
    prompt: tuple[RowMessage, ...] | None = None
    if "messages" in row:
        prompt = read_messages(fields, row["messages"], "messages")
    elif "prompt" in row:
        prompt = _system(fields) + prompt_messages(fields, row["prompt"], "prompt")
    elif "instruction" in row:
        prompt = _instruction(fields)
    if "chosen" in row or "rejected" in row:
        prompt, chosen = _answer(fields, "chosen", prompt)
        prompt, rejected = _answer(fields, "rejected", prompt)
        replies = {"chosen": chosen, "rejected": rejected}
    else:
        prompt, completion = _answer(fields, "completion", prompt)
        replies = {"completion": completion}
    label = row.get("label")
    if "completion" in replies and not isinstance(label, bool):
        fields.wrong("label", f"is {described(label)}; it must be true (a good reply) or false")
    if not prompt and not fields.problems:
        fields.wrong("messages", "is missing; it must hold what is answered")
    is_liked = label is True if "completion" in replies else None
    messages = with_files(fields, prompt or ())
    return PreferenceRow(fields.place, messages, **replies, is_liked=is_liked, language=fields.language())


def _answer(
    fields: RowFields, key: str, prompt: tuple[RowMessage, ...] | None
) -> tuple[tuple[RowMessage, ...] | None, str]:
    """A reply that is a text, or a list of messages that ends with it; with the prompt it belongs to."""
    value = fields.row.get(key)
    if not isinstance(value, list | dict):
        return prompt, fields.text(key)
    before = len(fields.problems)
    messages = read_messages(fields, value if isinstance(value, list) else [value], key)
    if len(fields.problems) > before or not messages:
        return prompt, ""
    *opening, last = messages
    if last.role != "assistant" or last.files:
        fields.wrong(key, "does not end with words of the assistant; make them its last message")
    elif opening and prompt is not None and tuple(opening) != prompt:
        fields.wrong(key, "begins otherwise than its prompt; give only the reply, or the same messages before it")
    return (prompt if prompt is not None else tuple(opening) or None), last.text


_CONVERTERS: dict[RowKind, Callable[[RowFields], Row | None]] = {
    "dialogue": _dialogue,
    "speech": _speech,
    "caption": _caption,
    "label": _label,
    "memory": _memory,
    "preference": _preference,
    "persona": read_probes,
    "text": _text,
}
