"""Conversations of `llm`'s database (`logs.db`), in each of the three forms it has had.

- threads, turns, messages and parts (0.32 and later): messages are named by their content and know what they follow;
  a thread points at its last one.
- conversations and responses (0.4 to 0.31), which later versions keep for what was logged before.
- logs (before 0.4).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmchat.domain import Role
from mmchat.memory.import_bundle import HEAD_BYTES, sensed_file
from mmchat.memory.import_database import ForeignDatabase, Row
from mmchat.memory.import_run import Incoming
from mmchat.memory.import_values import fields_of, joined, list_of, moment_of, text_of, title_from
from mmchat.memory.incoming import NewConversation, NewFile, NewTurn

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}


def is_llm(database: ForeignDatabase) -> bool:
    """Whether `llm` wrote it."""
    return (
        database.has("responses", "id", "prompt", "response")
        or database.has("threads", "id", "tip_message_hash")
        or database.has("logs", "prompt", "response", "model")
    )


def incoming(database: ForeignDatabase) -> Iterator[Incoming]:
    """All conversations, the oldest form first."""
    if database.has("logs", "prompt", "response", "model"):
        yield from _logs(database)
    if database.has("responses", "id", "prompt", "response"):
        yield from _conversations(database)
    if database.has("threads", "id", "tip_message_hash"):
        yield from _threads(database)


# --- conversations and responses ----------------------------------------------------------------


def _conversations(database: ForeignDatabase) -> Iterator[Incoming]:
    # What is also in the newer tables stands there with all that came before it.
    newer = "SELECT id FROM threads" if database.has("threads", "id") else "SELECT NULL WHERE 0"
    turns = "SELECT id FROM turns" if database.has("turns", "id") else "SELECT NULL WHERE 0"
    columns = ", ".join(
        name if database.has("responses", name) else f"NULL AS {name}"
        for name in ("id", "model", "resolved_model", "prompt", "system", "response", "reasoning", "datetime_utc")
    )
    names = (
        {row["id"]: row for row in database.rows("SELECT * FROM conversations")}
        if database.has("conversations")
        else {}
    )
    groups = list(
        database.rows(
            "SELECT coalesce(conversation_id, id) AS name, min(datetime_utc) AS began FROM responses"
            f" WHERE coalesce(conversation_id, '') NOT IN ({newer}) AND id NOT IN ({turns})"
            " GROUP BY coalesce(conversation_id, id) ORDER BY began, name"
        )
    )
    for group in groups:
        responses = database.rows(
            f"SELECT {columns} FROM responses WHERE coalesce(conversation_id, id) = ? ORDER BY datetime_utc, id",
            group["name"],
        )
        yield _of_responses(database, group["name"], names.get(group["name"], {}), list(responses))


def _of_responses(database: ForeignDatabase, name: str, about: Row, responses: Sequence[Row]) -> NewConversation:
    left_out: Counter[str] = Counter()
    turns: list[NewTurn] = []
    system = ""
    for row in responses:
        said_at = moment_of(row["datetime_utc"])
        told = joined([*_fragments(database, "system_fragments", row["id"]), text_of(row["system"])])
        if told and told != system:
            turns.append(NewTurn("system", told, said_at))
            system = told
        asked = joined([*_fragments(database, "prompt_fragments", row["id"]), text_of(row["prompt"])])
        files, notes = _attachments(database, row["id"], left_out)
        if asked or files or notes:
            turns.append(NewTurn("user", joined([asked, *notes]), said_at, files=files))
        calls = _calls(database, row["id"], left_out)
        left_out["thought"] += bool(row["reasoning"])
        reply = joined([*calls, text_of(row["response"])])
        if reply:
            model = text_of(row["resolved_model"]) or text_of(row["model"])
            turns.append(NewTurn("assistant", reply, said_at, model=model))
    first = next((turn.text for turn in turns if turn.role == "user"), "")
    return NewConversation(
        text_of(about.get("name")) or title_from(first),
        tuple(turns),
        source=f"llm:{name}",
        model=text_of(about.get("model")) or next((text_of(row["model"]) for row in responses), ""),
        left_out=+left_out,
    )


def _fragments(database: ForeignDatabase, table: str, response_id: str) -> list[str]:
    """Texts that were put before the prompt."""
    if not database.has(table) or not database.has("fragments"):
        return []
    rows = database.rows(
        f"SELECT f.content FROM {table} p JOIN fragments f ON f.id = p.fragment_id"
        ' WHERE p.response_id = ? ORDER BY p."order"',
        response_id,
    )
    return [text_of(row["content"]) for row in rows]


def _attachments(
    database: ForeignDatabase, response_id: str, left_out: Counter[str]
) -> tuple[tuple[NewFile, ...], list[str]]:
    if not database.has("prompt_attachments"):
        return (), []
    rows = database.rows(
        "SELECT a.* FROM prompt_attachments p JOIN attachments a ON a.id = p.attachment_id"
        ' WHERE p.response_id = ? ORDER BY p."order"',
        response_id,
    )
    return _files(rows, left_out)


def _calls(database: ForeignDatabase, response_id: str, left_out: Counter[str]) -> list[str]:
    for table, what in (("tool_results", "tool result"),):
        if database.has(table):
            left_out[what] += sum(1 for _ in database.rows(f"SELECT 1 FROM {table} WHERE response_id = ?", response_id))
    if not database.has("tool_calls"):
        return []
    calls = database.rows("SELECT name FROM tool_calls WHERE response_id = ? ORDER BY id", response_id)
    notes = [f"[tool: {text_of(row['name'])}]" for row in calls]
    left_out["tool call"] += len(notes)
    return notes


# --- threads, turns, messages and parts ---------------------------------------------------------


def _threads(database: ForeignDatabase) -> Iterator[Incoming]:
    told: dict[str, tuple[str, str]] = {}
    for turn in database.rows("SELECT * FROM turns ORDER BY datetime_utc DESC"):
        said_at = moment_of(turn["datetime_utc"])
        told[turn["tip_message_hash"]] = (said_at, text_of(turn["resolved_model"]) or text_of(turn["model"]))
        told.setdefault(turn["parent_message_hash"], (said_at, ""))
    for thread in list(database.rows("SELECT * FROM threads ORDER BY datetime_utc, id")):
        yield _thread(database, thread, told)


def _thread(database: ForeignDatabase, thread: Row, told: dict[str, tuple[str, str]]) -> NewConversation:
    """A thread: its messages from the last one up. `told` has the time and the model of those that a turn ends with."""
    left_out: Counter[str] = Counter()
    chain: list[Row] = []
    seen: set[str] = set()
    at = thread["tip_message_hash"]
    while at and at not in seen:
        seen.add(at)
        found = list(database.rows("SELECT hash, parent_hash, role FROM messages WHERE hash = ?", at))
        if not found:
            left_out["message that is missing"] += 1
            break
        chain.append(found[0])
        at = found[0]["parent_hash"]
    turns: list[NewTurn] = []
    for message in reversed(chain):
        role = _ROLES.get(text_of(message["role"]))
        text, files = _parts(database, message["hash"], left_out)
        if role is None or not (text or files):
            continue
        said_at, model = told.get(message["hash"], ("", ""))
        last = turns[-1] if turns else None
        if role == "assistant" and last is not None and last.role == "assistant":
            # A reply that went on after a tool.
            turns[-1] = NewTurn(
                role,
                joined([last.text, text]),
                last.created_at or said_at,
                files=(*last.files, *files),
                model=model or last.model,
            )
        else:
            turns.append(NewTurn(role, text, said_at, files=files, model=model if role == "assistant" else ""))
    first = next((turn.text for turn in turns if turn.role == "user"), "")
    models = [turn.model for turn in turns if turn.model]
    return NewConversation(
        text_of(thread["name"]) or title_from(first),
        tuple(turns),
        source=f"llm:{thread['id']}",
        model=models[-1] if models else "",
        created_at=moment_of(thread["datetime_utc"]),
        left_out=+left_out,
    )


def _parts(database: ForeignDatabase, message: str, left_out: Counter[str]) -> tuple[str, tuple[NewFile, ...]]:
    pieces: list[str] = []
    files: list[NewFile] = []
    for part in database.rows("SELECT * FROM parts WHERE message_hash = ? ORDER BY position", message):
        kind = text_of(part["type"])
        if kind == "text":
            pieces.append(_part_text(database, part))
        elif kind == "attachment":
            found, notes = _files(
                database.rows(
                    "SELECT a.* FROM part_attachments p JOIN attachments a ON a.id = p.attachment_id"
                    ' WHERE p.part_id = ? ORDER BY p."order"',
                    part["id"],
                ),
                left_out,
            )
            files += found
            pieces += notes
        elif kind == "tool_call":
            pieces.append(f"[tool: {text_of(part['tool_name'])}]")
            left_out["tool call"] += 1
        else:
            left_out["thought" if kind == "reasoning" else kind.replace("_", " ") or "unknown piece"] += 1
    return joined(pieces), tuple(files)


def _part_text(database: ForeignDatabase, part: Row) -> str:
    """The text of a part, which may be made up of fragments that stand elsewhere."""
    if part["text"] is not None or not part["payload"]:
        return text_of(part["text"])
    try:
        pieces: Sequence[Any] = list_of(fields_of(json.loads(part["payload"])).get("text_ref"))
    except (ValueError, RecursionError):
        return ""
    found: list[str] = []
    for piece in map(fields_of, pieces):
        found.append(text_of(piece.get("literal")))
        if isinstance(piece.get("fragment"), int):
            rows = database.rows("SELECT content FROM fragments WHERE id = ?", piece["fragment"])
            found += [text_of(row["content"]) for row in rows]
    return "".join(found)


# --- logs ---------------------------------------------------------------------------------------


def _logs(database: ForeignDatabase) -> Iterator[Incoming]:
    columns = database.tables["logs"]
    chat = "coalesce(chat_id, id)" if "chat_id" in columns else "id"
    when = next((name for name in ("datetime_utc", "timestamp_utc", "timestamp") if name in columns), "NULL")
    for group in list(database.rows(f"SELECT DISTINCT {chat} AS name FROM logs ORDER BY name")):
        rows = database.rows(
            "SELECT id, model, NULL AS resolved_model, prompt, system, response, NULL AS reasoning,"
            f" {when} AS datetime_utc FROM logs WHERE {chat} = ? ORDER BY id",
            group["name"],
        )
        responses = list(rows)
        began = text_of(responses[0]["datetime_utc"]) if responses else ""
        yield _of_responses(database, f"logs:{group['name']} {began}", {}, [{**row, "id": ""} for row in responses])


# --- files --------------------------------------------------------------------------------------


def _files(rows: Iterator[Row], left_out: Counter[str]) -> tuple[tuple[NewFile, ...], list[str]]:
    """Attachments that are pictures or sounds and there, and a note for each of the others."""
    files: list[NewFile] = []
    notes: list[str] = []
    for row in rows:
        data, path = row["content"], text_of(row["path"])
        name = Path(path).name or text_of(row["url"]).rsplit("/", 1)[-1]
        name = name or text_of(row["type"]).replace("/", ".") or "attachment"
        if not isinstance(data, bytes) and path:
            try:
                data = Path(path).read_bytes()
            except (OSError, ValueError):
                data = None
        file = None
        if isinstance(data, bytes):
            shown = name if not text_of(row["type"]).startswith("audio/") or Path(name).suffix else f"{name}.wav"
            file = sensed_file(shown, data[:HEAD_BYTES], lambda data=data: data)  # type: ignore[misc]
        if file is not None:
            files.append(file)
        else:
            notes.append(f"[file: {text_of(row['url']) or path or name}]")
            left_out["file"] += 1
    return tuple(files), notes
