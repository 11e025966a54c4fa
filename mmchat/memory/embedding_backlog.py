"""Turns that have no vector yet: imported ones, those said while the encoder was missing, or all after it changed."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable

from mmchat.memory.database import DatabaseFile, Row

_LOOKED_AT_ONCE = 20_000
"""Numbers of turns compared in one query: some 20 ms, after which others may have the processor."""

May = Callable[[], bool]
"""Waits until work may go on; False: give up."""


def unembedded(file: DatabaseFile, model: str, may_go_on: May = lambda: True) -> array[int]:
    """Numbers of turns without a vector of this model, in order; of those looked at so far where it is given up.

    Only indexes and the tree of turns are read, no text: turns that have nothing to embed are among them.
    """
    found = array("q")
    last = last_number(file)
    for start in range(0, last, _LOOKED_AT_ONCE):
        if not may_go_on():
            break
        with file.read() as db:
            found.extend(
                number
                for (number,) in db.execute(
                    "SELECT number FROM turns WHERE number > ? AND number <= ?"
                    " EXCEPT SELECT owner FROM embeddings"
                    " WHERE owner_kind = 'turn' AND owner > ? AND owner <= ? AND model = ? ORDER BY 1",
                    [start, start + _LOOKED_AT_ONCE] * 2 + [model],
                )
            )
    return found


def last_number(file: DatabaseFile) -> int:
    """Of the newest turn; 0 where there is none."""
    return int(file.rows("SELECT coalesce(max(number), 0) AS last FROM turns")[0]["last"])


def is_waiting_after(file: DatabaseFile, model: str, number: int) -> bool:
    """Whether a whole turn with words that came after this one has no vector of this model yet; quick."""
    found = file.rows(
        "SELECT 1 FROM turns t WHERE t.number > ? AND t.text <> '' AND t.status <> 'streaming' AND NOT t.is_retired"
        " AND NOT EXISTS (SELECT 1 FROM embeddings e"
        " WHERE e.owner_kind = 'turn' AND e.owner = t.number AND e.model = ?) LIMIT 1",
        (number, model),
    )
    return bool(found)


def embeddable(file: DatabaseFile, numbers: array[int]) -> list[Row]:
    """Those of these turns that are whole and in view, as rows of `turns`, in order."""
    return file.rows(
        "SELECT * FROM turns WHERE number IN (SELECT value FROM json_each(?)) AND status <> 'streaming'"
        " AND NOT is_retired ORDER BY number",
        (json.dumps(numbers.tolist()),),
    )


def count_waiting(file: DatabaseFile, model: str) -> int:
    """How many turns with words wait for a vector of this model."""
    numbers = unembedded(file, model)
    found = file.rows(
        "SELECT count(*) AS count FROM turns WHERE number IN (SELECT value FROM json_each(?)) AND text <> ''"
        " AND status <> 'streaming' AND NOT is_retired",
        (json.dumps(numbers.tolist()),),
    )
    return int(found[0]["count"])
