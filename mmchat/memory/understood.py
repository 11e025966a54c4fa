"""What messages were taken to want, kept with them."""

from __future__ import annotations

from mmchat.domain import Turn, Understood
from mmchat.memory.rows import to_json
from mmchat.memory.store import MemoryStore


def save_understood(store: MemoryStore, turn_id: str, understood: Understood) -> Turn:
    """Keep it in the place of what was read before."""
    with store.file.write() as db:
        db.execute("UPDATE turns SET understood = ? WHERE id = ?", [to_json(understood), turn_id])
    return store.get_turn(turn_id)
