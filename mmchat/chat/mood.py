"""How a conversation sounds, and whether it is better handed over to a person.

One angry word is no falling mood, so what counts is an exponentially smoothed valence, which begins at neutral.

Source: simple exponential smoothing, Brown 1956, "Exponential Smoothing for Predicting Demand".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mmchat.chat.role_actions import action_for, language_spoken
from mmchat.domain import Turn
from mmchat.role_values import Persona

Reason = Literal["mood", "intent", "unknown"]

SHARE = 0.4
"""What the newest message counts, of 1."""
LOW = -0.45
"""From here down, a person is suggested: lower than one message alone can bring it."""
BETTER = -0.2
"""From here up, a mood that was low has become better."""
UNKNOWN_IN_A_ROW = 2
"""So many answers "I do not know" one after the other suggest a person."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What counts of a message and its reply."""

    mood: float | None = None
    is_unknown: bool = False
    """It was answered with what is said where the documents tell nothing."""
    wants_person: bool = False


def smoothed(moods: Iterable[float | None]) -> float:
    """How a conversation sounds after these messages: in [-1, 1], 0 for neutral and for none at all."""
    level = 0.0
    for mood in moods:
        level = smoothed_further(level, mood)
    return level


def smoothed_further(level: float, mood: float | None) -> float:
    """How it sounds after one more message; one that tells nothing changes nothing."""
    return level if mood is None else level + SHARE * (mood - level)


def exchanges_of(turns: Sequence[Turn], persona: Persona | None) -> list[Exchange]:
    """What counts of a conversation, oldest first."""
    replies = {turn.parent_id: turn for turn in turns if turn.role == "assistant" and turn.parent_id is not None}
    found = []
    for turn in turns:
        if turn.role != "user":
            continue
        action = action_for(turn.understood, persona, language_spoken(persona, (turn,)))
        reply = replies.get(turn.id)
        found.append(
            Exchange(
                turn.understood.mood if turn.understood is not None else None,
                is_unknown=reply is not None and reply.prepared == "unknown",
                wants_person=action is not None and action.hand_over,
            )
        )
    return found


def suggestions(exchanges: Iterable[Exchange]) -> Iterator[Reason | None]:
    """Whether a person is to be suggested after each of these exchanges, and why.

    Once for a mood that stays low or questions that stay open; again when it had become better, and whenever the user
    asks for it.
    """
    level, unknown, may_suggest = 0.0, 0, True
    for exchange in exchanges:
        level = smoothed_further(level, exchange.mood)
        unknown = unknown + 1 if exchange.is_unknown else 0
        reason: Reason | None = None
        if exchange.wants_person:
            reason = "intent"
        elif may_suggest and unknown >= UNKNOWN_IN_A_ROW:
            reason = "unknown"
        elif may_suggest and level <= LOW and exchange.mood is not None:
            reason = "mood"
        if reason is not None:
            may_suggest = False
        elif level >= BETTER and not unknown:
            may_suggest = True
        yield reason


def person_suggested(exchanges: Iterable[Exchange]) -> Reason | None:
    """Whether a person is to be suggested after the last of these exchanges."""
    reason = None
    for reason in suggestions(exchanges):  # noqa: B007 - the last is what is wanted
        pass
    return reason
