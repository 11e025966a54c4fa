"""What is told beside a message: facts about the user, older turns, and pictures that it brings to mind."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING

from mmchat.chat.partners import with_partners
from mmchat.chat.worth import is_small_talk, worth_telling
from mmchat.domain import Notice, Recalled, ReplyEvent, Turn, WorkStarted
from mmchat.errors import DeviceError, EngineUnavailable, WeightsError

if TYPE_CHECKING:
    from mmchat.chat.known import KnownFacts
    from mmchat.chat.senses import Senses
    from mmchat.memory.recall import Recall
    from mmchat.memory.store import MemoryStore

MAX_RECALLED = 3
"""Few and short: a small model drowns in notes."""
RECALL_DEPTH = 3 * MAX_RECALLED
"""How many are looked at to find so many that tell something."""


class Remembering:
    """Looks up what bears on a message."""

    def __init__(
        self,
        store: MemoryStore,
        facts: KnownFacts,
        recall: Recall,
        senses: Senses,
        *,
        does_recall: bool,
        does_know: bool,
        scope: str = "",
    ) -> None:
        """Either may be left out: turns and pictures with `does_recall`, facts with `does_know`.

        `scope`: the memory that is looked through; '' is the user's.
        """
        self._scope = scope
        self._store = store
        self._facts = facts
        self._recall = recall
        self._senses = senses
        self._does_recall = does_recall
        self._does_know = does_know

    def notes(self, question: Turn, hidden: Sequence[str]) -> Generator[ReplyEvent, None, tuple[Recalled, ...]]:
        """At most `MAX_RECALLED` notes, best first.

        Args:
            question: the message, with what was heard and seen in its files.
            hidden: ids of turns and facts that the model sees anyway.
        """
        query = searchable_text(question)
        if not query or is_small_talk(query) or not (self._does_recall or self._does_know):
            return ()
        yield WorkStarted("remembering")
        alike = self._senses.shown_before(question, hidden, self._scope) if self._does_recall else ()
        try:
            notes = self._look_up(query, hidden, has_pictures=any(a.kind == "image" for a in question.attachments))
        except (EngineUnavailable, WeightsError, DeviceError) as error:
            yield Notice(f"Remembering by words only: {error}")
            notes = self._look_up(query, hidden, use_vectors=False)
        known = {note.turn for note in alike}
        return (*alike, *(note for note in notes if note.turn not in known))[:MAX_RECALLED]

    def _look_up(
        self, query: str, hidden: Sequence[str], *, use_vectors: bool = True, has_pictures: bool = False
    ) -> tuple[Recalled, ...]:
        found: tuple[Recalled, ...] = ()
        if self._does_recall:
            found = self._recall.find(
                query,
                k=RECALL_DEPTH,
                exclude_turns=hidden,
                use_vectors=use_vectors,
                scope=self._scope,
                reach="sure",  # few and short: what only may bear on it misleads a small model
                use_pictures=not has_pictures,  # "this picture" is the one that came with the message
            )
        known = self._facts.all()
        facts: tuple[Recalled, ...] = ()
        if self._does_know:
            facts = self._facts.bearing_on(query, hidden=hidden, use_vectors=use_vectors, among=known)
        turns = worth_telling(query, with_partners(self._store, found, hidden))
        return self._facts.beside(query, facts, turns, among=known)[:MAX_RECALLED]


def ids_of(notes: Iterable[Recalled]) -> tuple[str, ...]:
    """Ids of all that notes tell: facts, turns and the other halves of exchanges."""
    told: list[str] = []
    for note in notes:
        told.append(note.fact or note.turn)
        if note.partner is not None:
            told.append(note.partner.turn)
    return tuple(told)


def searchable_text(turn: Turn) -> str:
    """The words of a turn and of what was heard and seen with it, as recall is asked for them."""
    parts = [turn.text]
    for attachment in turn.attachments:
        if attachment.heard:
            parts.append(attachment.heard.text)
        if attachment.seen:
            parts += [attachment.seen.text, *(tag.label for tag in attachment.seen.tags[:3])]
    return " ".join(part for part in parts if part)
