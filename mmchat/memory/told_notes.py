"""What replies were told beside the conversation: older turns, facts, passages of documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmchat.domain import Recalled
from mmchat.memory import rows as convert
from mmchat.memory.citations import told_passages
from mmchat.memory.facts import told_facts

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore


def recallable_by_id(store: MemoryStore, where: str, parameters: tuple[object, ...]) -> dict[str, Recalled]:
    """All that the column `recalled` of some replies may refer to; `where` selects the replies, from `turns t`."""
    ids = (
        "SELECT told.value FROM turns t, json_each(t.recalled) r,"
        " json_each(json_array(json_extract(r.value, '$.turn'), json_extract(r.value, '$.partner'))) told"
        f" WHERE {where} AND t.recalled IS NOT NULL"
    )
    files = store.attachments_by_turn(ids, parameters)
    found: dict[str, Recalled] = {}
    for row in store.file.rows(f"SELECT * FROM turns WHERE id IN ({ids})", parameters):
        own = files.get(row["id"], ())
        found |= convert.recallable_by_file(convert.recalled_from_row(row, own, 0.0), own)
    return {**found, **told_facts(store, where, parameters), **told_passages(store, where, parameters)}
