"""Unanswered messages grouped by likeness: what the documents should tell, and do not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmchat.chat.report_values import Gap
from mmchat.chat.unanswered import shelves_of
from mmchat.memory.knowledge import Knowledge
from mmchat.memory.report import Exchange, MessageVectors, message_vectors
from mmchat.memory.text_search import informative, terms
from mmchat.script import language_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmchat.memory.store import MemoryStore

ALIKE = 0.6
"""Messages are alike from here on: by the share of their words, or by how much nearer their vectors are than those of
two messages that have nothing to do with each other (0), the same ones being 1."""
MOST_GROUPED = 2000
"""So many different messages are compared, the newest; older ones make groups of their own."""
MOST_PLACED = 50
"""For so many groups, the largest, the documents are searched."""
_BLANKS = re.compile(r"\W+")


def find_gaps(
    store: MemoryStore, unanswered: Sequence[Exchange], reasons: Mapping[str, str], shelves: Mapping[str, str]
) -> tuple[Gap, ...]:
    """The largest group first.

    Args:
        store: where the vectors and the documents are.
        unanswered: the messages, in any order.
        reasons: why each is unanswered, by its id.
        shelves: those with documents on them.
    """
    grouped = group_alike(unanswered, message_vectors(store, [each.number for each in unanswered]))
    knowledge = Knowledge(store, lambda: None)
    gaps = []
    for place, group in enumerate(grouped):
        typical = group[0]
        near = ("", "")
        if place < MOST_PLACED and any(shelf in shelves for shelf in shelves_of(typical)):
            near = _nearest(knowledge, typical)
        gaps.append(
            Gap(
                question=typical.text,
                language=language_of([typical.text]),
                times=len(group),
                reasons=_counts(reasons[each.turn] for each in group),
                intents=_counts(each.intent for each in group if each.intent),
                last_at=max(each.said_at for each in group),
                nearest_document=near[0],
                nearest_heading=near[1],
                sessions=tuple(dict.fromkeys(each.session for each in group)),
                turns=tuple(each.turn for each in group),
            )
        )
    return tuple(gaps)


def group_alike(messages: Sequence[Exchange], vectors: MessageVectors | None) -> list[list[Exchange]]:
    """Groups around their most typical message, which comes first; the largest group first.

    The message that most others are like takes these to itself, then the next of those that are left. So each group
    has a centre that it is named by, and nothing is in it that is not like that one.
    """
    same: dict[str, list[Exchange]] = {}
    for each in sorted(messages, key=lambda each: each.said_at, reverse=True):
        same.setdefault(_plain(each.text) or each.turn, []).append(each)
    bundles = list(same.values())
    compared, rest = bundles[:MOST_GROUPED], bundles[MOST_GROUPED:]
    alike = _likeness([bundle[0] for bundle in compared], vectors) >= ALIKE
    sizes = np.array([len(bundle) for bundle in compared])
    left = np.ones(len(compared), bool)
    groups = []
    while left.any():
        # Among equals the newest, which stands first.
        centre = int(np.argmax(np.where(left, (alike & left) @ sizes, -1)))
        members = [centre, *(int(at) for at in np.flatnonzero(alike[centre] & left) if at != centre)]
        left[members] = False
        groups.append([each for at in members for each in compared[at]])
    return sorted([*groups, *rest], key=len, reverse=True)


def _likeness(messages: Sequence[Exchange], vectors: MessageVectors | None) -> NDArray[np.float32]:
    """(N, N) in [0, 1]: the larger of what words and vectors say; 1 on the diagonal."""
    likeness = _shared_words([each.text for each in messages])
    if vectors is not None:
        places = [at for at, each in enumerate(messages) if each.number in vectors.by_number]
        if places:
            matrix = np.stack([vectors.by_number[messages[at].number] for at in places])
            near = (matrix @ matrix.T - vectors.usual) / (1 - vectors.usual)
            block = np.ix_(places, places)
            likeness[block] = np.maximum(likeness[block], near)
    np.fill_diagonal(likeness, 1.0)
    return likeness


def _shared_words(texts: Sequence[str]) -> NDArray[np.float32]:
    """(N, N): words that two texts share, of all that they hold (Jaccard 1912); words that hardly tell do not count."""
    places: dict[str, int] = {}
    held = [[places.setdefault(word, len(places)) for word in informative(text)] for text in texts]
    table = np.zeros((len(texts), len(places)), np.float32)
    for row, words in enumerate(held):
        table[row, words] = 1
    shared = table @ table.T
    counts = table.sum(axis=1)
    either = counts[:, None] + counts[None, :] - shared
    likeness: NDArray[np.float32] = np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)
    return likeness


def _nearest(knowledge: Knowledge, message: Exchange) -> tuple[str, str]:
    """File and heading of the passage that comes nearest by its words; empty where none shares any."""
    found = knowledge.find(message.text, shelves=shelves_of(message), k=1, use_vectors=False)
    passage = found[0].passage if found else None
    return (passage.name, passage.heading) if passage is not None else ("", "")


def _plain(text: str) -> str:
    """The same for messages that differ in blanks, marks and letters' size only."""
    return _BLANKS.sub(" ", " ".join(terms(text))).strip()


def _counts(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())
