"""Which messages got no answer that helps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from mmchat.chat.asking import wants_answer
from mmchat.chat.report_values import Reason
from mmchat.memory.report import Exchange
from mmchat.moments import utc_text

STILL_COMING = timedelta(minutes=10)
"""The reply to a message may take so long to begin: a model that is loaded first, sounds to be heard."""


def reason_of(exchange: Exchange, shelves: Mapping[str, str], now: datetime) -> Reason | None:
    """Why a message counts as unanswered; None where it does not.

    Args:
        exchange: the message and its reply.
        shelves: those with documents on them, and since when.
        now: aware.
    """
    if exchange.prepared == "unknown":
        return "unknown"
    if exchange.status == "failed":
        return "failed"
    if not exchange.reply:
        is_late = exchange.said_at < utc_text(now - STILL_COMING)
        return "missing" if is_late and not exchange.is_imported else None
    if exchange.prepared or exchange.cites or exchange.status != "complete" or exchange.is_imported:
        return None
    return "uncited" if had_documents(exchange, shelves) and wants_answer(exchange.text) else None


def had_documents(exchange: Exchange, shelves: Mapping[str, str]) -> bool:
    """Whether there were documents to look into when the message was said."""
    return any(shelves.get(shelf, "9999") <= exchange.said_at for shelf in shelves_of(exchange))


def shelves_of(exchange: Exchange) -> tuple[str, ...]:
    """Where its conversation looks things up: the role's own documents, and the user's where it shares their memory."""
    own = (exchange.role,) if exchange.role else ()
    return (*own, "") if exchange.shares_memory else own
