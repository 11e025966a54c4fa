"""SQL that several methods of the store share; each runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlite_utils import Database

from mmchat.domain import Rating, Turn
from mmchat.errors import UsageError
from mmchat.memory import rows as convert
from mmchat.memory.blobs import Blob, BlobFolder, NewAttachment
from mmchat.memory.ids import new_id, now_text
from mmchat.memory.pins import copy_pins
from mmchat.memory.summaries import copy_summaries
from mmchat.memory.text_search import all_of, indexed, storable

LIVE_TURN = (
    "NOT t.is_retired AND t.status <> 'streaming'"
    " AND t.session_id NOT IN (SELECT id FROM sessions WHERE deleted_at IS NOT NULL)"
)
"""Condition on `turns t`: what recall and search may find. Retired variants, replies that are still being written and
conversations in the trash are not found; archived conversations are."""

LARGE_STORE = 50_000
"""Turns from which on a search that would read most of the index is bounded."""
FILTERED_TURNS = 2000
"""How many turns with the words of a query decide which conversations are listed."""
LOOKED_THROUGH = 20_000
"""How many turns are looked through for what is not indexed (emoji, punctuation), the newest first."""


def index_turn(db: Database, turn_id: str) -> None:
    """Write a turn's row of the full-text index anew: its words, and what its files told."""
    number, text = db.execute("SELECT number, text FROM turns WHERE id = ?", [turn_id]).fetchone()
    senses: list[str] = []
    for name, heard, seen in db.execute(
        "SELECT name, heard, seen FROM attachments WHERE turn_id = ? ORDER BY position", [turn_id]
    ):
        senses.append(name)
        told_heard, told_seen = convert.heard_from_json(heard), convert.seen_from_json(seen)
        senses.append(convert.sensed_words(told_heard, told_seen))
        senses.append(convert.chinese_words(told_seen))
    db.execute("DELETE FROM turns_fts WHERE rowid = ?", [number])
    db.execute(
        "INSERT INTO turns_fts (rowid, words, senses) VALUES (?, ?, ?)",
        [number, indexed(text), indexed("\n".join(senses))],
    )


def index_title(db: Database, session_id: str) -> None:
    """Write a conversation's row of the full-text index anew."""
    found = db.execute("SELECT number, title FROM sessions WHERE id = ?", [session_id]).fetchone()
    if found is not None:
        db.execute("DELETE FROM sessions_fts WHERE rowid = ?", [found[0]])
        db.execute("INSERT INTO sessions_fts (rowid, words) VALUES (?, ?)", [found[0], indexed(found[1])])


def insert_session(
    db: Database, *, title: str, model: str = "", persona: str = "", role: str = "", memory_scope: str = ""
) -> str:
    """Add an empty conversation and return its id."""
    session_id, now = new_id(), now_text()
    db.execute(
        "INSERT INTO sessions (id, title, model, persona, role, memory_scope, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [session_id, *map(storable, (title, model, persona, role, memory_scope)), now, now],
    )
    index_title(db, session_id)
    return session_id


def insert_turn(db: Database, session_id: str, fields: Mapping[str, str | None], *, created_at: str = "") -> str:
    """Add a row at the end of a conversation and return its id.

    A row whose parent has left the view meanwhile leaves it too. Speaking in a conversation takes it out of the trash.
    """
    if db.execute("SELECT 1 FROM sessions WHERE id = ?", [session_id]).fetchone() is None:
        raise UsageError(
            f"Conversation {session_id} no longer exists.", hint="It was deleted meanwhile; start a new one."
        )
    turn_id, now = new_id(), now_text()
    parent = "SELECT id FROM turns WHERE session_id = ? AND NOT is_retired ORDER BY position DESC LIMIT 1"
    previous = db.execute(parent, [session_id]).fetchone()
    values: dict[str, str | int | None] = {
        "parent_id": previous[0] if previous else None,
        "id": turn_id,
        "session_id": session_id,
        "created_at": created_at or now,
        "updated_at": now,
        **fields,
    }
    parent_id = values["parent_id"]
    found = db.execute("SELECT is_retired, retired_order FROM turns WHERE id = ?", [parent_id]).fetchone()
    values["is_retired"], values["retired_order"] = found or (0, 0)
    last = "SELECT coalesce(max(position), 0) + 1 FROM turns WHERE session_id = ?"
    columns, marks = ", ".join(values), ", ".join("?" * len(values))
    db.execute(f"INSERT INTO turns ({columns}, position) VALUES ({marks}, ({last}))", [*values.values(), session_id])
    db.execute("UPDATE sessions SET updated_at = ? WHERE id = ?", [now, session_id])
    if fields["role"] == "user":
        db.execute("UPDATE sessions SET deleted_at = NULL WHERE id = ? AND deleted_at IS NOT NULL", [session_id])
    return turn_id


def insert_attachment(
    db: Database, folder: BlobFolder, turn_id: str, position: int, new: NewAttachment, blob: Blob
) -> str:
    """Add the row of a file whose bytes were kept just now, and return its id."""
    db.execute(
        "INSERT OR IGNORE INTO blobs (sha256, size_bytes, media_type, file, created_at) VALUES (?, ?, ?, ?, ?)",
        [blob.sha256, blob.size_bytes, new.media_type, blob.file, now_text()],
    )
    file = db.execute("SELECT file FROM blobs WHERE sha256 = ?", [blob.sha256]).fetchone()[0]
    if file != blob.file:
        # The same bytes came before under another media type, hence another ending: keep one.
        folder.remove(blob.file)
    if not folder.path(file).is_file():
        # Deleted by another process between our copy and this transaction, which excludes it now.
        file = folder.keep(new.path, new.media_type).file
        db.execute("UPDATE blobs SET file = ? WHERE sha256 = ?", [file, blob.sha256])
    attachment_id = new_id()
    db.execute(
        "INSERT INTO attachments (id, turn_id, position, kind, name, sha256) VALUES (?, ?, ?, ?, ?, ?)",
        [attachment_id, turn_id, position, new.kind, storable(new.name), blob.sha256],
    )
    return attachment_id


def copy_turns(db: Database, kept: Iterable[Turn], fork_id: str) -> None:
    """Copy turns with their files and vectors into a conversation that is still empty."""
    parent_id: str | None = None
    copies: dict[str, str] = {}
    source_id = ""
    for position, turn in enumerate(kept, start=1):
        source_id = turn.session_id
        copy_id = copies[turn.id] = new_id()
        number = db.execute("SELECT number FROM turns WHERE id = ?", [turn.id]).fetchone()[0]
        copied = db.execute(
            "INSERT INTO turns (id, session_id, parent_id, position, role, speaker, text, status, model, engine,"
            " notice, usage, context, recalled, understood, prepared, created_at, updated_at)"
            " SELECT ?, ?, ?, ?, role, speaker, text, iif(status = 'streaming', 'stopped', status), model, engine,"
            " notice, usage, context, recalled, understood, prepared, created_at, updated_at FROM turns"
            " WHERE number = ?",
            [copy_id, fork_id, parent_id, position, number],
        ).lastrowid
        for attachment in turn.attachments:
            db.execute(
                "INSERT INTO attachments (id, turn_id, position, kind, name, sha256, heard, seen)"
                " SELECT ?, ?, position, kind, name, sha256, heard, seen FROM attachments WHERE id = ?",
                [new_id(), copy_id, attachment.id],
            )
        db.execute(
            "INSERT INTO embeddings (owner_kind, owner, model, vector)"
            " SELECT owner_kind, ?, model, vector FROM embeddings WHERE owner_kind = 'turn' AND owner = ?",
            [copied, number],
        )
        db.execute(
            "INSERT INTO ratings (turn_id, rating, note, created_at)"
            " SELECT ?, rating, note, created_at FROM ratings WHERE turn_id = ?",
            [copy_id, turn.id],
        )
        index_turn(db, copy_id)
        parent_id = copy_id
    copy_pins(db, copies)
    copies |= copy_summaries(db, source_id, fork_id, copies)
    for copy_id, context in db.execute(
        "SELECT id, context FROM turns WHERE session_id = ? AND context IS NOT NULL", [fork_id]
    ).fetchall():
        # What the model was shown of the copied turns, so that the view stays where it was.
        db.execute("UPDATE turns SET context = ? WHERE id = ?", [convert.window_of_copy(context, copies), copy_id])


def write_rating(db: Database, turn_id: str, rating: Rating | None) -> None:
    """Put a rating in the place of the one before; none for a turn that was deleted meanwhile."""
    db.execute("DELETE FROM ratings WHERE turn_id = ?", [turn_id])
    if rating is not None:
        db.execute(
            "INSERT INTO ratings (turn_id, rating, note, created_at) SELECT id, ?, ?, ? FROM turns WHERE id = ?",
            [convert.rating_to_number(rating.mark), storable(rating.better), now_text(), turn_id],
        )


def blobs_of_session(db: Database, session_id: str) -> list[tuple[str, str]]:
    """Hash and file of every blob a conversation uses."""
    return list(
        db.execute(
            "SELECT DISTINCT b.sha256, b.file FROM blobs b JOIN attachments a USING (sha256)"
            " JOIN turns t ON t.id = a.turn_id WHERE t.session_id = ?",
            [session_id],
        )
    )


def session_filter(db: Database, query: str) -> tuple[str, tuple[object, ...]]:
    """Condition and parameters for conversations `s` whose title or turns hold all words of a query.

    Where very many turns do, the newest `FILTERED_TURNS` of them decide: nobody reads a list of all the
    conversations in which "the" was said.
    """
    expression = search_expression(db, query)
    if not expression:
        # Nothing that is indexed, e.g. an emoji: look for the very characters.
        wanted = query.strip()
        return (
            "(instr(s.title, ?) OR s.id IN (SELECT session_id FROM turns WHERE number >"
            " (SELECT max(number) FROM turns) - ? AND NOT is_retired AND instr(text, ?)))",
            (wanted, LOOKED_THROUGH, wanted),
        )
    return (
        "(s.number IN (SELECT rowid FROM sessions_fts WHERE sessions_fts MATCH ?) OR s.id IN"
        " (SELECT session_id FROM turns WHERE NOT is_retired AND number IN"
        " (SELECT rowid FROM turns_fts WHERE turns_fts MATCH ? ORDER BY rowid DESC LIMIT ?)))",
        (all_of(query), expression, FILTERED_TURNS),
    )


def search_expression(db: Database, query: str) -> str:
    """FTS5 expression for text that holds all words of a query, the last of which may be unfinished.

    In a large store one or two letters are looked for as a whole word: half of all turns hold a word that begins
    with "a", and to find that out takes a quarter of a second among a million.
    """
    count = db.execute("SELECT coalesce(max(number), 0) FROM turns").fetchone()[0]
    return all_of(query, shortest_beginning=3 if count > LARGE_STORE else 1)
