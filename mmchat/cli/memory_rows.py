"""Facts as the command line shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmchat.moments import local_day

if TYPE_CHECKING:
    from mmchat.domain import Fact, Recalled

SHORT_ID = 8
"""The end of an id tells facts of one minute apart."""


def fact_object(fact: Fact) -> dict[str, Any]:
    """A fact as `mmchat memory --json` prints it."""
    return {
        "id": fact.id,
        "text": fact.text,
        "topic": fact.topic,
        "origin": fact.origin,
        "session": fact.session or None,
        "turn": fact.turn or None,
        "created_at": fact.created_at,
        "updated_at": fact.updated_at,
        "edited": fact.is_edited,
        "superseded": fact.is_superseded,
    }


def told_object(note: Recalled) -> dict[str, Any]:
    """A fact that a reply was told, as `ask --json` prints it."""
    return {
        "id": note.fact,
        "text": note.text,
        "session": note.session or None,
        "turn": note.turn or None,
        "score": round(note.score, 4),
    }


def fact_row(fact: Fact) -> list[str]:
    """A line of the table."""
    return [fact.id[-SHORT_ID:], local_day(fact.updated_at), _about(fact), fact.text]


def fact_words(fact: Fact) -> str:
    """A fact on one line, for reading aloud."""
    return f"{fact.text} ({_about(fact)}, {local_day(fact.updated_at)})"


def _about(fact: Fact) -> str:
    marks = ["edited"] * fact.is_edited + ["older"] * fact.is_superseded
    return ", ".join([fact.origin, *marks])
