"""Conversations that begin with somebody: the role, and what it says first, in one transaction."""

from __future__ import annotations

from mmchat.domain import Session
from mmchat.memory.statements import index_turn, insert_session, insert_turn
from mmchat.memory.store import MemoryStore
from mmchat.memory.text_search import storable


def begin_with_role(
    store: MemoryStore, role: str, *, persona: str, greeting: str = "", memory_scope: str = ""
) -> Session:
    """Store a new conversation.

    Args:
        store: where.
        role: whom the assistant plays, as `Persona.key` names it.
        persona: the system text, kept in case the role's file goes.
        greeting: its first turn; empty for none.
        memory_scope: which conversations recall each other; '' is the user's memory.
    """
    with store.file.write() as db:
        session_id = insert_session(db, title="", persona=persona, role=role, memory_scope=memory_scope)
        if greeting:
            fields = {"role": "assistant", "text": storable(greeting), "status": "complete"}
            index_turn(db, insert_turn(db, session_id, fields))
    return store.get_session(session_id)
