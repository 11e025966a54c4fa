"""Conversations read whole for an export: all turns, also those no longer in view, and what stands beside them."""

from __future__ import annotations

from dataclasses import dataclass

from mmchat.domain import HandOver, Session, Turn
from mmchat.memory.hand_overs import hand_overs
from mmchat.memory.store import MemoryStore


@dataclass(frozen=True, slots=True)
class ExportedTurn:
    """A turn and where it stands."""

    turn: Turn
    position: int
    speaker: str = ""
    is_pinned: bool = False
    is_retired: bool = False
    retired_order: int = 0


@dataclass(frozen=True, slots=True)
class ExportedConversation:
    """A conversation with all its turns."""

    session: Session
    turns: tuple[ExportedTurn, ...]
    """In the order in which they were stored."""
    source: str = ""
    hand_overs: tuple[HandOver, ...] = ()

    @property
    def in_view(self) -> tuple[Turn, ...]:
        """The conversation as it is read."""
        return tuple(each.turn for each in self.turns if not each.is_retired)


def read_conversation(store: MemoryStore, session: Session) -> ExportedConversation:
    """All of a conversation.

    Raises:
        MemoryStoreError: the store cannot be read.
    """
    in_view = {turn.id: turn for turn in store.turns(session.id)}
    turns = []
    for row in store.file.rows(
        "SELECT t.id, t.position, t.speaker, t.is_retired, t.retired_order, p.turn_id IS NOT NULL AS is_pinned"
        " FROM turns t LEFT JOIN pins p ON p.turn_id = t.id WHERE t.session_id = ? ORDER BY t.position",
        (session.id,),
    ):
        turn = in_view.get(row["id"]) or store.get_turn(row["id"])
        turns.append(
            ExportedTurn(
                turn,
                row["position"],
                row["speaker"],
                bool(row["is_pinned"]),
                bool(row["is_retired"]),
                row["retired_order"],
            )
        )
    ((source,),) = (row.values() for row in store.file.rows("SELECT source FROM sessions WHERE id = ?", (session.id,)))
    return ExportedConversation(session, tuple(turns), source, hand_overs(store, session.id))
