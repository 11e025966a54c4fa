"""The turns beside a turn: what it answers, and how it was answered."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmchat.domain import Turn
from mmchat.memory.statements import LIVE_TURN

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore


@dataclass(frozen=True, slots=True)
class Exchange:
    """A turn between the one before it and the one after it, as far as these are in view."""

    turn: Turn
    before: Turn | None
    after: Turn | None


def exchanges(store: MemoryStore, turn_ids: Iterable[str]) -> dict[str, Exchange]:
    """Turns with those beside them, by id; ids of turns that are gone are left out."""
    sql = (
        "SELECT t.id, (SELECT b.id FROM turns b WHERE b.id = t.parent_id AND NOT b.is_retired) AS before,"
        " (SELECT a.id FROM turns a WHERE a.parent_id = t.id AND NOT a.is_retired) AS after"
        f" FROM turns t WHERE t.id IN (SELECT value FROM json_each(?)) AND {LIVE_TURN}"
    )
    found = store.file.rows(sql, (json.dumps(list(turn_ids)),))
    wanted = {each for row in found for each in row.values() if each is not None}
    turns = {turn.id: turn for turn in store.turns_with_ids(list(wanted))}
    return {
        row["id"]: Exchange(turns[row["id"]], turns.get(row["before"]), turns.get(row["after"]))
        for row in found
        if row["id"] in turns
    }
