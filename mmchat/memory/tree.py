"""The turns of a conversation as a tree: what hangs on what, what is in view, and what was before.

A turn hangs on its `parent_id`; positions grow from parent to child. In view is what is not retired: every turn
in view hangs on one that is in view too, or on none. Turns that hang on the same one are variants of each other;
nothing is ever overwritten or removed. Each function runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlite_utils import Database

_IN_VIEW_FROM = """
WITH RECURSIVE hanging(id) AS (
    SELECT id FROM turns WHERE id = ? AND NOT is_retired
    UNION ALL
    SELECT t.id FROM turns t JOIN hanging h ON t.parent_id = h.id WHERE NOT t.is_retired
)
"""
# Step by step from a turn to its newest child that was retired with it or after it. What had been retired before,
# such as an exchange taken back, stays out of view.
_SEEN_WITH = """
WITH RECURSIVE seen(id) AS (
    SELECT id FROM turns WHERE id = :turn
    UNION ALL
    SELECT (
        SELECT t.id FROM turns t
        WHERE t.parent_id = seen.id AND t.is_retired AND t.retired_order >= :since
        ORDER BY t.retired_order DESC, t.position DESC LIMIT 1
    ) FROM seen WHERE seen.id IS NOT NULL
)
"""
_PATH_TO = """
WITH RECURSIVE path(id, parent_id) AS (
    SELECT id, parent_id FROM turns WHERE id = ?
    UNION ALL
    SELECT t.id, t.parent_id FROM turns t JOIN path p ON t.id = p.parent_id
)
SELECT id FROM path
"""


def writers_from(db: Database, turn_id: str) -> list[str]:
    """Who writes replies among a turn in view and what hangs on it in view."""
    found = db.execute(
        f"{_IN_VIEW_FROM} SELECT writer FROM turns WHERE status = 'streaming' AND id IN (SELECT id FROM hanging)",
        [turn_id],
    )
    return [row[0] for row in found]


def retire(db: Database, turn_id: str) -> None:
    """Take a turn out of view with all that hangs on it in view, as one act."""
    db.execute(
        f"{_IN_VIEW_FROM} UPDATE turns SET is_retired = 1, retired_order = 1 +"
        " (SELECT max(retired_order) FROM turns WHERE session_id = (SELECT session_id FROM turns WHERE id = ?))"
        " WHERE id IN (SELECT id FROM hanging)",
        [turn_id, turn_id],
    )


def revive(db: Database, turn_id: str) -> None:
    """Bring a retired turn, whose parent must be in view, back with what followed it when it was last there."""
    since = db.execute("SELECT retired_order FROM turns WHERE id = ?", [turn_id]).fetchone()[0]
    db.execute(
        f"{_SEEN_WITH} UPDATE turns SET is_retired = 0 WHERE id IN (SELECT id FROM seen WHERE id IS NOT NULL)",
        {"turn": turn_id, "since": since},
    )


def last_in_view(db: Database, session_id: str, role: str = "") -> str | None:
    """Id of the last turn in view, of any or of one role."""
    found = db.execute(
        "SELECT id FROM turns WHERE session_id = ? AND NOT is_retired AND (? = '' OR role = ?)"
        " ORDER BY position DESC LIMIT 1",
        [session_id, role, role],
    ).fetchone()
    return None if found is None else str(found[0])


def last_retired_after(db: Database, session_id: str, turn_id: str | None) -> str | None:
    """Id of the turn that hung on this one (or began the conversation) and was retired last."""
    hangs = "parent_id = ?" if turn_id is not None else "parent_id IS ?"
    found = db.execute(
        f"SELECT id FROM turns WHERE session_id = ? AND {hangs} AND is_retired"
        " ORDER BY retired_order DESC, position DESC LIMIT 1",
        [session_id, turn_id],
    ).fetchone()
    return None if found is None else str(found[0])


def variants_of(db: Database, turn_id: str) -> list[str]:
    """Ids of a turn and of all retired ones that hang where it hangs, oldest first."""
    found = db.execute(
        "SELECT v.id FROM turns t JOIN turns v ON v.session_id = t.session_id AND v.parent_id IS t.parent_id"
        " WHERE t.id = ? AND (v.is_retired OR v.id = t.id) ORDER BY v.position",
        [turn_id],
    )
    return [row[0] for row in found]


def variant_places(db: Database, session_id: str) -> Mapping[str, tuple[int, int]]:
    """For turns in view that have variants: which one each is, counted from 1, and how many there are."""
    places = "SELECT t.id, 1 + coalesce(sum(v.position < t.position), 0), 1 + count(*) FROM turns v"
    found = db.execute(
        f"{places} JOIN turns t ON t.parent_id = v.parent_id"
        " WHERE v.session_id = :session AND v.is_retired AND NOT t.is_retired GROUP BY t.id"
        f" UNION ALL {places} JOIN turns t ON t.id ="
        " (SELECT id FROM turns WHERE session_id = :session AND NOT is_retired ORDER BY position LIMIT 1)"
        " WHERE v.session_id = :session AND v.is_retired AND v.parent_id IS NULL GROUP BY t.id",
        {"session": session_id},
    )
    return {row[0]: (row[1], row[2]) for row in found}


def variant_place(db: Database, turn_id: str) -> tuple[int, int]:
    """Which of its variants a turn is, counted from 1, and how many there are with it."""
    found = db.execute(
        "SELECT 1 + coalesce(sum(v.position < t.position), 0), 1 + count(v.id) FROM turns t LEFT JOIN turns v"
        " ON v.session_id = t.session_id AND v.parent_id IS t.parent_id AND v.is_retired AND v.id <> t.id"
        " WHERE t.id = ?",
        [turn_id],
    ).fetchone()
    return int(found[0]), int(found[1])


def path_to(db: Database, turn_id: str) -> list[str]:
    """Ids from the beginning of the conversation to a turn, in view or not."""
    return [row[0] for row in db.execute(_PATH_TO, [turn_id])][::-1]
