"""The store of conversations: sessions, turns, their files and what the senses said of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mmchat.domain import (
    Attachment,
    Heard,
    PreparedKind,
    Recalled,
    Role,
    Seen,
    Session,
    Turn,
    TurnStatus,
    Usage,
    Window,
)
from mmchat.errors import MemoryStoreError, UsageError
from mmchat.memory import rows as convert
from mmchat.memory import tree
from mmchat.memory.blobs import BlobFolder, NewAttachment
from mmchat.memory.damage import refuse_emptied
from mmchat.memory.database import DatabaseFile, Row
from mmchat.memory.forks import fork
from mmchat.memory.ids import now_text
from mmchat.memory.late_ends import LateEnds
from mmchat.memory.restore_journal import finish_restore
from mmchat.memory.shelves import HAS_TAG, ON_SHELF, TAGS, Shelf, as_tag
from mmchat.memory.statements import (
    index_title,
    index_turn,
    insert_attachment,
    insert_session,
    insert_turn,
    session_filter,
)
from mmchat.memory.text_search import storable
from mmchat.memory.told_notes import recallable_by_id
from mmchat.memory.trash import delete_for_good
from mmchat.memory.writers import Writers

_CUT_NOTICE = "mmchat ended before this reply did."

_SESSIONS = f"""
SELECT s.*, {TAGS} AS tags, (SELECT count(*) FROM turns t WHERE t.session_id = s.id)
 - (SELECT count(*) FROM turns t WHERE t.session_id = s.id AND t.is_retired) AS turn_count
FROM sessions s
"""
# Counted so, no turn is read: one index holds all turns by conversation, another the retired ones.
_TURNS = "SELECT t.*, r.rating, r.note FROM turns t LEFT JOIN ratings r ON r.turn_id = t.id"
_OLDEST_OF_NEWEST = (
    "SELECT n.position FROM turns n WHERE n.session_id = t.session_id AND NOT n.is_retired"
    " ORDER BY n.position DESC LIMIT 1 OFFSET ? - 1"
)
_BESIDE = (
    "SELECT n.position FROM turns a JOIN turns n ON n.session_id = a.session_id AND NOT n.is_retired"
    " AND n.position {} a.position WHERE a.id = ? AND NOT a.is_retired ORDER BY n.position {} LIMIT 1 OFFSET ?"
)
_EARLIEST, _LATEST = _BESIDE.format("<=", "DESC"), _BESIDE.format(">=", "ASC")
_ATTACHMENTS = "SELECT a.*, b.size_bytes, b.media_type, b.file FROM attachments a JOIN blobs b USING (sha256)"


__all__ = ["MemoryStore", "NewAttachment"]


class MemoryStore:
    """One SQLite file and a folder of blobs. Safe from any thread: each gets its own connection.

    Two processes may use the same file at once.
    """

    def __init__(self, database_path: Path, blobs_dir: Path) -> None:
        """Open, creating and migrating as needed.

        Raises:
            MemoryStoreError: the file is damaged, emptied, newer than this program or locked; it is left as it was.
        """
        finish_restore(database_path)
        refuse_emptied(database_path, blobs_dir)
        self.file = DatabaseFile(database_path)
        self.blobs = BlobFolder(blobs_dir)
        self.late = LateEnds()
        self._writers = Writers(database_path.with_name(f"{database_path.name}-writers"))
        with suppress(MemoryStoreError):  # a full disk keeps nobody from reading; `turns` tells of them all the same
            self._stop_orphans()

    # --- sessions -------------------------------------------------------------------------------

    def create_session(self, *, title: str = "", model: str = "", persona: str = "") -> Session:
        """A new, empty conversation."""
        with self.file.write() as db:
            session_id = insert_session(db, title=title, model=model, persona=persona)
        return self.get_session(session_id)

    def get_session(self, session_id: str) -> Session:
        """By id or a unique beginning of it.

        Raises:
            UsageError: none fits, or several do.
        """
        wanted = storable(session_id).strip().lower()
        found = self.file.rows(f"{_SESSIONS} WHERE s.id = ?", (wanted,))
        if not found and wanted:
            # A range instead of LIKE: it uses the index, and % or _ mean nothing special.
            found = self.file.rows(f"{_SESSIONS} WHERE s.id >= ? AND s.id < ? LIMIT 4", (wanted, wanted + "\uffff"))
        if not found:
            raise UsageError(f"No conversation '{session_id}'.", hint="`mmchat sessions list` names them all.")
        if len(found) > 1:
            names = ", ".join(row["id"] for row in found[:3]) + (", …" if len(found) > 3 else "")
            raise UsageError(f"Several conversations begin with '{session_id}': {names}.", hint="Give more of the id.")
        return convert.session_from_row(found[0])

    def latest_session(self) -> Session | None:
        """The conversation last spoken in, of those that are listed."""
        return next(iter(self.list_sessions(limit=1, shelf="listed")), None)

    def list_sessions(
        self, *, limit: int = 200, query: str = "", shelf: Shelf = "kept", tags: Sequence[str] = ()
    ) -> tuple[Session, ...]:
        """Newest first; with a query, those whose title or turns hold all its words; with tags, those that have all."""
        conditions: list[str] = [ON_SHELF[shelf]]
        parameters: list[object] = []
        if query.strip():
            with self.file.read() as db:
                condition, words = session_filter(db, storable(query))
            conditions.append(condition)
            parameters += words
        for tag in tags:
            conditions.append(HAS_TAG)
            parameters.append(as_tag(tag))
        found = self.file.rows(
            f"{_SESSIONS} WHERE {' AND '.join(conditions)} ORDER BY s.updated_at DESC, s.number DESC LIMIT ?",
            (*parameters, limit),
        )
        return tuple(convert.session_from_row(row) for row in found)

    def rename_session(self, session_id: str, title: str) -> Session:
        """Give a conversation another title.

        Raises:
            UsageError: no such conversation.
        """
        session = self.get_session(session_id)
        self._set_title(session.id, title, where="1")
        return self.get_session(session.id)

    def title_session(self, session_id: str, title: str) -> None:
        """Set a title only where none was given yet (self-titling never overwrites the user's)."""
        self._set_title(session_id, title, where="title = ''")

    def fork_session(self, session_id: str, *, at_turn: str | None = None) -> Session:
        """A copy of a conversation up to and including a turn (its end when None), to go on from there.

        Raises:
            UsageError: no such conversation, or the turn is not in it.
        """
        return fork(self, session_id, at_turn)

    def delete_session(self, session_id: str) -> None:
        """Delete a conversation for good, with its turns, vectors and the files no other turn needs.

        Raises:
            UsageError: no such conversation.
        """
        delete_for_good(self, self.get_session(session_id).id)

    # --- turns ----------------------------------------------------------------------------------

    def add_user_turn(self, session_id: str, text: str, attachments: Sequence[NewAttachment] = ()) -> Turn:
        """Copy the files, then write turn and attachments in one transaction, synced before returning.

        Raises:
            MediaError: a file cannot be read; nothing was stored.
            UsageError: the conversation is gone.
        """
        return self.add_turn(session_id, role="user", text=text, attachments=attachments)

    def add_turn(
        self,
        session_id: str,
        *,
        role: Role,
        text: str,
        attachments: Sequence[NewAttachment] = (),
        created_at: str = "",
        speaker: str = "",
    ) -> Turn:
        """Add a whole turn at the end of a conversation, e.g. one that was imported."""
        self.late.retry()
        kept = [(new, self.blobs.keep(new.path, new.media_type)) for new in attachments]
        with self.file.write() as db:
            turn_id = insert_turn(
                db,
                session_id,
                {"role": role, "text": storable(text), "status": "complete", "speaker": storable(speaker)},
                created_at=created_at,
            )
            for position, (new, blob) in enumerate(kept):
                insert_attachment(db, self.blobs, turn_id, position, new, blob)
            index_turn(db, turn_id)
        return self.get_turn(turn_id)

    def start_reply(self, session_id: str, *, parent_id: str, model: str, engine: str, text: str) -> Turn:
        """The row of a reply that has begun; it is marked as this process's until it is finished.

        An earlier reply to the same message leaves the view in the same transaction, and is kept as a variant.
        """
        writer = self._writers.own_token()
        fields = {
            "role": "assistant",
            "text": storable(text),
            "status": "streaming",
            "parent_id": parent_id,
            "model": storable(model),
            "engine": storable(engine),
            "writer": writer,
        }
        with self.file.write() as db:
            replaced = db.execute(
                "SELECT id FROM turns WHERE parent_id = ? AND role = 'assistant' AND NOT is_retired", [parent_id]
            )
            for (reply_id,) in replaced.fetchall():
                tree.retire(db, reply_id)
            turn_id = insert_turn(db, session_id, fields)
        return self.get_turn(turn_id)

    def checkpoint_reply(self, turn_id: str, text: str) -> None:
        """Save what has been said so far; a reply that is already finished stays as it is."""
        with self.file.write() as db:
            db.execute(
                "UPDATE turns SET text = ?, updated_at = ? WHERE id = ? AND status = 'streaming'",
                [storable(text), now_text(), turn_id],
            )

    def finish_reply(
        self,
        turn_id: str,
        text: str,
        *,
        status: TurnStatus,
        usage: Usage | None = None,
        window: Window | None = None,
        recalled: Sequence[Recalled] = (),
        notice: str = "",
        prepared: PreparedKind = "",
    ) -> Turn:
        """Save a reply whole, stopped or failed, with what it cost and what it was shown.

        Raises:
            MemoryStoreError: its conversation was deleted meanwhile.
        """
        now = now_text()
        with self.file.write() as db:
            changed = db.execute(
                "UPDATE turns SET text = ?, status = ?, usage = ?, context = ?, recalled = ?, notice = ?,"
                " prepared = ?, writer = '', updated_at = ? WHERE id = ?",
                [
                    storable(text),
                    status,
                    convert.to_json(usage),
                    convert.to_json(window),
                    convert.recalled_to_json(recalled),
                    storable(notice),
                    prepared,
                    now,
                    turn_id,
                ],
            )
            if not changed.rowcount:
                raise MemoryStoreError(
                    "The reply could not be stored: its conversation was deleted meanwhile.",
                    hint="Start a new conversation.",
                )
            index_turn(db, turn_id)
            db.execute(
                "UPDATE sessions SET updated_at = ? WHERE id = (SELECT session_id FROM turns WHERE id = ?)",
                [now, turn_id],
            )
        return self.get_turn(turn_id)

    def own_writer(self) -> str:
        """This program's token, by which others know whether it still runs."""
        return self._writers.own_token()

    def is_writing(self, writer: str) -> bool:
        """Whether the program that took this token still runs."""
        return self._writers.is_alive(writer)

    def turns(self, session_id: str, *, newest: int = 0, around: str = "") -> tuple[Turn, ...]:
        """The conversation, oldest first; replies that a dead process left `streaming` come back `stopped`.

        Args:
            session_id: whose turns.
            newest: so many of its newest turns only; 0 for all.
            around: with `newest`, so many before and after this turn instead; all where it is not in view.
        """
        where = "t.session_id = ? AND NOT t.is_retired"
        parameters: tuple[object, ...] = (session_id,)
        if newest and not around:
            parameters = (session_id, newest)
            where += f" AND t.position >= ifnull(({_OLDEST_OF_NEWEST}), 0)"
        elif newest:
            parameters = (session_id, around, newest, around, newest)
            where += f" AND t.position >= ifnull(({_EARLIEST}), 0) AND t.position <= ifnull(({_LATEST}), 9e18)"
        found = self.file.rows(f"{_TURNS} WHERE {where} ORDER BY t.position", parameters)
        if any(row["status"] == "streaming" and not self._writers.is_alive(row["writer"]) for row in found):
            with suppress(MemoryStoreError):
                self._stop_orphans()
            found = self.file.rows(f"{_TURNS} WHERE {where} ORDER BY t.position", parameters)
            for row in found:  # where nothing can be written (a read-only or a full disk)
                if row["status"] == "streaming" and not self._writers.is_alive(row["writer"]):
                    row.update(status="stopped", notice=_CUT_NOTICE)
        with self.file.read() as db:
            places = tree.variant_places(db, session_id)
        turns = self._turns_from_rows(found, where, parameters)
        return tuple(_placed(turn, places) for turn in turns) if places else turns

    def turns_with_ids(self, turn_ids: Sequence[str]) -> tuple[Turn, ...]:
        """Turns of one conversation, oldest first, retired or not."""
        where, parameters = "t.id IN (SELECT value FROM json_each(?))", (json.dumps(list(turn_ids)),)
        found = self.file.rows(f"{_TURNS} WHERE {where} ORDER BY t.position", parameters)
        return self._turns_from_rows(found, where, parameters)

    def get_turn(self, turn_id: str) -> Turn:
        """One turn, retired or not.

        Raises:
            UsageError: no such turn.
        """
        found = self.file.rows(f"{_TURNS} WHERE t.id = ?", (turn_id,))
        if not found:
            raise UsageError(f"No turn '{turn_id}'.", hint="It may have been deleted with its conversation.")
        turn = self._turns_from_rows(found, "t.id = ?", (turn_id,))[0]
        with self.file.read() as db:
            return _placed(turn, {turn.id: tree.variant_place(db, turn.id)})

    # --- what the senses said, never redone for the same bytes and model ----------------------------

    def save_heard(self, attachment_id: str, heard: Heard) -> Attachment:
        """Keep what was heard on a sound; its turn is found by it from now on."""
        return self._save_sensed(attachment_id, "heard", heard)

    def save_seen(self, attachment_id: str, seen: Seen) -> Attachment:
        """Keep what was seen in a picture; its turn is found by it from now on."""
        return self._save_sensed(attachment_id, "seen", seen)

    def find_heard(self, sha256: str, model: str) -> Heard | None:
        """What this model heard on these bytes before."""
        return convert.heard_from_json(self._find_sensed("heard", sha256, model))

    def find_seen(self, sha256: str, model: str) -> Seen | None:
        """What this model saw in these bytes before."""
        return convert.seen_from_json(self._find_sensed("seen", sha256, model))

    # --- care -----------------------------------------------------------------------------------

    def check_integrity(self) -> list[str]:
        """Problems found; empty when sound. Missing files of attachments count."""
        problems = self.file.check_integrity()
        if not problems:
            # Of those in use: one without a turn is a deletion's leftover, which `sessions gc` removes.
            used = "SELECT file, size_bytes FROM blobs WHERE sha256 IN (SELECT sha256 FROM attachments)"
            for row in self.file.rows(used):
                problems += self.blobs.problems(row["file"], row["size_bytes"])
        return problems

    def leftover_locks(self) -> list[Path]:
        """Lock files of processes that are gone."""
        return self._writers.leftovers()

    def close(self) -> None:
        """Close all connections. Replies this store left unfinished count as stopped from now on."""
        self.late.retry()
        self._writers.close()
        self.file.close()

    # --- within ---------------------------------------------------------------------------------

    def _set_title(self, session_id: str, title: str, *, where: str) -> None:
        with self.file.write() as db:
            db.execute(f"UPDATE sessions SET title = ? WHERE id = ? AND {where}", [storable(title), session_id])
            index_title(db, session_id)

    def _stop_orphans(self) -> None:
        streaming = "SELECT number, id, writer FROM turns WHERE status = 'streaming'"
        orphans = [row for row in self.file.rows(streaming) if not self._writers.is_alive(row["writer"])]
        if not orphans or self.file.is_read_only:
            return
        with self.file.write() as db:
            for row in orphans:
                db.execute(
                    "UPDATE turns SET status = 'stopped', notice = ?, writer = ''"
                    " WHERE number = ? AND status = 'streaming' AND writer = ?",
                    [_CUT_NOTICE, row["number"], row["writer"]],
                )
                index_turn(db, row["id"])

    def _turns_from_rows(self, found: list[Row], where: str, parameters: tuple[object, ...]) -> tuple[Turn, ...]:
        """Three queries for any number of turns; `where` selects the same rows of `turns t` as `found`."""
        attached = self.attachments_by_turn(f"SELECT t.id FROM turns t WHERE {where}", parameters)
        has_notes = any(row["recalled"] for row in found)
        recallable = recallable_by_id(self, where, parameters) if has_notes else {}
        return tuple(convert.turn_from_row(row, attached.get(row["id"], ()), recallable) for row in found)

    def attachments_by_turn(
        self, turn_ids_sql: str, parameters: tuple[object, ...]
    ) -> dict[str, tuple[Attachment, ...]]:
        """Attachments of the turns whose ids a query selects, in order, by turn."""
        by_turn: dict[str, tuple[Attachment, ...]] = {}
        sql = f"{_ATTACHMENTS} WHERE a.turn_id IN ({turn_ids_sql}) ORDER BY a.turn_id, a.position"
        for row in self.file.rows(sql, parameters):
            each = convert.attachment_from_row(row, self.blobs.path)
            by_turn[each.turn_id] = (*by_turn.get(each.turn_id, ()), each)
        return by_turn

    def _save_sensed(self, attachment_id: str, column: str, value: Heard | Seen) -> Attachment:
        with self.file.write() as db:
            db.execute(f"UPDATE attachments SET {column} = ? WHERE id = ?", [convert.to_json(value), attachment_id])
            turn_id = db.execute("SELECT turn_id FROM attachments WHERE id = ?", [attachment_id]).fetchone()
            if turn_id is None:
                raise UsageError(f"No attachment '{attachment_id}'.", hint="Its conversation may have been deleted.")
            index_turn(db, turn_id[0])
        (row,) = self.file.rows(f"{_ATTACHMENTS} WHERE a.id = ?", (attachment_id,))
        return convert.attachment_from_row(row, self.blobs.path)

    def _find_sensed(self, column: str, sha256: str, model: str) -> str | None:
        found = self.file.rows(
            f"SELECT {column} AS value FROM attachments"
            f" WHERE sha256 = ? AND json_extract({column}, '$.model') = ? ORDER BY number DESC LIMIT 1",
            (sha256, storable(model)),
        )
        return found[0]["value"] if found else None


def _placed(turn: Turn, places: Mapping[str, tuple[int, int]]) -> Turn:
    variant, variants = places.get(turn.id, (1, 1))
    return replace(turn, variant=variant, variants=variants) if variants > 1 else turn
