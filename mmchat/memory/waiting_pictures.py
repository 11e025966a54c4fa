"""Pictures that are not to be found by what is in them yet: imported, or sent while the model was missing."""

from __future__ import annotations

from mmchat.domain import Attachment
from mmchat.memory.statements import LIVE_TURN
from mmchat.memory.store import MemoryStore

_WAITS = f"""
a.kind = 'image' AND (a.seen IS NULL OR NOT EXISTS (SELECT 1 FROM embeddings e
    WHERE e.owner_kind = 'attachment' AND e.owner = a.number AND e.model = ?))
AND EXISTS (SELECT 1 FROM turns t WHERE t.id = a.turn_id AND {LIVE_TURN})
"""


def count_waiting(store: MemoryStore, model: str) -> int:
    """How many pictures the picture model has not looked at; the same bytes count once."""
    return int(
        store.file.rows(f"SELECT count(DISTINCT sha256) AS n FROM attachments a WHERE {_WAITS}", (model,))[0]["n"]
    )


def waiting_pictures(
    store: MemoryStore, model: str, *, after: int = 0, limit: int = 32
) -> list[tuple[int, Attachment]]:
    """The oldest pictures that wait for the picture model, with their numbers.

    Args:
        store: the conversations.
        model: the picture model's name.
        after: only those with a higher number, so that one that cannot be read does not come again.
        limit: how many at most.
    """
    found = store.file.rows(
        f"SELECT a.number, a.id, a.turn_id FROM attachments a WHERE a.number > ? AND {_WAITS}"
        " ORDER BY a.number LIMIT ?",
        (after, model, limit),
    )
    waiting: list[tuple[int, Attachment]] = []
    for row in found:
        files = store.attachments_by_turn("SELECT ?", (row["turn_id"],)).get(row["turn_id"], ())
        waiting += [(row["number"], each) for each in files if each.id == row["id"]]
    return waiting


def untold_tags(store: MemoryStore, model: str, *, after: int = 0, limit: int = 64) -> dict[int, str]:
    """What was seen in pictures whose tags have no vector of the sentence embedder `model`, by numbers of pictures."""
    found = store.file.rows(
        "SELECT a.number, a.seen FROM attachments a WHERE a.number > ? AND a.kind = 'image'"
        " AND json_array_length(a.seen, '$.tags') > 0 AND NOT EXISTS (SELECT 1 FROM embeddings e"
        " WHERE e.owner_kind = 'attachment' AND e.owner = a.number AND e.model = ?)"
        f" AND EXISTS (SELECT 1 FROM turns t WHERE t.id = a.turn_id AND {LIVE_TURN}) ORDER BY a.number LIMIT ?",
        (after, model, limit),
    )
    return {row["number"]: row["seen"] for row in found}


def take_over_vector(store: MemoryStore, attachment_id: str, model: str) -> bool:
    """Copy the vector that the same bytes have already; False where they have none."""
    with store.file.write() as db:
        copied = db.execute(
            "INSERT OR REPLACE INTO embeddings (owner_kind, owner, model, vector)"
            " SELECT 'attachment', a.number, e.model, e.vector FROM attachments a"
            " JOIN attachments other ON other.sha256 = a.sha256 AND other.number <> a.number"
            " JOIN embeddings e ON e.owner_kind = 'attachment' AND e.owner = other.number AND e.model = ?"
            " WHERE a.id = ? LIMIT 1",
            [model, attachment_id],
        )
        return bool(copied.rowcount > 0)
