"""Branches of a conversation: other variants of a turn, messages edited, exchanges taken back. Nothing is overwritten.

Each change is one transaction that looks at the conversation as it is then, so that two programs may branch in the
same one; none touches a branch in which a reply is being written.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlite_utils import Database

from mmchat.domain import Turn
from mmchat.errors import UsageError
from mmchat.memory import tree
from mmchat.memory.statements import index_turn, insert_attachment, insert_turn
from mmchat.memory.store import MemoryStore, NewAttachment
from mmchat.memory.text_search import storable


def variants(store: MemoryStore, turn_id: str) -> tuple[str, ...]:
    """Ids of a turn in view and its variants, oldest first."""
    with store.file.read() as db:
        return tuple(tree.variants_of(db, turn_id))


def show_variant(store: MemoryStore, shown_id: str, wanted_id: str) -> None:
    """Take one variant out of view, with all that hangs on it, and bring another back with what followed it.

    Raises:
        UsageError: the conversation was changed meanwhile, or a reply is being written in what would go.
    """
    with store.file.write() as db:
        if shown_id == wanted_id:
            return
        known = tree.variants_of(db, shown_id)
        if wanted_id not in known or _is_retired(db, shown_id):
            raise _changed()
        _retire(store, db, shown_id)
        tree.revive(db, wanted_id)


def take_back(store: MemoryStore, session_id: str) -> str | None:
    """Take the last message of the user out of view with what followed it; its id, None where there is none.

    Raises:
        UsageError: a reply is being written in it.
    """
    with store.file.write() as db:
        asked = tree.last_in_view(db, session_id, "user")
        if asked is not None:
            _retire(store, db, asked)
        return asked


def bring_back(store: MemoryStore, session_id: str) -> str | None:
    """Bring back the exchange that was taken out of the end last; the id of its first turn, None where none was."""
    with store.file.write() as db:
        wanted = tree.last_retired_after(db, session_id, tree.last_in_view(db, session_id))
        if wanted is not None:
            tree.revive(db, wanted)
        return wanted


def add_edited_turn(store: MemoryStore, turn_id: str, text: str, attachments: Sequence[NewAttachment] = ()) -> Turn:
    """Store a message of the user in the place of an earlier one, which is kept as its variant with what followed.

    Raises:
        MediaError: a file cannot be read; nothing was changed.
        UsageError: it is no message of the user in view, or a reply is being written after it.
    """
    kept = [(new, store.blobs.keep(new.path, new.media_type)) for new in attachments]
    with store.file.write() as db:
        found = db.execute("SELECT session_id, parent_id, role, is_retired FROM turns WHERE id = ?", [turn_id])
        session_id, parent_id, role, is_retired = found.fetchone() or ("", None, "", 1)
        if is_retired or role != "user":
            raise _changed()
        _retire(store, db, turn_id)
        fields = {"role": "user", "text": storable(text), "status": "complete", "parent_id": parent_id}
        new_id = insert_turn(db, session_id, fields)
        for position, (new, blob) in enumerate(kept):
            insert_attachment(db, store.blobs, new_id, position, new, blob)
        index_turn(db, new_id)
    return store.get_turn(new_id)


def path_to(store: MemoryStore, turn_id: str) -> tuple[Turn, ...]:
    """The turns from the beginning of a conversation to one of its turns, in view or not."""
    with store.file.read() as db:
        ids = tree.path_to(db, turn_id)
    return store.turns_with_ids(ids)


def _retire(store: MemoryStore, db: Database, turn_id: str) -> None:
    if any(store.is_writing(writer) for writer in tree.writers_from(db, turn_id)):
        raise UsageError(
            "A reply is being written there, so it stays in view.", hint="Wait until it has ended, or stop it."
        )
    tree.retire(db, turn_id)


def _is_retired(db: Database, turn_id: str) -> bool:
    found = db.execute("SELECT is_retired FROM turns WHERE id = ?", [turn_id]).fetchone()
    return found is None or bool(found[0])


def _changed() -> UsageError:
    return UsageError(
        "This conversation was changed in another window meanwhile.", hint="Open it again to see it as it is now."
    )
