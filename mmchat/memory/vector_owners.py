"""What vectors are of: where those of each kind are stored, and which of their owners search may find."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

from mmchat.memory.statements import LIVE_TURN

OwnerKind = Literal["turn", "attachment", "passage"]


@dataclass(frozen=True, slots=True)
class Owners:
    """SQL about one kind of owner; `e` is a row of the vectors."""

    table: str
    """Of the owners, whose `number` is the vectors' `owner`."""
    vectors: str
    """Of the vectors: number, owner, model, vector."""
    of_kind: str
    """Condition on `e`: all rows of this kind."""
    join: str
    """From `e.owner` to whatever tells of it."""
    group: str
    """What search can be kept to or from: the number of a conversation, or the name of a shelf."""
    is_live: str
    """Condition on what was joined: search may find it."""

    def save(self) -> str:
        """Statement that puts a vector in the place of the owner's earlier one: model, vector, owner.

        The owner may be gone by now; a vector without one would never be removed.
        """
        kind = "owner_kind, " if self.vectors == "embeddings" else ""
        value = f"'{_KIND_NAMES[self.table]}', " if kind else ""
        return (
            f"INSERT OR REPLACE INTO {self.vectors} ({kind}owner, model, vector)"
            f" SELECT {value}number, ?, ? FROM {self.table} WHERE number = ?"
        )


_SESSION = "JOIN sessions s ON s.id = t.session_id"
_KIND_NAMES: dict[str, OwnerKind] = {"turns": "turn", "attachments": "attachment", "passages": "passage"}
OWNERS: dict[OwnerKind, Owners] = {
    "turn": Owners(
        "turns",
        "embeddings",
        "e.owner_kind = 'turn'",
        f"JOIN turns t ON t.number = e.owner {_SESSION}",
        "s.number",
        LIVE_TURN,
    ),
    "attachment": Owners(
        "attachments",
        "embeddings",
        "e.owner_kind = 'attachment'",
        f"JOIN attachments a ON a.number = e.owner JOIN turns t ON t.id = a.turn_id {_SESSION}",
        "s.number",
        LIVE_TURN,
    ),
    "passage": Owners(
        "passages",
        "passage_embeddings",
        "1",
        "JOIN passages p ON p.number = e.owner JOIN documents d ON d.id = p.document_id",
        "d.shelf",
        "1",
    ),
}


def group_number(group: int | str) -> int:
    """A group as the index tells it from others: its number, or for a name one that is the same in every program.

    Two names may share one, about once in two thousand million pairs: whoever must tell them apart for certain looks
    at the rows that were found.
    """
    return group if isinstance(group, int) else zlib.crc32(group.encode("utf-8")) & 0x7FFFFFFF
